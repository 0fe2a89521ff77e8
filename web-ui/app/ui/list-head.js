// The head of a list pane, with what waits for the person right under it.
import { html } from './h.js';
import { t } from '../i18n/index.js';
import { Icon } from './icon.js';
import { path } from './route.js';
import { RequestStrips } from '../request/strip.js';
import { Notices } from './notices.js';

/** Title, the two ways to meet somebody, and any request that waits. */
export function ListHead({ title, plain, showing }) {
  return html`<header class="list-head"><h2>${title}</h2>
      ${!plain && html`
        <a class="ib" href=${path('meet', 'show')} aria-label=${t('meet/show_code')} title=${t('meet/show_code')}><${Icon} name="qr" /></a>
        <a class="ib" href=${path('meet', 'scan')} aria-label=${t('meet/scan_code')} title=${t('meet/scan_code')}><${Icon} name="camera" /></a>`}
    </header>
    <${Notices} />
    <${RequestStrips} except=${showing} />`;
}
