// Meet someone: "Show mine" and "Scan" side by side, in the first run and later.
import { html, useEffect, useRef, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { go } from '../ui/here.js';
import { path } from '../ui/route.js';
import { contacts, incoming, requests } from '../store/index.js';
import { RequestCard } from '../request/card.js';
import { Camera, OtherWays } from './scan.js';
import { Preview } from './preview.js';
import { NewLink, ShowCode, ShowSide, useScreenCode } from './show.js';

const TABS = [
  { view: 'show', icon: 'qr', label: 'meet/tab_show' },
  { view: 'scan', icon: 'camera', label: 'meet/tab_scan' },
];

function Tabs({ view, onView }) {
  const list = useRef(null);
  const onKeyDown = (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    onView(view === 'show' ? 'scan' : 'show');
    list.current.querySelector('[aria-selected="false"]').focus();
  };
  return html`<div class="tabs" role="tablist" ref=${list} onKeyDown=${onKeyDown}>
    ${TABS.map((tab) => html`<button type="button" role="tab" key=${tab.view} id=${`tab-${tab.view}`} aria-selected=${tab.view === view ? 'true' : 'false'}
      aria-controls="meet-panel" tabIndex=${tab.view === view ? 0 : -1} onClick=${() => onView(tab.view)}><${Icon} name=${tab.icon} small />${t(tab.label)}</button>`)}
  </div>`;
}

function ShowMine({ head, tabs, foot, links }) {
  const { code, making } = useScreenCode();
  return html`<div class="duo">
    <div class="stack sheet">${head(t('meet/show_title'), t('meet/show_lead'))}${tabs}
      <${ShowSide} code=${code} making=${making} />
      ${links && html`<${NewLink} />`}${foot}</div>
    <${ShowCode} code=${code} />
  </div>`;
}

/** `head(title, lead)` draws the heading; `onRequest` tells where a new request is shown. */
export function MeetTabs({ view, onView, head, foot, links, onRequest }) {
  const [found, setFound] = useState(null);
  // What was found while scanning is not shown under the other tab.
  const preview = found?.view === view ? found.preview : null;
  const setPreview = (next) => setFound(next && { view, preview: next });
  const tabs = html`<${Tabs} view=${view} onView=${onView} />`;
  if (preview) return html`<${Preview} preview=${preview} onAsked=${onRequest} onCancel=${() => setPreview(null)} />`;
  return html`<div class="meet" id="meet-panel" role="tabpanel" aria-labelledby=${`tab-${view}`}>
    ${view === 'scan'
      ? html`<div class="duo"><div class="stack sheet">${head(t('meet/scan_title'), t('meet/scan_lead'))}${tabs}<${OtherWays} onCode=${setPreview} />${foot}</div>
          <${Camera} onCode=${setPreview} /></div>`
      : html`<${ShowMine} head=${head} tabs=${tabs} foot=${foot} links=${links} />`}
  </div>`;
}

/** Follows the person: a request that arrives while the code is shown takes its place. */
export function useArrival(onRequest) {
  const known = useRef(new Set(Object.keys(requests.value)));
  useEffect(() => {
    const fresh = incoming.value.find((each) => !known.current.has(each.id));
    known.current = new Set(Object.keys(requests.value));
    if (fresh) onRequest(fresh);
  }, [incoming.value]);
}

/** The Meet pane outside the first run. */
export function MeetPane({ view }) {
  useArrival((request) => go(path('meet', 'request', request.id)));
  return html`<div class="desk"><${MeetTabs} view=${view} links onView=${(next) => go(path('meet', next))}
    head=${(title, lead) => html`<h2 class="big-title">${title}</h2><p class="lead">${lead}</p>`}
    onRequest=${(request) => go(path('meet', 'request', request.id))} /></div>`;
}

/** The other side accepted what this person asked: on to the chat. */
export function useAccepted(request) {
  const chat = request?.direction === 'outgoing' && request.state === 'accepted' ? contacts.value[request.account]?.chat_id : null;
  useEffect(() => {
    if (chat) go(path('chats', chat));
  }, [chat]);
}

/** The same after one was decided: on to the chat, or back to the code. */
export function RequestPane({ request }) {
  useAccepted(request);
  return html`<div class="desk"><${RequestCard} request=${request} key=${request.id}
    onDone=${(contact) => go(contact?.chat_id ? path('chats', contact.chat_id) : path('meet'))} /></div>`;
}
