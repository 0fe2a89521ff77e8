// One invite of the ledger: its code while it lives, its story afterwards.
import { html, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { Confirm } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { moment } from '../ui/format.js';
import { path } from '../ui/route.js';
import { failedTries, requests } from '../store/index.js';
import { revokeInvite } from './actions.js';
import { Code, CodeActions, ReachTag } from './code.js';
import { inviteTitle, inviteWords, triedAgain } from './words.js';

export function InvitePane({ invite }) {
  const now = useNow();
  const [asking, ask] = useState(false);
  const revoke = useAction(async () => {
    await revokeInvite(invite);
    ask(false);
  });
  const live = invite.state === 'active' && invite.text && Date.parse(invite.expires_at) > now;
  const request = requests.value[invite.request_id];
  const tried = triedAgain(invite, now, failedTries.value[invite.id]);
  return html`<div class="desk"><div class=${live ? 'duo' : 'solo'}>
    <div class="stack sheet">
      <h2 class="big-title" dir="auto">${inviteTitle(invite)}</h2>
      <p class="lead">${live ? t(invite.kind === 'link' ? 'invite/link_lead' : 'meet/show_lead') : inviteWords(invite, now)}</p>
      ${tried && html`<p class="hint warn"><${Icon} name="alert" small /><span class="hint-main">${tried}</span></p>`}
      ${live && html`<${CodeActions} invite=${invite} /><${ReachTag} reachable=${invite.reachable} />`}
      ${request?.state === 'held' && html`<div class="row-btns"><a class="btn main" href=${path('meet', 'request', request.id)}>${t('invite/see_request')}</a></div>`}
      <dl class="facts">
        <dt>${t('invite/made')}</dt><dd>${moment(invite.created_at, now)}</dd>
        <dt>${t('invite/kind')}</dt><dd>${t(invite.kind === 'link' ? 'invite/kind_link' : 'invite/kind_screen')}</dd>
        <dt>${t('invite/state')}</dt><dd>${inviteWords(invite, now)}</dd>
      </dl>
      ${live && html`<div class="row-btns"><button type="button" class="btn sm danger" onClick=${() => ask(true)}>${t('invite/revoke')}</button></div>`}
      ${!live && html`<div class="row-btns"><a class="btn" href=${path('meet', 'show')}><${Icon} name="qr" small />${t('meet/show_code')}</a></div>`}
    </div>
    ${live && html`<${Code} invite=${invite} key=${invite.id} />`}
    ${asking && html`<${Confirm} title=${t('invite/revoke_title')} text=${t('invite/revoke_text')} action=${t('invite/revoke')}
      busy=${revoke.busy} problem=${revoke.problem} onConfirm=${revoke.run} onClose=${() => ask(false)} />`}
  </div></div>`;
}
