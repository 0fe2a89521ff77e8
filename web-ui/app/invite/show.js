// "Show mine": a code for this screen that renews itself, and links for afar.
import { html, useEffect, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { go } from '../ui/here.js';
import { path } from '../ui/route.js';
import { invites } from '../store/index.js';
import { createInvite } from './actions.js';
import { Code, CodeActions, ReachTag } from './code.js';
import { renew } from './renew.js';
import { isOld, showable } from './screen-code.js';

/** The code on the screen, or null while the first is made. */
export function useScreenCode() {
  const now = useNow(1000);
  const code = showable(invites.value, now);
  const shown = useRef(null);
  const making = useAction(() => renew(() => invites.value));
  if (code) shown.current = code.id;
  // Somebody scanned it: their request takes its place in a moment, no new code does.
  const scanned = invites.value[shown.current]?.state === 'claimed';
  useEffect(() => {
    if (isOld(code, now) && !scanned && !making.busy && !making.problem) making.run();
  }, [code?.id, isOld(code, now), scanned, making.busy]);
  return { code, making };
}

/** The words and buttons beside the code. */
export function ShowSide({ code, making }) {
  return html`<${ProblemNote} problem=${making.problem} onRetry=${making.run} />
    ${code && html`<${CodeActions} invite=${code} key=${code.id} /><${ReachTag} reachable=${code.reachable} />`}`;
}

/** The code itself. */
export function ShowCode({ code }) {
  if (!code) return html`<div class="code"><div class="qr-frame"><div class="qr-paper"></div></div><p class="qr-cap" role="status">${t('invite/making')}</p></div>`;
  return html`<${Code} invite=${code} renews key=${code.id} />`;
}

const DAY_S = 86_400;

/** Makes a link that lives a day, named for the ledger. */
export function NewLink() {
  const [label, setLabel] = useState('');
  const make = useAction(async (event) => {
    event.preventDefault();
    const invite = await createInvite('link', label.trim(), DAY_S);
    setLabel('');
    go(path('meet', 'invite', invite.id));
  });
  return html`<form class="new-link" onSubmit=${make.run}>
    <label class="field"><span>${t('invite/link_for')}</span>
      <input class="input small-input" dir="auto" maxlength="60" value=${label} placeholder=${t('invite/link_hint')} onInput=${(event) => setLabel(event.target.value)} /></label>
    <button class="btn" disabled=${make.busy}><${Icon} name="link" small />${t('invite/new_link')}</button>
    <${ProblemNote} problem=${make.problem} />
  </form>`;
}
