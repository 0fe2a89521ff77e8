import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setCatalogue, t, parts } from '../../../web-ui/app/i18n/index.js';
import { cleanName, initial, inviterName, measure, shortId, TEXT_MAX } from '../../../web-ui/app/ui/text.js';
import { linkify } from '../../../web-ui/app/message/linkify.js';
import { weave, PIGMENTS } from '../../../web-ui/app/avatar/weave.js';
import { toGraymap } from '../../../web-ui/app/invite/frame.js';
import { actionOf, neighbour, rove, SHORTCUTS, caps } from '../../../web-ui/app/ui/keymap.js';
import { FIRST_MS, LONGEST_MS, waitFor } from '../../../web-ui/app/net/backoff.js';
import { parse, path } from '../../../web-ui/app/ui/route.js';
import * as format from '../../../web-ui/app/ui/format.js';
import { SYMBOLS, symbolAt } from '../../../web-ui/app/request/symbols.js';

const words = JSON.parse(readFileSync(new URL('../../../web-ui/i18n/en.json', import.meta.url)));
setCatalogue(words, 'en');
format.setPlace({ locale: 'en-GB', timeZone: 'UTC' });

test('a name loses bidi controls, control characters and line breaks', () => {
  assert.equal(cleanName('Ada\u202Egnp.exe'), 'Ada gnp.exe');
  assert.equal(cleanName('\u2066\u0000 A\nB \u2069'), 'A B');
  assert.equal(cleanName('\u200b\u202e', 'Somebody'), 'Somebody');
  assert.equal(cleanName('x'.repeat(64_000)).length, 80);
});

test('the letter of an avatar is a letter or number of any script', () => {
  assert.equal(initial('  "élodie'), 'É');
  assert.equal(initial('<3 7up'), '3');
  assert.equal(initial('***'), '·');
});

test('the limit counts bytes of UTF-8, not characters', () => {
  assert.equal(measure('a'.repeat(TEXT_MAX)).over, 0);
  assert.equal(measure('a'.repeat(TEXT_MAX + 1)).over, 1);
  assert.equal(measure('é'.repeat(TEXT_MAX / 2 + 1)).over, 2);
  assert.equal(measure('hello').near, false);
  assert.equal(measure('a'.repeat(15_000)).near, true);
});

test('an account id is never taken for a name', () => {
  assert.equal(inviterName({ inviter: 'kith1a3f6be78' + '0'.repeat(30) }), '');
  assert.equal(inviterName({ inviter: 'Ada' }), 'Ada');
  assert.equal(shortId('kith1234567890abcdef'), 'kith12…cdef');
});

test('only http, https and mailto become links', () => {
  const links = (text) => linkify(text).filter((piece) => piece.href).map((piece) => piece.href);
  assert.deepEqual(links('see https://a.example/x, http://b.example.'), ['https://a.example/x', 'http://b.example/']);
  assert.deepEqual(links('mailto:ada@x.example'), ['mailto:ada@x.example']);
  assert.deepEqual(links('javascript:alert(1) data:text/html,x file:///etc ftp://x.example vbscript:x'), []);
  assert.deepEqual(links('https://user:pw@evil.example/'), []);
  assert.deepEqual(links('(https://en.example/wiki/Bean_(plant))'), ['https://en.example/wiki/Bean_(plant)']);
});

test('a host in another script is shown as punycode', () => {
  const [link] = linkify('https://аррӏе.example/x');
  assert.equal(link.href, 'https://xn--80ak6aa92e.example/x');
  assert.equal(link.text, link.href);
});

test('linkify gives back every character of what is not a link', () => {
  for (const text of ['', 'plain', 'a https://x.example b', '<img src=x onerror=alert(1)>', 'https://', '🙂 https://x.example/🙂']) {
    const pieces = linkify(text);
    if (!pieces.some((piece) => piece.href)) assert.equal(pieces.map((piece) => piece.text).join(''), text);
  }
});

test('the weave is the same for one seed and differs between seeds', () => {
  assert.deepEqual(weave('00112233aabbccdd'), weave('00112233aabbccdd'));
  assert.notEqual(weave('00112233aabbccdd').path, weave('00112233aabbccde'.replace('22', '23')).path);
  for (const seed of ['', 'zz', '00', 'ffffffffffffffff', undefined]) {
    const { pigment, path: line } = weave(seed);
    assert.ok(pigment >= 0 && pigment < PIGMENTS);
    assert.equal(line.match(/M/g).length, 32);
  }
});

test('a frame becomes a P5 graymap by luma', () => {
  const map = toGraymap(new Uint8ClampedArray([255, 255, 255, 255, 0, 0, 0, 255, 255, 0, 0, 255, 0, 255, 0, 255]), 2, 2);
  const head = 'P5\n2 2\n255\n';
  assert.equal(Buffer.from(map.subarray(0, head.length)).toString(), head);
  assert.deepEqual([...map.subarray(head.length)], [255, 0, 76, 149]);
  assert.throws(() => toGraymap(new Uint8Array(4), 2, 2), RangeError);
});

test('a shortcut is found on any layout, and never inside an input method', () => {
  const press = (key, more = {}) => actionOf({ key, ctrlKey: false, altKey: false, shiftKey: false, metaKey: false, ...more });
  assert.equal(press('k', { ctrlKey: true }), 'search');
  assert.equal(press('k', { metaKey: true }), 'search');
  assert.equal(press('ı', { altKey: true, code: 'KeyI' }), 'invite');
  assert.equal(press('ArrowDown', { altKey: true, shiftKey: true }), 'nextUnread');
  assert.equal(press('k', { ctrlKey: true, isComposing: true }), null);
  assert.equal(press('k'), null);
  assert.equal(new Set(SHORTCUTS.map((each) => each.keys)).size, SHORTCUTS.length);
  assert.deepEqual(caps('Ctrl+K', true), ['⌘', 'K']);
});

test('arrows stop at the ends of a list and wrap between chats', () => {
  assert.equal(rove('ArrowDown', 2, 3), 2);
  assert.equal(rove('ArrowUp', 0, 3), 0);
  assert.equal(rove('End', 0, 3), 2);
  assert.equal(rove('a', 0, 3), null);
  assert.equal(neighbour(['a', 'b'], 'b', 1), 'a');
  assert.equal(neighbour(['a', 'b'], undefined, -1), 'b');
  assert.equal(neighbour([], 'a', 1), null);
});

test('waits grow, are jittered and bounded', () => {
  assert.equal(waitFor(1, 1), FIRST_MS);
  assert.equal(waitFor(1, 0), FIRST_MS / 2);
  assert.ok(waitFor(4, 0) > waitFor(2, 0));
  assert.equal(waitFor(1000, 1), LONGEST_MS);
});

test('a place survives its hash, whatever the id', () => {
  const id = 'a/b c#%é';
  assert.deepEqual(parse(path('chats', id, 'why', 'm/1')), { area: 'chats', id, panel: 'why', about: 'm/1' });
  assert.deepEqual(parse('#/nonsense'), { area: 'chats' });
  assert.deepEqual(parse('#/chats/%E0%A4%A'), { area: 'chats', id: '%E0%A4%A', panel: undefined, about: undefined });
});

test('days, times and spans read as words', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  assert.equal(format.dayLabel('2026-11-22T00:01:00Z', now), 'Today');
  assert.equal(format.dayLabel('2026-11-21T23:59:00Z', now), 'Yesterday');
  assert.equal(format.dayLabel('2026-11-18T10:00:00Z', now), 'Wednesday');
  assert.equal(format.dayLabel('2025-07-03T10:00:00Z', now), '3 July 2025');
  assert.equal(format.rowTime('2026-11-22T09:05:00Z', now), '09:05');
  assert.equal(format.rowTime('2026-11-19T09:05:00Z', now), 'Thu');
  assert.equal(format.moment('2026-11-21T09:05:00Z', now), 'yesterday at 09:05');
  assert.equal(format.countdown(444_000), '7:24');
  assert.equal(format.countdown(-5), '0:00');
  assert.equal(format.remaining(60_000), '1 minute');
  assert.equal(format.remaining(21 * 3_600_000), '21 hours');
  assert.equal(format.remaining(5 * 86_400_000), '5 days');
});

test('a text fills its placeholders, picks its plural, and keeps elements whole', () => {
  assert.equal(t('chats/unread', { n: 1 }), '1 unread');
  assert.equal(t('code/tries', { n: 1 }), 'One try left.');
  const mark = { an: 'element' };
  assert.deepEqual(parts('code/sent_to', { who: mark }), ['Sent to ', mark, '.']);
  assert.equal(t('no/such_key'), 'no/such_key');
});

test('there are 64 symbols, all different in name, picture and word', () => {
  assert.equal(SYMBOLS.length, 64);
  assert.equal(new Set(SYMBOLS.map(([id]) => id)).size, 64);
  assert.equal(new Set(SYMBOLS.map(([, line]) => line)).size, 64);
  assert.equal(new Set(SYMBOLS.map(([id]) => words[`symbol/${id}`])).size, 64);
  assert.equal(symbolAt(64), null);
  assert.equal(symbolAt(0).id, 'kettle');
});
