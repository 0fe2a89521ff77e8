// The first conversation on the real thing: real nodes, a real relay, real browsers.
//
// Each page is watched: a violated policy, a console error or a request to
// anywhere but its own node fails the test.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { launch } from '../ui/harness.mjs';
import { cameraFlags, film } from './camera.mjs';
import { sitDown } from './person.mjs';
import { startDemo, startNode, startRelay, temporary } from './process.mjs';

/** States only ever go this way. */
const ORDER = ['queued', 'custody', 'delivered', 'read'];
/** What a browser says when a node is stopped on purpose. */
const GONE = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED|WebSocket connection|status of 401/;
const PHONE = { width: 390, height: 800 };

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** Runs with things to undo, in reverse, whatever happens. */
async function undone(run) {
  const undo = [];
  try {
    await run((step) => undo.push(step));
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

function assertOrder(states) {
  assert.equal(states[0], 'queued', `started as ${states}`);
  assert.deepEqual(states, ORDER.filter((each) => states.includes(each)), 'a state went back');
}

/** The names of the six, without their numbers and whatever stands between. */
const names = (symbols) => symbols.map((each) => each.replace(/\W+/g, ' ').trim());

test('in the demonstration Ben scans Ada’s code with a camera, and the two talk', () => undone(async (later) => {
  const place = temporary();
  later(place.remove);
  const demo = await startDemo();
  later(demo.stop);
  const ada = await sitDown(browser, demo.links.ada, 'Ada');
  await ada.see('.todo-card li.done >> nth=1');
  await ada.look('first-home');
  await ada.press('Show my code');
  const reel = join(place.folder, 'code.y4m');
  film(await ada.codePicture(), reel);

  const camera = await launch(cameraFlags(reel));
  later(() => camera.close());
  const ben = await sitDown(camera, demo.links.ben, 'Ben');
  await ben.press('Scan a code');
  await ben.see('.card >> text=connect?');
  await ben.page.waitForSelector('video', { state: 'detached' });
  await ben.look('preview');
  await ben.press('Ask');

  await ada.see('.card >> text=Ben wants to talk with you');
  const six = await ada.symbols();
  assert.equal(six.length, 6);
  assert.deepEqual(names(await ben.symbols()), names(six));
  await ada.look('request-incoming');
  await ben.look('request-outgoing');
  await ada.press('They match, accept');
  await ada.see('.conv-head >> text=Ben');
  await ada.see('.opening');
  await ada.look('conversation-empty');
  // Accepted: Ben is taken along.
  await ben.see('.conv-head >> text=Ada');
  await ben.see('.conv-head >> text=Here now');
  await ada.see('.conv-head >> text=Here now');

  // It is told once, and holds for seconds: whoever looks afterwards may be too late.
  const typing = ben.see('.typing-row >> text=Ada is typing');
  await ada.page.locator('textarea').pressSequentially('Six out of six. Tea at four?', { delay: 100 });
  await typing;
  await ada.page.press('textarea', 'Enter');
  await ben.see('.run.plain >> text=Six out of six');
  await ben.page.waitForFunction(() => !document.querySelector('.typing-row')?.textContent.trim());
  await ada.reaches('Six out of six. Tea at four?', 'read');
  assertOrder(await ada.states('Six out of six. Tea at four?'));
  await ben.send('Yes! I bring the apricot cake.');
  await ada.see('.run.plain >> text=apricot cake');
  await ben.reaches('Yes! I bring the apricot cake.', 'read');
  assertOrder(await ben.states('Yes! I bring the apricot cake.'));

  await ben.page.evaluate(() => { location.hash = '#/settings/connection'; });
  await ben.see('.pane-title');
  await ada.send('Then I wash the good cups.');
  await ben.see('.rail [role=img][aria-label="1 new"]');
  await ben.page.waitForFunction(() => document.title === '(1) Kith');
  await ben.look('connection');
  await ben.page.close();
  await ada.send('Bring Leo along.');
  await ada.reaches('Bring Leo along.', 'delivered');
  await ben.openTab(`${ben.origin}/#/chats`);
  await ben.see('.row [aria-label="2 unread"]');
  await ben.look('unread');
  // A relay may have held it meanwhile.
  const went = await ada.states('Bring Leo along.');
  assertOrder(went);
  assert.equal(went.at(-1), 'delivered');
  await ben.press('Ada');
  await ben.see('.new-line');
  await ada.reaches('Bring Leo along.', 'read');
  await ben.page.waitForFunction(() => document.title === 'Kith');
  await ben.send('He is on his way.');
  await ada.see('.run.plain >> text=on his way');
  await ada.look('conversation');
  await ada.press('Read');
  await ada.see('.panel .ledger');
  await ada.look('ledger-read');
  await ada.page.keyboard.press('Escape');
  await ada.page.click('.who-link');
  await ada.see('.panel .sas');
  await ada.look('about');
  await ada.assertClean();
  await ben.assertClean();
}));

/** The first minute on an empty node, with the code that a development relay shows. */
async function firstMinute(person, identifier, screens) {
  const look = (screen) => screens && person.look(screen);
  await person.see('.hero');
  await look('welcome');
  await person.press('Begin');
  await person.see('[name=identifier]');
  await look('register');
  await person.page.fill('[name=identifier]', identifier);
  await person.press('Send a code');
  await person.see('.otp:focus');
  const code = await person.page.locator('.code-dev').innerText();
  assert.match(code, /^\d{6}$/);
  await look('code');
  const wrong = code === '000000' ? '111111' : '000000';
  await person.page.locator('.otp').pressSequentially(wrong);
  await person.see('[role=alert]');
  await look('code-wrong');
  await person.page.locator('.otp').pressSequentially(code);
  await person.see('[name=name]');
  await look('name');
  await person.page.fill('[name=name]', person.name);
  await person.press('Continue');
  await person.see('.qr-paper img');
}

test('from two empty nodes: the first minute, then words that wait at the relay while Ben is off', () => undone(async (later) => {
  const place = temporary();
  later(place.remove);
  const relay = await startRelay(join(place.folder, 'relay'));
  later(relay.stop);
  const nodes = {};
  const start = async (name) => { nodes[name] = await startNode(join(place.folder, name), relay.address); };
  await Promise.all([start('ada'), start('ben')]);
  later(() => nodes.ada.stop());
  later(() => nodes.ben.stop());

  const ada = await sitDown(browser, nodes.ada.link, 'Ada', { size: PHONE });
  ada.expect(/status of 422/);
  await firstMinute(ada, 'ada@lindgarden.example', true);
  await ada.see('.reach .ok');
  await ada.look('start-meet');
  const ben = await sitDown(browser, nodes.ben.link, 'Ben');
  ben.expect(/status of 422/);
  await firstMinute(ben, '+49 1511 2345678', false);

  await ben.press('Scan');
  await ben.see('.scan-again');
  await ben.look('start-scan');
  const { items: [{ text }] } = await (await ada.call('/invites')).json();
  await ben.page.fill('.other-ways input', text);
  await ben.press('Use this link');
  await ben.press('Ask');
  await ada.see('.card >> text=Ben wants to talk with you');
  assert.deepEqual(names(await ben.symbols()), names(await ada.symbols()));
  await ada.look('start-request');
  await ada.press('They match, accept');
  await ben.see('.conv-head >> text=Ada');
  await ada.see('textarea');
  await ada.send('Did you find the ferry times?');
  await ben.see('.run.plain >> text=ferry times');
  await ben.send('Yes, one moment. I have to close the lid here.');
  await ada.see('.run.plain >> text=close the lid');
  await ada.send('No hurry.');
  await ada.reaches('No hurry.', 'read');
  await ada.see('.conv-head >> text=Here now');

  ben.expect(GONE);
  await nodes.ben.stop();
  await ben.see('.banner');
  await ben.page.waitForFunction(() => !document.querySelector('.pres'));
  await ben.look('node-gone');
  await ada.send('The ferry leaves at 9:20.');
  await ada.reaches('The ferry leaves at 9:20.', 'custody');
  await ada.send('Platform two.');
  await ada.reaches('Platform two.', 'custody');
  await ada.see('.evidence >> text=A relay holds it for Ben');
  await ada.see('.conv-head >> text=Last here');
  await ada.look('custody');
  await ada.press('Why?');
  await ada.see('.panel .ledger >> text=signed for it and keeps it until');
  await ada.see('.panel >> text=You can close Kith');
  await ada.look('ledger-custody');
  await ada.page.keyboard.press('Escape');

  await start('ben');
  await ada.reaches('Platform two.', 'delivered');
  await ben.page.goto(nodes.ben.link);
  await ben.see('.row [aria-label="2 unread"]');
  await ben.press('Ada');
  await ada.reaches('Platform two.', 'read');
  assert.deepEqual(await ada.states('Platform two.'), ORDER);
  assert.deepEqual(await ben.page.locator('.run.plain .msg span:not(.vh)').allInnerTexts(), ['Did you find the ferry times?', 'No hurry.', 'The ferry leaves at 9:20.', 'Platform two.']);
  await ada.look('after-custody');
  await ada.assertClean();
  await ben.assertClean();
}));
