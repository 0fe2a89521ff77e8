// Connection: how people reach this machine, its relays, the registration, the doctor.
import { html, useEffect, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon } from '../ui/icon.js';
import { CopyButton, Dialog, ProblemNote } from '../ui/parts.js';
import { useAction, useNow } from '../ui/hooks.js';
import { moment, date, clock } from '../ui/format.js';
import { shortId } from '../ui/text.js';
import { path } from '../ui/route.js';
import { api } from '../session/session.js';
import { contacts, registration, status } from '../store/index.js';
import { forgetRegistration } from '../registration/actions.js';
import { needsCare, reachWords } from './words.js';

export function ConnectionPane() {
  const network = status.value?.network;
  const doctor = useDoctor();
  const here = Object.values(contacts.value).filter((each) => each.reach.path !== 'none');
  const care = needsCare(network, registration.value);
  return html`
    <section><h2>${t('connection/doctor')} <button type="button" class="btn sm" disabled=${doctor.run.busy} onClick=${doctor.run.run}><${Icon} name="refresh" small />${t('connection/run_again')}</button></h2>
      <div class="block"><dl class="tri">
          <div><dt>${t('connection/people_reach')}</dt><dd>${reachWords(network)}</dd></div>
          <div><dt>${t('connection/last_check')}</dt><dd>${doctor.at ? clock(doctor.at) : t('connection/checking')}</dd></div>
          <div><dt>${t('connection/contacts_here')}</dt><dd>${t('connection/contacts_count', { n: here.length })}</dd></div>
        </dl>
        ${care && html`<${Line} kind="warn" title=${care} />`}
        ${doctor.checks.map((check) => html`<${Check} key=${check.id} check=${check} />`)}
      </div>
      <${ProblemNote} problem=${doctor.run.problem} onRetry=${doctor.run.run} />
    </section>
    <${Relays} network=${network} />
    <${RegistrationBlock} />
    ${network?.listening.length > 0 && html`<section><h2>${t('connection/listening')}</h2><div class="block">
      ${network.listening.map((address) => html`<div class="line two" key=${address}><span class="mono small wrap">${address}</span><${CopyButton} class="btn sm" text=${address} label=${t('act/copy')} /></div>`)}
      <div class="line two"><span class="small mute">${t(network.lan ? 'connection/lan_on' : 'connection/lan_off')}</span></div>
    </div></section>`}`;
}

function useDoctor() {
  const [checks, setChecks] = useState([]);
  const [at, setAt] = useState(null);
  const run = useAction(async () => {
    setChecks((await api.get('/diagnostics')).checks);
    setAt(new Date().toISOString());
  });
  useEffect(() => {
    run.run();
  }, []);
  return { checks, at, run };
}

const KIND = { ok: ['ok', 'check', 'connection/fine'], warn: ['warn', 'alert', 'connection/care'], fail: ['bad', 'alert', 'connection/broken'] };

function Line({ kind, title, children, end }) {
  const icon = kind === 'ok' ? 'check' : kind === 'bad' || kind === 'warn' ? 'alert' : 'info';
  return html`<div class=${`line ${kind ?? ''}`}><${Icon} name=${icon} /><div><b>${title}</b>${children}</div>${end ?? html`<span></span>`}</div>`;
}

function Check({ check }) {
  const [kind, , words] = KIND[check.state];
  return html`<${Line} kind=${kind} title=${check.title} end=${html`<span class=${`tag ${kind}`}>${t(words)}</span>`}>
    <span class="small">${check.detail}</span>${check.state !== 'ok' && check.fix && html`<span class="small fix">${check.fix}</span>`}
  <//>`;
}

const RELAY = { connected: ['ok', 'relay/connected'], connecting: ['', 'relay/connecting'], unreachable: ['bad', 'relay/unreachable'] };
const RESERVED = { active: 'relay/reserved', pending: 'relay/reserving', none: 'relay/not_reserved' };

function Relays({ network }) {
  const now = useNow();
  return html`<section><h2>${t('relay/title')}</h2><div class="block">
    ${network?.relays.map((relay) => {
      const [kind, words] = RELAY[relay.state];
      return html`<div class=${`line ${kind}`} key=${relay.id}><${Icon} name=${relay.state === 'unreachable' ? 'alert' : 'node'} />
        <div><b class="wrap">${relay.address.replace(/\/p2p\/.*/, '')}</b>
          <span class="small">${t(RESERVED[relay.reservation])}${relay.since ? ` · ${t('relay/since', { when: moment(relay.since, now) })}` : ''}</span>
          ${relay.detail && html`<span class="small">${relay.detail}</span>`}</div>
        <span class=${`tag ${kind}`}>${t(words)}</span></div>`;
    })}
    ${!network?.relays.length && html`<${Line} title=${t('relay/none')}><span class="small">${t('relay/none_text')}</span><//>`}
  </div></section>`;
}

const REGISTERED = {
  none: ['', 'registration/none', 'registration/why'],
  challenged: ['', 'registration/challenged', 'registration/why'],
  registered: ['ok', 'registration/registered'],
  expired: ['warn', 'registration/expired', 'registration/expired_text'],
  suspended: ['bad', 'registration/suspended', 'registration/suspended_text'],
  displaced: ['warn', 'registration/displaced', 'registration/displaced_text'],
};
/** States in which the relay may have an account of ours. */
const THERE = new Set(['registered', 'expired', 'suspended', 'displaced']);

function RegistrationBlock() {
  const [leaving, leave] = useState(false);
  const { state, identifier, relay, expires_at: until, displaced_at: since } = registration.value;
  const [kind, title, text] = REGISTERED[state];
  return html`<section><h2>${t('registration/title')}</h2><div class="block">
      <${Line} kind=${kind} title=${t(title)}
        end=${html`<span class="row-btns">
          ${state !== 'registered' && html`<a class="btn sm" href=${path('start', state === 'challenged' ? 'code' : 'register')}>${t(state === 'challenged' ? 'registration/enter_code' : 'registration/register')}</a>`}
          ${THERE.has(state) && html`<button type="button" class="btn sm danger" onClick=${() => leave(true)}>${t('registration/leave')}</button>`}</span>`}>
        <span class="small">${text
          ? t(text, { when: date(since ?? Date.now()) })
          : [identifier, relay && (relay.address ? relay.address.replace(/\/p2p\/.*/, '') : shortId(relay.id)), until && t('registration/until', { date: date(until) })].filter(Boolean).join(' · ')}</span>
      <//>
    </div>
    ${leaving && html`<${Leave} onClose=${() => leave(false)} />`}
  </section>`;
}

/** Leaves the relay: here only, or there too. */
function Leave({ onClose }) {
  const forget = useAction(async (erase) => {
    await forgetRegistration(erase);
    onClose();
  });
  return html`<${Dialog} title=${t('registration/leave_title')} onClose=${onClose}>
    <p>${t('registration/forget_text')}</p>
    <p>${t('registration/erase_text')}</p>
    <${ProblemNote} problem=${forget.problem} />
    <div class="row-btns end">
      <button type="button" class="btn" onClick=${onClose}>${t('act/cancel')}</button>
      <button type="button" class="btn" disabled=${forget.busy} onClick=${() => forget.run(false)}>${t('registration/forget')}</button>
      <button type="button" class="btn danger" disabled=${forget.busy} onClick=${() => forget.run(true)}>${t('registration/erase')}</button>
    </div>
  <//>`;
}
