// One conversation: head, timeline, typing line, composer.
import { html, useEffect, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { Notices } from '../ui/notices.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { path } from '../ui/route.js';
import { cleanName } from '../ui/text.js';
import { link } from '../session/session.js';
import { Avatar } from '../avatar/avatar.js';
import { chatName } from '../contact/name.js';
import { presenceLine } from '../presence/words.js';
import { contacts, presence, timelines } from '../store/index.js';
import { EMPTY } from '../store/timeline.js';
import { RequestStrips } from '../request/strip.js';
import { loadPage } from './actions.js';
import { Composer } from './composer.js';
import { Timeline } from './timeline.js';

export function Conversation({ chat }) {
  const name = chatName(chat, contacts.value);
  const here = presence.value[chat.contact_id];
  const timeline = timelines.value[chat.id] ?? EMPTY;
  const [sentCount, setSent] = useState(0);
  // Frozen as it was when the chat was opened; reading doesn't move it.
  const [opened] = useState({ firstUnread: chat.first_unread_id, unread: chat.unread });
  const load = useAction(() => loadPage(chat.id, 'latest'));
  const now = useNow();
  useEffect(() => {
    if (!timeline.loaded && link.value.kind !== 'down') load.run();
  }, [timeline.loaded, link.value.kind]);

  const line = presenceLine(here, now);
  return html`
    <header class="conv-head">
      <a class="ib only-small" href=${path('chats')} aria-label=${t('act/back')}><${Icon} name="back" /></a>
      <a class="who-link" href=${path('chats', chat.id, 'about')} title=${t('contact/about_title')}>
        <${Avatar} seed=${chat.symbol_seed} name=${name} presence=${here?.state} />
        <div class="who"><h2 dir="auto">${name}${contacts.value[chat.contact_id]?.verified && html`<span class="verified" title=${t('safety/verified')}><${Icon} name="shield" small /><span class="vh">${t('safety/verified')}</span></span>`}</h2>${line && html`<span>${line}</span>`}</div>
      </a>
      <a class="ib" href=${path('chats', chat.id, 'about')} aria-label=${t('contact/about', { name })}><${Icon} name="info" /></a>
    </header>
    <div class="only-small-block"><${RequestStrips} /></div>
    <${Notices} contact=${chat.contact_id} />
    ${load.problem && !load.problem.unreachable && html`<div class="conv-note"><${ProblemNote} problem=${load.problem} onRetry=${load.run} /></div>`}
    <${Timeline} chat=${chat} name=${name} timeline=${timeline} opened=${opened} sentCount=${sentCount} marks=${contacts.value[chat.contact_id]?.began_anew} />
    <div class="typing-row" aria-live="off">${here?.typing && html`
      <${Avatar} seed=${chat.symbol_seed} name=${name} size="xs" /><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>
      <span>${t('presence/is_typing', { name: cleanName(name) })}</span>`}</div>
    <${Composer} chat=${chat} name=${name} onSend=${() => setSent((before) => before + 1)} />`;
}
