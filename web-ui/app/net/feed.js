// The event feed: one WebSocket that authenticates with its first frame,
// resumes from the last folded event, and comes back by itself.
//
// 1. open → send {auth, token, since}
// 2. hello → `up`; events are handed on in order
// 3. reset → `onReset`, which refetches the snapshot
// 4. close → `down` with the time of the next try; back off; 1.
//
// The socket class, the timers and the dice are handed in, so it runs without a browser.
import { waitFor } from './backoff.js';

export function createFeed({ url, token, since, onEvent, onReset, onState, Socket, timers, random = Math.random, now = Date.now }) {
  let socket = null;
  let timer = null;
  let failures = 0;
  let stopped = false;

  function open() {
    timer = null;
    onState({ kind: 'connecting' });
    const mine = new Socket(url);
    socket = mine;
    mine.onopen = () => mine.send(JSON.stringify({ type: 'auth', token: token(), since: since() }));
    mine.onmessage = (message) => {
      if (mine !== socket) return;
      let event;
      try {
        event = JSON.parse(message.data);
      } catch {
        return;
      }
      if (event.type === 'hello') {
        failures = 0;
        onState({ kind: 'up' });
      }
      if (event.type === 'reset') onReset();
      else onEvent(event);
    };
    mine.onclose = () => {
      if (mine === socket) down();
    };
  }

  function down() {
    socket = null;
    if (stopped) return;
    failures += 1;
    const wait = waitFor(failures, random());
    onState({ kind: 'down', retryAt: now() + wait, failures });
    timer = timers.set(open, wait);
  }

  return {
    start: open,
    /** Tries at once instead of waiting. */
    retryNow() {
      if (timer === null) return;
      timers.clear(timer);
      open();
    },
    stop() {
      stopped = true;
      if (timer !== null) timers.clear(timer);
      socket?.close();
      socket = null;
    },
  };
}
