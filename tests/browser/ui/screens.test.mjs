// Every screen, light and dark, on a phone and on a desk: no accessibility
// violation, no policy violation, no console error, no foreign request, no
// sideways scrolling.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { axe, launch, openUi, settled } from './harness.mjs';
import { SCREENS, showScreen } from './screens.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const SIZES = [{ width: 1180, height: 800 }, { width: 390, height: 800 }];

async function look(page, size, theme) {
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: theme });
  await settled(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} px wider than ${size.width}`);
  assert.deepEqual(await axe(page), [], `${size.width} ${theme}`);
}

for (const name of Object.keys(SCREENS)) {
  test(`${name} is clean in every dress`, async () => {
    const ui = await showScreen(openUi, browser, name, SIZES[0]);
    try {
      for (const theme of ['light', 'dark']) for (const size of SIZES) await look(ui.page, size, theme);
      ui.assertClean();
    } finally {
      await ui.close();
    }
  });
}

for (const name of ['home', 'conversation', 'ledger', 'start-meet', 'incoming', 'connection', 'code']) {
  test(`${name} reflows at 320 px`, async () => {
    const ui = await showScreen(openUi, browser, name, { width: 320, height: 640 });
    const wide = await ui.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} px too wide`);
    await ui.close();
  });
}
