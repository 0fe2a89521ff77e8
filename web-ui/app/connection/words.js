// The network in words. Pure.
import { t } from '../i18n/index.js';

const reserved = (network) => network?.relays.some((relay) => relay.state === 'connected' && relay.reservation === 'active');

/** How other people get through to this machine. */
export function reachWords(network) {
  if (!network) return '';
  if (reserved(network)) return t('reach/relay');
  if (network.online) return t('reach/direct_only');
  return network.lan ? t('reach/lan_only') : t('reach/none');
}

/** A clock further off than this breaks expiries. */
const SKEW_S = 120;

const NOT_SERVED = { expired: 'care/expired', suspended: 'care/suspended', displaced: 'care/displaced' };

/** The one thing to mend first, in a sentence; empty when nothing is wrong. */
export function needsCare(network, registration) {
  if (network && !network.online) return t('care/offline');
  if (network?.relays.length && network.relays.every((relay) => relay.state === 'unreachable')) return t('care/relays');
  if (network?.clock_offset_seconds && Math.abs(network.clock_offset_seconds) > SKEW_S) {
    return t('care/clock', { n: Math.round(Math.abs(network.clock_offset_seconds) / 60) });
  }
  const ended = NOT_SERVED[registration?.state];
  if (ended) return t(ended);
  return '';
}
