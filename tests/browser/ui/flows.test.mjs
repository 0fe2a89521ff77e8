// What a person does, start to end, against the mock.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { launch, openUi } from './harness.mjs';
import { ROUTES } from '../mock/api.mjs';
import { qrPng } from '../mock/pictures.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const REFUSED = /Failed to load resource|WebSocket connection/;

async function withUi(options, run) {
  const ui = await openUi(browser, options);
  try {
    await run(ui);
    ui.assertClean();
  } finally {
    await ui.close();
  }
}

const until = async (what, check, ms = 8000) => {
  const end = Date.now() + ms;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((done) => setTimeout(done, 30));
  }
};

/** Waits until what is read is what is wanted: a page draws after the event that told it. */
const becomes = async (read, wanted) => {
  let last;
  await until(`${JSON.stringify(wanted)}`, async () => isDeepStrictEqual(last = await read(), wanted)).catch(() => assert.deepEqual(last, wanted));
};
const counts = (locator, wanted) => becomes(() => locator.count(), wanted);

const send = async (page, text) => {
  await page.fill('textarea', text);
  await page.press('textarea', 'Enter');
};

test('the first minute leads from welcome to a first conversation', () => withUi({ world: 'fresh' }, async ({ page, node }) => {
  await page.click('text=Begin');
  await page.fill('[name=identifier]', 'ada@lindgarden.example');
  await page.click('text=Send a code');
  await page.waitForSelector('.otp:focus');
  await page.locator('.otp').pressSequentially('41 70 26');
  await page.fill('[name=name]', 'Ada');
  await page.click('text=Continue');
  await page.waitForSelector('.qr-paper img');
  const request = node.scanned('Ilse Brandt');
  await page.waitForSelector('.card >> text=Ilse Brandt wants to talk with you');
  await counts(page.locator('.sas li'), 6);
  await page.click('text=They match, accept');
  await page.waitForSelector('textarea');
  assert.equal(request.state, 'accepted');
  await send(page, 'Hello');
  await page.waitForSelector('.bond-delivered');
}));

test('a backup and its words bring a person back at the first start', () => withUi({ world: 'fresh' }, async ({ page, node, expect }) => {
  expect(REFUSED);
  await page.click('text=Restore a backup');
  const main = page.locator('.btn.main');
  await becomes(() => main.isDisabled(), true);
  await page.setInputFiles('input[type=file]', { name: 'kith.backup', mimeType: 'application/octet-stream', buffer: Buffer.from('sealed') });
  // Copied as the command line shows them: their numbers are no words.
  await page.fill('[name=words]', Array.from({ length: 22 }, (_, at) => `${at + 1} zoo`).join('\n'));
  await page.waitForSelector('text=22 words of 24');
  await becomes(() => main.isDisabled(), true);
  await page.fill('[name=words]', 'zoo '.repeat(23) + 'vote');
  await main.click();
  await page.waitForSelector('text=These are not the words of this backup');
  const { words } = ROUTES['POST /backup/phrase'](node)[1];
  await page.fill('[name=words]', words.join('\n'));
  await main.click();
  await page.waitForSelector('text=5 contacts and 214 messages');
  assert.equal(node.calls.filter((call) => call.path === '/restore/file').length, 1, 'mistaken words send no file twice');
  await page.click('text=To your chats');
  await page.waitForSelector('.row');
}));

test('a login link works once, leaves the address at once, and the token is kept', () => withUi({ world: 'home' }, async ({ page, mock, expect }) => {
  expect(REFUSED);
  assert.equal(new URL(page.url()).hash.includes('login'), false);
  await page.reload();
  await page.waitForSelector('.row');
  await page.goto(`${mock.origin}/#login=${'y'.repeat(43)}`);
  await page.reload();
  await page.waitForSelector('.row');
  assert.equal(new URL(page.url()).hash, '');
  await page.evaluate(() => localStorage.clear());
  await page.goto(`${mock.origin}/#login=${'x'.repeat(43)}`);
  await page.waitForSelector('text=used already');
}));

test('a session that ends shows where to get a fresh link', () => withUi({}, async ({ page, node, expect }) => {
  expect(REFUSED);
  node.tokens.clear();
  for (const tab of node.tabs) tab.drop();
  await page.waitForSelector('text=kith open');
}));

test('a locked vault asks for the passphrase and then opens', () => withUi({ signIn: false, prepare: (node) => { node.locked = true; } }, async ({ page, mock, expect }) => {
  expect(REFUSED);
  await page.goto(mock.open());
  await page.fill('[type=password]', 'peas');
  await page.click('.btn.main');
  await page.waitForSelector('[role=alert] >> text=not the passphrase');
  await page.fill('[type=password]', 'beans');
  await page.click('.btn.main');
  await page.waitForSelector('.row');
}));

test('messages that do not open come back from the copy, once the person says so', () => withUi({ signIn: false, prepare: (node) => { node.damaged = { why: 'a page is gone', copy_from: new Date(node.now() - 3_600_000).toISOString() }; } }, async ({ page, node, mock, expect }) => {
  expect(REFUSED);
  await page.goto(mock.open());
  await page.waitForSelector('text=a page is gone');
  node.fault({ path: /recover/, status: 500, code: 'not_recovered', detail: 'The copy could not be used: the disk is full. Make room, and try again.' });
  await page.click('.btn.main');
  await page.waitForSelector('[role=alert] >> text=Make room');
  await page.click('.btn.main');
  await page.waitForSelector('.row');
  assert.equal(node.damaged, null);
}));

test('a contact is verified by the digits, and that can be taken back', () => withUi({ hash: '#/chats/chat-ben/about' }, async ({ page, node }) => {
  await page.click('text=Compare safety number');
  await page.waitForSelector('.safety-digits li >> nth=11');
  await page.click('text=They are the same');
  await page.waitForSelector('dialog .tag >> text=Verified by the digits');
  await until('the node knows', () => node.world.contacts.some((each) => each.verified));
  await page.click('text=Not verified any more');
  await page.waitForSelector('text=They are the same');
  await page.keyboard.press('Escape');
  await counts(page.locator('.panel .tag'), 0);
}));

test('a passphrase is set, locks every tab, opens it again, and is removed', () => withUi({ hash: '#/settings/safety' }, async ({ page, node, expect }) => {
  expect(REFUSED);
  await page.click('text=Set a passphrase');
  const [first, second] = [page.locator('[autocomplete=new-password] >> nth=0'), page.locator('[autocomplete=new-password] >> nth=1')];
  await first.fill('beans');
  await second.fill('beans');
  await becomes(() => page.locator('form .btn.main').isDisabled(), true);
  await first.fill('beans and peas');
  await second.fill('peas and beans');
  await page.click('form .btn.main');
  await page.waitForSelector('[role=alert] >> text=not the same');
  assert.equal(node.passphrase, undefined);
  await second.fill('beans and peas');
  await page.click('form .btn.main');
  await page.waitForSelector('text=Lock now');
  assert.equal(node.passphrase, 'beans and peas');
  await page.click('text=Lock now');
  await page.fill('[autocomplete=current-password]', 'beans');
  await page.click('.btn.main');
  await page.waitForSelector('text=Change or remove');
  await page.click('text=Change or remove');
  await page.fill('[autocomplete=current-password]', 'beans and peas');
  await page.click('text=Remove passphrase');
  await page.waitForSelector('text=Set a passphrase');
  assert.equal(node.passphrase, null);
}));

test('a tab whose vault another one locked asks for the passphrase', () => withUi({}, async ({ page, node, expect }) => {
  expect(REFUSED);
  node.locked = true;
  for (const tab of node.tabs) tab.drop();
  await page.waitForSelector('[type=password]');
}));

test('the recovery phrase is shown once asked for, and checked word by word', () => withUi({ hash: '#/settings/safety' }, async ({ page }) => {
  await page.click('text=Show the words');
  await page.click('dialog >> text=Show the words');
  const shown = page.locator('.phrase li');
  await counts(shown, 24);
  const words = await shown.allTextContents();
  await page.click('text=I have written them down');
  const fields = page.locator('dialog .field');
  await counts(fields, 3);
  for (let at = 0; at < 3; at += 1) await fields.nth(at).locator('input').fill('zoo');
  await page.waitForSelector('[role=alert]');
  for (let at = 0; at < 3; at += 1) {
    const number = Number((await fields.nth(at).locator('span').textContent()).match(/\d+/)[0]);
    await fields.nth(at).locator('input').fill(words[number - 1]);
  }
  await page.click('text=They are right');
  await page.waitForSelector('text=Now save a backup');
}));

test('words appear at once, go once, and carry their evidence', () => withUi({ hash: '#/chats/chat-ben', prepare: (node) => { node.peopleAnswer = false; } }, async ({ page, node }) => {
  await page.waitForSelector('[data-message]');
  await send(page, 'Unique words');
  const bubble = page.locator('.msg', { hasText: 'Unique words' });
  await bubble.waitFor();
  await until('the node has it', () => node.world.messages['chat-ben'].at(-1).text === 'Unique words');
  await until('it is drawn as waiting', async () => /waiting/.test(await bubble.getAttribute('class')));
  const message = node.world.messages['chat-ben'].at(-1);
  node.advance(message, 'custody', { why: { code: 'in_custody', text: 'Ben is off.', next_try_at: null } });
  await page.waitForSelector('.run.mine >> nth=-1 >> .bond-custody');
  node.advance(message, 'read');
  await page.waitForSelector('.run.mine >> nth=-1 >> .bond-read');
  await until('it waits no more', async () => !/waiting/.test(await bubble.getAttribute('class')));
  await counts(bubble, 1);
  await becomes(() => page.inputValue('textarea'), '');
}));

test('Shift+Enter makes a line, Enter inside an input method sends nothing', () => withUi({ hash: '#/chats/chat-ben' }, async ({ page, node }) => {
  await page.waitForSelector('textarea:focus');
  await page.keyboard.type('one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  await becomes(() => page.inputValue('textarea'), 'one\ntwo');
  await page.evaluate(() => document.querySelector('textarea').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true, cancelable: true })));
  assert.equal(node.calls.some((call) => call.method === 'POST' && call.path.endsWith('/messages')), false);
}));

test('a draft is kept on the node and shown in the list', () => withUi({ hash: '#/chats/chat-ben' }, async ({ page, node }) => {
  await page.waitForSelector('textarea:focus');
  const began = Date.now();
  await page.keyboard.type('half a thought');
  await until('the draft is saved', () => node.chat('chat-ben').draft === 'half a thought');
  const told = node.calls.filter((call) => call.path.endsWith('/typing') && call.body?.typing).length;
  assert.ok(told <= 2 + (Date.now() - began) / 3000, `${told} times`);
  await page.keyboard.press('Alt+ArrowDown');
  await page.waitForSelector('.draft >> text=half a thought');
  await page.goBack();
  await until('it is back', async () => (await page.inputValue('textarea')) === 'half a thought');
}));

test('words wait while the node is away and go when it is back, in order and once', () => withUi({ hash: '#/chats/chat-ben' }, async ({ page, node, mock, expect }) => {
  expect(REFUSED);
  await page.waitForSelector('[data-message]');
  await mock.down();
  await send(page, 'first');
  await send(page, 'second');
  await page.waitForSelector('text=These words wait in this tab');
  await page.waitForSelector('.banner');
  await mock.up();
  await page.click('text=Try now', { timeout: 2000 }).catch(() => {});
  await until('both arrived', () => node.world.messages['chat-ben'].filter((each) => ['first', 'second'].includes(each.text)).length === 2, 20_000);
  assert.deepEqual(node.world.messages['chat-ben'].slice(-2).map((each) => each.text), ['first', 'second']);
  await page.waitForSelector('.banner', { state: 'detached' });
  await until('shown once', async () => (await page.locator('.msg', { hasText: 'first' }).count()) === 1);
}));

test('events missed while away are resumed, and a reset reads everything again', () => withUi({ hash: '#/chats/chat-ben' }, async ({ page, node, expect }) => {
  expect(REFUSED);
  await page.waitForSelector('[data-message]');
  for (const tab of node.tabs) tab.drop();
  node.tabs.clear();
  node.hear('chat-ben', 'while you were out');
  await page.waitForSelector('.msg >> text=while you were out');
  const before = node.calls.filter((call) => call.path === '/sync').length;
  node.world.messages['chat-ben'].at(-1).text = 'changed on the node';
  node.reset();
  await page.waitForSelector('.msg >> text=changed on the node');
  assert.equal(node.calls.filter((call) => call.path === '/sync').length, before + 1);
}));

test('only what was visible in a focused tab is reported as read', () => withUi({ world: 'home', hash: '#/chats/chat-noor' }, async ({ page, node, context }) => {
  const other = await context.newPage();
  await other.goto('about:blank');
  await other.bringToFront();
  await page.evaluate(() => {
    Object.defineProperty(document, 'hasFocus', { value: () => false, configurable: true });
    dispatchEvent(new Event('blur'));
  });
  node.hear('chat-noor', 'are you there?');
  await page.waitForSelector('.msg >> text=are you there?');
  await page.waitForTimeout(600);
  assert.equal(node.chat('chat-noor').unread, 1);
  await page.bringToFront();
  await page.evaluate(() => {
    Object.defineProperty(document, 'hasFocus', { value: () => true, configurable: true });
    dispatchEvent(new Event('focus'));
  });
  await until('read', () => node.chat('chat-noor').unread === 0);
  assert.equal(node.calls.some((call) => call.path === '/me/presence' && call.body.focused === true), true);
}));

test('the unread line stays where it was when the chat was opened', () => withUi({ hash: '#/chats/chat-meera' }, async ({ page, node }) => {
  await page.waitForSelector('.new-line >> text=2 new');
  await until('all read', () => node.chat('chat-meera').unread === 0);
  await counts(page.locator('.new-line'), 1);
}));

test('history is paged in, capped, and does not move what is on the screen', () => withUi({ world: 'long', hash: '#/chats/chat-ben' }, async ({ page }) => {
  await page.waitForSelector('.log >> text=Message number 699');
  const moves = [];
  for (let round = 0; round < 9; round += 1) {
    const before = await page.evaluate(() => document.querySelectorAll('[data-message]').length);
    const top = await page.evaluate(() => {
      const log = document.querySelector('.log');
      log.scrollTop = 0;
      const row = document.querySelector('[data-message]');
      return { id: row.dataset.message, top: row.getBoundingClientRect().top };
    });
    await until('older ones', () => page.evaluate((id) => {
      const came = document.querySelector('[data-message]').dataset.message !== id;
      // The conversation goes to its end as it is drawn, maybe after this.
      if (!came) document.querySelector('.log').scrollTop = 0;
      return came;
    }, top.id));
    moves.push(await page.evaluate(({ id, top: was }) => Math.abs((document.querySelector(`[data-message="${id}"]`)?.getBoundingClientRect().top ?? was) - was), top));
    const count = await page.evaluate(() => document.querySelectorAll('[data-message]').length);
    assert.ok(count <= 300 && count >= before, `${before} → ${count}`);
  }
  assert.ok(moves.every((px) => px <= 2), `moved by ${moves}`);
  await page.click('.jump');
  await page.waitForSelector('.log >> text=Message number 699');
}));

test('new words away from the end are counted, not scrolled to', () => withUi({ world: 'long', hash: '#/chats/chat-ben' }, async ({ page, node }) => {
  await page.waitForSelector('.log >> text=Message number 699');
  // The conversation goes to its end as it is drawn, maybe after this.
  await until('away from the end', () => page.evaluate(() => {
    const log = document.querySelector('.log');
    log.scrollTop = log.scrollHeight - log.clientHeight - 900;
    return Boolean(document.querySelector('.jump'));
  }));
  const at = await page.evaluate(() => document.querySelector('.log').scrollTop);
  node.hear('chat-ben', 'psst');
  await page.waitForSelector('.jump >> text=1 new');
  assert.ok(Math.abs((await page.evaluate(() => document.querySelector('.log').scrollTop)) - at) < 3);
  await page.click('.jump');
  await page.waitForSelector('.jump', { state: 'detached' });
  await page.waitForSelector('[role=log] >> text=psst');
}));

test('a failure is shown where it happened, with its sentence, and can be tried again', () => withUi({ hash: '#/chats/chat-leo' }, async ({ page, node, expect }) => {
  expect(REFUSED);
  await page.waitForSelector('.evidence.bad');
  node.fault({ method: 'POST', path: /retry$/, status: 409, code: 'session_broken', detail: 'The keys are being renewed. Try again in a minute.' });
  await page.click('.evidence.bad >> text=Try again');
  await page.waitForSelector('[role=alert] >> text=The keys are being renewed');
  await page.click('[role=alert] button:has-text("Try again")');
  await page.waitForSelector('.evidence >> text=/Queued/');
}));

test('a code is renewed before it ends, and the old one is revoked', () => withUi({ world: 'named', prepare: (node) => { const lives = [22]; Object.defineProperty(node, 'inviteLife', { get: () => lives.shift() ?? 600 }); }, hash: '#/meet/show' }, async ({ page, node }) => {
  await page.waitForSelector('.qr-paper img');
  const [first] = node.world.invites;
  await until('renewed', () => node.world.invites.length === 2 && first.state === 'revoked', 20_000);
  await page.waitForSelector('.qr-paper img');
}));

test('a pasted link leads to a preview, a request with its why, and taking it back', () => withUi({ world: 'named', hash: '#/meet/scan' }, async ({ page, node, expect }) => {
  expect(REFUSED);
  await page.fill('.other-ways input', 'not a code');
  await page.click('text=Use this link');
  await page.waitForSelector('[role=alert] >> text=not a Kith invite');
  await page.fill('.other-ways input', 'KITH:I1/GRACE');
  await page.click('text=Use this link');
  await page.waitForSelector('text=Ask this person to connect?');
  await page.click('.btn.main');
  await page.waitForSelector('text=Looking for their computer');
  const request = node.world.requests.at(-1);
  node.move(request, 'waiting', { symbols: [0, 1, 2, 3, 4, 63], why: { code: 'awaiting_acceptance', text: 'They have to accept.', next_try_at: null } });
  await page.waitForSelector('.sas >> text=Heart');
  await page.click('text=Take it back');
  await until('withdrawn', () => request.state === 'withdrawn');
}));

test('a picture can be chosen, and a wrong file says so', () => withUi({ world: 'named', hash: '#/meet/scan' }, async ({ page }) => {
  await page.setInputFiles('input[type=file]', { name: 'x.txt', mimeType: 'text/plain', buffer: Buffer.from('no') });
  await page.waitForSelector('[role=alert] >> text=not a PNG');
  await page.setInputFiles('input[type=file]', { name: 'qr.png', mimeType: 'image/png', buffer: qrPng('KITH:I1/X') });
  await page.waitForSelector('text=Ask this person to connect?');
}));

test('camera frames go to the node until it finds a code, and the camera stops', async () => {
  const cam = await launch(['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream']);
  const ui = await openUi(cam, { world: 'named', hash: '#/meet/scan', context: { permissions: ['camera'] } });
  ui.expect(REFUSED);
  try {
    await ui.page.waitForSelector('text=Ask this person to connect?', { timeout: 60_000 });
    assert.equal(ui.node.calls.filter((call) => call.path === '/invites/decode').length, 3);
    await counts(ui.page.locator('video'), 0);
    ui.assertClean();
  } finally {
    await ui.close();
    await cam.close();
  }
});

test('a request is on every screen, and rejecting it takes it away', () => withUi({ world: 'requests' }, async ({ page, node }) => {
  for (const hash of ['#/chats', '#/settings', '#/meet/invite/i-jun']) {
    await page.evaluate((to) => { location.hash = to; }, hash);
    await page.waitForSelector('.list .strip >> text=Ilse Brandt');
  }
  await page.click('.list .strip >> text=Reject');
  await page.waitForSelector('.strip', { state: 'detached' });
  assert.equal(node.world.requests[0].state, 'rejected');
}));

test('everything is reachable from the keyboard, and the focus comes back', () => withUi({ hash: '#/chats/chat-toms' }, async ({ page }) => {
  await page.waitForSelector('.why');
  await page.focus('.why >> nth=0');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.panel h2:focus');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.panel', { state: 'detached' });
  await page.waitForSelector('.why:focus');
  await page.keyboard.press('Control+k');
  await page.waitForSelector('.find input:focus');
  await page.keyboard.type('jun');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.conv-head >> text=Jun');
  await page.keyboard.press('Alt+i');
  await page.waitForSelector('.qr-paper img');
  await page.keyboard.press('Control+/');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.keyboard.press('F6');
  await until('a landmark', () => page.evaluate(() => document.activeElement.hasAttribute('data-landmark')));
}));

test('arrows move in the list with one tab stop', () => withUi({}, async ({ page }) => {
  await page.waitForSelector('.row');
  await counts(page.locator('.rows [tabindex="0"]'), 1);
  await page.focus('.rows [tabindex="0"]');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  await becomes(() => page.evaluate(() => document.activeElement === [...document.querySelectorAll('.row')].at(-1)), true);
  await counts(page.locator('.rows [tabindex="0"]'), 1);
}));

test('hostile words stay words', () => withUi({ world: 'hostile', hash: '#/chats/chat-x' }, async ({ page }) => {
  await page.waitForSelector('[data-message]');
  await counts(page.locator('.msg img, .msg script, .list img, .list script'), 0);
  assert.doesNotMatch(await page.title(), /owned/);
  await becomes(() => page.locator('.msg a').evaluateAll((links) => links.map((link) => [link.href, link.rel])), [['https://xn--80ak6aa92e.example/x', 'noopener noreferrer nofollow']]);
  assert.doesNotMatch(await page.locator('.conv-head').innerText(), /\u202e/);
}));

test('tabs stay in step, and the title counts what waits', () => withUi({}, async ({ page, context, node, mock }) => {
  const second = await context.newPage();
  await second.goto(`${mock.origin}/#/chats/chat-ben`);
  await second.waitForSelector('[data-message]');
  await page.evaluate(() => { location.hash = '#/chats/chat-ben'; });
  await page.waitForSelector('[data-message]');
  await send(page, 'seen in both');
  await second.waitForSelector('.msg >> text=seen in both');
  await until('the title', async () => (await page.title()) === '(2) Kith');
  node.scanned('Ilse');
  await until('the title', async () => (await page.title()) === '(3) Kith');
}));

test('the theme is chosen per browser and holds over a reload', () => withUi({ hash: '#/settings/look' }, async ({ page }) => {
  await page.click('text=Dark');
  await page.waitForSelector('html[data-theme=dark]');
  await page.reload();
  await page.waitForSelector('.app');
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
}));

test('the policy of the page blocks markup, evaluation and inline styles', () => withUi({}, async ({ page, expect }) => {
  expect(/CSP|Content Security|Trusted|violates|eval/i);
  const outcome = await page.evaluate(() => new Promise((done) => setTimeout(() => {
    const got = {};
    try { document.body.innerHTML = '<b>x</b>'; got.markup = 'written'; } catch (fault) { got.markup = fault.name; }
    try { new Function('return 1')(); got.code = 'ran'; } catch (fault) { got.code = fault.name; }
    done(got);
  })));
  assert.equal(outcome.markup, 'TypeError');
  assert.notEqual(outcome.code, 'ran');
}));

test('a relay is left here only, or there too once it answers', () => withUi({ hash: '#/settings/connection', prepare: (node) => { node.world.relayIsDown = true; } }, async ({ page, node, expect }) => {
  expect(REFUSED);
  await page.click('.btn.danger');
  const dialog = page.locator('dialog[open]');
  await dialog.getByText('Erase it there too', { exact: true }).click();
  await dialog.getByText('The relay does not answer').waitFor();
  assert.equal(node.world.registration.state, 'registered', 'nothing has changed');
  node.world.relayIsDown = false;
  await dialog.getByText('Erase it there too', { exact: true }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal(node.world.erased, true);
  await page.getByText('Not registered', { exact: true }).waitFor();
}));

test('who is not served any more is told why, wherever they look', () => withUi({ hash: '#/settings/connection' }, async ({ page, node }) => {
  for (const [state, title, care] of [
    ['suspended', 'Suspended', 'has suspended your account'],
    ['displaced', 'Taken over', 'Another device registered at your relay'],
  ]) {
    Object.assign(node.world.registration, { state, displaced_at: '2026-11-20T10:00:00Z' });
    node.emit('registration.changed', node.world.registration);
    await page.getByText(title, { exact: true }).waitFor();
    await page.getByText(care).first().waitFor();
  }
}));
