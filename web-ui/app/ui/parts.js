// Parts used on many screens: failure notes, text that may be a name, dialogs.
import { html, useEffect, useId, useRef, useState } from './h.js';
import { Icon } from './icon.js';
import { t } from '../i18n/index.js';

/** The sentence of a problem: the node's own, or ours when it didn't answer. */
export function problemText(problem) {
  if (problem.unreachable) return t('problem/unreachable');
  return problem.detail || problem.title || t('problem/unknown');
}

/** A failure where it happened: what, why, what next; the id can be copied for a report. */
export function ProblemNote({ problem, onRetry }) {
  if (!problem) return null;
  // A refusal explains itself; a failure of the node is worth a report.
  const id = problem.status >= 500 ? problem.requestId : null;
  return html`<div class="hint bad" role="alert">
    <${Icon} name="alert" small />
    <div class="hint-main">
      <p>${problemText(problem)}</p>
      ${(onRetry || id) && html`<p class="hint-acts">
        ${onRetry && html`<button type="button" class="link" onClick=${onRetry}>${t('act/retry')}</button>`}
        ${id && html`<${CopyButton} class="link" text=${`${problem.code} ${id}`} label=${t('act/copy_details', { id })} />`}
      </p>`}
    </div>
  </div>`;
}

/** Copies a text and says so for two seconds; when the clipboard refuses, offers the text to copy by hand. */
export function CopyButton({ text, label, icon, class: className = 'btn' }) {
  const [outcome, setOutcome] = useState(null);
  useEffect(() => {
    if (outcome !== 'done') return undefined;
    const timer = setTimeout(() => setOutcome(null), 2000);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome('done');
    } catch {
      setOutcome('refused');
    }
  };
  return html`<button type="button" class=${className} onClick=${copy}>
      ${icon && html`<${Icon} name=${outcome === 'done' ? 'check' : icon} small />`}
      <span aria-live="polite">${outcome === 'done' ? t('act/copied') : label}</span>
    </button>
    ${outcome === 'refused' && html`<label class="field full"><span>${t('act/copy_by_hand')}</span>
      <input class="input" readonly value=${text} ref=${(field) => field?.select()} /></label>`}`;
}

/** A modal dialog; the browser keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const onBackdrop = (event) => event.target === ref.current && onClose();
  return html`<dialog class="dialog" ref=${ref} aria-labelledby=${id} onClose=${onClose} onClick=${onBackdrop}>
    <div class="dialog-in">
      <header class="dialog-head"><h2 id=${id}>${title}</h2>
        <button type="button" class="ib" aria-label=${t('act/close')} onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}
    </div>
  </dialog>`;
}

/** Asks before something that can't be undone. */
export function Confirm({ title, text, action, onConfirm, onClose, busy, problem }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${text}</p>
    <${ProblemNote} problem=${problem} />
    <div class="row-btns end">
      <button type="button" class="btn" onClick=${onClose}>${t('act/cancel')}</button>
      <button type="button" class="btn danger" disabled=${busy} onClick=${onConfirm}>${action}</button>
    </div>
  <//>`;
}

/** Steps of the first run: four nodes on one thread. */
export function Steps({ at, of = 4 }) {
  return html`<div class="steps" role="img" aria-label=${t('start/step', { at, of })}>
    ${Array.from({ length: of }, (_, step) => html`<i key=${step} class=${step < at ? 'on' : ''}></i>`)}
  </div>`;
}

/** An empty place with one drawing, one sentence and the next action. */
export function Empty({ art, title, text, children }) {
  return html`<div class="desk"><div class="empty">
    <svg class="art" viewBox="0 0 176 80" aria-hidden="true">${ART[art]()}</svg>
    <h2>${title}</h2>
    ${text && html`<p>${text}</p>`}
    ${children}
  </div></div>`;
}

const ART = {
  apart: () => html`<path class="g" d="M52 40h72" /><circle class="tf" cx="36" cy="40" r="14" /><circle class="o" cx="140" cy="40" r="14" />`,
  broken: () => html`<path d="M52 40h20" /><path class="g" d="M104 40h22" /><path d="m80 32 16 16M96 32 80 48" /><circle class="tf" cx="36" cy="40" r="14" /><circle class="o" cx="140" cy="40" r="14" />`,
  joined: () => html`<path class="t" d="M50 40h76" /><circle class="tf" cx="36" cy="40" r="14" /><circle class="tf" cx="140" cy="40" r="14" />`,
  search: () => html`<circle class="t" cx="76" cy="36" r="20" /><path class="t" d="m91 51 18 18" />`,
  key: () => html`<circle class="t" cx="68" cy="44" r="14" /><path class="t" d="M80 35 112 12M100 21l9 11M92 27l6 8" />`,
  lock: () => html`<path class="t" d="M66 38h44v30H66zM74 38v-9a14 14 0 0 1 28 0v9" /><circle class="tf" cx="88" cy="53" r="4" />`,
};
