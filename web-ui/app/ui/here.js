// Where the person is: the current place and whether this tab has their eyes.
import { signal } from './h.js';
import { parse } from './route.js';

export const place = signal(parse(location.hash));
addEventListener('hashchange', () => {
  place.value = parse(location.hash);
});

/** Goes to a hash made by `path`. */
export function go(hash) {
  if (location.hash === hash) place.value = parse(hash);
  else location.hash = hash;
}

const looking = () => document.visibilityState === 'visible' && document.hasFocus();

/** True while this tab is visible and has the focus. */
export const focused = signal(looking());
const look = () => {
  focused.value = looking();
};
for (const type of ['focus', 'blur']) addEventListener(type, look);
document.addEventListener('visibilitychange', look);

/** Wide enough for two panes: opening a chat may take the focus to its composer. */
export const twoPanes = () => matchMedia('(min-width: 640px)').matches;
