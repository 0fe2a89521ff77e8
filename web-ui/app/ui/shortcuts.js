// The keyboard: one listener, and the sheet that lists what it knows.
import { html, useEffect, useState } from './h.js';
import { t } from '../i18n/index.js';
import { Dialog } from './parts.js';
import { SHORTCUTS, actionOf, caps, neighbour } from './keymap.js';
import { command, onCommand } from './commands.js';
import { go, place } from './here.js';
import { path } from './route.js';
import { chatRows } from '../store/index.js';

function toChat(step, onlyUnread) {
  const rows = chatRows.value.filter((chat) => !onlyUnread || chat.unread > 0);
  const id = neighbour(rows.map((chat) => chat.id), place.value.id, step);
  if (id) go(path('chats', id));
}

/** Moves the focus to the next part of the page. */
function nextLandmark() {
  const parts = [...document.querySelectorAll('[data-landmark]')].filter((each) => each.offsetParent !== null || each.getClientRects().length);
  const at = parts.findIndex((each) => each.contains(document.activeElement));
  parts[(at + 1) % parts.length]?.focus();
}

function close() {
  if (command('close')) return;
  const { area, id, panel } = place.value;
  if (area === 'chats' && panel) go(path('chats', id));
  else if (area === 'chats' && id) go(path('chats'));
  else if (area !== 'start' && place.value.view) go(path(area));
}

const DO = {
  search: () => {
    if (place.value.area !== 'chats' || (place.value.id && !matchMedia('(min-width: 640px)').matches)) go(path('chats'));
    setTimeout(() => command('search'));
  },
  next: () => toChat(1),
  previous: () => toChat(-1),
  nextUnread: () => toChat(1, true),
  previousUnread: () => toChat(-1, true),
  invite: () => go(path('meet', 'show')),
  new: () => go(path('meet', 'scan')),
  settings: () => go(path('settings')),
  landmark: nextLandmark,
  close,
  sheet: () => command('sheet'),
};

/** Listens while the app is open. */
export function Shortcuts() {
  const [open, setOpen] = useState(false);
  useEffect(() => onCommand('sheet', () => setOpen((before) => !before)), []);
  useEffect(() => {
    const onKeyDown = (event) => {
      const action = actionOf(event);
      // A dialog has its own Escape; the others would act behind it.
      if (!action || event.defaultPrevented || (document.querySelector('dialog[open]') && action !== 'sheet')) return;
      event.preventDefault();
      DO[action]();
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, []);
  if (!open) return null;
  const mac = navigator.platform.startsWith('Mac');
  return html`<${Dialog} title=${t('keys/title')} onClose=${() => setOpen(false)}>
    <dl class="keys">${SHORTCUTS.map((each) => html`<div key=${each.action}><dt>${t(each.label)}</dt><dd>${caps(each.keys, mac).map((cap) => html`<kbd key=${cap}>${cap}</kbd>`)}</dd></div>`)}
      <div><dt>${t('keys/send')}</dt><dd><kbd>Enter</kbd></dd></div>
      <div><dt>${t('keys/newline')}</dt><dd><kbd>${mac ? '⇧' : 'Shift'}</kbd><kbd>Enter</kbd></dd></div>
    </dl>
  <//>`;
}
