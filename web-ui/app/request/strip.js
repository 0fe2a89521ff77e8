// A request that waits, on every screen: at the top of the list, with all that
// is needed to decide.
import { html } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { go } from '../ui/here.js';
import { path } from '../ui/route.js';
import { Avatar } from '../avatar/avatar.js';
import { claimedName } from '../contact/name.js';
import { incoming } from '../store/index.js';
import { accept, reject } from './actions.js';
import { SymbolLine } from './symbol-grid.js';
import { cameBy, who } from './words.js';

/** Strips for every waiting request but the one that is shown in full. */
export function RequestStrips({ except }) {
  const shown = incoming.value.filter((each) => each.id !== except);
  return html`<div role="status" class="strips">${shown.map((request) => html`<${Strip} key=${request.id} request=${request} />`)}</div>`;
}

function Strip({ request }) {
  const now = useNow();
  const name = who(request);
  const yes = useAction(async () => {
    const contact = await accept(request);
    if (contact?.chat_id) go(path('chats', contact.chat_id));
  });
  const no = useAction(() => reject(request));
  return html`<article class="strip" aria-label=${t('request/wants', { name })}>
    <a class="strip-who" href=${path('meet', 'request', request.id)}>
      <${Avatar} seed=${request.symbol_seed} name=${claimedName(request)} />
      <span><b>${t('request/wants', { name })}</b>
        <span class="small mute">${request.name ? t('request/claims') : t('request/no_name')} · ${cameBy(request, now)}</span></span>
    </a>
    <${SymbolLine} symbols=${request.symbols} />
    <${ProblemNote} problem=${yes.problem ?? no.problem} />
    <div class="split">
      <button type="button" class="btn sm main" disabled=${yes.busy || no.busy} onClick=${yes.run}>${t('request/accept')}</button>
      <button type="button" class="btn sm danger" disabled=${yes.busy || no.busy} onClick=${no.run}>${t('request/reject')}</button>
    </div>
  </article>`;
}
