// The list of chats: last words, own mark, unread, draft.
import { html, useEffect, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { RoveList } from '../ui/rove.js';
import { ListHead } from '../ui/list-head.js';
import { rowTime } from '../ui/format.js';
import { useNow } from '../ui/hooks.js';
import { go } from '../ui/here.js';
import { path } from '../ui/route.js';
import { cleanName } from '../ui/text.js';
import { Avatar } from '../avatar/avatar.js';
import { chatName } from '../contact/name.js';
import { Bond } from '../message/mark.js';
import { onCommand } from '../ui/commands.js';
import { chatRows, chats, contacts, pending, presence } from '../store/index.js';

/** Chats whose person or last words contain every word of the query. */
function matching(rows, query) {
  const words = query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((chat) => {
    const hay = `${chatName(chat, contacts.value)} ${chat.last_message?.text ?? ''}`.toLocaleLowerCase();
    return words.every((word) => hay.includes(word));
  });
}

export function ChatList({ current }) {
  const [query, setQuery] = useState('');
  const field = useRef(null);
  const now = useNow();
  const rows = matching(chatRows.value, query);
  useEffect(() => onCommand('search', () => {
    field.current?.focus();
    field.current?.select();
  }), []);
  const onKeyDown = (event) => {
    if (event.key === 'Enter' && rows[0] && !event.isComposing) go(path('chats', rows[0].id));
    if (event.key === 'Escape' && query) {
      event.stopPropagation();
      setQuery('');
    }
  };
  return html`<section class="list" aria-label=${t('nav/chats')} data-landmark tabIndex="-1">
    <${ListHead} title=${t('nav/chats')} />
    ${chatRows.value.length > 0 && html`<label class="find"><${Icon} name="search" small />
      <span class="vh">${t('chats/search')}</span>
      <input ref=${field} type="search" value=${query} placeholder=${t('chats/search')} autocomplete="off"
        onInput=${(event) => setQuery(event.target.value)} onKeyDown=${onKeyDown} />
      <kbd>Ctrl K</kbd></label>`}
    <div class="rows">
      ${rows.length > 0 && html`<${RoveList} ids=${rows.map((chat) => chat.id)} current=${current} label=${t('nav/chats')}
        row=${(id, props) => html`<${ChatRow} chat=${chats.value[id]} current=${id === current} now=${now} rove=${props} />`} />`}
      ${query && rows.length === 0 && html`<p class="rows-none" role="status">${t('chats/none_found', { query })}</p>`}
      ${!query && rows.length === 0 && html`<p class="rows-none">${t('chats/none')}</p>`}
    </div>
  </section>`;
}

function ChatRow({ chat, current, now, rove }) {
  const name = chatName(chat, contacts.value);
  const here = presence.value[chat.contact_id];
  const unread = chat.unread > 0;
  return html`<a class=${unread ? 'row unread' : 'row'} href=${path('chats', chat.id)} aria-current=${current ? 'true' : undefined} ...${rove}>
    <${Avatar} seed=${chat.symbol_seed} name=${name} presence=${here?.state} />
    <span class="row-main">
      <span class="row-top"><span class="row-name" dir="auto">${name}</span>
        ${chat.last_message && html`<time dateTime=${chat.last_message.sent_at}>${rowTime(chat.last_message.sent_at, now)}</time>`}</span>
      <span class="row-say">
        <${Preview} chat=${chat} typing=${here?.typing} current=${current} />
        ${unread && html`<span class="row-end"><span class="badge" role="img" aria-label=${t('chats/unread', { n: chat.unread })}>${chat.unread > 99 ? '99+' : chat.unread}</span></span>`}
      </span>
    </span>
  </a>`;
}

function Preview({ chat, typing, current }) {
  if (typing) return html`<span class="typing">${t('presence/typing')}</span>`;
  if (chat.draft && !current) {
    return html`<span class="draft"><b>${t('chats/draft')}</b> <bdi>${cleanName(chat.draft)}</bdi></span>`;
  }
  const waiting = pending.value[chat.id]?.at(-1);
  const last = chat.last_message;
  if (waiting) return html`<${Bond} state=${waiting.problem && !waiting.problem.unreachable ? 'failed' : 'queued'} /><span dir="auto">${cleanName(waiting.text)}</span>`;
  if (!last) return html`<span>${t('chats/say_hello')}</span>`;
  if (last.delivery_state === 'failed') return html`<${Bond} state="failed" /><span>${t('chats/not_sent')}</span>`;
  return html`${last.author === 'me' && html`<${Bond} state=${last.delivery_state} />`}<span dir="auto">${cleanName(last.text)}</span>`;
}
