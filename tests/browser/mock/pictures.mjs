// Stand-ins for QR pictures: right in shape and contrast, with nothing encoded.
import { createHash } from 'node:crypto';
import { deflateSync, crc32 as zlibCrc } from 'node:zlib';

const SIZE = 37;

function modules(text) {
  const bits = [];
  for (let round = 0; bits.length < SIZE * SIZE; round += 1) {
    for (const byte of createHash('sha256').update(`${round}${text}`).digest()) for (let i = 0; i < 8; i += 1) bits.push((byte >> i) & 1);
  }
  const finder = (x, y) => {
    const ring = Math.max(Math.abs(x - 3), Math.abs(y - 3));
    return ring === 3 || ring <= 1 ? 1 : 0;
  };
  return (x, y) => {
    for (const [ox, oy] of [[0, 0], [SIZE - 7, 0], [0, SIZE - 7]]) {
      const dx = x - ox;
      const dy = y - oy;
      if (dx >= -1 && dx <= 7 && dy >= -1 && dy <= 7) return dx < 0 || dy < 0 || dx > 6 || dy > 6 ? 0 : finder(dx, dy);
    }
    return bits[y * SIZE + x];
  };
}

/** A picture of a code as SVG. */
export function qrSvg(text) {
  const on = modules(text);
  let path = '';
  for (let y = 0; y < SIZE; y += 1) for (let x = 0; x < SIZE; x += 1) if (on(x, y)) path += `M${x + 4} ${y + 4}h1v1h-1z`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE + 8} ${SIZE + 8}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${SIZE + 8}v${SIZE + 8}H0z"/><path fill="#1a1412" d="${path}"/></svg>`;
}

function crc32(bytes) {
  if (zlibCrc) return zlibCrc(bytes);
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ -1) >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** A picture of a code as PNG, greyscale. */
export function qrPng(text, scale = 8) {
  const on = modules(text);
  const side = (SIZE + 8) * scale;
  const rows = Buffer.alloc(side * (side + 1), 255);
  for (let y = 0; y < side; y += 1) {
    rows[y * (side + 1)] = 0;
    for (let x = 0; x < side; x += 1) {
      const mx = Math.floor(x / scale) - 4;
      const my = Math.floor(y / scale) - 4;
      if (mx >= 0 && my >= 0 && mx < SIZE && my < SIZE && on(mx, my)) rows[y * (side + 1) + 1 + x] = 20;
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head[8] = 8;
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}
