// Commands on requests.
import { api } from '../session/session.js';
import { apply, state } from '../store/index.js';
import { answered } from '../store/state.js';

const at = (id) => `/requests/${encodeURIComponent(id)}`;
const known = (request) => apply(answered, 'request.changed', request);

/** Accepts; the contact comes back, and the request leaves the list at once. */
export async function accept(request) {
  const contact = await api.post(`${at(request.id)}/accept`);
  apply(answered, 'contact.changed', contact);
  known({ ...(state.value.requests[request.id] ?? request), state: 'accepted' });
  return contact;
}

/** Rejects an incoming request. */
export async function reject(request) {
  await api.post(`${at(request.id)}/reject`);
  known({ ...request, state: 'rejected' });
}

/** Takes an outgoing request back. */
export async function withdraw(request) {
  await api.remove(at(request.id));
  known({ ...request, state: 'withdrawn' });
}
