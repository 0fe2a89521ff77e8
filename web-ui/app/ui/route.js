// Places in the interface as hash paths. `parse` and `path` are pure.

/** @typedef {{ area: string, view?: string, id?: string, panel?: string, about?: string }} Place */

const AREAS = new Set(['chats', 'meet', 'settings', 'start']);

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** @returns {Place} an unknown hash is the list of chats */
export function parse(hash) {
  const [area, second, third, fourth] = hash.replace(/^#\/?/, '').split('/').map(decode);
  if (!AREAS.has(area)) return { area: 'chats' };
  if (area === 'chats') return { area, id: second || undefined, panel: third || undefined, about: fourth || undefined };
  return { area, view: second || undefined, id: third || undefined };
}

/** The hash of a place, from its parts. */
export const path = (...steps) => `#/${steps.map(encodeURIComponent).join('/')}`;
