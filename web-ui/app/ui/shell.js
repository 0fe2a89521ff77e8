// The frame: rail, list, main, panel; one pane at a time on small screens.
import { html, useEffect, useRef } from './h.js';
import { t } from '../i18n/index.js';
import { Glyph, Icon } from './icon.js';
import { Empty } from './parts.js';
import { go, place, twoPanes } from './here.js';
import { path } from './route.js';
import { Avatar } from '../avatar/avatar.js';
import { chatRows, chats, contacts, incoming, invites, me, presence, requests, status, timelines, registration, unread } from '../store/index.js';
import { chatName } from '../contact/name.js';
import { ContactPanel } from '../contact/panel.js';
import { ChatList } from '../chat/list.js';
import { Conversation } from '../chat/conversation.js';
import { MeetList } from '../invite/list.js';
import { MeetPane, RequestPane } from '../invite/meet.js';
import { InvitePane } from '../invite/pane.js';
import { Ledger } from '../message/ledger.js';
import { SettingsList } from '../settings/list.js';
import { SettingsPane } from '../settings/panes.js';
import { needsCare } from '../connection/words.js';

const badge = (count, label) => count > 0 && html`<span class="badge" role="img" aria-label=${t(label, { n: count })}>${count > 99 ? '99+' : count}</span>`;

function Rail({ area }) {
  const here = (name) => (area === name ? 'page' : undefined);
  const care = needsCare(status.value?.network, registration.value);
  return html`<nav class="rail" aria-label=${t('nav/main')} data-landmark tabIndex="-1"><${Glyph} />
    <a href=${path('chats')} aria-current=${here('chats')}><${Icon} name="chats" />${t('nav/chats')}${badge(unread.value, 'nav/unread')}</a>
    <a href=${path('meet')} aria-current=${here('meet')}><${Icon} name="meet" />${t('nav/meet')}${badge(incoming.value.length, 'nav/waiting')}</a>
    <a class="end" href=${path('settings')} aria-current=${here('settings')}><${Icon} name="gear" />${t('nav/settings')}${care && html`<span class="badge care" role="img" aria-label=${t('settings/to_fix')}>!</span>`}</a>
    <a class="me" href=${path('settings', 'profile')} aria-label=${t('nav/profile')}><${Avatar} seed=${me.value.symbol_seed} name=${me.value.name} size="s" /></a>
  </nav>`;
}

/** What the place shows: `list` and `main` panes, maybe a `panel`, and which of them a phone shows. */
function panes(at) {
  if (at.area === 'meet') return meetPanes(at);
  if (at.area === 'settings') {
    return { list: html`<${SettingsList} current=${at.view ?? 'profile'} />`, main: html`<${SettingsPane} view=${at.view} />`, pane: at.view ? 'main' : 'list' };
  }
  return chatPanes(at);
}

const plainHead = (title, back) => html`<header class="conv-head only-small"><a class="ib" href=${back} aria-label=${t('act/back')}><${Icon} name="back" /></a><div class="who"><h2>${title}</h2></div></header>`;

function meetPanes({ view, id }) {
  const list = html`<${MeetList} current=${id} />`;
  const request = view === 'request' && requests.value[id];
  const invite = view === 'invite' && invites.value[id];
  if (request) return { list, main: html`${plainHead(t('request/title'), path('meet'))}<${RequestPane} request=${request} />`, pane: 'main' };
  if (invite) return { list, main: html`${plainHead(t('invite/title'), path('meet'))}<${InvitePane} invite=${invite} key=${id} />`, pane: 'main' };
  const tab = view === 'scan' ? 'scan' : 'show';
  // A hidden pane must not make a code: on a phone the list is a place of its own.
  const hidden = !view && !twoPanes();
  return { list, main: hidden ? null : html`${plainHead(t('meet/title'), path('meet'))}<${MeetPane} view=${tab} key=${tab} />`, pane: view ? 'main' : 'list' };
}

function chatPanes({ id, panel, about }) {
  const list = html`<${ChatList} current=${id} />`;
  const chat = chats.value[id];
  if (!chat) {
    const none = chatRows.value.length === 0;
    return { list, main: none ? html`<${FirstHome} />` : html`<${Empty} art="joined" title=${t('home/choose')} text=${t('home/choose_text')} />`, pane: none ? 'main' : 'list', keepRail: none };
  }
  const side = sidePanel(chat, panel, about);
  return { list, main: html`<${Conversation} chat=${chat} key=${id} />`, panel: side, pane: side ? 'panel' : 'main' };
}

function sidePanel(chat, panel, about) {
  const contact = contacts.value[chat.contact_id];
  const here = presence.value[chat.contact_id];
  const onClose = () => go(path('chats', chat.id));
  if (panel === 'about' && contact) return html`<${ContactPanel} contact=${contact} presence=${here} onClose=${onClose} key="about" />`;
  const message = panel === 'why' && timelines.value[chat.id]?.items.find((each) => each.id === about);
  return message?.delivery
    ? html`<${Ledger} message=${message} name=${chatName(chat, contacts.value)} contact=${contact} presence=${here} onClose=${onClose} key=${about} />`
    : null;
}

function FirstHome() {
  const online = status.value?.network?.online;
  return html`<${Empty} art="apart" title=${t('home/nobody')} text=${t('home/nobody_text')}>
    <div class="row-btns"><a class="btn main" href=${path('meet', 'show')}><${Icon} name="qr" small />${t('meet/show_code')}</a>
      <a class="btn" href=${path('meet', 'scan')}><${Icon} name="camera" small />${t('meet/scan_code')}</a></div>
    <div class="todo-card"><h3>${t('home/todo')}</h3><ul>
      <li class=${online ? 'done' : ''}><${Icon} name=${online ? 'check' : 'node'} />${t('home/todo_node')}${!online && html`<a class="btn sm" href=${path('settings', 'connection')}>${t('home/look')}</a>`}</li>
      <li class=${registration.value?.state === 'registered' ? 'done' : ''}><${Icon} name=${registration.value?.state === 'registered' ? 'check' : 'shield'} />${t('home/todo_relay')}${registration.value?.state !== 'registered' && html`<a class="btn sm" href=${path('start', 'register')}>${t('registration/register')}</a>`}</li>
      <li><${Icon} name="people" />${t('home/todo_meet')}</li>
    </ul></div>
  <//>`;
}

/** Puts the focus where the person went, unless a part of the page took it. */
function useFocusOnPane(pane, key) {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    const lost = document.activeElement === document.body || document.activeElement?.getClientRects().length === 0;
    if (lost) document.querySelector(pane === 'list' ? '.list' : '.conv')?.focus({ preventScroll: true });
  }, [pane, key]);
}

export function Shell() {
  const at = place.value;
  const { list, main, panel, pane, keepRail } = panes(at);
  useFocusOnPane(pane, `${at.area} ${at.view} ${at.id}`);
  const classes = ['app', panel && 'with-panel', keepRail && 'keep-rail'].filter(Boolean).join(' ');
  return html`<div class=${classes} data-pane=${pane}>
    <${Rail} area=${at.area} />
    <main class="panes"><h1 class="vh">${t('app/title')}</h1>${list}
      <section class="conv" id="conv" data-landmark tabIndex="-1" aria-label=${t('nav/content')}>${main}</section>
    </main>
    ${panel}
  </div>`;
}
