// An invite in words. Pure.
import { t } from '../i18n/index.js';
import { cleanName } from '../ui/text.js';
import { clock, moment, remaining } from '../ui/format.js';

/** Its label, or what it is. */
export const inviteTitle = (invite) =>
  invite.label || (invite.kind === 'link' ? t('invite/a_link') : t('invite/on_screen', { time: clock(invite.created_at) }));

const CLAIMED = { claimed: 'invite/state_claimed', accepted: 'invite/state_accepted', rejected: 'invite/state_rejected' };

/** Where it stands, in a few words. */
export function inviteWords(invite, now) {
  if (CLAIMED[invite.state]) return t(CLAIMED[invite.state], { name: cleanName(invite.claimed_by?.name, t('request/somebody')) });
  if (invite.state === 'revoked') return t('invite/state_revoked');
  const left = Date.parse(invite.expires_at) - now;
  if (invite.state === 'expired' || left <= 0) return t('invite/state_expired');
  return t('invite/state_active', { time: remaining(left) });
}

/**
 * A code that somebody else tried as well, in one sentence; empty when nobody did.
 * `heard` counts the tries told by events, which can be ahead of the invite.
 */
export function triedAgain(invite, now, heard = 0) {
  const n = Math.max(invite.failed_tries, heard);
  if (!n) return '';
  const when = invite.last_failed_at ? moment(invite.last_failed_at, now) : t('moment/now');
  return t('invite/tried', { n, when });
}
