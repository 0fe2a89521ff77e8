// What a reader of the tree may rely on: vendored bytes, words, sizes, no inline anything.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SYMBOLS } from '../../../web-ui/app/request/symbols.js';
import { policy } from '../mock/server.mjs';

const UI = fileURLToPath(new URL('../../../web-ui/', import.meta.url));
const walk = (folder) => readdirSync(folder).flatMap((name) => {
  const path = join(folder, name);
  return statSync(path).isDirectory() ? walk(path) : [path];
});
const read = (path) => readFileSync(path, 'utf8');
const sources = walk(join(UI, 'app')).filter((path) => path.endsWith('.js'));
const html = read(join(UI, 'index.html'));

test('vendored files have the bytes that the lock names, and a licence beside them', () => {
  const lock = JSON.parse(read(join(UI, 'vendor/LOCK.json')));
  const listed = lock.files.map((each) => each.file).sort();
  assert.deepEqual(listed, walk(join(UI, 'vendor')).filter((path) => path.endsWith('.mjs')).map((path) => relative(join(UI, 'vendor'), path)).sort());
  for (const each of lock.files) {
    const bytes = readFileSync(join(UI, 'vendor', each.file));
    assert.equal(createHash('sha256').update(bytes).digest('hex'), each.sha256, each.file);
    assert.ok(existsSync(join(UI, 'vendor', each.file.split('/')[0], 'LICENSE')), each.package);
    const installed = new URL(`../node_modules/${each.package}/${each.source}`, import.meta.url);
    if (existsSync(installed)) assert.deepEqual(readFileSync(installed), bytes, `${each.package} on npm`);
  }
});

test('every word that is asked for exists, and none is left over', () => {
  const words = JSON.parse(read(join(UI, 'i18n/en.json')));
  const foreign = /^(preact\/hooks|htm\/preact|image\/.*|application\/.*|text\/.*)$/;
  const used = new Set(SYMBOLS.map(([id]) => `symbol/${id}`));
  for (const path of sources) {
    for (const [, key] of read(path).matchAll(/'([a-z]+\/[a-z0-9_]+)'/g)) if (!foreign.test(key)) used.add(key);
  }
  assert.deepEqual([...used].filter((key) => !(key in words)), [], 'missing');
  assert.deepEqual(Object.keys(words).filter((key) => !used.has(key)), [], 'unused');
});

test('every placeholder of a plural has a number, and no word shouts', () => {
  for (const [key, value] of Object.entries(JSON.parse(read(join(UI, 'i18n/en.json'))))) {
    if (typeof value === 'object') assert.ok(value.one && value.other, key);
    assert.ok(!JSON.stringify(value).includes('!'), `${key} has an exclamation mark`);
  }
});

test('index.html holds one inline script, the import map, and no inline style or handler', () => {
  assert.match(policy(html), /'sha256-[A-Za-z0-9+/]+=*'/);
  assert.equal([...html.matchAll(/<script(?![^>]*\bsrc=)/g)].length, 1);
  assert.doesNotMatch(html, /\sstyle=|\son[a-z]+=|<style/);
  assert.doesNotMatch(html, /https?:\/\//);
});

test('every module in the import map and every linked file exists', () => {
  const map = JSON.parse(/<script type="importmap">([\s\S]*?)<\/script>/.exec(html)[1]);
  const linked = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((each) => each[1]);
  for (const path of [...Object.values(map.imports), ...linked]) assert.ok(existsSync(join(UI, path)), path);
});

test('no source writes markup, evaluates text, styles inline or reaches another origin', () => {
  const banned = [/innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML/, /\beval\(|new Function/, /\sstyle=/, /https?:\/\/(?!localhost)/, /document\.cookie|sessionStorage/];
  for (const path of sources) for (const pattern of banned) assert.doesNotMatch(read(path), pattern, relative(UI, path));
});

test('no file is longer than 500 lines', () => {
  for (const path of [...sources, ...walk(join(UI, 'styles'))]) assert.ok(read(path).split('\n').length <= 500, path);
});

test('pure modules import nothing that needs a browser', () => {
  const pure = ['store/state.js', 'store/timeline.js', 'ui/format.js', 'ui/text.js', 'ui/keymap.js', 'ui/route.js', 'message/linkify.js', 'message/delivery.js', 'message/runs.js', 'avatar/weave.js', 'invite/frame.js', 'net/backoff.js', 'net/feed.js', 'net/problem.js', 'i18n/index.js', 'request/symbols.js', 'request/words.js', 'invite/words.js', 'invite/screen-code.js', 'connection/words.js', 'presence/words.js', 'contact/name.js'];
  for (const path of pure) {
    const text = read(join(UI, 'app', path));
    assert.doesNotMatch(text, /from '(?:preact|htm|@preact)/, path);
    assert.doesNotMatch(text.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, ''), /\b(?:document|window|localStorage|navigator)\b/, path);
  }
});

test('colours live in the tokens and nowhere else, but for the code and the camera', () => {
  for (const path of walk(join(UI, 'styles')).filter((each) => !each.endsWith('tokens.css') && !each.endsWith('first-run.css'))) {
    assert.doesNotMatch(read(path).replace(/url\(#/g, ''), /#[0-9a-f]{3,8}\b/i, path);
  }
});
