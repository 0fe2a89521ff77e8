// Camera frames as the node reads them: binary portable graymaps (P5). Pure.

/**
 * Packs RGBA pixels into a P5 graymap.
 * @param {Uint8ClampedArray | Uint8Array} rgba four bytes a pixel
 * @returns {Uint8Array}
 */
export function toGraymap(rgba, width, height) {
  if (rgba.length !== width * height * 4) throw new RangeError('pixels and size disagree');
  const head = new TextEncoder().encode(`P5\n${width} ${height}\n255\n`);
  const out = new Uint8Array(head.length + width * height);
  out.set(head);
  for (let pixel = 0, at = head.length; pixel < rgba.length; pixel += 4, at += 1) {
    // Rec. 601 luma in integers.
    out[at] = (rgba[pixel] * 77 + rgba[pixel + 1] * 150 + rgba[pixel + 2] * 29) >> 8;
  }
  return out;
}
