// The mock: serves the real web UI under the real security headers, and the
// API of api.mjs in place of a node.
//
//   node mock/server.mjs [world] [port]     prints the address to open
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Node, Refusal, ROUTES } from './api.mjs';
import { accept } from './socket.mjs';
import { WORLDS } from './world.mjs';

const UI = fileURLToPath(new URL('../../../web-ui/', import.meta.url));
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.json': 'application/json', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json' };

/** The policy of the node, with the hash of the one inline script. */
export function policy(html) {
  const inline = [...html.matchAll(/<script type="importmap">([\s\S]*?)<\/script>/g)];
  if (inline.length !== 1) throw new Error('index.html must hold exactly one inline script');
  const hash = createHash('sha256').update(inline[0][1]).digest('base64');
  return `default-src 'none'; script-src 'self' 'sha256-${hash}'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`;
}

const COMMON = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin', 'permissions-policy': 'camera=(self), microphone=(self), display-capture=(self), geolocation=()' };

async function asset(url, response) {
  const path = url.pathname === '/' ? 'index.html' : normalize(url.pathname).replace(/^\/+/, '');
  try {
    if (path.startsWith('..')) throw new Error('outside');
    const body = await readFile(join(UI, path));
    const csp = policy(await readFile(join(UI, 'index.html'), 'utf8'));
    response.writeHead(200, { ...COMMON, 'content-type': TYPES[extname(path)] ?? 'application/octet-stream', 'content-security-policy': csp, 'cache-control': 'no-cache' }).end(body);
  } catch {
    response.writeHead(404, COMMON).end();
  }
}

function match(method, path) {
  for (const [route, handler] of Object.entries(ROUTES)) {
    const [verb, pattern] = route.split(' ');
    if (verb !== method) continue;
    const found = new RegExp(`^${pattern.replace(/:id/, '([^/]+)')}$`).exec(path);
    if (found) return { handler, route, id: found[1] && decodeURIComponent(found[1]) };
  }
  throw new Refusal(404, 'not_found', 'There is no such thing here.');
}

function answer(response, status, body, type) {
  if (status === 204) return response.writeHead(204, COMMON).end();
  const text = type ? body : JSON.stringify(body);
  return response.writeHead(status, { ...COMMON, 'content-type': type ?? 'application/json', 'cache-control': 'no-store' }).end(text);
}

async function read(request) {
  const chunks = [];
  for await (const piece of request) chunks.push(piece);
  return Buffer.concat(chunks);
}

async function api(node, request, response, url) {
  const path = url.pathname.slice('/api/v1'.length);
  const bytes = await read(request);
  try {
    const call = { method: request.method, path, at: Date.now() };
    node.calls.push(call);
    const fault = node.faults.find((each) => each.times > 0 && each.path.test(path) && (!each.method || each.method === request.method));
    if (fault) {
      fault.times -= 1;
      if (fault.status === 0) return request.socket.destroy();
      throw new Refusal(fault.status, fault.code, fault.detail);
    }
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (path !== '/session' || request.method !== 'POST') {
      if (!node.tokens.has(token)) throw new Refusal(401, 'unauthenticated', 'This browser’s session has ended. Run kith open for a fresh link.');
      if (node.locked && path !== '/vault/unlock') throw new Refusal(423, 'locked', 'Kith is locked.');
      if (node.damaged && !path.startsWith('/vault')) throw new Refusal(423, 'store_damaged', 'Kith cannot open your messages.');
    }
    const { handler, id, route } = match(request.method, path);
    const type = request.headers['content-type'];
    const body = type === 'application/json' && bytes.length ? JSON.parse(bytes) : null;
    call.body = body;
    const key = request.headers['idempotency-key'];
    const memo = key && `${route} ${key}`;
    if (memo && node.keys.has(memo)) return answer(response, ...node.keys.get(memo));
    const result = handler(node, { id, body, bytes, type, query: url.searchParams, key, token });
    if (memo) node.keys.set(memo, structuredClone(result));
    return answer(response, ...result);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    response.writeHead(refusal.status, { ...COMMON, ...refusal.headers, 'content-type': 'application/problem+json' });
    return response.end(JSON.stringify({ type: 'about:blank', title: refusal.code, status: refusal.status, detail: refusal.message, code: refusal.code, request_id: 'K-7F3A' }));
  }
}

function events(node, request, socket) {
  let tab = null;
  const link = accept(request, socket, (text) => {
    const first = JSON.parse(text);
    if (tab || first.type !== 'auth' || !node.tokens.has(first.token)) return socket.destroy();
    tab = { send: (event) => link.send(event), drop: link.drop };
    node.tabs.add(tab);
    link.send({ type: 'hello', build: node.build, cursor: node.cursor });
    for (const event of node.journal) if (event.seq > (first.since ?? 0)) link.send(event);
  }, () => node.tabs.delete(tab));
}

/** Starts a mock on a free port. `down()` and `up()` play a node that stops and starts. */
export async function startMock({ world = 'home', port = 0, now } = {}) {
  const node = new Node(WORLDS[world]((now ?? Date.now)()), { now });
  let listening = 0;
  let server;
  const sockets = new Set();
  const up = () => new Promise((done, failed) => {
    server = createServer((request, response) => {
      const url = new URL(request.url, 'http://localhost');
      const serve = url.pathname.startsWith('/api/v1/') ? api(node, request, response, url) : asset(url, response);
      serve.catch((fault) => {
        process.stderr.write(`${fault.stack}\n`);
        response.writeHead(500).end();
      });
    });
    server.on('upgrade', (request, socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      events(node, request, socket);
    });
    server.once('error', failed);
    server.listen(listening || port, '127.0.0.1', () => {
      listening = server.address().port;
      done();
    });
  });
  const down = () => new Promise((done) => {
    for (const socket of sockets) socket.destroy();
    server.close(done);
    server.closeAllConnections();
  });
  await up();
  const origin = `http://localhost:${listening}`;
  return { node, origin, up, down, open: (hash = '') => `${origin}/#login=${node.login()}${hash}` };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const mock = await startMock({ world: process.argv[2] ?? 'home', port: Number(process.argv[3] ?? 7777) });
  process.stdout.write(`${mock.open()}\n`);
}
