import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setCatalogue } from '../../../web-ui/app/i18n/index.js';
import { setPlace } from '../../../web-ui/app/ui/format.js';
import { evidence, isDurableElsewhere, ledger } from '../../../web-ui/app/message/delivery.js';
import { layout, marksWithin } from '../../../web-ui/app/message/runs.js';
import { delivery } from '../mock/world.mjs';

setCatalogue(JSON.parse(readFileSync(new URL('../../../web-ui/i18n/en.json', import.meta.url))));
setPlace({ locale: 'en-GB', timeZone: 'UTC' });

const at = Date.parse('2026-11-22T10:31:04Z');
const own = (state, extra, n = 0) => ({ id: `m${state}${n}`, author: 'me', text: 'x', sent_at: new Date(at + n * 1000).toISOString(), delivery: delivery(state, at, extra) });
const theirs = (n) => ({ id: `t${n}`, author: 'them', text: 'y', sent_at: new Date(at + n * 1000).toISOString(), delivery: null });

test('the evidence line says what is proven and what is waited for', () => {
  assert.equal(evidence(own('queued', { why: { code: 'contact_offline', next_try_at: '2026-11-22T10:48:00Z' } }), 'Tomás'), '10:31 · Queued, waiting for Tomás’s computer, next try 10:48');
  assert.equal(evidence(own('custody'), 'Tomás'), '10:31 · A relay holds it for Tomás');
  assert.equal(evidence(own('delivered'), 'Tomás'), '10:31 · Delivered');
  assert.equal(evidence(own('read'), 'Tomás'), '10:31 · Read');
  assert.equal(evidence(own('failed', { why: { code: 'x', text: 'Keys changed.' } }), 'Tomás'), 'Not sent. Keys changed.');
});

test('a reason this page does not know is left out, not shown as a code', () => {
  assert.equal(evidence(own('queued', { why: { code: 'brand_new', next_try_at: null } }), 'T'), '10:31 · Queued');
});

test('a bubble fills only when its bytes are durable somewhere else', () => {
  assert.deepEqual(['queued', 'custody', 'delivered', 'read', 'failed'].map((state) => isDurableElsewhere(own(state).delivery)), [false, true, true, true, false]);
});

test('the ledger keeps proven steps and hopes apart', () => {
  const told = ledger(own('custody', { why: { code: 'in_custody', text: 'Off.', next_try_at: '2026-11-22T10:48:00Z' } }), 'Tomás');
  assert.deepEqual(told.steps.map((step) => step.kind), ['done', 'now', 'todo', 'todo']);
  assert.equal(told.relay, 'holds');
  assert.equal(told.answer, 'Off.');
  assert.match(told.steps[1].text, /^relay\.lindgarden\.example signed for it and keeps it until 6 December$/);
  assert.equal(told.steps[2].time, 'Next try 10:48');
  assert.deepEqual(ledger(own('read', { relay: true }), 'T').steps.map((step) => step.kind), ['done', 'done', 'done', 'done']);
  assert.deepEqual(ledger(own('failed'), 'T').steps.map((step) => step.kind), ['done', 'miss']);
});

test('there is one evidence line per change of state, under the last message that reached it', () => {
  const days = layout([own('read', {}, 1), theirs(2), own('read', {}, 3), own('delivered', {}, 4), own('delivered', {}, 5), own('custody', {}, 6)], null);
  const shown = days[0].runs.flatMap((run) => run.rows).filter((row) => row.evidence).map((row) => row.message.id);
  assert.deepEqual(shown, ['mread3', 'mdelivered5', 'mcustody6']);
});

test('every failed message keeps its own line, with its own buttons', () => {
  const days = layout([own('failed', {}, 1), own('failed', {}, 2)], null);
  assert.equal(days[0].runs[0].rows.filter((row) => row.evidence).length, 2);
});

test('runs break at the author, the unread line and a long pause', () => {
  const days = layout([theirs(1), theirs(2), theirs(3), theirs(3 + 3600)], 't3');
  assert.deepEqual(days[0].runs.map((run) => [run.rows.length, run.line]), [[2, false], [1, true], [1, false]]);
  const [first] = days[0].runs;
  assert.deepEqual(first.rows.map((row) => [row.first, row.last]), [[true, false], [false, true]]);
});

test('a mark stands between the messages that were before and after it, on a day of its own if need be', () => {
  const mark = (n) => new Date(at + n * 1000).toISOString();
  const shown = (marks) => layout([theirs(1), theirs(3)], null, marks).flatMap((day) => day.runs.map((run) => (run.mark ? 'mark' : run.rows.map((row) => row.message.id).join())));
  assert.deepEqual(shown([mark(2)]), ['t1', 'mark', 't3']);
  assert.deepEqual(shown([mark(4), mark(0)]), ['mark', 't1,t3', 'mark']);
  assert.deepEqual(layout([theirs(1)], null, [mark(3 * 86_400)]).map((day) => day.runs.length), [1, 1]);
  assert.deepEqual(layout([], null, [mark(0)])[0].runs.length, 1);
  const all = [mark(0), mark(2), mark(4)];
  const loaded = (hasBefore, hasAfter) => marksWithin(all, { items: [theirs(1), theirs(3)], hasBefore, hasAfter });
  assert.deepEqual(loaded(false, false), all);
  assert.deepEqual(loaded(true, true), [mark(2)]);
});

test('days are split by the calendar of the place', () => {
  const night = [{ ...theirs(0), sent_at: '2026-11-21T23:59:59Z' }, { ...theirs(1), sent_at: '2026-11-22T00:00:00Z' }];
  assert.deepEqual(layout(night, null).map((day) => day.day), ['2026-11-21', '2026-11-22']);
});
