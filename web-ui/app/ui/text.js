// Words made safe and measurable. Pure.
//
// People choose their own names, so a name may carry characters that reorder
// the text around it; those never reach the screen.

// Bidi embeddings, overrides and isolates, the marks, other invisible
// controls, and line breaks.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Longest name shown; a longer one is cut with an ellipsis. */
export const NAME_MAX = 80;

/** A person's name on one line, without control characters; `fallback` when nothing is left. */
export function cleanName(name, fallback = '') {
  const clean = (name ?? '').replace(CONTROLS, ' ').replace(/\s+/g, ' ').trim();
  if (!clean) return fallback;
  const letters = [...clean];
  return letters.length > NAME_MAX ? `${letters.slice(0, NAME_MAX - 1).join('')}…` : clean;
}

/** The letter on an avatar: the first letter or number of the name. */
export function initial(name) {
  const found = cleanName(name).match(/[\p{L}\p{N}]/u);
  return found ? found[0].toLocaleUpperCase() : '·';
}

/** Size in bytes as it travels. */
export const utf8Length = (text) => new TextEncoder().encode(text).length;

/** The longest text one message may have, in bytes of UTF-8. */
export const TEXT_MAX = 16 * 1024;

/** How a text stands against the limit: bytes `over` it, and whether it's `near`. */
export function measure(text, max = TEXT_MAX) {
  // Every UTF-16 unit is at most three bytes, so short texts need no encoding.
  if (text.length * 3 < max * 0.9) return { bytes: null, over: 0, near: false };
  const bytes = utf8Length(text);
  return { bytes, over: Math.max(0, bytes - max), near: bytes > max * 0.9 };
}

/** An opaque id cut for the eye: its start and its end. */
export const shortId = (id) => (id && id.length > 16 ? `${id.slice(0, 6)}…${id.slice(-4)}` : id ?? '');

/** The name inside a decoded invite, when `inviter` is a name and not an account id. */
export function inviterName(preview) {
  const given = preview.name ?? preview.inviter?.name ?? (typeof preview.inviter === 'string' ? preview.inviter : '');
  return /^[\w:+/=-]{24,}$/.test(given ?? '') ? '' : cleanName(given);
}
