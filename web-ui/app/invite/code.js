// An invite as a picture: always dark on white, the ring is its remaining life.
import { html, useEffect, useState } from '../ui/h.js';
import { parts, t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { CopyButton, ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { countdown, remaining } from '../ui/format.js';
import { qrPng, qrSvg } from './actions.js';

/** Fetches the picture with the token and shows it as a blob. */
function useQr(invite) {
  const [url, setUrl] = useState(null);
  const load = useAction(async () => setUrl(URL.createObjectURL(await qrSvg(invite))));
  useEffect(() => {
    load.run();
  }, [invite.id]);
  useEffect(() => () => url && URL.revokeObjectURL(url), [url]);
  return { url, load };
}

/** @param {{ invite: object, renews?: boolean }} props */
export function Code({ invite, renews }) {
  const { url, load } = useQr(invite);
  const now = useNow(1000);
  const left = Date.parse(invite.expires_at) - now;
  const whole = Date.parse(invite.expires_at) - Date.parse(invite.created_at);
  const share = Math.max(0, Math.min(100, (left / whole) * 100));
  const time = html`<b class="num">${left < 3_600_000 ? countdown(left) : remaining(left)}</b>`;
  return html`<div class="code">
    <div class="qr-frame">
      <svg class="qr-ring" viewBox="0 0 336 336" aria-hidden="true">
        <rect class="bg" x="3" y="3" width="330" height="330" rx="30" pathLength="100" />
        <rect class="fg" x="3" y="3" width="330" height="330" rx="30" pathLength="100" stroke-dasharray=${`${share.toFixed(2)} 200`} />
      </svg>
      <div class="qr-paper">${url && html`<img src=${url} alt=${t('invite/qr_alt')} width="280" height="280" />`}</div>
    </div>
    <p class="qr-cap"><${Icon} name=${renews ? 'refresh' : 'clock'} small /><span>${parts(renews ? 'invite/renews' : 'invite/ends', { time })}</span></p>
    <${ProblemNote} problem=${load.problem} onRetry=${load.run} />
  </div>`;
}

/** Copy link and Save picture. */
export function CodeActions({ invite }) {
  const save = useAction(async () => {
    const url = URL.createObjectURL(await qrPng(invite));
    const anchor = document.createElement('a');
    anchor.href = url;
    anchor.download = 'kith-invite.png';
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
  return html`<div class="row-btns">
      <${CopyButton} text=${invite.text} label=${t('invite/copy_link')} icon="link" />
      <button type="button" class="btn" disabled=${save.busy} onClick=${save.run}><${Icon} name="save" small />${t('invite/save_picture')}</button>
    </div>
    <${ProblemNote} problem=${save.problem} onRetry=${save.run} />`;
}

/** How somebody who scans will get through. */
export function ReachTag({ reachable }) {
  const { direct, relay } = reachable;
  // A relay was asked and answered; an address of ours may end at a router.
  const [kind, icon, words] = relay ? ['ok', 'check', 'invite/reach_relay'] : direct ? ['ok', 'check', 'invite/reach_direct'] : ['warn', 'alert', 'invite/reach_none'];
  return html`<p class="reach"><span class=${`tag ${kind}`}><${Icon} name=${icon} small />${t(words)}</span>
    ${reachable.detail && html`<span class="small mute">${reachable.detail}</span>`}</p>`;
}
