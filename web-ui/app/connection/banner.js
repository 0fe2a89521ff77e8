// Above everything: the node doesn't answer, or runs a newer build than this page.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { useNow } from '../ui/hooks.js';
import { clock, countdown } from '../ui/format.js';
import { link, outdated, retryNow } from '../session/session.js';

/** A blink of the connection isn't worth a word. */
const PATIENCE_MS = 1500;

export function Banner() {
  const now = useNow(1000);
  const { kind, since, retryAt } = link.value;
  const lost = kind !== 'up' && since && now - since > PATIENCE_MS;
  return html`<div class="banners" role="status">
    ${lost && html`<div class="banner"><${Icon} name="alert" small />
      <span>${t('offline/text', { time: clock(new Date(since).toISOString()) })}${' '}
        <span class="num" aria-hidden="true">${kind === 'down' && retryAt ? t('offline/next', { time: countdown(retryAt - now) }) : t('offline/trying')}</span></span>
      <button type="button" class="btn sm" onClick=${retryNow}>${t('offline/now')}</button></div>`}
    ${outdated.value && html`<div class="banner calm"><${Icon} name="refresh" small /><span>${t('outdated/text')}</span>
      <button type="button" class="btn sm" onClick=${() => location.reload()}>${t('outdated/reload')}</button></div>`}
  </div>`;
}
