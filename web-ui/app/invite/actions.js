// Commands on invites.
import { api } from '../session/session.js';
import { apply } from '../store/index.js';
import { answered, reduce } from '../store/state.js';

const at = (id) => `/invites/${encodeURIComponent(id)}`;

/** Makes an invite; `label` is for the ledger. */
export async function createInvite(kind, label = '', expiresIn) {
  const body = { kind, label };
  if (expiresIn) body.expires_in = expiresIn;
  const invite = await api.post('/invites', body, { key: crypto.randomUUID() });
  apply(reduce, { type: 'invite.changed', data: invite });
  return invite;
}

/** Revokes an invite; nobody can use it from now on. */
export async function revokeInvite(invite) {
  await api.remove(at(invite.id));
  apply(reduce, { type: 'invite.changed', data: { ...invite, state: 'revoked', text: null } });
}

export const qrSvg = (invite) => api.blob(`${at(invite.id)}/qr.svg`);
export const qrPng = (invite) => api.blob(`${at(invite.id)}/qr.png?size=1024`);

/** Pictures the node reads. */
export const PICTURES = ['image/png', 'image/jpeg', 'image/webp'];

export const decodeText = (text) => api.post('/invites/decode', { text });
export const decodePicture = (blob, type, signal) => api.upload('/invites/decode', blob, type, { signal });

/** Asks the inviter; the outgoing request comes back. */
export async function redeem(text, key) {
  const request = await api.post('/invites/redeem', { text }, { key });
  apply(answered, 'request.changed', request);
  return request;
}
