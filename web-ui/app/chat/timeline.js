// The scrolling part of a conversation.
//
// 1. Opens at the unread line, or at the end.
// 2. Follows new words while the end is in view, or when they are our own;
//    otherwise a pill counts them.
// 3. Widens the window near either edge and keeps what is on screen where it is.
// 4. Reports as read only what was visible in a focused tab.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { focused } from '../ui/here.js';
import { dayLabel } from '../ui/format.js';
import { layout, marksWithin } from '../message/runs.js';
import { Row } from '../message/bubble.js';
import { pending } from '../store/index.js';
import { loadPage } from './actions.js';
import { cleanName } from '../ui/text.js';
import { useReading } from './reading.js';

/** So near the end counts as reading along. */
const END_PX = 80;
/** So near an edge the next page is fetched. */
const EDGE_PX = 400;
const NONE = [];

const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < END_PX;

export function Timeline({ chat, name, timeline, opened, sentCount, marks = NONE }) {
  const log = useRef(null);
  const follow = useRef(true);
  const anchor = useRef(null);
  const [away, setAway] = useState(false);
  const [missed, setMissed] = useState(0);
  const own = timeline.hasAfter ? NONE : pending.value[chat.id] ?? NONE;
  const messages = useMemo(() => (own.length ? [...timeline.items, ...own] : timeline.items), [timeline.items, own]);
  const days = useMemo(() => layout(messages, opened.firstUnread, marksWithin(marks, timeline)), [messages, opened.firstUnread, marks, timeline]);
  const now = useNow();
  const widen = (kind) => loadPage(chat.id, kind, () => log.current && hold(log.current, anchor));
  const older = useAction(() => widen('before'));
  const newer = useAction(() => widen('after'));
  const jump = useAction(async () => {
    if (timeline.hasAfter) await loadPage(chat.id, 'latest');
    follow.current = true;
    toEnd(log.current);
  });

  useOpening(log, timeline.loaded, follow);
  useArrivals({ log, messages, timeline, follow, anchor, setMissed });
  useReading({ log, chat, messages, focused: focused.value });
  useEffect(() => {
    if (sentCount > 0) jump.run();
  }, [sentCount]);

  const onScroll = () => {
    const box = log.current;
    if (!timeline.loaded) return;
    const end = atEnd(box) && !timeline.hasAfter;
    follow.current = end;
    setAway(!end);
    if (end) setMissed(0);
    if (timeline.hasBefore && box.scrollTop < EDGE_PX && !older.problem) older.run();
    else if (timeline.hasAfter && atEnd(box) && !newer.problem) newer.run();
  };

  // Over the log, not in it: a line that comes and goes would move the words.
  return html`<div class="log-frame">
    ${older.busy && html`<p class="loading">${t('chat/loading_older')}</p>`}
    <div class="log" ref=${log} role="group" aria-label=${t('chat/conversation', { name })} tabIndex="0" onScroll=${onScroll}>
      <div class="log-edge">
        <${ProblemNote} problem=${older.problem} onRetry=${older.run} />
        ${timeline.loaded && messages.length === 0 && html`<p class="notice opening">${t('chat/opening', { name })}</p>`}
      </div>
      ${days.map((day) => html`<section class="date" key=${day.day}>
        <h3 class="day">${dayLabel(day.at, now)}</h3>
        ${day.runs.map((run) => (run.mark ? html`<p class="notice began" key=${run.key}><${Icon} name="key" small /><span>${t('chat/began_anew', { name: cleanName(name) })}</span></p>` : html`
          ${run.line && html`<div class="new-line" key=${`line ${run.key}`} role="separator" aria-label=${t('chat/new_line', { n: opened.unread })}><span aria-hidden="true">${t('chat/new_line', { n: opened.unread })}</span></div>`}
          <div class=${run.author === 'me' ? 'run mine' : 'run plain'} key=${run.key}>
            ${run.rows.map((row) => html`<${Row} key=${row.message.client_key ?? row.message.id} ...${row} name=${name} />`)}
          </div>`))}
      </section>`)}
      <div class="log-edge"><${ProblemNote} problem=${newer.problem ?? jump.problem} onRetry=${jump.run} /></div>
    </div>
    ${(away || missed > 0) && html`<button type="button" class="btn sm jump" onClick=${jump.run}>
      <${Icon} name="down" small />${missed > 0 ? t('chat/jump_new', { n: missed }) : t('chat/jump')}</button>`}
    <${Announcer} messages=${messages} name=${name} loaded=${timeline.loaded} />
  </div>`;
}

/** Opens at the unread line when there is one, otherwise at the end. */
function useOpening(log, loaded, follow) {
  useLayoutEffect(() => {
    if (!loaded) return;
    const line = log.current.querySelector('.new-line');
    if (line) line.scrollIntoView({ block: 'center' });
    else toEnd(log.current);
    follow.current = atEnd(log.current);
  }, [loaded]);
}

/** Follows the end, counts what arrives out of view, and remembers what to hold still. */
function useArrivals({ log, messages, timeline, follow, anchor, setMissed }) {
  const last = useRef(null);
  const newest = timeline.items.at(-1)?.position ?? '';
  useLayoutEffect(() => {
    if (!timeline.loaded) return;
    const before = last.current;
    last.current = newest;
    // Dropping the far end of a full window makes the newest an older one.
    if (before === null || newest <= before || follow.current) return;
    const fresh = timeline.items.filter((each) => each.author === 'them' && each.position > before).length;
    setMissed((count) => count + fresh);
  }, [newest, timeline.loaded]);
  useLayoutEffect(() => {
    // Evidence lines and wrapped words change heights: stay at the end.
    if (timeline.loaded && follow.current) toEnd(log.current);
    restore(log.current, anchor);
  }, [messages]);
  useEffect(() => {
    const box = log.current;
    const watch = new ResizeObserver(() => follow.current && toEnd(box));
    watch.observe(box);
    return () => watch.disconnect();
  }, []);
}

function toEnd(log) {
  log.scrollTop = log.scrollHeight;
}

/** Remembers the first visible message before a page is drawn at an edge. */
function hold(log, anchor) {
  const top = log.getBoundingClientRect().top;
  const row = [...log.querySelectorAll('[data-message]')].find((each) => each.getBoundingClientRect().bottom > top);
  anchor.current = row ? { id: row.dataset.message, top: row.getBoundingClientRect().top } : null;
}

/** Puts it back: native anchoring does nothing at scrollTop 0. */
function restore(log, anchor) {
  const held = anchor.current;
  anchor.current = null;
  if (!held) return;
  const row = log.querySelector(`[data-message="${CSS.escape(held.id)}"]`);
  if (row) log.scrollTop += row.getBoundingClientRect().top - held.top;
}

/** Reads new words aloud, and only new ones: history that is paged in stays silent. */
function Announcer({ messages, name, loaded }) {
  const seen = useRef(null);
  const [said, say] = useState(NONE);
  useEffect(() => {
    if (!loaded) return;
    const fresh = messages.filter((each) => each.author === 'them');
    const before = seen.current;
    const newest = fresh.at(-1)?.position ?? '';
    if (before === null || newest > before) seen.current = newest;
    if (before === null) return;
    const heard = fresh.filter((each) => each.position > before).slice(-3);
    if (heard.length) say(heard);
  }, [messages, loaded]);
  return html`<div class="vh" role="log" aria-live="polite" aria-label=${t('chat/new_messages')}>
    ${said.map((each) => html`<p key=${each.id}>${t('message/from', { name })} ${each.text}</p>`)}
  </div>`;
}
