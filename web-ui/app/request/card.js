// A request in full: who, how, six symbols, and the one decision.
import { html, useId } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { shortId } from '../ui/text.js';
import { Avatar } from '../avatar/avatar.js';
import { claimedName } from '../contact/name.js';
import { requestLive } from '../store/state.js';
import { accept, reject, withdraw } from './actions.js';
import { Symbols } from './symbol-grid.js';
import { cameBy, stateWords, who, whyWords } from './words.js';

/** `onDone` gets the contact after an acceptance, null after anything else. */
export function RequestCard({ request, onDone }) {
  return request.direction === 'incoming'
    ? html`<${Incoming} request=${request} onDone=${onDone} />`
    : html`<${Outgoing} request=${request} onDone=${onDone} />`;
}

function Head({ id, request, title, line }) {
  return html`<div class="card-head">
    <${Avatar} seed=${request.symbol_seed} name=${claimedName(request)} size="l" />
    <div><h2 id=${id}>${title}</h2><p class="small mute">${line}</p></div>
  </div>`;
}

function Incoming({ request, onDone }) {
  const id = useId();
  const now = useNow();
  const name = who(request);
  const yes = useAction(async () => onDone(await accept(request)));
  const no = useAction(async () => {
    await reject(request);
    onDone(null);
  });
  const busy = yes.busy || no.busy;
  const held = request.state === 'held';
  return html`<article class="card" aria-labelledby=${id}>
    <${Head} id=${id} request=${request} title=${held ? t('request/wants', { name }) : name} line=${cameBy(request, now)} />
    <p class="claim small"><${Icon} name="info" small /><span>${request.name ? t('request/claim_text') : t('request/no_name_text')} <span class="mono">${shortId(request.account)}</span></span></p>
    <hr class="rule" />
    ${request.symbols
      ? html`<p><b>${t('request/read_aloud', { name })}</b> <span class="mute">${t('request/same_six')}</span></p><${Symbols} symbols=${request.symbols} />`
      : held && html`<p class="mute">${t('request/symbols_soon')}</p>`}
    <${ProblemNote} problem=${yes.problem ?? no.problem} />
    ${held
      ? html`<div class="split">
          <button type="button" class="btn main big full" disabled=${busy} onClick=${yes.run}><${Icon} name="check" />${t(request.symbols ? 'request/accept_match' : 'request/accept')}</button>
          ${request.symbols && html`<button type="button" class="btn" disabled=${busy} onClick=${yes.run}>${t('request/accept_later')}</button>`}
          <button type="button" class=${request.symbols ? 'btn danger' : 'btn danger full'} disabled=${busy} onClick=${no.run}>${t('request/reject')}</button>
        </div>
        <p class="small mute after">${t('request/spent', { name })}</p>`
      : html`<p class="answer">${stateWords(request)}</p>`}
  </article>`;
}

function Outgoing({ request, onDone }) {
  const id = useId();
  const name = who(request);
  const live = requestLive(request);
  const back = useAction(async () => {
    await withdraw(request);
    onDone(null);
  });
  return html`<article class="card" aria-labelledby=${id}>
    <${Head} id=${id} request=${request} title=${request.name ? t('request/you_asked', { name }) : t('request/you_asked_nameless')}
      line=${parts('request/account_line', { id: html`<span class="mono">${shortId(request.account)}</span>` })} />
    <hr class="rule" />
    <${Way} request=${request} />
    ${request.why && live && request.why.code !== 'awaiting_acceptance' && html`<p class="hint"><${Icon} name="clock" small /><span class="hint-main">${whyWords(request)}</span></p>`}
    ${request.symbols && live && html`<p class="compare"><b>${t('request/read_yours')}</b> <span class="mute">${t('request/same_six')}</span></p>`}
    ${live && html`<${Symbols} symbols=${request.symbols} />`}
    <${ProblemNote} problem=${back.problem} />
    ${live
      ? html`<div class="row-btns"><button type="button" class="btn danger" disabled=${back.busy} onClick=${back.run}>${t('request/withdraw')}</button></div>
          <p class="small mute after">${t('request/may_close')}</p>`
      : html`<div class="row-btns"><button type="button" class="btn" onClick=${() => onDone(null)}>${t('act/ok')}</button></div>`}
  </article>`;
}

const REACHED = { looking: 0, asking: 1, waiting: 2, held: 2, accepted: 3 };
const WAY = ['request/way_read', 'request/way_found', 'request/way_held', 'request/way_accepted'];

/** The way of a request: solid for what happened, dotted for what is hoped. */
function Way({ request }) {
  const at = REACHED[request.state];
  if (at === undefined) return html`<p class="answer">${stateWords(request)}</p>`;
  return html`<p class="answer" role="status">${stateWords(request)}</p>
    <ol class="ledger">
      ${WAY.map((words, step) => html`<li key=${words} class=${step < at ? 'done' : step === at ? 'now' : 'todo'}>
        <span class="dot"></span><div><b>${t(words)}</b></div><span></span></li>`)}
    </ol>`;
}
