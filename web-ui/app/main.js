// Starts the page: words, session, screens. Everything else is imported from here.
import { html, effect, render } from './ui/h.js';
import { setCatalogue, t } from './i18n/index.js';
import { setPlace } from './ui/format.js';
import { place } from './ui/here.js';
import { Shell } from './ui/shell.js';
import { Shortcuts } from './ui/shortcuts.js';
import { phase, start } from './session/session.js';
import { SessionPage } from './session/pages.js';
import { startBeat } from './presence/beat.js';
import { Banner } from './connection/banner.js';
import { FirstRun } from './registration/first-run.js';
import { incoming, me, unread } from './store/index.js';

const LANGUAGE = 'en';

function App() {
  if (phase.value !== 'ready') return html`<${SessionPage} />`;
  const starting = !me.value.name || place.value.area === 'start';
  return html`<div class="frame"><${Banner} />${starting ? html`<${FirstRun} />` : html`<${Shell} />`}<${Shortcuts} /></div>`;
}

const words = await fetch(`/i18n/${LANGUAGE}.json`);
setCatalogue(await words.json(), LANGUAGE);
setPlace({ locale: navigator.languages.find((each) => each.startsWith(LANGUAGE)) ?? 'en-GB' });
document.documentElement.lang = LANGUAGE;

effect(() => {
  const waiting = phase.value === 'ready' ? unread.value + incoming.value.length : 0;
  document.title = waiting > 0 ? t('app/title_badge', { n: waiting }) : t('app/title');
});

// Every form is sent by script; the policy would block the browser's own way.
addEventListener('submit', (event) => event.preventDefault());

startBeat();
render(html`<${App} />`, document.getElementById('app'));
await start();
