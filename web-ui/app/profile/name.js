// The name others see. The weave behind the letter comes from the key.
import { html, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { ProblemNote, Steps } from '../ui/parts.js';
import { useAction } from '../ui/hooks.js';
import { api } from '../session/session.js';
import { apply, me } from '../store/index.js';
import { reduce } from '../store/state.js';
import { Avatar } from '../avatar/avatar.js';

/** Saves name and line; the profile comes back by event as well. */
export const saveProfile = async (patch) => apply(reduce, { type: 'me.changed', data: await api.patch('/me', patch) });

export function NameStep({ onDone }) {
  const [name, setName] = useState(me.value.name ?? '');
  const save = useAction(async (event) => {
    event.preventDefault();
    await saveProfile({ name: name.trim() });
    onDone();
  });
  return html`<form class="sheet" onSubmit=${save.run}>
    <${Steps} at=${3} />
    <h2 class="big-title">${t('name/title')}</h2>
    <div class="name-row"><${Avatar} seed=${me.value.symbol_seed} name=${name} size="xl" />
      <p class="small mute">${t('name/weave')}</p></div>
    <label class="field"><span>${t('name/label')}</span>
      <input class="input" name="name" dir="auto" autocomplete="name" required maxlength="64" value=${name} onInput=${(event) => setName(event.target.value)} /></label>
    <${ProblemNote} problem=${save.problem} />
    <div class="row-btns"><button class="btn main big" disabled=${!name.trim() || save.busy}>${t('act/continue')}</button></div>
    <p class="small mute">${t('name/who_sees')}</p>
  </form>`;
}
