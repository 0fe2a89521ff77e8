// For people: `node run.mjs shots [screen…]` draws every screen, both themes, two widths.
import { mkdirSync } from 'node:fs';
import { launch, openUi } from './ui/harness.mjs';
import { SCREENS, showScreen } from './ui/screens.mjs';

const [, , what, ...names] = process.argv;
if (what !== 'shots') {
  process.stderr.write('usage: node run.mjs shots [screen…]   (SHOTS=directory)\n');
  process.exit(2);
}
const into = process.env.SHOTS ?? new URL('./out/', import.meta.url).pathname;
mkdirSync(into, { recursive: true });
const browser = await launch();
for (const name of names.length ? names : Object.keys(SCREENS)) {
  for (const width of [390, 1180]) {
    for (const theme of ['light', 'dark']) {
      try {
        const ui = await showScreen(openUi, browser, name, { width, theme, height: width === 390 ? 800 : 780 });
        await ui.page.screenshot({ path: `${into}/${name}-${width}-${theme}.png` });
        if (ui.faults.length) process.stdout.write(`${name} ${width} ${theme}\n  ${ui.faults.join('\n  ')}\n`);
        await ui.close();
      } catch (failure) {
        process.stdout.write(`${name} ${width} ${theme} FAILED ${failure.message}\n`);
      }
    }
  }
}
await browser.close();
