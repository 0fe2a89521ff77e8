// The first minute: welcome, identifier, code, name, your QR, home; or a backup, and home.
//
// The step comes from the place and from what the node knows already, so a
// reload continues where the person was.
import { html, useState } from '../ui/h.js';
import { t } from '../i18n/index.js';
import { Icon, Wordmark } from '../ui/icon.js';
import { Steps } from '../ui/parts.js';
import { go, place } from '../ui/here.js';
import { path } from '../ui/route.js';
import { me, registration, requests } from '../store/index.js';
import { NameStep } from '../profile/name.js';
import { MeetTabs, useAccepted, useArrival } from '../invite/meet.js';
import { RequestCard } from '../request/card.js';
import { RestoreStep } from '../backup/restore.js';
import { Identifier } from './identifier.js';
import { CodeStep } from './code.js';

/** The step to show for a wish; never one whose facts are missing. */
export function stepFor(wish, known) {
  if (wish === 'code') return known.challenge ? 'code' : 'register';
  if (wish === 'register' || wish === 'name' || wish === 'restore') return wish;
  if (wish === 'meet' && known.name) return 'meet';
  if (known.name) return 'meet';
  if (known.challenge) return 'code';
  return known.registered ? 'name' : 'welcome';
}

export function FirstRun() {
  const step = stepFor(place.value.view, {
    challenge: registration.value?.challenge,
    registered: registration.value?.state === 'registered',
    name: me.value.name,
  });
  const next = () => go(me.value.name ? path('settings', 'connection') : path('start', 'name'));
  return html`<div class="fr">
    <header class="fr-top"><h1 class="vh">${t('app/title')}</h1><${Wordmark} /><span class="tag"><${Icon} name="node" small />${t('start/on_this_computer')}</span></header>
    <main data-landmark tabIndex="-1" key=${step}>
      ${step === 'welcome' && html`<${Welcome} />`}
      ${step === 'restore' && html`<${RestoreStep} />`}
      ${step === 'register' && html`<${Identifier} onSent=${() => go(path('start', 'code'))} onSkip=${next} />`}
      ${step === 'code' && html`<${CodeStep} challenge=${registration.value.challenge} relay=${registration.value.relay} onVerified=${next} onBack=${() => go(path('start', 'register'))} />`}
      ${step === 'name' && html`<${NameStep} onDone=${() => go(path('start', 'meet'))} />`}
      ${step === 'meet' && html`<${MeetStep} />`}
    </main>
    <footer class="fr-foot">${t('start/foot')}</footer>
  </div>`;
}

function Welcome() {
  return html`<div class="sheet">
    <svg class="hero" viewBox="0 0 430 150" aria-hidden="true"><path class="th" d="M104 70C160 128 262 14 326 70" /><rect class="pap" x="26" y="26" width="96" height="66" rx="9" /><rect class="pap" x="308" y="26" width="96" height="66" rx="9" /><path class="fnt" d="M42 46h42M42 58h28M324 46h30M324 58h52M324 70h20" /><path d="M14 104h120M296 104h120" /><circle class="tf" cx="104" cy="72" r="8" /><circle class="tf" cx="326" cy="72" r="8" /></svg>
    <h2 class="big-title">${t('welcome/title')}</h2>
    <p class="lead">${t('welcome/lead')}</p>
    <div class="row-btns"><a class="btn main big" href=${path('start', 'register')}>${t('welcome/begin')}</a>
      <a class="btn quiet big" href=${path('start', 'restore')}>${t('welcome/restore')}</a></div>
  </div>`;
}

function MeetStep() {
  const [view, setView] = useState('show');
  const [shown, setShown] = useState(null);
  useArrival((request) => setShown(request.id));
  const request = requests.value[shown];
  useAccepted(request);
  if (request) {
    return html`<${RequestCard} request=${request} key=${shown}
      onDone=${(contact) => (contact?.chat_id ? go(path('chats', contact.chat_id)) : setShown(null))} />`;
  }
  const later = html`<p><a href=${path('chats')}>${t('start/later')}</a></p>`;
  return html`<${MeetTabs} view=${view} onView=${setView} foot=${later} onRequest=${(made) => setShown(made.id)}
    head=${(title, lead) => html`<${Steps} at=${4} /><h2 class="big-title">${title}</h2><p class="lead">${lead}</p>`} />`;
}
