// Finds links in people's words. Pure: returns pieces, never markup.
//
// Only http, https and mailto become links. A host in another script is shown
// and linked as punycode, so that a look-alike can't pass for the real one.

const CANDIDATE = /\b(?:https?:\/\/|mailto:)[^\s<>"\u0000-\u001f]+/giu;
const TRAILING = /[.,;:!?'"»”’)\]}]+$/u;
/** Longest address made into a link. */
const LINK_MAX = 2048;

function trim(raw) {
  let link = raw;
  for (;;) {
    const tail = link.match(TRAILING)?.[0];
    if (!tail) return link;
    const last = tail.at(-1);
    const open = { ')': '(', ']': '[', '}': '{' }[last];
    // A closing bracket belongs to the address when its partner does too.
    if (open && link.split(open).length >= link.split(last).length) return link;
    link = link.slice(0, -1);
  }
}

function parse(raw) {
  if (raw.length > LINK_MAX) return null;
  let url;
  try {
    url = new URL(raw);
  } catch {
    return null;
  }
  if (!['http:', 'https:', 'mailto:'].includes(url.protocol)) return null;
  if (url.protocol === 'mailto:') return url.pathname.includes('@') ? { href: url.href, text: raw } : null;
  // An address with a user part reads like another host.
  if (url.username || url.password) return null;
  const ascii = /^[\x00-\x7f]*$/.test(raw.split('/')[2] ?? '');
  return { href: url.href, text: ascii ? raw : url.href };
}

/**
 * Splits a text into plain pieces and links.
 * @returns {Array<{text: string, href?: string}>}
 */
export function linkify(text) {
  const pieces = [];
  let from = 0;
  for (const match of text.matchAll(CANDIDATE)) {
    const raw = trim(match[0]);
    const link = parse(raw);
    if (!link) continue;
    if (match.index > from) pieces.push({ text: text.slice(from, match.index) });
    pieces.push(link);
    from = match.index + raw.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from) });
  return pieces;
}
