// The weave of an avatar: a pigment and a 4×4 Truchet tiling drawn from the
// first bytes of `symbol_seed`, which comes from the identity key. Pure.
// It helps to recognise a key and proves nothing.

/** Pigments to choose from. */
export const PIGMENTS = 8;
const TILES = 4;
const STEP = 10;

function bytes(seed) {
  const pairs = /^[0-9a-f]{2,}$/i.test(seed ?? '') ? seed.match(/../g) : ['00'];
  const out = pairs.map((pair) => Number.parseInt(pair, 16));
  while (out.length < 8) out.push(out[out.length % pairs.length]);
  return out;
}

/**
 * @param {string} seed hexadecimal, 8 bytes
 * @returns {{ pigment: number, path: string }} the path lies on a 40 grid
 */
export function weave(seed) {
  const all = bytes(seed);
  const bits = (all[1] ^ all[3] ^ all[5]) * 256 + (all[2] ^ all[4] ^ all[6]);
  let path = '';
  for (let tile = 0; tile < TILES * TILES; tile += 1) {
    const x = (tile % TILES) * STEP;
    const y = Math.floor(tile / TILES) * STEP;
    path += (bits >> tile) & 1
      ? `M${x + 5} ${y}q0 5-5 5M${x + 10} ${y + 5}q-5 0-5 5`
      : `M${x + 5} ${y}q0 5 5 5M${x} ${y + 5}q5 0 5 5`;
  }
  return { pigment: (all[0] ^ all[7]) % PIGMENTS, path };
}
