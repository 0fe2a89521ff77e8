// Identifier: an e-mail address or a phone number that gets a code.
import { html, useId, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { ProblemNote, Steps } from '../ui/parts.js';
import { useAction, useOneKey } from '../ui/hooks.js';
import { registration } from '../store/index.js';
import { sendCode } from './actions.js';

/** `onSkip` continues without a relay. */
export function Identifier({ onSent, onSkip }) {
  const suggested = registration.value?.suggested_relay ?? '';
  const [identifier, setIdentifier] = useState('');
  const [relay, setRelay] = useState('');
  const [own, setOwn] = useState(!suggested);
  const hint = useId();
  const withKey = useOneKey();
  const send = useAction(async (event) => {
    event.preventDefault();
    await withKey((key) => sendCode(identifier.trim(), own ? relay.trim() : '', key));
    onSent();
  });
  const ready = identifier.trim() !== '' && (!own || relay.trim() !== '');
  return html`<form class="sheet" onSubmit=${send.run}>
    <${Steps} at=${1} />
    <h2 class="big-title">${t('register/title')}</h2>
    <p class="lead">${t('register/lead')}</p>
    <label class="field"><span>${t('register/identifier')}</span>
      <input class="input" name="identifier" autocomplete="email" autocapitalize="none" spellcheck="false" required
        aria-describedby=${hint} value=${identifier} onInput=${(event) => setIdentifier(event.target.value)} /></label>
    ${own && html`<label class="field"><span>${t('register/relay')}</span>
      <input class="input mono" name="relay" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder="/dns4/…/tcp/443/p2p/…"
        value=${relay} onInput=${(event) => setRelay(event.target.value)} /></label>`}
    <p class="small mute" id=${hint}>${t('register/hint')}</p>
    <${ProblemNote} problem=${send.problem} onRetry=${send.problem?.unreachable ? () => send.run(new Event('submit')) : undefined} />
    <div class="row-btns">
      <button class="btn main big" disabled=${!ready || send.busy}>${send.busy ? t('register/sending') : t('register/send')}</button>
      <button type="button" class="btn quiet big" onClick=${onSkip}>${t('register/skip')}</button>
    </div>
    ${!own && html`<p class="small mute"><span>${t('register/by_relay')} </span><button type="button" class="link" onClick=${() => setOwn(true)}>${t('register/other_relay')}</button></p>`}
  </form>`;
}
