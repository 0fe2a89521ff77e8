// "Why hasn't this arrived?": the path drawn large, one sentence, then the evidence.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { Panel } from '../ui/panel.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction } from '../ui/hooks.js';
import { clock } from '../ui/format.js';
import { deleteMessage, retryMessage } from '../chat/actions.js';
import { isWaiting, ledger } from './delivery.js';

/** The side panel for one of our messages. */
export function Ledger({ message, name, contact, presence, onClose }) {
  const retry = useAction(() => retryMessage(message.id));
  const remove = useAction(async () => {
    await deleteMessage(message);
    onClose();
  });
  const told = ledger(message, name);
  const { state } = message.delivery;
  return html`<${Panel} title=${told.title} onClose=${onClose}>
    <${Path} state=${state} relay=${told.relay} name=${name} sealed=${message.sent_at} presence=${presence} />
    <p class="answer">${told.answer}</p>
    ${(isWaiting(message.delivery) || state === 'failed') && html`<div class="row-btns">
      <button type="button" class="btn sm" disabled=${retry.busy} onClick=${retry.run}>
        <${Icon} name="refresh" small />${t(state === 'failed' ? 'act/retry' : 'ledger/try_now')}</button>
      ${state !== 'custody' && html`<button type="button" class="btn sm danger" disabled=${remove.busy} onClick=${remove.run}>${t('ledger/delete_unsent')}</button>`}
    </div>`}
    <${ProblemNote} problem=${retry.problem ?? remove.problem} />
    <ol class="ledger">
      ${told.steps.map((step, at) => html`<li key=${at} class=${step.kind}>
        <span class=${step.bar ? 'dot bar' : 'dot'}></span>
        <div><b>${step.title}</b><p>${step.text}</p>${step.kind === 'todo' && html`<span class="vh">${t('ledger/expected')}</span>`}</div>
        <time>${step.time}</time>
      </li>`)}
    </ol>
    ${told.relay !== 'none' && html`<details class="fold"><summary>${t('ledger/relay_sees')}</summary><p>${t('ledger/relay_sees_text', { name })}</p></details>`}
    <details class="fold"><summary>${t('ledger/details')}</summary>
      <dl>
        <dt>${t('ledger/message_id')}</dt><dd class="mono">${message.id}</dd>
        ${message.delivery.why && html`<dt>${t('ledger/code')}</dt><dd class="mono">${message.delivery.why.code}</dd>`}
        ${contact?.reach?.detail && html`<dt>${t('ledger/reach')}</dt><dd>${contact.reach.detail}</dd>`}
      </dl>
    </details>
  <//>`;
}

function Path({ state, relay, name, sealed, presence }) {
  const there = state === 'delivered' || state === 'read';
  const here = t(presence?.state === 'online' ? 'presence/here' : 'presence/offline');
  return html`<div class="path">
    <svg viewBox="0 0 300 36" aria-hidden="true">
      ${there ? html`<path d="M18 18h256" />` : relay === 'holds' ? html`<path d="M18 18h126" /><path class="todo" d="M160 18h114" />` : html`<path class="todo" d="M28 18h246" />`}
      <circle class="on" cx="14" cy="18" r="9" />
      ${relay === 'holds' && html`<rect class="hold" x="142" y="6" width="15" height="24" rx="4" />`}
      ${relay === 'passed' && html`<rect class="on" x="142" y="6" width="15" height="24" rx="4" />`}
      ${state === 'read' ? html`<circle class="on" cx="285" cy="18" r="9" />` : html`<circle class=${there ? 'got' : 'off'} cx="285" cy="18" r="9" />`}
    </svg>
    <div><b>${t('ledger/you')}</b><span>${t('ledger/sealed_at', { time: clock(sealed) })}</span></div>
    <div>${relay !== 'none' && html`<b>${t('ledger/relay')}</b><span>${t(relay === 'holds' ? 'ledger/relay_holds' : 'ledger/relay_passed')}</span>`}</div>
    <div><b>${name}</b><span>${there ? t(state === 'read' ? 'delivery/read' : 'delivery/delivered') : here}</span></div>
  </div>`;
}
