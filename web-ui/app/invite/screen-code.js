// Which code the screen shows, and when it's time for another. Pure.

/** A code with less life than this is replaced. */
export const RENEW_MS = 20_000;

/** The code to show: the active one with the longest life ahead, or null. */
export function showable(invites, now) {
  const live = Object.values(invites).filter(
    (each) => each.kind === 'in_person' && each.state === 'active' && each.text && Date.parse(each.expires_at) > now);
  return live.sort((a, b) => (a.expires_at < b.expires_at ? 1 : -1))[0] ?? null;
}

/** Whether it's time for a new one. */
export const isOld = (invite, now) => !invite || Date.parse(invite.expires_at) - now <= RENEW_MS;
