// What the node wants read, as slips at the top of the list. They stay until put away.
import { html } from './h.js';
import { t } from '../i18n/index.js';
import { Icon } from './icon.js';
import { apply, notices } from '../store/index.js';
import { noticeDrop } from '../store/state.js';

/** `contact` limits them to one person's; without it, to those about nobody. */
export function Notices({ contact }) {
  const mine = notices.value.filter((each) => (contact ? each.contact_id === contact : !each.contact_id));
  return html`<div role="status" class="notices">
    ${mine.map((each) => html`<div class="hint" key=${each.id}><${Icon} name="info" small /><p class="hint-main">${each.text}</p>
      <button type="button" class="ib tiny" aria-label=${t('act/dismiss')} onClick=${() => apply(noticeDrop, each.id)}><${Icon} name="close" small /></button></div>`)}
  </div>`;
}
