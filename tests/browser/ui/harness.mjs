// One browser, one page per test; every page is watched for what must never happen.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { startMock } from '../mock/server.mjs';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const launch = (extra = []) =>
  chromium.launch({ executablePath: process.env.KITH_CHROMIUM ?? '/usr/bin/chromium', args: [...FLAGS, ...extra] });

/**
 * Watches a page for what must never happen.
 * @returns `faults` so far; `expect` admits console errors that match; `assertClean` fails on any fault
 */
export async function watch(page, origin) {
  const faults = [];
  const expected = [];
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`CSP ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  page.on('pageerror', (error) => faults.push(`page error: ${error.stack}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    const text = `${message.text()} ${message.location().url}`;
    if (!expected.some((each) => each.test(text))) faults.push(`console: ${text}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin && !/^(blob|data):/.test(request.url())) faults.push(`foreign request: ${request.url()}`);
  });
  page.on('websocket', (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) faults.push(`foreign socket: ${socket.url()}`);
  });
  return { faults, expect: (pattern) => expected.push(pattern), assertClean: () => assert.deepEqual(faults, []) };
}

/**
 * Opens the UI on a mock.
 * @returns page, node levers, and `faults`: CSP violations, console errors and foreign requests so far
 */
export async function openUi(browser, { world = 'home', width = 1180, height = 800, theme = 'light', signIn = true, hash = '', prepare, motion = 'reduce', context: more = {} } = {}) {
  const mock = await startMock({ world });
  prepare?.(mock.node);
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: motion, locale: 'en-GB', ...more });
  const page = await context.newPage();
  const { faults, expect, assertClean } = await watch(page, mock.origin);
  if (signIn) {
    await page.goto(mock.open());
    await page.waitForFunction(() => !location.hash.includes('login'));
    await page.waitForSelector('.app, .fr .sheet, .fr .duo');
    // What is told only once reaches only a tab that listens.
    for (const end = Date.now() + 30_000; mock.node.tabs.size === 0;) {
      assert.ok(Date.now() < end, 'the page never listened');
      await new Promise((done) => setTimeout(done, 10));
    }
    if (hash) await page.evaluate((to) => { location.hash = to; }, hash);
  }
  const close = async () => {
    await context.close();
    await mock.down();
  };
  return { page, context, node: mock.node, mock, faults, expect, close, assertClean };
}

/** Waits for the change of dress: two frames, then every transition that ends. */
export const settled = (page) => page.evaluate(async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  await frame();
  const ending = document.getAnimations().filter((each) => each.effect.getComputedTiming().iterations !== Infinity);
  await Promise.all(ending.map((each) => each.finished.catch(() => {})));
});

/** Runs axe on what is shown; the source is injected past the page's policy by the debugger. */
export async function axe(page) {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => globalThis.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  return result.violations.map((each) => `${each.id}: ${each.help}\n${each.nodes.slice(0, 4).map((node) => `   ${node.html.slice(0, 160)}\n     ${node.failureSummary?.split('\n')[1] ?? ''}`).join('\n')}`);
}
