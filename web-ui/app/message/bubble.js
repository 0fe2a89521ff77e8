// One bubble and, where the state changes, its evidence line.
import { Component, html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { clock } from '../ui/format.js';
import { path } from '../ui/route.js';
import { Confirm, ProblemNote, problemText } from '../ui/parts.js';
import { useAction } from '../ui/hooks.js';
import { deleteMessage, dropPending, retryMessage, sendAgain } from '../chat/actions.js';
import { useState } from '../ui/h.js';
import { linkify } from './linkify.js';
import { Bond } from './mark.js';
import { STATE_LABEL, evidence, isDurableElsewhere, isWaiting } from './delivery.js';

/** People's words: plain text with links, in the direction of their script. */
function Words({ text }) {
  return linkify(text).map((piece, at) =>
    piece.href
      ? html`<a key=${at} href=${piece.href} target="_blank" rel="noopener noreferrer nofollow">${piece.text}</a>`
      : html`<span key=${at}>${piece.text}</span>`);
}

const facts = ({ message, first, last, evidence: shown, name }) => [message, first, last, shown, name];

/** Renders again only when a fact of its row changed: a conversation has up to 300. */
export class Row extends Component {
  shouldComponentUpdate(next) {
    const before = facts(this.props);
    return facts(next).some((fact, at) => fact !== before[at]);
  }

  render({ message, first, last, evidence: shown, name }) {
    const mine = message.author === 'me';
    const waiting = mine && !isDurableElsewhere(message.delivery);
    const shape = ['msg', waiting && 'waiting', first && 'first', last && 'last'].filter(Boolean).join(' ');
    const state = message.pending ? 'queued' : message.delivery?.state;
    return html`
      <div class=${shape} dir="auto" data-message=${message.id} data-theirs=${mine ? undefined : ''}>
        <span class="vh">${mine ? t('message/from_you') : t('message/from', { name })}</span>
        <${Words} text=${message.text} />
        ${message.recovered && html`<span class="msg-from" title=${t('message/recovered_title', { name })}>${t('message/recovered', { name })}</span>`}
        <time class="msg-at" dir="ltr" dateTime=${message.sent_at}>${clock(message.sent_at)}</time>
        ${mine && !shown && state && html`<span class="vh">${t(STATE_LABEL[state])}</span>`}
      </div>
      ${message.pending ? html`<${Unsent} message=${message} />` : shown && html`<${Evidence} message=${message} name=${name} />`}`;
  }
}

/** Words the node has not taken yet. */
function Unsent({ message }) {
  if (!message.problem) {
    return html`<p class="evidence"><${Bond} state="queued" /><span>${t('message/handing_over')}</span></p>`;
  }
  const kept = message.problem.unreachable;
  return html`<div class=${kept ? 'evidence' : 'evidence bad'} role="alert">
    <${Bond} state=${kept ? 'queued' : 'failed'} />
    <span>${kept ? t('message/kept_here') : `${t('delivery/failed')}. ${problemText(message.problem)}`}</span>
    <button type="button" class="go" onClick=${() => sendAgain(message)}>${t('act/retry')}</button>
    <button type="button" onClick=${() => dropPending(message)}>${t('act/delete')}</button>
  </div>`;
}

function Evidence({ message, name }) {
  const { state } = message.delivery;
  const failed = state === 'failed';
  const ledger = path('chats', message.chat_id, 'why', message.id);
  const [asking, ask] = useState(false);
  const retry = useAction(() => retryMessage(message.id));
  const remove = useAction(() => deleteMessage(message));
  const words = evidence(message, name);
  return html`<div class=${failed ? 'evidence bad' : 'evidence'}>
      <${Bond} state=${state} />
      ${isWaiting(message.delivery) || failed
        ? html`<span>${words}</span>`
        : html`<a class="evidence-how" href=${ledger} title=${t('ledger/how_title')}>${words}</a>`}
      ${isWaiting(message.delivery) && html`<a class="why" href=${ledger}>${t('act/why')}</a>`}
      ${failed && html`
        <button type="button" class="go" disabled=${retry.busy} onClick=${retry.run}>${t('act/retry')}</button>
        <button type="button" onClick=${() => ask(true)}>${t('act/delete')}</button>`}
    </div>
    <${ProblemNote} problem=${retry.problem} onRetry=${retry.run} />
    ${asking && html`<${Confirm} title=${t('message/delete_title')} text=${t('message/delete_text')} action=${t('act/delete')}
      busy=${remove.busy} problem=${remove.problem} onConfirm=${remove.run} onClose=${() => ask(false)} />`}`;
}
