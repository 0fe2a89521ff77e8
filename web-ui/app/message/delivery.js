// How far a message provably got, in one line or as a ledger of evidence. Pure.
//
// Evidence is written only from what the node reports as signed or durable;
// what is merely expected becomes a `todo` step, drawn dotted and grey.
import { t } from '../i18n/index.js';
import { clock, clockSeconds, date } from '../ui/format.js';
import { shortId } from '../ui/text.js';

/** The state in one or two words. */
export const STATE_WORD = {
  queued: 'delivery/queued',
  custody: 'delivery/custody',
  delivered: 'delivery/delivered',
  read: 'delivery/read',
  failed: 'delivery/failed',
};

/** The state spelled out, for those who hear the page. */
export const STATE_LABEL = {
  queued: 'delivery/queued_label',
  custody: 'delivery/custody_label',
  delivered: 'delivery/delivered_label',
  read: 'delivery/read_label',
  failed: 'delivery/failed_label',
};

const WAITS = {
  contact_offline: 'why/contact_offline',
  no_relay: 'why/no_relay',
  relay_unreachable: 'why/relay_unreachable',
  not_registered: 'why/not_registered',
  sealing: 'why/sealing',
  in_custody: 'why/contact_offline',
  mailbox_full: 'why/mailbox_full',
  session_broken: 'why/session_broken',
};

const PATHS = {
  lan: 'path/lan',
  direct: 'path/direct',
  hole_punched: 'path/hole_punched',
  relayed: 'path/relayed',
  mailbox: 'path/mailbox',
};

/** The words for a path, or an empty text for an unknown one. */
export const pathWords = (path) => (PATHS[path] ? t(PATHS[path]) : '');

/** Bytes of a filled bubble are durable somewhere else. */
export const isDurableElsewhere = (delivery) => ['custody', 'delivered', 'read'].includes(delivery?.state);

/** Whether "Why?" has something to answer. */
export const isWaiting = (delivery) => delivery?.state === 'queued' || delivery?.state === 'custody';

/** The evidence line without its mark and buttons. */
export function evidence(message, name) {
  const time = clock(message.sent_at);
  const { state, why } = message.delivery;
  if (state === 'queued') {
    const waits = WAITS[why?.code] ? t(WAITS[why.code], { name }) : null;
    const next = why?.next_try_at ? t('delivery/next_try', { time: clock(why.next_try_at) }) : null;
    return [t('delivery/line', { time, state: t('delivery/queued') }), waits, next].filter(Boolean).join(', ');
  }
  if (state === 'custody') return t('delivery/line', { time, state: t('delivery/custody_for', { name }) });
  if (state === 'failed') return [t('delivery/failed'), why?.text].filter(Boolean).join('. ');
  return t('delivery/line', { time, state: t(STATE_WORD[state]) });
}

/** Two messages share an evidence line when this is equal. */
export const evidenceKey = (message) =>
  message.delivery.state === 'failed' ? `failed ${message.id}`
  : message.delivery.state === 'queued' ? `queued ${message.delivery.why?.code ?? ''}`
  : message.delivery.state;

/** A relay by its name, or by what is left of its key when it has none. */
function relayWords(relay) {
  if (!relay) return t('ledger/a_relay');
  return /^\w{30,}$/.test(relay) ? t('ledger/relay_named', { relay: shortId(relay) }) : relay;
}

function doneStep(step, name) {
  const via = pathWords(step.path);
  if (step.state === 'queued') return { title: t('ledger/sealed'), text: t('ledger/sealed_text') };
  if (step.state === 'custody') {
    const relay = relayWords(step.relay);
    const text = step.until ? t('ledger/custody_until', { relay, date: date(step.until) }) : t('ledger/custody_text', { relay });
    return { title: t('delivery/custody'), text, bar: true };
  }
  if (step.state === 'delivered') {
    const text = via ? t('ledger/delivered_via', { name, path: via }) : t('ledger/delivered_text', { name });
    return { title: t('delivery/delivered'), text };
  }
  if (step.state === 'read') return { title: t('delivery/read'), text: t('ledger/read_text', { name }) };
  return { title: t('delivery/failed'), text: '', miss: true };
}

/**
 * The ledger of one message.
 * `steps` ascend in time; a step is `done`, `now` (the last proven one of a message
 * that still waits), `miss` or `todo`.
 */
export function ledger(message, name) {
  const { delivery } = message;
  const waiting = isWaiting(delivery);
  const proven = delivery.steps.length ? delivery.steps : [{ state: 'queued', at: message.sent_at }];
  const steps = proven.map((step, at) => {
    const words = doneStep(step, name);
    const last = at === proven.length - 1;
    return { ...words, kind: words.miss ? 'miss' : waiting && last ? 'now' : 'done', time: clockSeconds(step.at) };
  });
  const got = new Set(proven.map((step) => step.state));
  const next = delivery.why?.next_try_at ? t('delivery/next_try_title', { time: clock(delivery.why.next_try_at) }) : '';
  if (delivery.state !== 'failed' && delivery.state !== 'read') {
    if (!got.has('delivered')) steps.push({ kind: 'todo', title: t('delivery/delivered'), text: t('ledger/delivered_todo', { name }), time: next });
    steps.push({ kind: 'todo', title: t('delivery/read'), text: t('ledger/read_todo', { name }), time: '' });
  }
  return { title: t(waiting ? 'ledger/why_title' : 'ledger/how_title'), answer: answer(message, name), steps, relay: relayPart(delivery) };
}

function answer(message, name) {
  const { state, why } = message.delivery;
  // The node's own answer says already what the person may or has to do.
  if (state === 'custody') return why?.text || `${t('answer/custody', { name })} ${t('answer/may_close')}`;
  if (state === 'queued') return why?.text || `${t('answer/queued', { name })} ${t('answer/keep_running')}`;
  if (state === 'failed') return why?.text || t('answer/failed');
  return t(state === 'read' ? 'answer/read' : 'answer/delivered', { name });
}

/** What the relay did in the drawing: `holds` it, `passed` it on, or `none`. */
function relayPart(delivery) {
  if (delivery.state === 'custody') return 'holds';
  return delivery.steps.some((step) => step.state === 'custody' || step.path === 'relayed' || step.path === 'mailbox') ? 'passed' : 'none';
}
