// Tells the node that a person looks at this tab, and when they no longer do.
// The lease on the node lasts 45 s, so a closed lid needs no goodbye.
import { effect } from '../ui/h.js';
import { focused } from '../ui/here.js';
import { api, phase } from '../session/session.js';

const BEAT_MS = 20_000;

/** Starts once; follows the focus from then on. */
export function startBeat() {
  let timer = null;
  let told = false;
  const tell = (now) => api.put('/me/presence', { focused: now }).catch(() => {});
  effect(() => {
    const on = focused.value && phase.value === 'ready';
    clearInterval(timer);
    if (on) {
      tell(true);
      timer = setInterval(() => tell(true), BEAT_MS);
    } else if (told && phase.value === 'ready') {
      tell(false);
    }
    told = on;
  });
}
