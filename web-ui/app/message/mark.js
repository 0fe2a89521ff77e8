// The bond: the drawn state of delivery. Left is you, right is them, the bar a relay.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { STATE_LABEL } from './delivery.js';

const LEFT = () => html`<circle class="n-on" cx="4" cy="5" r="3" />`;
const RING = () => html`<circle class="n-off" cx="24" cy="5" r="2.5" />`;

const DRAWN = {
  queued: () => html`${LEFT()}<circle class="w" cx="10.2" cy="5" r="0.9" /><circle class="w" cx="14" cy="5" r="0.9" /><circle class="w" cx="17.8" cy="5" r="0.9" />${RING()}`,
  custody: () => html`<path class="b" d="M7 5h5.5" />${LEFT()}<rect class="n-on" x="12.5" y="0.5" width="3.6" height="9" rx="1.2" />${RING()}`,
  delivered: () => html`<path class="b" d="M7 5h14.5" />${LEFT()}${RING()}`,
  read: () => html`<path class="b" d="M6 5h16" />${LEFT()}<circle class="n-on" cx="24" cy="5" r="3" />`,
  failed: () => html`${LEFT()}<path class="b" d="m11.3 2.3 5.4 5.4M16.7 2.3l-5.4 5.4" />${RING()}`,
};

/** @param {{ state: string, silent?: boolean }} props `silent` when words beside it say the same */
export function Bond({ state, silent }) {
  const draw = DRAWN[state];
  if (!draw) return null;
  const named = silent ? { 'aria-hidden': 'true' } : { role: 'img', 'aria-label': t(STATE_LABEL[state]) };
  return html`<svg class=${`bond bond-${state}`} viewBox="0 0 28 10" ...${named}>${draw()}</svg>`;
}
