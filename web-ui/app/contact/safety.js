// The safety number: sixty digits and a code, compared outside of this network.
import { html, useEffect, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { CopyButton, Dialog, ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { moment } from '../ui/format.js';
import { api } from '../session/session.js';
import { apply } from '../store/index.js';
import { answered } from '../store/state.js';
import { Camera } from '../invite/scan.js';

const at = (contact, what) => `/contacts/${encodeURIComponent(contact.id)}/${what}`;

/** Tells the node what came of comparing; the contact it answers with is shown at once. */
const changed = (contact) => apply(answered, 'contact.changed', contact);
const confirm = async (contact) => changed(await api.put(at(contact, 'verification'), { same: true }));
const withdraw = async (contact) => changed(await api.remove(at(contact, 'verification')));

/** Groups of five digits, as both people read them to each other. */
export const groups = (number) => number.match(/.{1,5}/g) ?? [];

/** In what is said about a contact: whether they're verified, and the way to it. */
export function Safety({ contact, name }) {
  const [open, setOpen] = useState(false);
  return html`<h3 class="panel-sub">${t('safety/title')}</h3>
    <p class="small mute">${contact.verified ? t('safety/done_text', { name }) : t('safety/text', { name })}</p>
    <div class="row-btns"><button type="button" class="btn sm" onClick=${() => setOpen(true)}><${Icon} name="shield" small />${t(contact.verified ? 'safety/show' : 'safety/compare')}</button></div>
    ${open && html`<${SafetyDialog} contact=${contact} name=${name} onClose=${() => setOpen(false)} />`}`;
}

function SafetyDialog({ contact, name, onClose }) {
  const [safety, setSafety] = useState(null);
  const [url, setUrl] = useState(null);
  const [view, setView] = useState('show');
  const [differs, setDiffers] = useState(false);
  const now = useNow();
  const load = useAction(async () => setSafety(await api.get(at(contact, 'safety-number'))));
  const draw = useAction(async () => setUrl(URL.createObjectURL(await api.blob(at(contact, 'safety-number/qr.svg')))));
  useEffect(() => {
    load.run();
  }, [contact.id, contact.verified]);
  useEffect(() => {
    draw.run();
  }, [contact.id]);
  useEffect(() => () => url && URL.revokeObjectURL(url), [url]);
  const same = useAction(() => confirm(contact));
  const undo = useAction(() => withdraw(contact));
  const onRead = (answer) => {
    changed(answer);
    setView('show');
  };
  if (differs) return html`<${Differs} name=${name} onClose=${onClose} onBack=${() => setDiffers(false)} />`;
  return html`<${Dialog} title=${t('safety/with', { name })} onClose=${onClose}>
    ${contact.verified && html`<p class="tag ok" role="status"><${Icon} name="shield" small />${safety?.verified_at ? t(safety.verified_by === 'code' ? 'safety/verified_code' : 'safety/verified_digits', { when: moment(safety.verified_at, now) }) : t('safety/verified')}</p>`}
    ${view === 'scan'
      ? html`<p class="small mute">${t('safety/scan_text', { name })}</p>
        <${Camera} onCode=${onRead} read=${(blob, type, signal) => api.upload(at(contact, 'verification'), blob, type, { signal, method: 'PUT' })} />
        <div class="row-btns end"><button type="button" class="btn" onClick=${() => setView('show')}>${t('act/back')}</button></div>`
      : html`<p class="small mute">${t('safety/how', { name })}</p>
        <div class="safety">
          <div class="safety-code">${url && html`<img src=${url} alt=${t('safety/qr_alt')} width="180" height="180" />`}</div>
          <ol class="safety-digits num" aria-label=${t('safety/digits')}>${safety && groups(safety.number).map((five, i) => html`<li key=${i}>${five}</li>`)}</ol>
          ${safety && html`<p class="safety-copy"><${CopyButton} class="link" text=${groups(safety.number).join(' ')} label=${t('act/copy')} /></p>`}
        </div>
        <${ProblemNote} problem=${load.problem ?? draw.problem} onRetry=${load.problem ? load.run : draw.run} />
        <${ProblemNote} problem=${same.problem ?? undo.problem} />
        <div class="row-btns end">
          ${contact.verified
            ? html`<button type="button" class="btn" disabled=${undo.busy} onClick=${undo.run}>${t('safety/undo')}</button>`
            : html`<button type="button" class="btn" onClick=${() => setView('scan')}><${Icon} name="camera" small />${t('safety/scan')}</button>
              <button type="button" class="btn" onClick=${() => setDiffers(true)}>${t('safety/differ')}</button>
              <button type="button" class="btn main" disabled=${!safety || same.busy} onClick=${same.run}>${t('safety/same')}</button>`}
        </div>`}
  <//>`;
}

/** The digits aren't the same: what that means, and the one thing to do. */
function Differs({ name, onClose, onBack }) {
  return html`<${Dialog} title=${t('safety/differ_title')} onClose=${onClose}>
    <p>${t('safety/differ_text', { name })}</p>
    <p>${t('safety/differ_do', { name })}</p>
    <div class="row-btns end"><button type="button" class="btn main" onClick=${onBack}>${t('safety/look_again')}</button></div>
  <//>`;
}
