// The list pane of Meet: who waits for whom, and the ledger of our codes.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { ListHead } from '../ui/list-head.js';
import { RoveList } from '../ui/rove.js';
import { useNow } from '../ui/hooks.js';
import { rowTime } from '../ui/format.js';
import { path } from '../ui/route.js';
import { cleanName } from '../ui/text.js';
import { Avatar } from '../avatar/avatar.js';
import { cameBy, stateWords, who } from '../request/words.js';
import { failedTries, incoming, inviteRows, invites, outgoing, requests } from '../store/index.js';
import { inviteTitle, inviteWords } from './words.js';

export function MeetList({ current }) {
  const now = useNow();
  const ids = (list) => list.map((each) => each.id);
  // The others stand above as strips, with their decision.
  const shown = incoming.value.filter((each) => each.id === current);
  const codes = inviteRows.value.filter((each) => each.state !== 'revoked');
  return html`<section class="list" aria-label=${t('nav/meet')} data-landmark tabIndex="-1">
    <${ListHead} title=${t('nav/meet')} showing=${current} />
    <div class="rows">
      ${shown.length > 0 && html`<h3>${t('meet/waiting_you')}</h3><${RoveList} ids=${ids(shown)} current=${current} label=${t('meet/waiting_you')}
        row=${(id, rove) => html`<${RequestRow} request=${requests.value[id]} current=${id === current} now=${now} rove=${rove} />`} />`}
      ${outgoing.value.length > 0 && html`<h3>${t('meet/waiting_them')}</h3><${RoveList} ids=${ids(outgoing.value)} current=${current} label=${t('meet/waiting_them')}
        row=${(id, rove) => html`<${RequestRow} request=${requests.value[id]} current=${id === current} now=${now} rove=${rove} />`} />`}
      <h3>${t('meet/your_codes')}</h3>
      ${codes.length > 0
        ? html`<${RoveList} ids=${ids(codes)} current=${current} label=${t('meet/your_codes')}
            row=${(id, rove) => html`<${InviteRow} invite=${invites.value[id]} current=${id === current} now=${now} rove=${rove} />`} />`
        : html`<p class="rows-none">${t('meet/no_codes')}</p>`}
    </div>
  </section>`;
}

function RequestRow({ request, current, now, rove }) {
  const mine = request.direction === 'outgoing';
  return html`<a class=${mine ? 'row' : 'row unread'} href=${path('meet', 'request', request.id)} aria-current=${current ? 'true' : undefined} ...${rove}>
    <${Avatar} seed=${request.symbol_seed} name=${request.name ?? ''} />
    <span class="row-main"><span class="row-top"><span class="row-name" dir="auto">${who(request)}</span><time dateTime=${request.created_at}>${rowTime(request.created_at, now)}</time></span>
      <span class="row-say">${mine && html`<${Icon} name="clock" small />`}<span>${mine ? stateWords(request) : cameBy(request, now)}</span></span></span>
  </a>`;
}

function InviteRow({ invite, current, now, rove }) {
  return html`<a class="row" href=${path('meet', 'invite', invite.id)} aria-current=${current ? 'true' : undefined} ...${rove}>
    <span class="av mark"><${Icon} name=${invite.failed_tries || failedTries.value[invite.id] ? 'alert' : invite.kind === 'link' ? 'link' : 'qr'} /></span>
    <span class="row-main"><span class="row-top"><span class="row-name" dir="auto">${cleanName(inviteTitle(invite))}</span><time dateTime=${invite.created_at}>${rowTime(invite.created_at, now)}</time></span>
      <span class="row-say"><span>${inviteWords(invite, now)}</span></span></span>
  </a>`;
}
