// The composer: grows to nine lines, sends with Enter, keeps the draft on the node.
//
// While it has the focus its own text rules; a draft written in another tab is
// taken over only when this one rests.
import { html, useEffect, useId, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { measure } from '../ui/text.js';
import { twoPanes } from '../ui/here.js';
import { putDraft, putTyping, send } from './actions.js';

const DRAFT_MS = 600;
const TYPING_MS = 3000;

/** Saves the draft when typing rests, and once more when the chat is left. */
function useDraft(chat) {
  const box = useRef({ saved: chat.draft ?? '', text: chat.draft ?? '', timer: null });
  const save = () => {
    clearTimeout(box.current.timer);
    if (box.current.text === box.current.saved) return;
    const { text } = box.current;
    box.current.saved = text;
    putDraft(chat.id, text).catch(() => {
      box.current.saved = null;
    });
  };
  useEffect(() => save, []);
  const keep = (text) => {
    box.current.text = text;
    clearTimeout(box.current.timer);
    box.current.timer = setTimeout(save, DRAFT_MS);
  };
  return { keep, save, box };
}

/** Tells the node about typing at most once in three seconds, and when it stops. */
function useTyping(chatId) {
  const at = useRef(0);
  const stop = () => {
    if (!at.current) return;
    at.current = 0;
    putTyping(chatId, false).catch(() => {});
  };
  useEffect(() => stop, []);
  const tick = (text) => {
    if (!text.trim()) return stop();
    const now = Date.now();
    if (now - at.current < TYPING_MS) return undefined;
    at.current = now;
    putTyping(chatId, true).catch(() => {});
    return undefined;
  };
  return { tick, stop };
}

export function Composer({ chat, name, onSend }) {
  const [text, setText] = useState(chat.draft ?? '');
  const field = useRef(null);
  const hint = useId();
  const draft = useDraft(chat);
  const typing = useTyping(chat.id);
  const { over, near, bytes } = measure(text);
  const empty = text.trim() === '';

  useEffect(() => {
    if (twoPanes()) field.current.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const theirs = chat.draft ?? '';
    if (document.activeElement === field.current || theirs === draft.box.current.text) return;
    draft.box.current.text = draft.box.current.saved = theirs;
    setText(theirs);
  }, [chat.draft]);

  const onInput = (event) => {
    setText(event.target.value);
    draft.keep(event.target.value);
    typing.tick(event.target.value);
  };
  const submit = (event) => {
    event?.preventDefault();
    if (empty || over) return;
    typing.stop();
    setText('');
    draft.keep('');
    draft.save();
    onSend(send(chat.id, text));
    field.current.focus();
  };
  const onKeyDown = (event) => {
    // 229: some input methods report Enter before isComposing is set.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  };
  const onBlur = () => {
    typing.stop();
    draft.save();
  };

  return html`<form class="composer" onSubmit=${submit}>
    ${near && html`<p class=${over ? 'limit bad' : 'limit'} id=${hint} role="status">
      ${over ? t('composer/over', { n: over }) : t('composer/near', { n: 16384 - bytes })}</p>`}
    <div class="composer-box">
      <textarea ref=${field} rows="1" dir="auto" aria-label=${t('composer/label', { name })} placeholder=${t('composer/label', { name })}
        aria-invalid=${over > 0} aria-describedby=${near ? hint : undefined}
        value=${text} onInput=${onInput} onKeyDown=${onKeyDown} onBlur=${onBlur}></textarea>
      <button type="submit" class="ib send" aria-label=${t('composer/send')} disabled=${empty || over > 0}><${Icon} name="send" /></button>
    </div>
  </form>`;
}
