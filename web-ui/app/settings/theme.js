// The theme: the system's, or one of two chosen for this browser.
import { signal } from '../ui/h.js';

const KEY = 'kith.theme';

/** 'system', 'light' or 'dark'. */
export const theme = signal(localStorage.getItem(KEY) ?? 'system');

function show(choice) {
  if (choice === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
}

/** Chooses a theme for this browser. */
export function setTheme(choice) {
  theme.value = choice;
  if (choice === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  show(choice);
}

// The other tabs follow.
addEventListener('storage', (event) => {
  if (event.key !== KEY) return;
  theme.value = event.newValue ?? 'system';
  show(theme.value);
});
