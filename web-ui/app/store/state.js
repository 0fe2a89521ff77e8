// The whole view state as one immutable value, folded from a snapshot of the
// node and the events after it. Pure: no DOM, no clock, no network.
//
// 1. `fromSync` turns GET /sync into a state; open timelines are kept when asked.
// 2. `reduce` folds one event in. Durable events carry `seq` and are applied
//    once; volatile ones carry none.
// 3. Sends are optimistic: `pendingAdd` shows the words at once under the
//    client key, and the message that comes back with this key replaces them.
import * as timeline from './timeline.js';

/** Nothing known yet. */
export const EMPTY = Object.freeze({
  cursor: 0,
  build: null,
  me: null,
  registration: null,
  status: null,
  contacts: {},
  requests: {},
  invites: {},
  chats: {},
  presence: {},
  timelines: {},
  pending: {},
  notices: [],
  failedTries: {},
});

const byId = (items, key = 'id') => Object.fromEntries((items ?? []).map((item) => [item[key], item]));
const without = (map, key) => {
  if (!(key in map)) return map;
  const { [key]: _gone, ...rest } = map;
  return rest;
};
const put = (state, table, id, value) => ({ ...state, [table]: { ...state[table], [id]: value } });

/** A state from GET /sync. `before` keeps what the snapshot doesn't hold: unsent words and notices. */
export function fromSync(snapshot, before = EMPTY) {
  const contacts = byId(snapshot.contacts);
  const fromContacts = Object.values(contacts).map((contact) => contact.presence).filter(Boolean);
  return {
    ...EMPTY,
    build: before.build,
    pending: before.pending,
    notices: before.notices,
    cursor: snapshot.cursor,
    me: snapshot.me,
    registration: snapshot.registration,
    status: snapshot.status,
    contacts,
    requests: byId(snapshot.requests),
    invites: byId(snapshot.invites),
    chats: byId(snapshot.chats),
    presence: { ...byId(fromContacts, 'account'), ...byId(snapshot.presence, 'account') },
  };
}

const FOLD = {
  'registration.changed': (state, data) => ({ ...state, registration: data }),
  'me.changed': (state, data) => ({ ...state, me: data }),
  'invite.changed': (state, data) => put(state, 'invites', data.id, data),
  'invite.failed_try': (state, data) =>
    put(state, 'failedTries', data.invite_id, (state.failedTries[data.invite_id] ?? 0) + 1),
  'request.changed': (state, data) => put(state, 'requests', data.id, data),
  'contact.changed': (state, data) => {
    const next = put(state, 'contacts', data.id, data);
    return data.presence ? put(next, 'presence', data.presence.account, data.presence) : next;
  },
  'contact.removed': (state, data) => {
    const chat = Object.values(state.chats).find((each) => each.contact_id === data.id);
    return {
      ...state,
      contacts: without(state.contacts, data.id),
      presence: without(state.presence, data.id),
      chats: chat ? without(state.chats, chat.id) : state.chats,
      timelines: chat ? without(state.timelines, chat.id) : state.timelines,
    };
  },
  'chat.changed': (state, data) => put(state, 'chats', data.id, data),
  'message.added': (state, data) => settle(withMessage(state, data), data),
  'message.changed': (state, data) => withMessage(state, data),
  'message.removed': (state, data) =>
    state.timelines[data.chat_id]
      ? put(state, 'timelines', data.chat_id, timeline.remove(state.timelines[data.chat_id], data.id))
      : state,
  notice: (state, data) => ({ ...state, notices: [...state.notices, { ...data, id: noticeId(state) }].slice(-NOTICES) }),
  presence: (state, data) => put(state, 'presence', data.account, data),
  network: (state, data) => ({ ...state, status: { ...state.status, network: data } }),
};

/** Notices kept at most; older ones have had their time. */
const NOTICES = 5;
const noticeId = (state) => 1 + (state.notices.at(-1)?.id ?? 0);

/** Folds one event. An event that was folded before, or is of an unknown type, changes nothing. */
export function reduce(state, event) {
  if (event.type === 'hello') return state.build === event.build ? state : { ...state, build: event.build };
  if (event.seq !== undefined && event.seq <= state.cursor) return state;
  const fold = FOLD[event.type];
  const next = fold ? fold(state, event.data) : state;
  return event.seq === undefined ? next : { ...next, cursor: event.seq };
}

/** Folds in what answered a command. Events that followed it may have come before it. */
export function answered(state, type, data) {
  if (type === 'request.changed' && state.requests[data.id]?.updated_at > data.updated_at) return state;
  const known = type === 'contact.changed' && state.presence[data.id];
  return reduce(state, { type, data: known ? { ...data, presence: known } : data });
}

function withMessage(state, message) {
  const open = state.timelines[message.chat_id];
  if (!open) return state;
  return put(state, 'timelines', message.chat_id, open.loaded ? timeline.upsert(open, message) : timeline.keep(open, message));
}

function settle(state, message) {
  const waiting = state.pending[message.chat_id];
  if (!message.client_key || !waiting?.some((each) => each.client_key === message.client_key)) return state;
  return put(state, 'pending', message.chat_id, waiting.filter((each) => each.client_key !== message.client_key));
}

/** Shows words that are on their way to the node. */
export function pendingAdd(state, message) {
  return put(state, 'pending', message.chat_id, [...(state.pending[message.chat_id] ?? []), message]);
}

/** Notes why the node has not taken them (`problem`), or that they're being tried again (null). */
export function pendingProblem(state, chatId, clientKey, problem) {
  const list = (state.pending[chatId] ?? []).map((each) => (each.client_key === clientKey ? { ...each, problem } : each));
  return put(state, 'pending', chatId, list);
}

/** Drops them: the person deleted them. */
export function pendingDrop(state, chatId, clientKey) {
  return put(state, 'pending', chatId, (state.pending[chatId] ?? []).filter((each) => each.client_key !== clientKey));
}

/** The node's reply to a send. */
export const sent = (state, message) => settle(withMessage(state, message), message);

/** The first page is asked for: what comes before it belongs into it. */
export const asked = (state, chatId) =>
  state.timelines[chatId]?.loaded ? state : put(state, 'timelines', chatId, timeline.EMPTY);

/** Opens or widens a conversation's window. */
export function page(state, chatId, kind, result, cap) {
  const open = state.timelines[chatId] ?? timeline.EMPTY;
  const next = kind === 'latest' ? timeline.latest(result, open)
    : kind === 'before' ? timeline.prepend(open, result, cap)
    : timeline.append(open, result, cap);
  return put(state, 'timelines', chatId, next);
}

/** Takes a notice away. */
export const noticeDrop = (state, id) => ({ ...state, notices: state.notices.filter((each) => each.id !== id) });

// Selectors.

/** Chats, the most recently active first. */
export const chatList = (state) =>
  Object.values(state.chats).sort((a, b) => (a.last_activity < b.last_activity ? 1 : a.last_activity > b.last_activity ? -1 : 0));

/** Requests that wait for us, the newest first. */
export const incoming = (state) =>
  Object.values(state.requests)
    .filter((each) => each.direction === 'incoming' && each.state === 'held')
    .sort((a, b) => (a.created_at < b.created_at ? 1 : -1));

const OUTGOING_OVER = new Set(['accepted', 'rejected', 'withdrawn', 'expired', 'gone']);

/** Requests that we made, live ones first, then the ended ones. Accepted ones are contacts by now. */
export const outgoing = (state) =>
  Object.values(state.requests)
    .filter((each) => each.direction === 'outgoing' && each.state !== 'accepted' && each.state !== 'withdrawn')
    .sort((a, b) => OUTGOING_OVER.has(a.state) - OUTGOING_OVER.has(b.state) || (a.created_at < b.created_at ? 1 : -1));

/** Nobody tells us any more who is here. */
export const forgetPresence = (state) => ({ ...state, presence: {} });

/** Whether a request still moves. */
export const requestLive = (request) =>
  request.direction === 'incoming' ? request.state === 'held' : !OUTGOING_OVER.has(request.state);

/** Invites, the newest first. */
export const inviteList = (state) =>
  Object.values(state.invites).sort((a, b) => (a.created_at < b.created_at ? 1 : -1));

/** Unread messages in all chats. */
export const unreadTotal = (state) => Object.values(state.chats).reduce((sum, chat) => sum + chat.unread, 0);
