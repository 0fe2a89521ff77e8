// The pages without a session: no link, ended, locked, damaged, no answer.
import { html, useEffect, useState } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { Wordmark } from '../ui/icon.js';
import { Empty, ProblemNote, problemText } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { moment } from '../ui/format.js';
import { damage, phase, problem, recover, start, unlock } from './session.js';

function Frame({ children }) {
  return html`<div class="fr"><header class="fr-top"><h1 class="vh">${t('app/title')}</h1><${Wordmark} /></header><main data-landmark tabIndex="-1">${children}</main><footer class="fr-foot">${t('session/foot')}</footer></div>`;
}

const mono = (text) => html`<code class="mono cmd">${text}</code>`;

function NoSession() {
  const why = problem.value && !problem.value.unreachable ? problemText(problem.value) : '';
  return html`<${Frame}><${Empty} art="key" title=${t(phase.value === 'ended' ? 'session/ended_title' : 'session/none_title')}
    text=${why || t('session/none_text')}>
    <p>${parts('session/run', { command: mono('kith open') })}</p>
    <p class="small mute">${t('session/one_use')}</p>
  <//><//>`;
}

function Locked() {
  const [passphrase, setPassphrase] = useState('');
  const open = useAction(async (event) => {
    event.preventDefault();
    try {
      await unlock(passphrase);
    } finally {
      setPassphrase('');
    }
  });
  return html`<${Frame}><form class="sheet" onSubmit=${open.run}>
    <h2 class="big-title">${t('unlock/title')}</h2>
    <p class="lead">${t('unlock/lead')}</p>
    <input class="vh" type="text" autocomplete="username" value="Kith" readonly tabIndex="-1" aria-hidden="true" />
    <label class="field"><span>${t('unlock/label')}</span>
      <input class="input" type="password" autocomplete="current-password" autofocus value=${passphrase} onInput=${(event) => setPassphrase(event.target.value)} /></label>
    <${ProblemNote} problem=${open.problem} />
    <div class="row-btns"><button class="btn main big" disabled=${!passphrase || open.busy}>${open.busy ? t('unlock/opening') : t('unlock/open')}</button></div>
  </form><//>`;
}

function Damaged() {
  const now = useNow();
  const [found, setFound] = useState(null);
  useEffect(() => {
    damage().then(setFound, () => {});
  }, []);
  const goOn = useAction(recover);
  return html`<${Frame}><div class="sheet">
    <h2 class="big-title">${t('damaged/title')}</h2>
    <p class="lead">${t('damaged/lead')}</p>
    ${found && html`<p>${t('damaged/copy', { when: moment(found.copy_from, now) })}</p>`}
    <p>${t('damaged/next')}</p>
    <${ProblemNote} problem=${goOn.problem} />
    <div class="row-btns"><button type="button" class="btn main big" disabled=${goOn.busy} onClick=${goOn.run}>${t(goOn.busy ? 'damaged/busy' : 'damaged/do')}</button></div>
    <p class="small mute">${parts('damaged/other', { command: mono('kith restore') })}</p>
    ${found && html`<p class="small mute">${t('damaged/why', { why: found.why })}</p>`}
  </div><//>`;
}

function Lost() {
  return html`<${Frame}><${Empty} art="broken" title=${t('lost/title')} text=${problem.value && !problem.value.unreachable ? problemText(problem.value) : t('lost/text')}>
    <p>${parts('lost/run', { command: mono('kith up') })}</p>
    <div class="row-btns"><button type="button" class="btn main" onClick=${start}>${t('act/retry')}</button></div>
  <//><//>`;
}

const Boot = () => html`<${Frame}><p class="boot" role="status">${t('session/boot')}</p><//>`;

const PAGES = { boot: Boot, none: NoSession, ended: NoSession, locked: Locked, damaged: Damaged, lost: Lost };

/** The page for the present phase. */
export function SessionPage() {
  return html`<${PAGES[phase.value]} />`;
}
