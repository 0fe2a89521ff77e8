// The state of this tab as signals. Components read the slices; actions write
// through `apply` with a pure function of state.js.
import { signal, computed } from '../ui/h.js';
import * as S from './state.js';

export const state = signal(S.EMPTY);

/** Replaces the state by `change(state, ...args)`. */
export function apply(change, ...args) {
  state.value = change(state.value, ...args);
}

const select = (pick) => computed(() => pick(state.value));

export const me = select((each) => each.me);
export const registration = select((each) => each.registration);
export const status = select((each) => each.status);
export const contacts = select((each) => each.contacts);
export const requests = select((each) => each.requests);
export const invites = select((each) => each.invites);
export const chats = select((each) => each.chats);
export const presence = select((each) => each.presence);
export const timelines = select((each) => each.timelines);
export const pending = select((each) => each.pending);
export const notices = select((each) => each.notices);
export const failedTries = select((each) => each.failedTries);

export const chatRows = computed(() => S.chatList({ chats: chats.value }));
export const incoming = computed(() => S.incoming({ requests: requests.value }));
export const outgoing = computed(() => S.outgoing({ requests: requests.value }));
export const inviteRows = computed(() => S.inviteList({ invites: invites.value }));
export const unread = computed(() => S.unreadTotal({ chats: chats.value }));
