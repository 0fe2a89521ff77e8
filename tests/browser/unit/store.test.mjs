import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as S from '../../../web-ui/app/store/state.js';
import * as timeline from '../../../web-ui/app/store/timeline.js';

const message = (n, more = {}) => ({ id: `m${n}`, chat_id: 'c', author: 'them', text: `text ${n}`, sent_at: new Date(n * 1000).toISOString(), position: String(n).padStart(6, '0'), client_key: null, delivery: null, ...more });
const mine = (n, state, more) => message(n, { author: 'me', delivery: { state, at: '', steps: [], why: null }, ...more });
const range = (from, to) => Array.from({ length: to - from }, (_, i) => message(from + i));
const page = (items, has_before = false, has_after = false) => ({ items, has_before, has_after });
const snapshot = (more = {}) => ({ cursor: 10, me: { name: 'Ada' }, registration: {}, contacts: [], requests: [], invites: [], chats: [], presence: [], status: { network: {} }, ...more });

test('an event is folded once, in order, and an old one not at all', () => {
  let state = S.fromSync(snapshot());
  state = S.reduce(state, { seq: 11, type: 'me.changed', data: { name: 'B' } });
  assert.equal(state.me.name, 'B');
  const again = S.reduce(state, { seq: 11, type: 'me.changed', data: { name: 'C' } });
  assert.equal(again, state);
  assert.equal(S.reduce(state, { seq: 9, type: 'me.changed', data: { name: 'D' } }), state);
});

test('the answer to a command takes back nothing that an event told since', () => {
  let state = S.fromSync(snapshot());
  state = S.reduce(state, { seq: 11, type: 'request.changed', data: { id: 'r', state: 'waiting', symbols: [1], updated_at: '2026-11-22T10:00:01.000Z' } });
  state = S.answered(state, 'request.changed', { id: 'r', state: 'looking', symbols: null, updated_at: '2026-11-22T10:00:00.000Z' });
  assert.equal(state.requests.r.state, 'waiting');
  state = S.answered(state, 'request.changed', { ...state.requests.r, state: 'withdrawn' });
  assert.equal(state.requests.r.state, 'withdrawn');
  state = S.reduce(state, { type: 'presence', data: { account: 'b', state: 'online' } });
  state = S.answered(state, 'contact.changed', { id: 'b', name: 'Ben', presence: { account: 'b', state: 'unknown' } });
  assert.equal(state.contacts.b.name, 'Ben');
  assert.equal(state.presence.b.state, 'online');
});

test('an unknown event moves the cursor and nothing else', () => {
  const state = S.fromSync(snapshot());
  const next = S.reduce(state, { seq: 11, type: 'future.thing', data: {} });
  assert.equal(next.cursor, 11);
  assert.deepEqual({ ...next, cursor: 10 }, state);
});

test('a volatile event is folded without a cursor', () => {
  const state = S.reduce(S.fromSync(snapshot()), { type: 'presence', data: { account: 'a', state: 'online', typing: true } });
  assert.equal(state.presence.a.typing, true);
  assert.equal(state.cursor, 10);
  assert.deepEqual(S.reduce(state, { type: 'network', data: { online: false } }).status.network, { online: false });
});

test('what comes while the first page is on its way is in it', () => {
  let state = S.asked(S.fromSync(snapshot()), 'c');
  assert.equal(state.timelines.c.loaded, false);
  for (const [seq, each] of [[11, message(8)], [12, mine(7, 'read')], [13, message(9)]]) state = S.reduce(state, { seq, type: 'message.added', data: each });
  // The page is older than all of them, but for one word of mine, that it knows as delivered.
  state = S.page(state, 'c', 'latest', page([message(6), mine(7, 'delivered')]));
  assert.deepEqual(state.timelines.c.items.map((each) => each.id), ['m6', 'm7', 'm8', 'm9']);
  assert.equal(state.timelines.c.items[1].delivery.state, 'read');
  assert.equal(S.asked(state, 'c'), state, 'an open window stays');
  // A retry begins with nothing, and what is kept is bounded.
  state = S.asked(S.fromSync(snapshot()), 'c');
  for (let n = 0; n < 60; n += 1) state = S.reduce(state, { seq: 11 + n, type: 'message.added', data: message(n) });
  assert.equal(S.page(state, 'c', 'latest', page([])).timelines.c.items.length, 50);
  assert.equal(S.page(S.asked(state, 'c'), 'c', 'latest', page([])).timelines.c.items.length, 0);
});

test('optimistic words give way to the message with their key, whichever comes first', () => {
  const pending = { id: 'k', client_key: 'k', chat_id: 'c', author: 'me', text: 'hi', pending: true };
  const real = mine(1, 'queued', { client_key: 'k' });
  let state = S.page(S.fromSync(snapshot()), 'c', 'latest', page([]));
  state = S.pendingAdd(state, pending);
  const byEvent = S.sent(S.reduce(state, { seq: 11, type: 'message.added', data: real }), real);
  const byReply = S.reduce(S.sent(state, real), { seq: 11, type: 'message.added', data: real });
  for (const end of [byEvent, byReply]) {
    assert.deepEqual(end.pending.c, []);
    assert.deepEqual(end.timelines.c.items.map((each) => each.id), ['m1']);
  }
});

test('a refusal stays with its words until they go again or are dropped', () => {
  let state = S.pendingAdd(S.EMPTY, { client_key: 'k', chat_id: 'c', text: 'hi' });
  state = S.pendingProblem(state, 'c', 'k', { code: 'busy' });
  assert.equal(state.pending.c[0].problem.code, 'busy');
  assert.deepEqual(S.pendingDrop(state, 'c', 'k').pending.c, []);
});

test('a new snapshot keeps unsent words and closes the timelines', () => {
  let state = S.page(S.fromSync(snapshot()), 'c', 'latest', page([message(1)]));
  state = S.pendingAdd(state, { client_key: 'k', chat_id: 'c', text: 'hi' });
  const next = S.fromSync(snapshot({ cursor: 50 }), state);
  assert.equal(next.pending.c.length, 1);
  assert.deepEqual(next.timelines, {});
  assert.equal(next.cursor, 50);
});

test('a delivery never steps back, except when a failed message is tried again', () => {
  assert.equal(timeline.newer(mine(1, 'delivered'), mine(1, 'queued')).delivery.state, 'delivered');
  assert.equal(timeline.newer(mine(1, 'custody'), mine(1, 'read')).delivery.state, 'read');
  assert.equal(timeline.newer(mine(1, 'failed'), mine(1, 'queued')).delivery.state, 'queued');
  assert.equal(timeline.newer(mine(1, 'queued'), mine(1, 'failed')).delivery.state, 'failed');
  assert.equal(timeline.newer(mine(1, 'read'), mine(1, 'failed')).delivery.state, 'read');
});

test('the window holds at most its cap and remembers which end it dropped', () => {
  let open = timeline.latest(page(range(250, 300), true));
  open = timeline.prepend(open, page(range(0, 250), false), 200);
  assert.equal(open.items.length, 200);
  assert.equal(open.items[0].id, 'm0');
  assert.equal(open.hasAfter, true);
  assert.equal(open.hasBefore, false);
  open = timeline.append(open, page(range(200, 300), true, false), 200);
  assert.equal(open.items.at(-1).id, 'm299');
  assert.equal(open.hasBefore, true);
  assert.equal(open.hasAfter, false);
});

test('a message outside the window is left for the page that holds it', () => {
  const hole = { ...timeline.latest(page(range(10, 20), true)), hasAfter: true };
  assert.equal(timeline.upsert(hole, message(99)), hole);
  assert.equal(timeline.upsert(hole, message(1)), hole);
  const inside = timeline.upsert({ ...hole, items: hole.items.filter((each) => each.id !== 'm15') }, message(15));
  assert.equal(inside.items.findIndex((each) => each.id === 'm15'), 5);
});

test('a late message sorts to its place and never twice', () => {
  let open = timeline.latest(page([message(1), message(3)]));
  open = timeline.upsert(timeline.upsert(open, message(2)), message(2));
  assert.deepEqual(open.items.map((each) => each.id), ['m1', 'm2', 'm3']);
  assert.deepEqual(timeline.remove(open, 'm2').items.map((each) => each.id), ['m1', 'm3']);
});

test('a removed contact takes the chat and its words along', () => {
  let state = S.fromSync(snapshot({ contacts: [{ id: 'a' }], chats: [{ id: 'c', contact_id: 'a', unread: 2, last_activity: '1' }] }));
  state = S.page(state, 'c', 'latest', page([message(1)]));
  assert.equal(S.unreadTotal(state), 2);
  state = S.reduce(state, { seq: 11, type: 'contact.removed', data: { id: 'a' } });
  assert.deepEqual([state.contacts, state.chats, state.timelines], [{}, {}, {}]);
});

test('requests are told apart by direction and by whether they still move', () => {
  const at = '2026-01-01T00:00:00Z';
  const requests = [
    { id: '1', direction: 'incoming', state: 'held', created_at: at }, { id: '2', direction: 'incoming', state: 'rejected', created_at: at },
    { id: '3', direction: 'outgoing', state: 'waiting', created_at: at }, { id: '4', direction: 'outgoing', state: 'gone', created_at: '2026-02-01T00:00:00Z' }, { id: '5', direction: 'outgoing', state: 'accepted', created_at: at },
  ];
  const state = S.fromSync(snapshot({ requests }));
  assert.deepEqual(S.incoming(state).map((each) => each.id), ['1']);
  assert.deepEqual(S.outgoing(state).map((each) => each.id), ['3', '4']);
  assert.equal(S.requestLive(requests[3]), false);
});
