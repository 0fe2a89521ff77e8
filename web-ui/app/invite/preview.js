// What a code says before anything is done about it.
import { html, useId } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow, useOneKey } from '../ui/hooks.js';
import { moment, remaining } from '../ui/format.js';
import { inviterName, shortId } from '../ui/text.js';
import { path } from '../ui/route.js';
import { Avatar } from '../avatar/avatar.js';
import { contactName } from '../contact/name.js';
import { contacts } from '../store/index.js';
import { redeem } from './actions.js';

/** Verdicts under which asking is worth a try: our clock may be the wrong one. */
const MAY_ASK = new Set(['ok', 'expired']);

/** `onAsked` gets the outgoing request. */
export function Preview({ preview, onAsked, onCancel }) {
  const id = useId();
  const now = useNow();
  const contact = contacts.value[preview.inviter];
  const name = contact ? contactName(contact) : inviterName(preview);
  const withKey = useOneKey();
  const ask = useAction(async () => onAsked(await withKey((key) => redeem(preview.text, key))));
  const left = Date.parse(preview.expires_at) - now;
  const may = MAY_ASK.has(preview.verdict);
  return html`<article class="card" aria-labelledby=${id}>
    <div class="card-head"><${Avatar} seed=${preview.symbol_seed} name=${name} size="l" />
      <div><h2 id=${id}>${may ? (name ? t('preview/ask_name', { name }) : t('preview/ask')) : t('preview/cannot')}</h2>
        <p class="small mute">${parts('request/account_line', { id: html`<span class="mono">${shortId(preview.inviter)}</span>` })}</p></div></div>
    <hr class="rule" />
    ${preview.verdict === 'ok' ? html`<p>${t('preview/what_happens')}</p>` : html`<p role="status">${preview.detail}</p>`}
    ${may && html`<p class="small mute after">${left > 0 ? t('preview/valid', { time: remaining(left) }) : t('preview/ended', { when: moment(preview.expires_at, now) })}${' '}
      ${t(preview.relay ? 'preview/relay' : 'preview/no_relay')}</p>`}
    <${ProblemNote} problem=${ask.problem} onRetry=${ask.problem?.unreachable ? ask.run : undefined} />
    <div class="row-btns">
      ${may && html`<button type="button" class="btn main big" disabled=${ask.busy} onClick=${ask.run}>${t('preview/do_ask')}</button>`}
      ${contact && html`<a class="btn" href=${path('chats', contact.chat_id)}>${t('preview/open_chat')}</a>`}
      <button type="button" class=${may ? 'btn quiet big' : 'btn'} onClick=${onCancel}>${t(may ? 'act/cancel' : 'preview/other')}</button>
    </div>
  </article>`;
}
