// Calls to the node. No state but the token; `fetch` is handed in.
//
// Every failure is thrown as a Problem; 401 and 423 are also reported once to
// the session, which shows another page.
import { Problem, problemOf } from './problem.js';

const BASE = '/api/v1';

/**
 * @param {{ fetch: typeof fetch, token: () => string|null, onRefused?: (problem: Problem) => void }} options
 */
export function createApi({ fetch, token, onRefused = () => {} }) {
  async function call(method, path, { body, type, key, signal } = {}) {
    const headers = {};
    const bearer = token();
    if (bearer) headers.authorization = `Bearer ${bearer}`;
    if (key) headers['idempotency-key'] = key;
    let payload;
    if (type) {
      headers['content-type'] = type;
      payload = body;
    } else if (body !== undefined) {
      headers['content-type'] = 'application/json';
      payload = JSON.stringify(body);
    }
    let response;
    try {
      response = await fetch(BASE + path, { method, headers, body: payload, signal, cache: 'no-store' });
    } catch (cause) {
      if (cause?.name === 'AbortError') throw cause;
      throw new Problem({});
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    // A refused login says something about the link, not about the session.
    const login = method === 'POST' && path === '/session';
    if (!login && (problem.status === 401 || problem.status === 423)) onRefused(problem);
    throw problem;
  }

  const json = async (response) => (response.status === 204 ? null : response.json());

  return {
    get: async (path, options) => json(await call('GET', path, options)),
    post: async (path, body, options) => json(await call('POST', path, { ...options, body })),
    put: async (path, body) => json(await call('PUT', path, { body })),
    patch: async (path, body) => json(await call('PATCH', path, { body })),
    remove: async (path) => json(await call('DELETE', path)),
    /** A picture or file, as a blob. */
    blob: async (path) => (await call('GET', path)).blob(),
    /** Bytes with a content type of their own. */
    upload: async (path, bytes, type, { method = 'POST', ...options } = {}) => json(await call(method, path, { ...options, body: bytes, type })),
  };
}
