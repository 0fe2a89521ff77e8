// A person at a browser: one watched page on one node, and what they do with it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { axe, settled, watch } from '../ui/harness.mjs';

const DESK = { width: 1180, height: 780 };
const PHONE = { width: 390, height: 800 };
/** Where pictures of every screen go, for people to look at; nowhere when not asked. */
const SHOTS = process.env.SHOTS;
/** How long anything on a page may take, with two nodes and two browsers on a small machine. */
const PATIENCE_MS = 60_000;

/** Where the pictures of the documentation go; nowhere when not asked. */
const DOCS = process.env.DOCS_SHOTS;
/** The screens the documentation shows, in which theme, under which name. */
const DOCUMENTED = { 'start-meet': ['light', 'first-run'], 'request-incoming': ['light', 'request'], 'ledger-custody': ['dark', 'conversation'] };

for (const folder of [SHOTS, DOCS].filter(Boolean)) mkdirSync(folder, { recursive: true });

/**
 * Opens a node's sign-in link.
 * @returns {Promise<Person>}
 */
export async function sitDown(browser, link, name, { size = DESK, ...more } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: 'light', reducedMotion: 'reduce', locale: 'en-GB', permissions: ['camera'], ...more });
  const person = new Person(context, new URL(link).origin, name, size);
  await person.openTab(link);
  return person;
}

export class Person {
  #watched = [];

  constructor(context, origin, name, size) {
    Object.assign(this, { context, origin, name, size });
  }

  /** Opens a tab; the one before, if it is still open, stays. */
  async openTab(address = this.origin) {
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(PATIENCE_MS);
    await this.page.addInitScript(recordStates);
    this.#watched.push(await watch(this.page, this.origin));
    const served = await this.page.goto(address);
    assert.match(served.headers()['content-security-policy'], /^default-src 'none'; script-src 'self' 'sha256-[^']+';.*require-trusted-types-for 'script'; trusted-types 'none'$/);
    await this.page.waitForSelector('.app, .fr .sheet, .fr .duo');
    assert.equal(new URL(this.page.url()).hash.includes('login'), false, 'the link has left the address');
  }

  /** Admits console errors of the tab: the node is about to be stopped on purpose. */
  expect(pattern) {
    this.#watched.at(-1).expect(pattern);
  }

  /** Clicks a button or link by its words. */
  press(words) {
    return this.page.locator('button:visible, a:visible').filter({ hasText: words }).first().click();
  }

  see(selector, options) {
    return this.page.waitForSelector(selector, options);
  }

  /** Writes and sends. */
  async send(text) {
    await this.page.fill('textarea', text);
    await this.page.press('textarea', 'Enter');
  }

  /** A call of the local API with the token of this browser, as the page makes it. */
  async call(path) {
    const token = await this.page.evaluate(() => localStorage.getItem('kith.token'));
    const answer = await fetch(`${this.origin}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.ok, true, `${path} answered ${answer.status}`);
    return answer;
  }

  /** The picture of the code that is on the screen, as the node serves it. */
  async codePicture() {
    await this.see('.qr-paper img');
    const { items } = await (await this.call('/invites')).json();
    const shown = items.find((each) => each.state === 'active' && each.kind === 'in_person');
    return Buffer.from(await (await this.call(`/invites/${shown.id}/qr.png?size=512`)).arrayBuffer());
  }

  /** The six words of the card that is on the screen, numbered as they are shown. */
  async symbols() {
    await this.see('.card .sas li');
    return this.page.locator('.card .sas li').allInnerTexts();
  }

  /** Every state that a message of theirs was drawn in, first to last. */
  states(text) {
    return this.page.evaluate((words) => globalThis.statesOf(words), text);
  }

  /** Waits until a message of theirs is drawn in a state. */
  reaches(text, state) {
    return this.page.waitForFunction(([words, wanted]) => globalThis.statesOf(words).at(-1) === wanted, [text, state]);
  }

  /** The screen is without fault in both themes and on both sizes; drawn too when that was asked. */
  async look(screen) {
    for (const size of [DESK, PHONE]) {
      for (const theme of ['light', 'dark']) {
        await this.page.setViewportSize(size);
        await this.page.emulateMedia({ colorScheme: theme });
        await settled(this.page);
        if (SHOTS) await this.page.screenshot({ path: `${SHOTS}/${screen}-${size.width}-${theme}.png` });
        const [shown, file] = DOCUMENTED[screen] ?? [];
        if (DOCS && size === DESK && theme === shown) await this.page.screenshot({ path: `${DOCS}/${file}.png` });
        const wide = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${screen} is ${wide} px wider than ${size.width}`);
        assert.deepEqual(await axe(this.page), [], `${screen} ${size.width} ${theme}`);
      }
    }
    await this.page.setViewportSize(this.size);
    await this.page.emulateMedia({ colorScheme: 'light' });
  }

  async assertClean() {
    assert.deepEqual(await this.context.cookies(), []);
    for (const { faults } of this.#watched) assert.deepEqual(faults, [], `${this.name}'s page`);
  }

  leave() {
    return this.context.close();
  }
}

/** Runs in the page: notes each state that the last bubble with some words is drawn in. */
function recordStates() {
  const seen = new Map();
  const note = () => {
    for (const bubble of document.querySelectorAll('.run.mine .msg')) {
      const line = bubble.nextElementSibling;
      const bond = line?.matches('.evidence') ? line.querySelector('.bond') : null;
      const state = bond && /bond-(\w+)/.exec(bond.getAttribute('class'))[1];
      const words = bubble.querySelector('span:not(.vh)')?.textContent;
      const states = seen.get(words) ?? [];
      if (state && states.at(-1) !== state) seen.set(words, [...states, state]);
    }
  };
  globalThis.statesOf = (words) => seen.get(words) ?? [];
  new MutationObserver(note).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] });
}
