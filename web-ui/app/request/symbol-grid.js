// Six symbols to compare: number, picture and word always together.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { symbolAt } from './symbols.js';

/** The full grid; nothing while the keys haven't been agreed on. */
export function Symbols({ symbols }) {
  if (!symbols) return null;
  return html`<ol class="sas" aria-label=${t('request/symbols')}>
    ${symbols.map((index, at) => {
      const symbol = symbolAt(index);
      return symbol && html`<li key=${at}><span>${at + 1}</span>
        <svg class="sas-mark" viewBox="0 0 32 32" aria-hidden="true"><path d=${symbol.path} /></svg>${t(symbol.word)}</li>`;
    })}
  </ol>`;
}

/** One line of six, for a strip. */
export function SymbolLine({ symbols }) {
  if (!symbols) return null;
  return html`<ol class="sas-line" aria-label=${t('request/symbols')}>
    ${symbols.map((index, at) => {
      const symbol = symbolAt(index);
      return symbol && html`<li key=${at}><span>${at + 1}</span>
        <svg class="sas-mark" viewBox="0 0 32 32" aria-hidden="true"><path d=${symbol.path} /></svg><span>${t(symbol.word)}</span></li>`;
    })}
  </ol>`;
}
