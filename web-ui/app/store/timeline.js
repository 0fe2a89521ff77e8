// One conversation's window of messages. Pure: no DOM, no clock, no network.
//
// 1. A page from the node opens the window; older or newer pages widen it.
// 2. An event adds, replaces or removes one message inside it.
// 3. The window never holds more than CAP messages: widening one end drops
//    the other and remembers that there is more to fetch there.
//
// Invariants: items are unique by id and ascend by position; a delivery never
// steps back, except that a failed message may be queued again by a retry.

/** Most messages kept in the page at once; more makes appending slow. */
export const CAP = 300;
/** Messages asked for at a time. */
export const PAGE = 50;
/** Most messages kept that came before their first page did; the page has what is older. */
const MAX_LATE = PAGE;

const RANK = { failed: 0, queued: 1, custody: 2, delivered: 3, read: 4 };

/** A window over nothing: what a chat has before its first page came. */
export const EMPTY = Object.freeze({ items: [], hasBefore: false, hasAfter: false, loaded: false });

const ascending = (a, b) => (a.position < b.position ? -1 : a.position > b.position ? 1 : 0);

/** The message to keep when the node told us about the same one twice. */
export function newer(old, next) {
  if (!old?.delivery || !next.delivery) return next;
  const back = RANK[next.delivery.state] < RANK[old.delivery.state];
  const retried = old.delivery.state === 'failed';
  const failed = next.delivery.state === 'failed' && RANK[old.delivery.state] <= RANK.queued;
  return back && !retried && !failed ? { ...next, delivery: old.delivery } : next;
}

function union(items, more) {
  const byId = new Map(items.map((item) => [item.id, item]));
  for (const item of more) byId.set(item.id, newer(byId.get(item.id), item));
  return [...byId.values()].sort(ascending);
}

/** A message that came while the first page was on its way; the last of them. */
export const keep = (timeline, message) => ({ ...timeline, late: [...(timeline.late ?? []), message].slice(-MAX_LATE) });

/** The newest page, replacing whatever the window showed, and what came while it was on its way. */
export function latest(page, { late = [] } = {}) {
  const open = { items: union([], page.items), hasBefore: page.has_before, hasAfter: page.has_after ?? false, loaded: true };
  return late.reduce((kept, message) => upsert(kept, message), open);
}

/** Widens the window with an older page, dropping the newest beyond the cap. */
export function prepend(timeline, page, cap = CAP) {
  const items = union(timeline.items, page.items);
  const over = items.length - cap;
  return {
    items: over > 0 ? items.slice(0, cap) : items,
    hasBefore: page.has_before,
    hasAfter: timeline.hasAfter || over > 0,
    loaded: true,
  };
}

/** Widens the window with a newer page, dropping the oldest beyond the cap. */
export function append(timeline, page, cap = CAP) {
  const items = union(timeline.items, page.items);
  const over = items.length - cap;
  return {
    items: over > 0 ? items.slice(over) : items,
    hasBefore: timeline.hasBefore || over > 0,
    hasAfter: page.has_after ?? false,
    loaded: true,
  };
}

/** Takes one message from an event or a reply; ignores what lies outside the window. */
export function upsert(timeline, message, cap = CAP) {
  const { items } = timeline;
  const at = items.findIndex((item) => item.id === message.id);
  if (at >= 0) {
    const kept = newer(items[at], message);
    if (kept.position !== items[at].position) return { ...timeline, items: union(items, [kept]) };
    return { ...timeline, items: items.with ? items.with(at, kept) : items.map((item, i) => (i === at ? kept : item)) };
  }
  const first = items[0];
  const last = items[items.length - 1];
  if (last && timeline.hasAfter && message.position > last.position) return timeline;
  if (first && timeline.hasBefore && message.position < first.position) return timeline;
  const next = last && message.position < last.position ? union(items, [message]) : [...items, message];
  const over = next.length - cap;
  return over > 0 ? { ...timeline, items: next.slice(over), hasBefore: true } : { ...timeline, items: next };
}

/** Forgets one message. */
export function remove(timeline, id) {
  const items = timeline.items.filter((item) => item.id !== id);
  return items.length === timeline.items.length ? timeline : { ...timeline, items };
}
