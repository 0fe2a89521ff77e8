// The side panel: a sheet beside the conversation, or over it on small screens.
import { html, useEffect, useRef } from './h.js';
import { t } from '../i18n/index.js';
import { Icon } from './icon.js';
import { useFocusReturn } from './hooks.js';

/** Takes the focus when it opens and gives it back when it closes. */
export function Panel({ title, onClose, children }) {
  const head = useRef(null);
  useFocusReturn();
  useEffect(() => head.current.focus(), []);
  return html`<aside class="panel" aria-label=${title} data-landmark tabIndex="-1">
    <header class="panel-head">
      <button type="button" class="ib only-small" aria-label=${t('act/back')} onClick=${onClose}><${Icon} name="back" /></button>
      <h2 tabIndex="-1" ref=${head}>${title}</h2>
      <button type="button" class="ib only-wide" aria-label=${t('act/close')} onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    <div class="panel-body">${children}</div>
  </aside>`;
}
