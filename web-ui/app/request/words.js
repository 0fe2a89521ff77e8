// A request in words. Pure.
import { t } from '../i18n/index.js';
import { clock, moment } from '../ui/format.js';
import { claimedName } from '../contact/name.js';

const STATE = {
  looking: 'request/state_looking',
  asking: 'request/state_asking',
  waiting: 'request/state_waiting',
  held: 'request/state_waiting',
  accepted: 'request/state_accepted',
  rejected: 'request/state_rejected',
  withdrawn: 'request/state_withdrawn',
  expired: 'request/state_expired',
  gone: 'request/state_gone',
};

/** Where an outgoing request stands, in a few words. */
export const stateWords = (request) => t(STATE[request.state]);

/** Who it is, as far as they say. */
export const who = (request) => claimedName(request) || t('request/somebody');

/** "scanned in person just now" is said for this long. */
const JUST_NOW_MS = 3 * 60_000;

/** How an incoming request came. */
export function cameBy(request, now) {
  const fresh = now - Date.parse(request.created_at) < JUST_NOW_MS;
  const when = moment(request.created_at, now);
  const label = request.invite_label;
  if (request.via === 'in_person') {
    if (fresh) return t('request/scanned_now');
    return label ? t('request/scanned_label', { label, when }) : t('request/scanned', { when });
  }
  if (request.via === 'link') return label ? t('request/link_label', { label, when }) : t('request/link', { when });
  return t('request/came', { when });
}

/** Why it isn't further, with the next try. */
export function whyWords(request) {
  if (!request.why) return '';
  const next = request.why.next_try_at ? t('request/next_try', { time: clock(request.why.next_try_at) }) : '';
  return [request.why.text, next].filter(Boolean).join(' ');
}
