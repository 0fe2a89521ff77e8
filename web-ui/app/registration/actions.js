// Commands of the registration.
import { api } from '../session/session.js';
import { apply, state } from '../store/index.js';
import { reduce } from '../store/state.js';

const known = (registration) => apply(reduce, { type: 'registration.changed', data: registration });

function challenged(challenge) {
  known({ ...state.value.registration, state: 'challenged', challenge });
  return challenge;
}

const at = (challenge) => `/registration/challenges/${encodeURIComponent(challenge.id)}`;

/** Asks the relay to send a code. An empty relay is the suggested one. */
export const sendCode = async (identifier, relay, key) => challenged(await api.post('/registration/challenges', { relay, identifier }, { key }));
/** Asks for another one. */
export const resendCode = async (challenge) => challenged(await api.post(`${at(challenge)}/resend`));
/** Tries a code; the registration comes back. */
export const verifyCode = async (challenge, code) => known(await api.post(`${at(challenge)}/verify`, { code }));
/** Forgets the registration on this computer; with `erase`, the relay forgets the account first. */
export const forgetRegistration = (erase) => api.remove(erase ? '/registration?erase=true' : '/registration');
