// About a contact: who they are, the six symbols, how their machine is reached, alias, removal.
import { html, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { Panel } from '../ui/panel.js';
import { Confirm, CopyButton, ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { moment } from '../ui/format.js';
import { shortId } from '../ui/text.js';
import { api } from '../session/session.js';
import { go } from '../ui/here.js';
import { path } from '../ui/route.js';
import { Avatar } from '../avatar/avatar.js';
import { presenceLine } from '../presence/words.js';
import { Symbols } from '../request/symbol-grid.js';
import { contactName } from './name.js';
import { Safety } from './safety.js';

const VIA = { in_person: 'contact/via_in_person', link: 'contact/via_link', unknown: 'contact/via_unknown' };
const REACH = { lan: 'path/lan', direct: 'path/direct', hole_punched: 'path/hole_punched', relayed: 'path/relayed', none: 'path/none' };

export function ContactPanel({ contact, presence, onClose }) {
  const name = contactName(contact);
  const now = useNow();
  return html`<${Panel} title=${t('contact/about_title')} onClose=${onClose}>
    <div class="about-head">
      <${Avatar} seed=${contact.symbol_seed} name=${name} size="xl" />
      <p class="about-name" dir="auto">${name}</p>
      ${contact.verified && html`<p class="tag ok"><${Icon} name="shield" small />${t('safety/verified')}</p>`}
      ${contact.alias && html`<p class="small mute">${t('contact/calls_themselves')} <bdi>${contactName({ name: contact.name })}</bdi></p>`}
      ${presenceLine(presence, now) && html`<p class="small mute">${presenceLine(presence, now)}</p>`}
      ${contact.about && html`<p dir="auto">${contact.about}</p>`}
    </div>
    <${Alias} contact=${contact} key=${contact.id} />
    <h3 class="panel-sub">${t('contact/symbols')}</h3>
    <p class="small mute">${t('contact/symbols_text', { name })}</p>
    <${Symbols} symbols=${contact.symbols} />
    <${Safety} contact=${contact} name=${name} key=${`safety ${contact.id}`} />
    <dl class="facts">
      <dt>${t('contact/met')}</dt><dd>${t(VIA[contact.via])}, ${moment(contact.since, now)}</dd>
      <dt>${t('contact/reached')}</dt><dd>${t(REACH[contact.reach.path])}${contact.reach.detail && html`<span class="small mute">${contact.reach.detail}</span>`}</dd>
      <dt>${t('contact/keys')}</dt><dd>${contact.keys_renewed_at ? t('contact/keys_renewed', { when: moment(contact.keys_renewed_at, now) }) : t('contact/keys_first')}${contact.began_anew.length > 0 && html`<span class="small mute">${t('contact/began_anew', { name, when: moment(contact.began_anew.at(-1), now) })}</span>`}</dd>
      <dt>${t('contact/account')}</dt><dd><span class="mono">${shortId(contact.id)}</span> <${CopyButton} class="link" text=${contact.id} label=${t('act/copy')} /></dd>
    </dl>
    <${Remove} contact=${contact} name=${name} />
  <//>`;
}

function Alias({ contact }) {
  const [alias, setAlias] = useState(contact.alias ?? '');
  const save = useAction(() => api.patch(`/contacts/${encodeURIComponent(contact.id)}`, { alias: alias.trim() || null }));
  const changed = alias.trim() !== (contact.alias ?? '');
  return html`<form class="stack tight alias" onSubmit=${(event) => {
    event.preventDefault();
    save.run();
  }}>
    <label class="field"><span>${t('contact/alias')}</span>
      <input class="input small-input" dir="auto" maxlength="80" value=${alias} placeholder=${t('contact/alias_hint')} onInput=${(event) => setAlias(event.target.value)} /></label>
    ${changed && html`<div class="row-btns"><button class="btn sm" disabled=${save.busy}>${t('act/save')}</button></div>`}
    <${ProblemNote} problem=${save.problem} />
  </form>`;
}

function Remove({ contact, name }) {
  const [asking, ask] = useState(false);
  const remove = useAction(async () => {
    await api.remove(`/contacts/${encodeURIComponent(contact.id)}`);
    go(path('chats'));
  });
  return html`<div class="row-btns"><button type="button" class="btn sm danger" onClick=${() => ask(true)}><${Icon} name="trash" small />${t('contact/remove')}</button></div>
    ${asking && html`<${Confirm} title=${t('contact/remove_title', { name })} text=${t('contact/remove_text', { name })} action=${t('contact/remove')}
      busy=${remove.busy} problem=${remove.problem} onConfirm=${remove.run} onClose=${() => ask(false)} />`}`;
}
