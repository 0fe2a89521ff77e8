// Reads the pictures that a node serves: PNG, not interlaced, 8 bits a channel or less.
import { inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
/** Channels by colour type; palettes are not served. */
const CHANNELS = { 0: 1, 2: 3, 4: 2, 6: 4 };

function chunks(png) {
  if (!png.subarray(0, 8).equals(SIGNATURE)) throw new Error('not a PNG');
  const found = { IDAT: [] };
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    const data = png.subarray(at + 8, at + 8 + length);
    if (type === 'IDAT') found.IDAT.push(data);
    else found[type] = data;
    at += length + 12;
  }
  return found;
}

function paeth(left, up, corner) {
  const [a, b, c] = [left, up, corner].map((each) => Math.abs(left + up - corner - each));
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

/** Undoes the filter of each line (PNG specification, section 9). */
function unfilter(raw, lineBytes, height, step) {
  const out = Buffer.alloc(lineBytes * height);
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (lineBytes + 1)];
    for (let x = 0; x < lineBytes; x += 1) {
      const left = x >= step ? out[y * lineBytes + x - step] : 0;
      const up = y > 0 ? out[(y - 1) * lineBytes + x] : 0;
      const corner = x >= step && y > 0 ? out[(y - 1) * lineBytes + x - step] : 0;
      const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      out[y * lineBytes + x] = raw[y * (lineBytes + 1) + 1 + x] + guess;
    }
  }
  return out;
}

/**
 * The brightness of every pixel, from its first channel: codes are grey.
 * @returns {{ width: number, height: number, at: (x: number, y: number) => number }} `at` gives 0 to 255
 */
export function decodeGrey(png) {
  const { IHDR, IDAT } = chunks(png);
  const [width, height, depth, colour] = [IHDR.readUInt32BE(0), IHDR.readUInt32BE(4), IHDR[8], IHDR[9]];
  const channels = CHANNELS[colour];
  if (!channels || depth > 8 || IHDR[12] !== 0) throw new Error(`a PNG of depth ${depth}, colour type ${colour}, interlace ${IHDR[12]}`);
  const lineBytes = Math.ceil((width * channels * depth) / 8);
  const pixels = unfilter(inflateSync(Buffer.concat(IDAT)), lineBytes, height, Math.max(1, (channels * depth) >> 3));
  const top = (1 << depth) - 1;
  const at = (x, y) => {
    const bit = x * channels * depth;
    const byte = pixels[y * lineBytes + (bit >> 3)];
    return (((byte >> (8 - depth - (bit & 7))) & top) * 255) / top;
  };
  return { width, height, at };
}
