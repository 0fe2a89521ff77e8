// Every screen the interface has, and how to get there. Used by the tests and for looking.
import { ROUTES } from '../mock/api.mjs';
import { addRequest, iso } from '../mock/world.mjs';

/** By the page's own clock: what it had to do before, effects too, is done. */
const settle = (page) => page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done)), 150)));

/** @type {Record<string, { world?: string, hash?: string, prepare?: Function, signIn?: boolean, act?: Function, ready: string }>} */
export const SCREENS = {
  'no-session': { signIn: false, act: ({ page, mock }) => page.goto(mock.origin), ready: '.cmd' },
  'used-link': { signIn: false, act: ({ page, mock }) => page.goto(`${mock.origin}/#login=${'x'.repeat(43)}`), ready: '.cmd', refused: true },
  locked: { signIn: false, prepare: (node) => { node.locked = true; }, act: ({ page, mock }) => page.goto(mock.open()), ready: 'input[type=password]', refused: true },
  damaged: { signIn: false, prepare: (node) => { node.damaged = { why: 'the store is damaged and was left as it is: its records contradict each other', copy_from: iso(node.now() - 7_200_000) }; }, act: ({ page, mock }) => page.goto(mock.open()), ready: 'text=What was found', refused: true },
  lost: { signIn: false, prepare: (node) => node.fault({ path: /sync/, status: 503, code: 'starting', detail: 'The node is still opening its store. Try again in a moment.' }), act: ({ page, mock }) => page.goto(mock.open()), ready: '.art', refused: true },
  welcome: { world: 'fresh', ready: '.hero' },
  restore: {
    world: 'fresh', hash: '#/start/restore', ready: '[role=alert]', refused: true,
    act: async ({ page }) => {
      await page.setInputFiles('input[type=file]', { name: 'kith-2026-11-20.backup', mimeType: 'application/octet-stream', buffer: Buffer.from('sealed') });
      await page.fill('[name=words]', 'zoo '.repeat(23) + 'vote');
      await page.click('.btn.main');
    },
  },
  restored: {
    world: 'fresh', hash: '#/start/restore', ready: '.tag.ok',
    act: async ({ page, node }) => {
      await page.setInputFiles('input[type=file]', { name: 'kith-2026-11-20.backup', mimeType: 'application/octet-stream', buffer: Buffer.from('sealed') });
      await page.fill('[name=words]', ROUTES['POST /backup/phrase'](node)[1].words.join(' '));
      await page.click('.btn.main');
    },
    refused: true,
  },
  register: { world: 'fresh', hash: '#/start/register', ready: '[name=identifier]' },
  code: {
    world: 'fresh', hash: '#/start/register', ready: '.otp',
    act: async ({ page }) => {
      await page.fill('[name=identifier]', 'ada@lindgarden.example');
      await page.click('.btn.main');
      await page.waitForSelector('.otp:focus');
      await page.keyboard.type('111111');
      await page.waitForSelector('[role=alert]');
    },
    refused: true,
  },
  name: { world: 'fresh', hash: '#/start/name', ready: '[name=name]' },
  'start-meet': { world: 'named', hash: '#/start/meet', ready: '.qr-paper img' },
  'start-scan': { world: 'named', hash: '#/start/meet', ready: '.scan-again', act: ({ page }) => page.click('#tab-scan') },
  'start-request': {
    world: 'named', hash: '#/start/meet', ready: '.card .sas',
    act: async ({ page, node }) => {
      await page.waitForSelector('.qr-paper img');
      node.scanned('Ilse Brandt');
    },
  },
  'first-home': { world: 'named', ready: '.todo-card' },
  home: { ready: '.row' },
  search: {
    ready: '.rows-none',
    act: async ({ page }) => {
      await page.keyboard.press('Control+k');
      await page.waitForSelector('.find input:focus');
      await page.keyboard.type('wheelbarow');
    },
  },
  'began-anew': {
    hash: '#/chats/chat-ben', ready: '.notice.began',
    prepare: (node) => {
      const chat = node.world.chats.find((each) => each.id === 'chat-ben');
      const contact = node.world.contacts.find((each) => each.id === chat.contact_id);
      contact.began_anew = [iso(node.now() - 60_000)];
      contact.keys_renewed_at = contact.began_anew[0];
    },
  },
  conversation: { hash: '#/chats/chat-ben', ready: '[data-message]' },
  unread: { hash: '#/chats/chat-meera', ready: '.new-line' },
  waiting: { hash: '#/chats/chat-toms', ready: '.why' },
  failed: { hash: '#/chats/chat-leo', ready: '.evidence.bad' },
  typing: {
    hash: '#/chats/chat-ben', ready: '.typing-row .dots',
    act: async ({ page, node }) => {
      await page.waitForSelector('[data-message]');
      node.setPresence(node.world.contacts[0].id, { typing: true });
    },
  },
  unsent: {
    hash: '#/chats/chat-ben', ready: '.evidence.bad', refused: true,
    act: async ({ page, node }) => {
      await page.waitForSelector('[data-message]');
      node.fault({ method: 'POST', path: /messages$/, status: 503, code: 'busy', detail: 'The store is busy with a backup. Try again in a minute.' });
      await page.fill('textarea', 'Will this go?');
      await page.keyboard.press('Enter');
    },
  },
  ledger: { hash: '#/chats/chat-toms', ready: '.panel .ledger', act: async ({ page }) => { await page.click('.why >> nth=0'); } },
  'ledger-read': { hash: '#/chats/chat-ben', ready: '.panel .ledger', act: async ({ page }) => { await page.click('.evidence-how >> nth=0'); } },
  about: { hash: '#/chats/chat-ben/about', ready: '.panel .sas' },
  safety: { hash: '#/chats/chat-ben/about', ready: '.safety-digits li', act: ({ page }) => page.click('text=Compare safety number') },
  'safety-done': {
    hash: '#/chats/chat-ben/about', ready: 'dialog .tag.ok',
    act: async ({ page }) => {
      await page.click('text=Compare safety number');
      await page.click('text=They are the same');
    },
  },
  'safety-differs': {
    hash: '#/chats/chat-ben/about', ready: 'text=Look again',
    act: async ({ page }) => {
      await page.click('text=Compare safety number');
      await page.click('text=They differ');
    },
  },
  'passphrase-none': { hash: '#/settings/safety', ready: 'text=Set a passphrase' },
  'passphrase-set': {
    hash: '#/settings/safety', ready: '[autocomplete=new-password]',
    prepare: (node) => { node.passphrase = 'beans and peas'; node.unanswered = [node.world.contacts[0].id]; },
    act: ({ page }) => page.click('text=Change or remove'),
  },
  phrase: {
    hash: '#/settings/safety', ready: '.phrase li',
    act: async ({ page }) => {
      await page.click('text=Show the words');
      await page.click('dialog >> text=Show the words');
    },
  },
  'phrase-check': {
    hash: '#/settings/safety', ready: 'dialog input',
    act: async ({ page }) => {
      await page.click('text=Show the words');
      await page.click('dialog >> text=Show the words');
      await page.click('text=I have written them down');
    },
  },
  remove: { hash: '#/chats/chat-ben/about', ready: 'dialog[open]', act: ({ page }) => page.click('.panel .btn.danger') },
  'too-long': { hash: '#/chats/chat-ben', ready: '.limit.bad', act: async ({ page }) => { await page.waitForSelector('[data-message]'); await page.fill('textarea', 'é'.repeat(8500)); } },
  meet: { world: 'requests', hash: '#/meet/show', ready: '.qr-paper img' },
  scan: { world: 'requests', hash: '#/meet/scan', ready: '.scan-again' },
  'meet-list': { world: 'requests', hash: '#/meet', ready: '.rows .row' },
  preview: {
    world: 'home', hash: '#/meet/scan', ready: '.card',
    act: async ({ page }) => {
      await page.waitForSelector('.scan-again');
      await page.fill('.other-ways input', 'KITH:I1/GRACE');
      await page.click('.other-ways .btn');
    },
  },
  incoming: { world: 'requests', hash: (node) => `#/meet/request/${node.world.requests[0].id}`, ready: '.card .sas' },
  outgoing: { world: 'requests', hash: (node) => `#/meet/request/${node.world.requests[1].id}`, ready: '.card .sas' },
  looking: { world: 'requests', hash: (node) => `#/meet/request/${node.world.requests[2].id}`, ready: '.card .ledger' },
  gone: { world: 'home', prepare: (node) => addRequest(node.world, Date.now() - 9e6, { name: 'Grace', direction: 'outgoing', state: 'gone' }), hash: (node) => `#/meet/request/${node.world.requests[0].id}`, ready: '.card' },
  strip: { world: 'requests', ready: '.strip .sas-line' },
  'strip-conversation': { world: 'requests', hash: '#/chats/chat-ben', ready: '.strip' },
  invite: { world: 'requests', hash: '#/meet/invite/i-jun', ready: '.qr-paper img' },
  'invite-tried': { world: 'requests', hash: '#/meet/invite/i-poster', ready: '.hint.warn' },
  settings: { hash: '#/settings', ready: '.navrow' },
  connection: { hash: '#/settings/connection', ready: '.line.warn' },
  'connection-bad': {
    hash: '#/settings/connection', ready: '.line.bad',
    prepare: (node) => {
      Object.assign(node.world.network, { online: false });
      Object.assign(node.world.network.relays[0], { state: 'unreachable', reservation: 'none', detail: 'The last try ended after 10 s without an answer.' });
      Object.assign(node.world.registration, { state: 'expired' });
    },
  },
  suspended: {
    hash: '#/settings/connection', ready: '.line.bad',
    prepare: (node) => Object.assign(node.world.registration, { state: 'suspended' }),
  },
  displaced: {
    hash: '#/settings/connection', ready: '.line.warn',
    prepare: (node) => Object.assign(node.world.registration, { state: 'displaced', displaced_at: '2026-11-20T10:00:00Z' }),
  },
  'leave-relay': {
    hash: '#/settings/connection', ready: 'dialog[open]',
    act: async ({ page }) => page.click('.btn.danger'),
  },
  profile: { hash: '#/settings/profile', ready: '.name-row' },
  look: { hash: '#/settings/look', ready: '.choices' },
  browser: { hash: '#/settings/browser', ready: '.line' },
  node: { hash: '#/settings/about', ready: '.facts' },
  keys: { ready: 'dialog[open]', act: ({ page }) => page.keyboard.press('Control+/') },
  offline: { hash: '#/chats/chat-ben', ready: '.banner', refused: true, act: async ({ page, mock }) => { await page.waitForSelector('[data-message]'); await mock.down(); } },
  notice: {
    ready: '.notices .hint',
    act: ({ node }) => node.emit('notice', { code: 'journal_trimmed', text: 'Leo’s machine changed its keys. Compare the six symbols again before you trust it.', at: iso(Date.now()) }),
  },
  hostile: { world: 'hostile', hash: '#/chats/chat-x', ready: '[data-message]' },
};

/** Brings a screen up; returns the opened UI. */
export async function showScreen(openUi, browser, name, options) {
  const screen = SCREENS[name];
  const ui = await openUi(browser, { world: screen.world, prepare: screen.prepare, signIn: screen.signIn, ...options });
  if (screen.refused) ui.expect(/Failed to load resource|WebSocket connection/);
  const hash = typeof screen.hash === 'function' ? screen.hash(ui.node) : screen.hash;
  if (hash) await ui.page.evaluate((to) => { location.hash = to; }, hash);
  await settle(ui.page);
  await screen.act?.(ui);
  await ui.page.waitForSelector(screen.ready, { timeout: 20_000 });
  await settle(ui.page);
  return ui;
}
