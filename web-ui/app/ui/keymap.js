// Keyboard shortcuts as data. Pure: an event's facts in, the name of an action out.

/** @type {ReadonlyArray<{action: string, keys: string, label: string}>} order is the order of the sheet */
export const SHORTCUTS = [
  { action: 'search', keys: 'Ctrl+K', label: 'keys/search' },
  { action: 'next', keys: 'Alt+ArrowDown', label: 'keys/next' },
  { action: 'previous', keys: 'Alt+ArrowUp', label: 'keys/previous' },
  { action: 'nextUnread', keys: 'Alt+Shift+ArrowDown', label: 'keys/next_unread' },
  { action: 'previousUnread', keys: 'Alt+Shift+ArrowUp', label: 'keys/previous_unread' },
  { action: 'invite', keys: 'Alt+I', label: 'keys/invite' },
  { action: 'new', keys: 'Alt+N', label: 'keys/new' },
  { action: 'settings', keys: 'Ctrl+,', label: 'keys/settings' },
  { action: 'landmark', keys: 'F6', label: 'keys/landmark' },
  { action: 'close', keys: 'Escape', label: 'keys/close' },
  { action: 'sheet', keys: 'Ctrl+/', label: 'keys/sheet' },
];

function chord(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push('Ctrl');
  if (event.altKey) parts.push('Alt');
  if (event.shiftKey) parts.push('Shift');
  // With Alt some layouts type another letter, so letters go by the physical key.
  const letter = event.altKey && /^Key([A-Z])$/.exec(event.code ?? '');
  parts.push(letter ? letter[1] : event.key.length === 1 ? event.key.toUpperCase() : event.key);
  return parts.join('+');
}

/** The action of a key press, or null. A press inside an input method never is one. */
export function actionOf(event) {
  if (event.isComposing || event.key === undefined) return null;
  const pressed = chord(event);
  return SHORTCUTS.find((each) => each.keys === pressed)?.action ?? null;
}

/** A shortcut split into the caps of its keys, in the words of the platform. */
export function caps(keys, mac = false) {
  const names = { ArrowDown: '↓', ArrowUp: '↑', Escape: 'Esc', Ctrl: mac ? '⌘' : 'Ctrl', Alt: mac ? '⌥' : 'Alt', Shift: mac ? '⇧' : 'Shift' };
  return keys.split('+').map((part) => names[part] ?? part);
}

/** Where an arrow key moves the focus in a list of `length` rows, or null when it doesn't. */
export function rove(key, at, length) {
  if (length === 0) return null;
  if (key === 'ArrowDown') return Math.min(at + 1, length - 1);
  if (key === 'ArrowUp') return Math.max(at - 1, 0);
  if (key === 'Home') return 0;
  if (key === 'End') return length - 1;
  return null;
}

/** The neighbour of `current` in `ids`, wrapping around; the first or last when none is current. */
export function neighbour(ids, current, step) {
  if (ids.length === 0) return null;
  const at = ids.indexOf(current);
  if (at < 0) return step > 0 ? ids[0] : ids[ids.length - 1];
  return ids[(at + step + ids.length) % ids.length];
}
