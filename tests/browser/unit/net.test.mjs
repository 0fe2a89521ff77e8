import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createApi } from '../../../web-ui/app/net/api.js';
import { createFeed } from '../../../web-ui/app/net/feed.js';
import { isOld, showable } from '../../../web-ui/app/invite/screen-code.js';

const reply = (status, body, headers = {}) => new Response(status === 204 ? null : JSON.stringify(body), { status, headers });

test('a refusal keeps its sentence, its code and its id', async () => {
  const refused = [];
  const api = createApi({ token: () => 't', onRefused: (problem) => refused.push(problem.status), fetch: async () => reply(401, { code: 'login_used', detail: 'Used.', request_id: 'K-1' }, { 'retry-after': '3' }) });
  await assert.rejects(api.get('/x'), { code: 'login_used', detail: 'Used.', requestId: 'K-1', status: 401, retryAfter: 3, unreachable: false });
  assert.deepEqual(refused, [401]);
});

test('no answer is a problem of its own, and not a refusal', async () => {
  const refused = [];
  const api = createApi({ token: () => null, onRefused: () => refused.push(1), fetch: async () => { throw new TypeError('failed to fetch'); } });
  await assert.rejects(api.get('/x'), { unreachable: true });
  assert.deepEqual(refused, []);
});

test('a body that is no problem still becomes one', async () => {
  const api = createApi({ token: () => null, fetch: async () => new Response('<html>', { status: 502 }) });
  await assert.rejects(api.get('/x'), { code: 'http_502', detail: '' });
});

test('the token travels in the header, the key too, and never in the address', async () => {
  let seen;
  const api = createApi({ token: () => 'secret', fetch: async (url, options) => { seen = { url, ...options }; return reply(201, {}); } });
  await api.post('/chats/c/messages', { text: 'hi' }, { key: 'k1' });
  assert.equal(seen.headers.authorization, 'Bearer secret');
  assert.equal(seen.headers['idempotency-key'], 'k1');
  assert.equal(seen.url, '/api/v1/chats/c/messages');
});

function harness() {
  const sockets = [];
  const log = [];
  const waits = [];
  class Socket {
    constructor() {
      this.sent = [];
      sockets.push(this);
    }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() {}
  }
  let since = 5;
  const feed = createFeed({
    url: 'ws://x', token: () => 't', since: () => since, Socket, random: () => 0, now: () => 1000,
    timers: { set: (run, wait) => { waits.push({ run, wait }); return waits.length; }, clear: () => log.push('clear') },
    onEvent: (event) => { log.push(event.type); if (event.seq) since = event.seq; }, onReset: () => log.push('reset!'), onState: (state) => log.push(state.kind),
  });
  return { feed, sockets, log, waits };
}

test('the feed authenticates first, resumes where it was, and backs off', () => {
  const { feed, sockets, waits, log } = harness();
  feed.start();
  sockets[0].onopen();
  assert.deepEqual(sockets[0].sent, [{ type: 'auth', token: 't', since: 5 }]);
  const tell = (socket, event) => socket.onmessage({ data: JSON.stringify(event) });
  tell(sockets[0], { type: 'hello', build: 'b', cursor: 5 });
  tell(sockets[0], { seq: 6, type: 'me.changed', data: {} });
  sockets[0].onmessage({ data: 'not json' });
  sockets[0].onclose();
  waits[0].run();
  sockets[1].onclose();
  assert.ok(waits[1].wait > waits[0].wait);
  waits[1].run();
  sockets[2].onopen();
  assert.equal(sockets[2].sent[0].since, 6);
  tell(sockets[2], { type: 'reset' });
  assert.deepEqual(log.filter((each) => each !== 'connecting'), ['up', 'hello', 'me.changed', 'down', 'down', 'reset!']);
});

test('trying at once clears the wait, and a stopped feed stays down', () => {
  const { feed, sockets, waits, log } = harness();
  feed.start();
  sockets[0].onclose();
  feed.retryNow();
  assert.equal(sockets.length, 2);
  assert.ok(log.includes('clear'));
  feed.stop();
  sockets[1].onclose();
  assert.equal(waits.length, 1);
});

test('the code on the screen is the live one with the longest life, and is renewed in time', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  const code = (id, seconds, more = {}) => ({ id, kind: 'in_person', state: 'active', text: 'KITH:I1/X', expires_at: new Date(now + seconds * 1000).toISOString(), ...more });
  const invites = { a: code('a', 30), b: code('b', 300), c: code('c', 900, { kind: 'link' }), d: code('d', 900, { state: 'claimed', text: null }), e: code('e', -1) };
  assert.equal(showable(invites, now).id, 'b');
  assert.equal(showable({}, now), null);
  assert.equal(isOld(code('x', 21), now), false);
  assert.equal(isOld(code('x', 20), now), true);
  assert.equal(isOld(null, now), true);
});
