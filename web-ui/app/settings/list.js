// The list pane of the settings.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ListHead } from '../ui/list-head.js';
import { RoveList } from '../ui/rove.js';
import { path } from '../ui/route.js';
import { cleanName } from '../ui/text.js';
import { Avatar } from '../avatar/avatar.js';
import { needsCare } from '../connection/words.js';
import { me, registration, status } from '../store/index.js';

/** Pages of the settings, in order. */
export const PAGES = [
  { id: 'profile', icon: 'people', label: 'settings/profile' },
  { id: 'connection', icon: 'node', label: 'settings/connection' },
  { id: 'safety', icon: 'shield', label: 'settings/safety' },
  { id: 'look', icon: 'moon', label: 'settings/look' },
  { id: 'browser', icon: 'screen', label: 'settings/browser' },
  { id: 'about', icon: 'info', label: 'settings/about' },
];

export function SettingsList({ current }) {
  const care = needsCare(status.value?.network, registration.value);
  return html`<section class="list" aria-label=${t('nav/settings')} data-landmark tabIndex="-1">
    <${ListHead} title=${t('nav/settings')} plain />
    <div class="rows">
      <a class="row" href=${path('settings', 'profile')}>
        <${Avatar} seed=${me.value.symbol_seed} name=${me.value.name} />
        <span class="row-main"><span class="row-top"><span class="row-name" dir="auto">${cleanName(me.value.name)}</span></span>
          <span class="row-say"><span>${registration.value?.identifier ?? t('settings/no_identifier')}</span></span></span></a>
      <${RoveList} ids=${PAGES.map((page) => page.id)} current=${current} label=${t('nav/settings')} row=${(id, rove) => {
        const page = PAGES.find((each) => each.id === id);
        return html`<a class="navrow" href=${path('settings', id)} aria-current=${id === current ? 'page' : undefined} ...${rove}>
          <${Icon} name=${page.icon} />${t(page.label)}${id === 'connection' && care && html`<span class="badge calm">${t('settings/to_fix')}</span>`}</a>`;
      }} />
    </div>
  </section>`;
}
