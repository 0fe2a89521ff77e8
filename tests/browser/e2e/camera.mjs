// A film of a screen with a code on it, for Chromium's fake camera.
import { writeFileSync } from 'node:fs';
import { decodeGrey } from './png.mjs';

const WIDTH = 640;
const HEIGHT = 480;
/** Side of the code in the picture: a screen held close, with a margin of room around it. */
const SIDE = 400;
const FRAMES = 10;
/** Brightness of the room. */
const ROOM = 96;

/** The picture's brightness between pixels, as a lens would blend it. */
function sample({ width, height, at }, u, v) {
  const x = Math.min(width - 2, Math.max(0, Math.floor(u)));
  const y = Math.min(height - 2, Math.max(0, Math.floor(v)));
  const [fx, fy] = [Math.min(1, u - x), Math.min(1, v - y)];
  return (at(x, y) * (1 - fx) + at(x + 1, y) * fx) * (1 - fy) + (at(x, y + 1) * (1 - fx) + at(x + 1, y + 1) * fx) * fy;
}

/** One frame: the code a little turned, as a hand would hold it. */
function luma(picture, turn) {
  const frame = Buffer.alloc(WIDTH * HEIGHT, ROOM);
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const scale = picture.width / SIDE;
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      const [dx, dy] = [x - WIDTH / 2, y - HEIGHT / 2];
      const u = (dx * cos + dy * sin + SIDE / 2) * scale;
      const v = (dy * cos - dx * sin + SIDE / 2) * scale;
      if (u >= 0 && v >= 0 && u < picture.width && v < picture.height) frame[y * WIDTH + x] = Math.round(sample(picture, u, v));
    }
  }
  return frame;
}

/** Writes a YUV4MPEG2 film that shows the PNG; it is played over and over. */
export function film(png, path) {
  const picture = decodeGrey(png);
  const grey = Buffer.alloc((WIDTH * HEIGHT) / 2, 128);
  const parts = [Buffer.from(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F10:1 Ip A1:1 C420jpeg\n`)];
  for (let frame = 0; frame < FRAMES; frame += 1) {
    parts.push(Buffer.from('FRAME\n'), luma(picture, 0.03 * Math.sin((frame / FRAMES) * 2 * Math.PI)), grey);
  }
  writeFileSync(path, Buffer.concat(parts));
}

/** What a browser needs to see the film instead of a camera. */
export const cameraFlags = (path) => ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-video-capture=${path}`];
