// The first start's other way: a backup and its words bring back a person who was here before.
import { html, signal, useId, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { moment } from '../ui/format.js';
import { go } from '../ui/here.js';
import { path } from '../ui/route.js';
import { api, start } from '../session/session.js';

const WORDS = 24;

/** What came back, until the person goes on. */
const restored = signal(null);

/** How many words there are in what was typed or copied; their numbers and commas are none. */
export const countWords = (text) => text.split(/\s+/).filter((word) => /\p{L}/u.test(word)).length;

export function RestoreStep() {
  return restored.value ? html`<${Restored} ...${restored.value} />` : html`<${RestoreForm} />`;
}

function RestoreForm() {
  const [file, setFile] = useState(null);
  const [words, setWords] = useState('');
  const picker = useRef(null);
  const kept = useRef(null);
  const hint = useId();
  const typed = countWords(words);
  const restore = useAction(async (event) => {
    event.preventDefault();
    // Mistaken words don't send a long file twice.
    if (kept.current !== file) {
      await api.upload('/restore/file', file, 'application/octet-stream', { method: 'PUT' });
      kept.current = file;
    }
    const back = await api.post('/restore', { words }).catch((refusal) => {
      // The node was started anew meanwhile: it wants the file again.
      if (refusal.code === 'no_backup') kept.current = null;
      throw refusal;
    });
    setWords('');
    restored.value = back;
    await start();
  });
  return html`<form class="sheet" onSubmit=${restore.run}>
    <h2 class="big-title">${t('restore/title')}</h2>
    <p class="lead">${t('restore/lead')}</p>
    <div class="field"><span>${t('restore/file')}</span>
      <div class="pick"><button type="button" class="btn" onClick=${() => picker.current.click()}>${t(file ? 'restore/choose_other' : 'restore/choose')}</button>
        ${file ? html`<span class="pick-name" dir="auto">${file.name}</span>` : html`<span class="small mute">${t('restore/no_file')}</span>`}</div>
      <input ref=${picker} class="vh" type="file" tabIndex="-1" aria-hidden="true" onChange=${(event) => {
        setFile(event.target.files[0] ?? null);
        event.target.value = '';
      }} /></div>
    <label class="field"><span>${t('restore/words')}</span>
      <textarea class="input words" name="words" rows="6" autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false" aria-describedby=${hint}
        value=${words} onInput=${(event) => setWords(event.target.value)}></textarea>
      <small class="small mute num" id=${hint} aria-live="polite">${t('restore/count', { n: typed, of: WORDS })}</small></label>
    <${ProblemNote} problem=${restore.problem} />
    <div class="row-btns">
      <button class="btn main big" disabled=${!file || typed !== WORDS || restore.busy}>${t(restore.busy ? 'restore/busy' : 'restore/do')}</button>
      <button type="button" class="btn quiet big" disabled=${restore.busy} onClick=${() => go(path('start'))}>${t('act/back')}</button>
    </div>
    <p class="small mute">${t(restore.busy ? 'restore/patience' : 'restore/old_copy')}</p>
  </form>`;
}

function Restored({ made_at: madeAt, contacts, messages }) {
  const now = useNow();
  const finish = () => {
    go(path('chats'));
    restored.value = null;
  };
  return html`<div class="sheet">
    <p class="tag ok"><${Icon} name="check" small />${t('restore/done_tag')}</p>
    <h2 class="big-title">${t('restore/done_title')}</h2>
    <p class="lead" role="status">${t('restore/done_what', { contacts: t('restore/contacts', { n: contacts }), messages: t('restore/messages', { n: messages }), when: moment(madeAt, now) })}</p>
    <p>${t('restore/done_next')}</p>
    <div class="row-btns"><button type="button" class="btn main big" onClick=${finish}>${t('restore/go_on')}</button></div>
  </div>`;
}
