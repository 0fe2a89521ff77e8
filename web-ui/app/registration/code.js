// The six digits: one field, paste allowed, sent as soon as it is full.
import { html, useEffect, useId, useRef, useState } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ProblemNote, Steps } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { countdown, remaining } from '../ui/format.js';
import { resendCode, verifyCode } from './actions.js';

const DIGITS = 6;

export function CodeStep({ challenge, relay, onVerified, onBack }) {
  const [code, setCode] = useState('');
  const field = useRef(null);
  const hint = useId();
  const now = useNow(1000);
  const verify = useAction(async (digits) => {
    try {
      await verifyCode(challenge, digits);
    } catch (refusal) {
      setCode('');
      field.current?.focus();
      throw refusal;
    }
    onVerified();
  });
  const resend = useAction(() => resendCode(challenge));
  useEffect(() => field.current.focus(), []);

  const onInput = (event) => {
    const digits = event.target.value.replace(/\D/g, '').slice(0, DIGITS);
    event.target.value = digits;
    setCode(digits);
    if (digits.length === DIGITS) verify.run(digits);
  };
  const onSubmit = (event) => {
    event.preventDefault();
    if (code.length === DIGITS) verify.run(code);
  };
  const wait = Date.parse(challenge.resend_after) - now;
  const left = Date.parse(challenge.expires_at) - now;
  return html`<form class="sheet" onSubmit=${onSubmit}>
    <${Steps} at=${2} />
    <h2 class="big-title">${t('code/title')}</h2>
    <p class="lead">${parts('code/sent_to', { who: html`<b dir="ltr">${challenge.identifier_masked}</b>` })} <button type="button" class="link" onClick=${onBack}>${t('code/change')}</button></p>
    <label class="field"><span>${t('code/label')}</span>
      <input ref=${field} class="input otp" name="code" inputmode="numeric" pattern="[0-9]*" autocomplete="one-time-code" maxlength="12"
        aria-describedby=${hint} aria-invalid=${verify.problem ? 'true' : 'false'} value=${code} onInput=${onInput} /></label>
    <${Where} challenge=${challenge} relay=${relay} />
    <${ProblemNote} problem=${verify.problem ?? resend.problem} />
    <div class="row-btns">
      <button class="btn main big" disabled=${code.length < DIGITS || verify.busy || left <= 0}>${t('act/continue')}</button>
      <button class="btn quiet big" type="button" disabled=${wait > 0 || resend.busy} onClick=${resend.run}>
        ${wait > 0 ? parts('code/resend_in', { time: html`<span class="num">${countdown(wait)}</span>` }) : t('code/resend')}</button>
    </div>
    <p class="small mute" id=${hint}>${left > 0
      ? t('code/valid', { time: remaining(left), tries: t('code/tries', { n: challenge.attempts_left }) })
      : t('code/ended')}</p>
  </form>`;
}

/** A development relay sends nothing: say where the code is. */
function Where({ challenge, relay }) {
  if (challenge.sent_via !== 'console' && !relay?.development && !challenge.development_code) return null;
  return html`<div class="code-where"><${Icon} name="info" />
    <div><b>${t('code/development')}</b>
      <p class="small mute">${challenge.development_code
        ? parts('code/development_is', { code: html`<b class="mono code-dev">${challenge.development_code}</b>` })
        : parts('code/development_terminal', { word: html`<span class="mono">otp</span>` })}</p></div></div>`;
}
