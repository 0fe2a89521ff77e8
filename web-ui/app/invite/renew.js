// Keeps one code for the screen alive. One tab is elected to renew it, so that
// two tabs don't make two codes.
import { createInvite, revokeInvite } from './actions.js';
import { isOld, showable } from './screen-code.js';

/** Replaces an old code by a new one and revokes the old, unless another tab just did. */
export function renew(invitesNow) {
  return navigator.locks.request('kith.invite.renew', async () => {
    const old = showable(invitesNow(), Date.now());
    if (!isOld(old, Date.now())) return;
    await createInvite('in_person');
    if (old) await revokeInvite(old).catch(() => {});
  });
}
