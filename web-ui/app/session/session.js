// This tab's session with the node.
//
// 1. A login link (`#login=…`) is exchanged once for a token, and leaves the
//    address bar at once. The token lives in localStorage of this origin.
// 2. GET /sync fills the store; the feed keeps it in step from there.
// 3. 401 ends the session on every page; 423 asks for the passphrase, or whether to go on from the copy of a
//    store that is damaged.
import { signal } from '../ui/h.js';
import { createApi } from '../net/api.js';
import { createFeed } from '../net/feed.js';
import { apply, state } from '../store/index.js';
import { EMPTY, forgetPresence, fromSync, reduce } from '../store/state.js';

const TOKEN = 'kith.token';

/** boot · none (no token) · ended (refused) · locked · damaged · lost (no answer at start) · ready */
export const phase = signal('boot');
/** Why there's no session, when the node said so. */
export const problem = signal(null);
/** State of the feed: `{kind, retryAt?, since?}`. */
export const link = signal({ kind: 'connecting' });
/** The node now runs another build than the one that served this page. */
export const outdated = signal(false);

let feed = null;
const upListeners = new Set();

export const api = createApi({
  fetch: (...args) => fetch(...args),
  token: () => localStorage.getItem(TOKEN),
  onRefused(refusal) {
    if (refusal.status === 423) leave(refusal.code === 'store_damaged' ? 'damaged' : 'locked', refusal);
    else leave('ended', refusal);
  },
});

/** Runs `listener` each time that the feed is up again. */
export function onUp(listener) {
  upListeners.add(listener);
}

function leave(next, refusal) {
  feed?.stop();
  feed = null;
  if (next === 'ended') localStorage.removeItem(TOKEN);
  // What the node doesn't tell any more, this page doesn't keep.
  apply(() => EMPTY);
  problem.value = refusal ?? null;
  phase.value = next;
}

async function exchange() {
  const login = /^#login=([\w~.-]+)$/.exec(location.hash)?.[1];
  if (!login) return true;
  history.replaceState(null, '', location.pathname);
  try {
    const made = await api.post('/session', { login });
    localStorage.setItem(TOKEN, made.token);
    return true;
  } catch (refusal) {
    // A used link is harmless in a browser that has its session already.
    if (localStorage.getItem(TOKEN)) return true;
    problem.value = refusal;
    phase.value = refusal.unreachable ? 'lost' : 'ended';
    return false;
  }
}

async function refetch() {
  const snapshot = await api.get('/sync');
  apply((before) => fromSync(snapshot, before));
}

/** Presence has no place in the journal: what was missed has to be asked for. */
async function refetchPresence() {
  const { items } = await api.get('/presence').catch(() => ({ items: [] }));
  for (const data of items) apply(reduce, { type: 'presence', data });
}

function connect() {
  let missed = false;
  feed = createFeed({
    url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/events`,
    token: () => localStorage.getItem(TOKEN),
    since: () => state.value.cursor,
    Socket: WebSocket,
    timers: { set: (run, wait) => setTimeout(run, wait), clear: (timer) => clearTimeout(timer) },
    onEvent(event) {
      const before = state.value.build;
      if (event.type === 'hello' && before && before !== event.build) outdated.value = true;
      apply(reduce, event);
    },
    onReset() {
      refetch().catch(() => feed?.retryNow());
    },
    onState(next) {
      if (next.kind === 'down') apply(forgetPresence);
      else if (next.kind === 'up' && missed) refetchPresence();
      missed = next.kind === 'down' || (missed && next.kind !== 'up');
      const since = next.kind === 'up' ? null : link.value.since ?? Date.now();
      link.value = { ...next, since };
      if (next.kind === 'up') for (const listener of upListeners) listener();
      // The socket can't say why it closed; these two can.
      if (next.kind === 'down') {
        api.get('/session').then(() => api.get('/vault')).then(({ locked }) => locked && feed && leave('locked', null), () => {});
      }
    },
  });
  feed.start();
}

/** Tries the node at once. */
export const retryNow = () => feed?.retryNow();

/** Starts or restarts the session; ends in one of the phases. */
export async function start() {
  feed?.stop();
  feed = null;
  phase.value = 'boot';
  if (!(await exchange())) return;
  if (!localStorage.getItem(TOKEN)) {
    phase.value = 'none';
    return;
  }
  try {
    await refetch();
  } catch (refusal) {
    if (phase.value === 'boot') {
      problem.value = refusal;
      phase.value = 'lost';
    }
    return;
  }
  problem.value = null;
  phase.value = 'ready';
  connect();
}

/** Opens the vault and starts again. Throws the refusal. */
export async function unlock(passphrase) {
  await api.post('/vault/unlock', { passphrase });
  await start();
}

/** What is known of a store that does not open. Throws the refusal. */
export const damage = async () => (await api.get('/vault')).damaged;

/** Goes on from the copy beside a store that does not open, and starts again. Throws the refusal. */
export async function recover() {
  await api.post('/vault/recover').catch((refusal) => {
    // Another tab, or a request that this one gave up waiting for, was first.
    if (refusal.code !== 'store_is_whole') throw refusal;
  });
  await start();
}

/** Closes the vault, for every tab. Throws the refusal. */
export async function lock() {
  await api.post('/vault/lock');
  leave('locked', null);
}

/** Ends this browser's session on the node and here. */
export async function signOut() {
  await api.remove('/session');
  leave('ended', null);
  phase.value = 'none';
}

// Another tab signed in or out: follow it.
addEventListener('storage', (event) => {
  if (event.key !== TOKEN) return;
  if (event.newValue === null) leave('none', null);
  else if (phase.value !== 'ready') start();
});
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#login=')) start();
});
