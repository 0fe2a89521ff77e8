// Lays messages out: days, runs of one author, the unread line, and which
// message carries an evidence line. Pure.
import { dayKey } from '../ui/format.js';
import { evidenceKey } from './delivery.js';

/** A pause this long starts a new run even for the same author. */
const PAUSE_MS = 30 * 60_000;

/** Marks, which are times, between messages: `{mark, sent_at}` before the first message that is later. */
function withMarks(messages, marks) {
  const all = [...messages];
  for (const mark of [...marks].sort()) {
    const later = all.findIndex((each) => Date.parse(each.sent_at) > Date.parse(mark));
    all.splice(later < 0 ? all.length : later, 0, { mark, sent_at: mark });
  }
  return all;
}

/** Of these marks, those that belong to the part of a conversation that is loaded. */
export function marksWithin(marks, { items, hasBefore, hasAfter }) {
  const [first, last] = [items[0], items.at(-1)].map((each) => Date.parse(each?.sent_at));
  return marks.filter((mark) => !(hasBefore && Date.parse(mark) < first) && !(hasAfter && Date.parse(mark) > last));
}

/**
 * @param {Array} messages ascending; those still on their way to the node come last
 * @param {string|null} firstUnread id above which the unread line is drawn
 * @param {string[]} marks times at which something happened that is no message
 * @returns {Array<{day: string, at: string, runs: Array}>} a run is `{author, rows, line}` or `{mark}`;
 *   a row is `{message, first, last, evidence}`; `line` marks the unread line above the run
 */
export function layout(messages, firstUnread, marks = []) {
  const days = [];
  let run = null;
  let previous = null;
  const lastOwn = evidenceRows(messages);
  for (const message of withMarks(messages, marks)) {
    const day = dayKey(message.sent_at);
    const newDay = days.at(-1)?.day !== day;
    if (newDay) days.push({ day, at: message.sent_at, runs: [] });
    if (message.mark) {
      run = null;
      days.at(-1).runs.push({ mark: message.mark, rows: [], key: `mark ${message.mark}` });
      continue;
    }
    const line = message.id === firstUnread;
    const paused = previous && Date.parse(message.sent_at) - Date.parse(previous.sent_at) > PAUSE_MS;
    if (newDay || line || paused || run?.author !== message.author) {
      run = { author: message.author, rows: [], line, key: message.client_key ?? message.id };
      days.at(-1).runs.push(run);
    }
    run.rows.push({ message, first: false, last: false, evidence: lastOwn.has(message) });
    previous = message;
  }
  for (const { runs } of days) {
    for (const { rows } of runs) {
      rows.forEach((row, at) => {
        row.first = at === 0 || rows[at - 1].evidence;
        row.last = at === rows.length - 1 || row.evidence;
      });
    }
  }
  return days;
}

/** Own messages under which the state changes: one evidence line per change. */
function evidenceRows(messages) {
  const rows = new Set();
  let before = null;
  for (const message of messages) {
    if (message.author !== 'me' || !message.delivery) continue;
    if (before && evidenceKey(before) !== evidenceKey(message)) rows.add(before);
    before = message;
  }
  if (before) rows.add(before);
  return rows;
}
