// "Safety": the passphrase of this computer's copy, the recovery phrase, and backups.
import { html, useEffect, useState } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { Dialog, ProblemNote } from '../ui/parts.js';
import { useAction } from '../ui/hooks.js';
import { Problem } from '../net/problem.js';
import { api, lock } from '../session/session.js';
import { contacts } from '../store/index.js';
import { contactName } from '../contact/name.js';

const SHORTEST = 8;
/** Words that are asked for, of the twenty-four. */
const ASKED = 3;

export function SafetyPane() {
  const [vault, setVault] = useState(null);
  const load = useAction(async () => setVault(await api.get('/vault')));
  useEffect(() => {
    load.run();
  }, []);
  return html`<${Unanswered} />
    <section><h2>${t('vault/title')}</h2>
      <div class="block"><div class="line"><${Icon} name="lock" /><div><b>${t(vault?.has_passphrase ? 'vault/on' : 'vault/off')}</b><span class="small">${t(vault?.has_passphrase ? 'vault/on_text' : 'vault/off_text')}</span></div>
        ${vault?.has_passphrase && html`<button type="button" class="btn sm" onClick=${lock}>${t('vault/lock')}</button>`}</div></div>
      ${vault && html`<${PassphraseForm} hasOne=${vault.has_passphrase} onChanged=${load.run} key=${String(vault.has_passphrase)} />`}
      <${ProblemNote} problem=${load.problem} onRetry=${load.run} /></section>
    <section><h2>${t('backup/title')}</h2><${Backup} /></section>`;
}

/** After a restore: who hasn't answered yet. */
function Unanswered() {
  const [waiting, setWaiting] = useState([]);
  useEffect(() => {
    api.get('/backup/unanswered').then(({ items }) => setWaiting(items), () => {});
  }, [contacts.value]);
  if (!waiting.length) return null;
  const names = waiting.map((id) => contacts.value[id]).filter(Boolean).map(contactName).join(', ');
  return html`<section><div class="hint" role="status"><${Icon} name="clock" small /><div class="hint-main"><p>${t('backup/unanswered', { names })}</p></div></div></section>`;
}

const password = (label, value, set, complete) => html`<label class="field"><span>${label}</span>
  <input class="input" type="password" autocomplete=${complete} value=${value} onInput=${(event) => set(event.target.value)} /></label>`;

function PassphraseForm({ hasOne, onChanged }) {
  const [open, setOpen] = useState(false);
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [again, setAgain] = useState('');
  const finish = async () => {
    setOpen(false);
    for (const set of [setCurrent, setNext, setAgain]) set('');
    await onChanged();
  };
  const save = useAction(async (event) => {
    event.preventDefault();
    if (next !== again) throw new Problem({ status: 422, code: 'not_the_same', detail: t('vault/not_the_same') });
    await api.put('/vault/passphrase', hasOne ? { current, new: next } : { new: next });
    await finish();
  });
  const remove = useAction(async () => {
    await api.post('/vault/passphrase/remove', { passphrase: current });
    await finish();
  });
  if (!open) return html`<div class="row-btns"><button type="button" class="btn" onClick=${() => setOpen(true)}>${t(hasOne ? 'vault/change' : 'vault/set')}</button></div>`;
  return html`<form class="block pad stack" onSubmit=${save.run}>
    <input class="vh" type="text" autocomplete="username" value="Kith" readonly tabIndex="-1" aria-hidden="true" />
    ${hasOne && password(t('vault/current'), current, setCurrent, 'current-password')}
    ${password(t('vault/new'), next, setNext, 'new-password')}
    ${password(t('vault/again'), again, setAgain, 'new-password')}
    <p class="small mute">${t('vault/warning')}</p>
    <${ProblemNote} problem=${save.problem ?? remove.problem} />
    <div class="row-btns">
      <button class="btn main" disabled=${save.busy || [...next].length < SHORTEST || !again || (hasOne && !current)}>${save.busy ? t('vault/saving') : t('act/save')}</button>
      ${hasOne && html`<button type="button" class="btn danger" disabled=${remove.busy || !current} onClick=${remove.run}>${t('vault/remove')}</button>`}
      <button type="button" class="btn" onClick=${() => setOpen(false)}>${t('act/cancel')}</button>
    </div>
  </form>`;
}

function Backup() {
  const [phrase, setPhrase] = useState(false);
  const [saved, setSaved] = useState(false);
  const make = useAction(async () => {
    const url = URL.createObjectURL(await api.blob('/backup'));
    const anchor = document.createElement('a');
    anchor.href = url;
    anchor.download = `kith-${new Date().toISOString().slice(0, 10)}.backup`;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    setSaved(true);
  });
  return html`<div class="block">
      <div class="line"><${Icon} name="key" /><div><b>${t('phrase/title')}</b><span class="small">${t('phrase/text')}</span></div>
        <button type="button" class="btn sm" onClick=${() => setPhrase(true)}>${t('phrase/show')}</button></div>
      <div class="line"><${Icon} name="save" /><div><b>${t('backup/file')}</b><span class="small">${t('backup/file_text')}</span></div>
        <button type="button" class="btn sm" disabled=${make.busy} onClick=${make.run}>${t(make.busy ? 'backup/making' : 'backup/make')}</button></div>
    </div>
    <${ProblemNote} problem=${make.problem} onRetry=${make.run} />
    ${saved && html`<p class="small mute" role="status">${t('backup/made')}</p>`}
    <p class="small mute">${parts('backup/restore', { command: html`<code class="mono">kith restore FILE</code>` })}</p>
    ${phrase && html`<${Phrase} onClose=${() => setPhrase(false)} />`}`;
}

/** Which words are asked for: different ones each time, in order. */
export function asked(count, random = Math.random) {
  const places = new Set();
  while (places.size < Math.min(ASKED, count)) places.add(Math.floor(random() * count));
  return [...places].sort((one, other) => one - other);
}

/** The words, then a check that they were written down. */
function Phrase({ onClose }) {
  const [words, setWords] = useState(null);
  const [view, setView] = useState('warning');
  const [answers, setAnswers] = useState({});
  const [places] = useState(() => asked(24));
  const load = useAction(async () => {
    setWords((await api.post('/backup/phrase')).words);
    setView('words');
  });
  const right = words && places.every((place) => answers[place]?.trim().toLowerCase() === words[place]);
  const wrong = places.some((place) => answers[place]?.trim()) && places.every((place) => answers[place]?.trim()) && !right;
  return html`<${Dialog} title=${t('phrase/title')} onClose=${onClose}>
    ${view === 'warning' && html`<p>${t('phrase/warning')}</p><p>${t('phrase/write')}</p>
      <${ProblemNote} problem=${load.problem} />
      <div class="row-btns end"><button type="button" class="btn" onClick=${onClose}>${t('act/cancel')}</button>
        <button type="button" class="btn main" disabled=${load.busy} onClick=${load.run}>${t('phrase/show')}</button></div>`}
    ${view === 'words' && html`<ol class="phrase">${words.map((word, at) => html`<li key=${at}>${word}</li>`)}</ol>
      <div class="row-btns end"><button type="button" class="btn main" onClick=${() => setView('check')}>${t('phrase/written')}</button></div>`}
    ${view === 'check' && html`<form class="stack" onSubmit=${(event) => {
      event.preventDefault();
      if (right) setView('done');
    }}><p>${t('phrase/check')}</p>
      ${places.map((place) => html`<label class="field" key=${place}><span>${t('phrase/word', { n: place + 1 })}</span>
        <input class="input small-input" autocomplete="off" autocapitalize="none" spellcheck="false" value=${answers[place] ?? ''} onInput=${(event) => setAnswers({ ...answers, [place]: event.target.value })} /></label>`)}
      ${wrong && html`<p class="hint bad" role="alert"><${Icon} name="alert" small /><span>${t('phrase/wrong')}</span></p>`}
      <div class="row-btns end"><button type="button" class="btn" onClick=${() => setView('words')}>${t('phrase/again')}</button>
        <button class="btn main" disabled=${!right}>${t('phrase/done')}</button></div></form>`}
    ${view === 'done' && html`<p>${t('phrase/done_text')}</p><div class="row-btns end"><button type="button" class="btn main" onClick=${onClose}>${t('act/close')}</button></div>`}
  <//>`;
}
