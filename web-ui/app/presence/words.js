// Presence in words. Pure.
import { t } from '../i18n/index.js';
import { moment } from '../ui/format.js';

/** One line for the head of a conversation; empty when nothing is known. */
export function presenceLine(presence, now) {
  if (!presence) return '';
  if (presence.typing) return t('presence/typing');
  if (presence.state === 'online') return t('presence/here');
  if (presence.last_seen) return t('presence/last', { when: moment(presence.last_seen, now) });
  return presence.state === 'away' ? t('presence/away') : '';
}
