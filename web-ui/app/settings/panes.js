// The settings themselves.
import { html, useId, useState } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { CopyButton, ProblemNote } from '../ui/parts.js';
import { useAction } from '../ui/hooks.js';
import { uptime } from '../ui/format.js';
import { path } from '../ui/route.js';
import { shortId } from '../ui/text.js';
import { command } from '../ui/commands.js';
import { api, signOut } from '../session/session.js';
import { me, status } from '../store/index.js';
import { Avatar } from '../avatar/avatar.js';
import { saveProfile } from '../profile/name.js';
import { SafetyPane } from '../backup/pane.js';
import { ConnectionPane } from '../connection/pane.js';
import { PAGES } from './list.js';
import { setTheme, theme } from './theme.js';

const PANES = { profile: Profile, connection: ConnectionPane, safety: SafetyPane, look: Look, browser: Browser, about: About };

/** The page named by the place; the profile when there's no such page. */
export function SettingsPane({ view }) {
  const page = PAGES.find((each) => each.id === view) ?? PAGES[0];
  return html`
    <header class="conv-head"><a class="ib only-small" href=${path('settings')} aria-label=${t('act/back')}><${Icon} name="back" /></a><h2 class="pane-title">${t(page.label)}</h2></header>
    <div class="set" key=${page.id}><div class="set-in"><${PANES[page.id]} /></div></div>`;
}

function Profile() {
  const [name, setName] = useState(me.value.name ?? '');
  const [about, setAbout] = useState(me.value.about ?? '');
  const [saved, setSaved] = useState(false);
  const changed = name.trim() !== (me.value.name ?? '') || about.trim() !== (me.value.about ?? '');
  const save = useAction(async (event) => {
    event.preventDefault();
    await saveProfile({ name: name.trim(), about: about.trim() });
    setSaved(true);
  });
  const edit = (set) => (event) => {
    set(event.target.value);
    setSaved(false);
  };
  return html`<section><form class="block pad stack" onSubmit=${save.run}>
      <div class="name-row"><${Avatar} seed=${me.value.symbol_seed} name=${name} size="xl" /><p class="small mute">${t('name/weave')}</p></div>
      <label class="field"><span>${t('name/label')}</span><input class="input" dir="auto" autocomplete="name" required maxlength="64" value=${name} onInput=${edit(setName)} /></label>
      <label class="field"><span>${t('profile/about')}</span><input class="input" dir="auto" maxlength="140" value=${about} onInput=${edit(setAbout)} /></label>
      <${ProblemNote} problem=${save.problem} />
      <div class="row-btns"><button class="btn main" disabled=${!changed || !name.trim() || save.busy}>${t('act/save')}</button>
        <span class="small mute saved" role="status">${saved && !changed ? t('profile/saved') : ''}</span></div>
    </form></section>
    <section><h2>${t('profile/account')}</h2><div class="block"><div class="line two"><span><span class="mono wrap">${me.value.account}</span><span class="small">${t('profile/account_text')}</span></span>
      <${CopyButton} class="btn sm" text=${me.value.account} label=${t('act/copy')} /></div></div></section>`;
}

const THEMES = [
  { id: 'system', label: 'look/system' },
  { id: 'light', label: 'look/light' },
  { id: 'dark', label: 'look/dark' },
];

function Look() {
  const group = useId();
  return html`<section><fieldset class="block choices"><legend class="vh">${t('look/theme')}</legend>
      ${THEMES.map((each) => html`<label class="line" key=${each.id}><input type="radio" name=${group} checked=${theme.value === each.id} onChange=${() => setTheme(each.id)} /><b>${t(each.label)}</b><span></span></label>`)}
    </fieldset></section>
    <section><h2>${t('look/keyboard')}</h2><div class="block"><div class="line two"><span class="small">${t('look/keyboard_text')}</span>
      <button type="button" class="btn sm" onClick=${() => command('sheet')}>${t('look/keyboard_show')}</button></div></div></section>`;
}

function Browser() {
  const out = useAction(signOut);
  const [url, setUrl] = useState(null);
  const make = useAction(async () => setUrl((await api.post('/session/login-links')).url));
  return html`<section><div class="block">
      <div class="line"><${Icon} name="screen" /><div><b>${t('browser/this')}</b><span class="small">${t('browser/this_text')}</span></div>
        <button type="button" class="btn sm danger" disabled=${out.busy} onClick=${out.run}>${t('browser/sign_out')}</button></div>
      <div class="line"><${Icon} name="key" /><div><b>${t('browser/other')}</b><span class="small">${t('browser/other_text')}</span></div>
        ${url ? html`<${CopyButton} class="btn sm" text=${url} label=${t('invite/copy_link')} icon="copy" />` : html`<button type="button" class="btn sm" disabled=${make.busy} onClick=${make.run}>${t('browser/make_link')}</button>`}</div>
    </div><${ProblemNote} problem=${out.problem ?? make.problem} /></section>`;
}

function About() {
  const { profile, build, uptime_seconds: up, data_dir: dir, account } = status.value;
  return html`<section><div class="block pad"><dl class="facts flush">
      <dt>${t('about/build')}</dt><dd class="mono">${build}</dd>
      <dt>${t('about/profile')}</dt><dd>${profile}</dd>
      <dt>${t('about/running')}</dt><dd>${t('about/running_for', { time: uptime(up) })}</dd>
      <dt>${t('about/data')}</dt><dd class="mono wrap">${dir}</dd>
      <dt>${t('profile/account')}</dt><dd class="mono">${shortId(account)}</dd>
    </dl></div></section>
    <section><h2>${t('about/promise')}</h2><p class="lead">${t('welcome/lead')}</p><p class="small mute">${parts('about/cli', { command: html`<code class="mono">kith doctor</code>` })}</p></section>`;
}
