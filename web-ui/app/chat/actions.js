// Commands of a conversation: load, send, retry, draft, typing, read.
import { api, onUp } from '../session/session.js';
import { apply, state } from '../store/index.js';
import * as S from '../store/state.js';
import { PAGE } from '../store/timeline.js';

const chatPath = (id) => `/chats/${encodeURIComponent(id)}`;
const messagePath = (id) => `/messages/${encodeURIComponent(id)}`;

/** Loads the newest page, or widens the window at one end; `before` runs just before the window changes. */
export async function loadPage(chatId, kind, before = () => {}) {
  const items = state.value.timelines[chatId]?.items ?? [];
  const edge = kind === 'before' ? items[0] : kind === 'after' ? items.at(-1) : null;
  const range = edge ? `&${kind}=${encodeURIComponent(edge.position)}` : '';
  if (!edge) apply(S.asked, chatId);
  const page = await api.get(`${chatPath(chatId)}/messages?limit=${PAGE}${range}`);
  before();
  apply(S.page, chatId, edge ? kind : 'latest', page);
}

// Words the node has not taken go one after another, so that they keep their order.
const lanes = new Map();

function inOrder(chatId, job) {
  const next = (lanes.get(chatId) ?? Promise.resolve()).then(job);
  lanes.set(chatId, next.catch(() => {}));
  return next;
}

async function post(chatId, clientKey, text) {
  if (!state.value.pending[chatId]?.some((each) => each.client_key === clientKey)) return;
  apply(S.pendingProblem, chatId, clientKey, null);
  try {
    apply(S.sent, await api.post(`${chatPath(chatId)}/messages`, { text }, { key: clientKey }));
  } catch (problem) {
    apply(S.pendingProblem, chatId, clientKey, problem);
  }
}

/** Shows the words at once and hands them to the node under a key of their own. */
export function send(chatId, text) {
  const clientKey = crypto.randomUUID();
  const sentAt = new Date().toISOString();
  apply(S.pendingAdd, { id: clientKey, client_key: clientKey, chat_id: chatId, author: 'me', text, sent_at: sentAt, pending: true, problem: null });
  return inOrder(chatId, () => post(chatId, clientKey, text));
}

/** Tries unsent words again; the key makes a repeat harmless. */
export const sendAgain = (message) => inOrder(message.chat_id, () => post(message.chat_id, message.client_key, message.text));

/** Forgets words that never reached the node. */
export const dropPending = (message) => apply(S.pendingDrop, message.chat_id, message.client_key);

// The node is back: hand over what it could not take.
onUp(() => {
  for (const list of Object.values(state.value.pending)) {
    for (const message of list) if (message.problem?.unreachable) sendAgain(message);
  }
});

addEventListener('beforeunload', (event) => {
  if (Object.values(state.value.pending).some((list) => list.length > 0)) event.preventDefault();
});

/** Asks the node to try a failed or waiting message at once. */
export async function retryMessage(id) {
  const message = await api.post(`${messagePath(id)}/retry`);
  if (message?.id) apply((before) => S.reduce(before, { type: 'message.changed', data: message }));
}

/** Deletes a message from this computer. */
export async function deleteMessage(message) {
  await api.remove(messagePath(message.id));
  apply((before) => S.reduce(before, { type: 'message.removed', data: { id: message.id, chat_id: message.chat_id } }));
}

export const putDraft = (chatId, text) => api.put(`${chatPath(chatId)}/draft`, { text });
export const putTyping = (chatId, typing) => api.put(`${chatPath(chatId)}/typing`, { typing });
export const putRead = (chatId, upTo) => api.put(`${chatPath(chatId)}/read`, { up_to: upTo });
