// The local API over a world in memory: enough of the contract for the UI to
// live on, and levers for a test to play the other people.
import { randomBytes, randomUUID } from 'node:crypto';
import { qrPng, qrSvg } from './pictures.mjs';
import { addRequest, delivery, iso, say, seedOf, symbolsOf, accountOf, touch, WORLDS } from './world.mjs';

export const BUILD = '0.1.0+mock';
const WORDS = 'abandon ability able about above absent absorb abstract absurd abuse access accident account accuse achieve acid acoustic acquire across act action actor actress actual'.split(' ');
const CODE = '417026';

/** A refusal as problem+json. */
export class Refusal extends Error {
  constructor(status, code, detail, headers = {}) {
    super(detail);
    Object.assign(this, { status, code, headers });
  }
}

export class Node {
  constructor(world, { now = Date.now } = {}) {
    Object.assign(this, { world, now, cursor: 0, journal: [], tabs: new Set(), tokens: new Set(), logins: new Set(), keys: new Map(), calls: [], faults: [], build: BUILD });
    this.locked = false;
    // What is known of a store that does not open.
    this.damaged = null;
    this.peopleAnswer = true;
    this.framesUntilCode = 3;
  }

  // Levers.

  /** A fresh login secret. */
  login() {
    const secret = randomBytes(32).toString('base64url');
    this.logins.add(secret);
    return secret;
  }

  /** Makes the next matching call fail: `{method?, path: RegExp, status, code, detail, times?}`; status 0 hangs up. */
  fault(fault) {
    this.faults.push({ times: 1, ...fault });
  }

  emit(type, data) {
    this.cursor += 1;
    const event = { seq: this.cursor, type, data: structuredClone(data) };
    this.journal.push(event);
    for (const tab of this.tabs) tab.send(event);
  }

  whisper(type, data) {
    for (const tab of this.tabs) tab.send({ type, data });
  }

  reset() {
    for (const tab of this.tabs) tab.send({ type: 'reset' });
  }

  /** Somebody writes to us. */
  hear(chatId, text) {
    const message = say(this.world, chatId, 'them', text, this.now());
    const chat = this.chat(chatId);
    chat.unread += 1;
    chat.first_unread_id ??= message.id;
    this.emit('message.added', message);
    this.emit('chat.changed', chat);
    return message;
  }

  /** One of our messages got further. */
  advance(message, state, extra) {
    message.delivery = delivery(state, Date.parse(message.sent_at), extra);
    this.emit('message.changed', message);
    this.emit('chat.changed', touch(this.world, message.chat_id));
  }

  setPresence(contactId, patch) {
    const presence = this.world.presence.find((each) => each.account === contactId);
    Object.assign(presence, patch);
    this.whisper('presence', presence);
  }

  /** Somebody scanned the newest active code. */
  scanned(name = 'Ilse Brandt') {
    const invite = this.world.invites.filter((each) => each.state === 'active').at(-1) ?? null;
    const request = addRequest(this.world, this.now(), { name, invite });
    if (invite) {
      Object.assign(invite, { state: 'claimed', text: null, claimed_by: { account: request.account, name }, request_id: request.id });
      this.emit('invite.changed', invite);
    }
    this.emit('request.changed', request);
    return request;
  }

  move(request, state, patch = {}) {
    Object.assign(request, { state, updated_at: iso(this.now()), ...patch });
    this.emit('request.changed', request);
  }

  // Parts of answers.

  chat(id) {
    const found = this.world.chats.find((each) => each.id === id);
    if (!found) throw new Refusal(404, 'not_found', 'There is no such chat.');
    return found;
  }

  status() {
    return { profile: 'default', build: this.build, uptime_seconds: 11_240, account: this.world.me.account, locked: this.locked, data_dir: '/home/ada/.local/share/kith/default', network: this.world.network };
  }

  sync() {
    const { me, registration, contacts, requests, invites, chats, presence } = this.world;
    return structuredClone({ cursor: this.cursor, me, registration, contacts, requests, invites, chats, presence, status: this.status() });
  }

  befriend(request) {
    const id = request.account;
    const presence = { account: id, state: 'online', last_seen: null, typing: false };
    const chatId = `chat-${id.slice(-8)}`;
    const name = request.name ?? 'Grace';
    const contact = { id, name, alias: null, about: '', symbol_seed: request.symbol_seed, symbols: request.symbols ?? symbolsOf(id), since: iso(this.now()), via: request.via, verified: false, began_anew: [], keys_renewed_at: null, reach: { path: 'direct', detail: 'QUIC, 9 ms' }, presence, chat_id: chatId };
    const chat = { id: chatId, contact_id: id, name, symbol_seed: request.symbol_seed, last_message: null, unread: 0, first_unread_id: null, draft: '', last_activity: iso(this.now()) };
    this.world.contacts.push(contact);
    this.world.presence.push(presence);
    this.world.chats.push(chat);
    this.world.messages[chatId] = [];
    this.emit('contact.changed', contact);
    this.emit('chat.changed', chat);
    return contact;
  }
}

const find = (list, id, what) => {
  const found = list.find((each) => each.id === id);
  if (!found) throw new Refusal(404, 'not_found', `There is no such ${what}.`);
  return found;
};

const challenge = (node, identifier) => ({
  id: randomUUID(), identifier_masked: `${identifier[0]}•••${identifier.includes('@') ? identifier.slice(identifier.indexOf('@')) : identifier.slice(-2)}`,
  sent_via: 'console', expires_at: iso(node.now() + 600_000), resend_after: iso(node.now() + 41_000), attempts_left: 5, development_code: CODE,
});

function decoded(node, text) {
  if (!/KITH:I1\//i.test(text)) throw new Refusal(422, 'invalid_invite', 'This is not a Kith invite. Check that all of it was copied, from KITH: to its end.');
  const own = node.world.invites.find((each) => each.text === text);
  return { text, inviter: accountOf(text), symbol_seed: seedOf(text), expires_at: iso(node.now() + 500_000), relay: true, verdict: own ? 'own' : 'ok', detail: own ? 'This is your own code. Somebody else has to scan it.' : 'Ready to ask.' };
}

/** `METHOD /path/:id` → `(node, {id, body, query, key}) => [status, body]`. */
export const ROUTES = {
  'POST /session': (node, { body }) => {
    if (!node.logins.delete(body.login)) throw new Refusal(401, 'login_used', 'This link was used already or has ended. Run kith open for a fresh one.');
    const token = randomBytes(32).toString('base64url');
    node.tokens.add(token);
    return [201, { token, expires_at: iso(node.now() + 86_400_000) }];
  },
  'GET /session': (node) => [200, { profile: 'default', build: node.build, created_at: iso(node.now()) }],
  'DELETE /session': (node, { token }) => {
    node.tokens.delete(token);
    return [204];
  },
  'POST /session/login-links': (node) => [201, { url: `http://localhost/#login=${node.login()}`, expires_at: iso(node.now() + 600_000) }],
  'POST /vault/unlock': (node, { body }) => {
    if (body.passphrase !== 'beans') throw new Refusal(403, 'wrong_passphrase', 'That is not the passphrase. Four tries are left before a pause.');
    node.locked = false;
    return [204];
  },
  'GET /vault': (node) => [200, { locked: node.locked, has_passphrase: Boolean(node.passphrase), damaged: node.damaged }],
  'POST /vault/recover': (node) => {
    if (!node.damaged) throw new Refusal(409, 'store_is_whole', 'Your messages open as they are. There is nothing to recover.');
    const { copy_from: madeAt } = node.damaged;
    node.damaged = null;
    return [200, { made_at: madeAt, contacts: node.world.contacts.length, messages: 214 }];
  },
  'POST /vault/lock': (node) => {
    node.locked = true;
    for (const tab of node.tabs) tab.drop();
    return [204];
  },
  'PUT /vault/passphrase': (node, { body }) => {
    if (node.passphrase && body.current !== node.passphrase) throw new Refusal(403, 'wrong_passphrase', 'That is not the passphrase. 4 tries are left before a pause.');
    node.passphrase = body.new;
    return [204];
  },
  'POST /vault/passphrase/remove': (node, { body }) => {
    if (body.passphrase !== node.passphrase) throw new Refusal(403, 'wrong_passphrase', 'That is not the passphrase. 4 tries are left before a pause.');
    node.passphrase = null;
    return [204];
  },
  'GET /backup': () => [200, Buffer.alloc(4096, 7), 'application/octet-stream'],
  'GET /backup/unanswered': (node) => [200, { items: node.unanswered ?? [] }],
  'PUT /restore/file': (node, { bytes }) => {
    node.upload = bytes;
    return [204];
  },
  'POST /restore': (node, { body }) => {
    if (!node.upload) throw new Refusal(409, 'no_backup', 'There is no backup to restore. Choose its file first.');
    if (body.words.trim().split(/\s+/).join(' ') !== WORDS.join(' ')) throw new Refusal(422, 'wrong_phrase', 'These are not the words of this backup. Look whether the paper belongs to the account that it was made of.');
    Object.assign(node.world, WORLDS.home(node.now()));
    for (const tab of node.tabs) tab.drop();
    return [200, { made_at: iso(node.now() - 3 * 86_400_000), contacts: 5, messages: 214 }];
  },
  'POST /backup/phrase': () => [200, { words: WORDS }],
  'GET /status': (node) => [200, node.status()],
  'GET /sync': (node) => [200, node.sync()],
  'GET /diagnostics': (node) => [200, { checks: node.world.checks }],
  'GET /registration': (node) => [200, node.world.registration],
  'POST /registration/challenges': (node, { body }) => {
    if (!/@|^\+?\d/.test(body.identifier)) throw new Refusal(422, 'invalid_identifier', 'This is neither an e-mail address nor a phone number. A phone number starts with + and the country.');
    const made = challenge(node, body.identifier);
    node.world.registration = { ...node.world.registration, state: 'challenged', challenge: made, relay: { id: '12D3KooWQYV9', address: node.world.registration.suggested_relay, development: true } };
    node.emit('registration.changed', node.world.registration);
    return [201, made];
  },
  'POST /registration/challenges/:id/verify': (node, { body }) => {
    const { registration } = node.world;
    if (body.code !== CODE) {
      registration.challenge.attempts_left -= 1;
      node.emit('registration.changed', registration);
      throw new Refusal(422, 'wrong_code', `That is not the code. ${registration.challenge.attempts_left} tries are left.`);
    }
    node.world.registration = { ...registration, state: 'registered', identifier: registration.challenge.identifier_masked, expires_at: iso(node.now() + 30 * 86_400_000), challenge: null };
    node.emit('registration.changed', node.world.registration);
    return [200, node.world.registration];
  },
  'POST /registration/challenges/:id/resend': (node) => [200, { ...node.world.registration.challenge, resend_after: iso(node.now() + 60_000) }],
  'DELETE /registration': (node, { query }) => {
    if (query.get('erase') === 'true' && node.world.relayIsDown) throw new Refusal(503, 'relay_unreachable', 'The relay does not answer. Check its address and your connection, then try again.');
    node.world.erased = query.get('erase') === 'true';
    node.world.registration = { ...node.world.registration, state: 'none', identifier: null, expires_at: null, relay: null };
    node.emit('registration.changed', node.world.registration);
    return [204];
  },
  'GET /me': (node) => [200, node.world.me],
  'PATCH /me': (node, { body }) => {
    Object.assign(node.world.me, body);
    node.emit('me.changed', node.world.me);
    return [200, node.world.me];
  },
  'PUT /me/presence': () => [204],
  'GET /presence': (node) => [200, { items: node.world.presence }],
  'POST /invites': (node, { body }) => {
    const life = body.expires_in ?? (body.kind === 'link' ? 86_400 : node.inviteLife ?? 600);
    const invite = {
      id: randomUUID(), kind: body.kind, label: body.label ?? '', state: 'active', text: `KITH:I1/${randomBytes(40).toString('hex').toUpperCase()}`, created_at: iso(node.now()),
      expires_at: iso(node.now() + life * 1000), failed_tries: 0, last_failed_at: null, claimed_by: null, request_id: null, reachable: { direct: true, relay: true, detail: 'A relay covers the times you are off.' },
    };
    node.world.invites.push(invite);
    node.emit('invite.changed', invite);
    return [201, invite];
  },
  'GET /invites': (node) => [200, { items: node.world.invites }],
  'DELETE /invites/:id': (node, { id }) => {
    const invite = find(node.world.invites, id, 'invite');
    Object.assign(invite, { state: 'revoked', text: null });
    node.emit('invite.changed', invite);
    return [204];
  },
  'GET /invites/:id/qr.svg': (node, { id }) => [200, qrSvg(find(node.world.invites, id, 'invite').text), 'image/svg+xml'],
  'GET /invites/:id/qr.png': (node, { id }) => [200, qrPng(find(node.world.invites, id, 'invite').text), 'image/png'],
  'POST /invites/decode': (node, { body, type, bytes }) => {
    if (type === 'application/json') return [200, decoded(node, body.text)];
    if (type === 'image/x-portable-graymap') {
      if (bytes.subarray(0, 15).toString('latin1') !== 'P5\n640 480\n255\n' || bytes.length !== 15 + 640 * 480) throw new Refusal(415, 'unreadable_picture', 'This frame could not be read.');
      node.framesUntilCode -= 1;
      if (node.framesUntilCode > 0) throw new Refusal(422, 'no_code_found', 'No code in this picture.');
    } else if (bytes.length < 100) {
      throw new Refusal(422, 'no_code_found', 'There is no code in this picture. Try one that shows the whole square, sharp and straight.');
    }
    return [200, decoded(node, 'KITH:I1/FROM0PICTURE')];
  },
  'POST /invites/redeem': (node, { body }) => {
    if (node.world.requests.some((each) => each.direction === 'outgoing' && each.account === accountOf(body.text))) throw new Refusal(409, 'request_pending', 'You have asked this person already. Your request still waits.');
    const request = addRequest(node.world, node.now(), { name: null, direction: 'outgoing', state: 'looking', via: 'unknown', why: { code: 'contact_offline', text: 'Looking for their computer on every path the code names.', next_try_at: null } });
    request.account = accountOf(body.text);
    node.emit('request.changed', request);
    return [202, request];
  },
  'POST /requests/:id/accept': (node, { id }) => {
    const request = find(node.world.requests, id, 'request');
    if (request.state !== 'held') throw new Refusal(409, 'request_over', 'This request is over already.');
    node.move(request, 'accepted');
    return [200, node.befriend(request)];
  },
  'POST /requests/:id/reject': (node, { id }) => {
    node.move(find(node.world.requests, id, 'request'), 'rejected');
    return [204];
  },
  'DELETE /requests/:id': (node, { id }) => {
    node.move(find(node.world.requests, id, 'request'), 'withdrawn');
    return [204];
  },
  'PATCH /contacts/:id': (node, { id, body }) => {
    const contact = find(node.world.contacts, id, 'contact');
    contact.alias = body.alias;
    node.emit('contact.changed', contact);
    return [200, contact];
  },
  'GET /contacts/:id/safety-number': (node, { id }) => {
    const contact = find(node.world.contacts, id, 'contact');
    return [200, { number: '305194772810065813449021776240199386502745118360924473051968', code: `KITH:V1/${'A'.repeat(51)}Q`, verified_at: contact.verified ? iso(node.now()) : null, verified_by: contact.verified ? contact.verified_by : null }];
  },
  'GET /contacts/:id/safety-number/qr.svg': (node, { id }) => [200, qrSvg(`KITH:V1/${find(node.world.contacts, id, 'contact').id}`), 'image/svg+xml'],
  'PUT /contacts/:id/verification': (node, { id, type, bytes }) => {
    const contact = find(node.world.contacts, id, 'contact');
    if (type !== 'application/json') {
      if (bytes.subarray(0, 2).toString('latin1') !== 'P5') throw new Refusal(415, 'unreadable_picture', 'This frame could not be read.');
      node.framesUntilCode -= 1;
      if (node.framesUntilCode > 0) throw new Refusal(422, 'no_code_found', 'No code in this picture.');
      if (node.foreignCode) throw new Refusal(409, 'code_of_another_person', 'This code is not from the Ben you are connected with.');
    }
    Object.assign(contact, { verified: true, verified_by: type === 'application/json' ? 'number' : 'code' });
    node.emit('contact.changed', contact);
    return [200, contact];
  },
  'DELETE /contacts/:id/verification': (node, { id }) => {
    const contact = find(node.world.contacts, id, 'contact');
    contact.verified = false;
    node.emit('contact.changed', contact);
    return [200, contact];
  },
  'DELETE /contacts/:id': (node, { id }) => {
    node.world.contacts = node.world.contacts.filter((each) => each.id !== id);
    node.world.chats = node.world.chats.filter((each) => each.contact_id !== id);
    node.emit('contact.removed', { id });
    return [204];
  },
  'PUT /chats/:id/draft': (node, { id, body }) => {
    const chat = node.chat(id);
    chat.draft = body.text;
    node.emit('chat.changed', chat);
    return [204];
  },
  'PUT /chats/:id/read': (node, { id, body }) => {
    const chat = node.chat(id);
    const theirs = node.world.messages[id].filter((each) => each.author === 'them');
    const after = theirs.slice(theirs.findIndex((each) => each.id === body.up_to) + 1);
    chat.unread = Math.min(chat.unread, after.length);
    chat.first_unread_id = chat.unread ? after[0].id : null;
    node.emit('chat.changed', chat);
    return [204];
  },
  'PUT /chats/:id/typing': () => [204],
  'GET /chats/:id/messages': (node, { id, query }) => {
    node.chat(id);
    const all = node.world.messages[id];
    const limit = Number(query.get('limit') ?? 50);
    const before = query.get('before');
    const after = query.get('after');
    const end = before ? all.findIndex((each) => each.position >= before) : all.length;
    const start = after ? all.findIndex((each) => each.position > after) : Math.max(0, end - limit);
    const items = after ? all.slice(start < 0 ? all.length : start).slice(0, limit) : all.slice(start, end);
    return [200, { items, next_cursor: items[0]?.position ?? null, has_before: items.length > 0 && all[0] !== items[0], has_after: items.length > 0 && all.at(-1) !== items.at(-1) }];
  },
  'POST /chats/:id/messages': (node, { id, body, key }) => {
    if (Buffer.byteLength(body.text) > 16_384) throw new Refusal(413, 'too_long', 'A message holds at most 16 KiB. Send it in two parts.');
    const message = say(node.world, id, 'me', body.text, node.now(), 'queued', { why: { code: 'sealing', text: 'Sealing and sending.', next_try_at: null } });
    message.client_key = key ?? null;
    node.emit('message.added', message);
    node.emit('chat.changed', touch(node.world, id));
    if (node.peopleAnswer) setTimeout(() => node.advance(message, 'delivered'), 30);
    return [201, message];
  },
  'POST /messages/:id/retry': (node, { id }) => {
    const message = Object.values(node.world.messages).flat().find((each) => each.id === id);
    if (!message) throw new Refusal(404, 'not_found', 'There is no such message.');
    node.advance(message, 'queued', { why: { code: 'sealing', text: 'Sealing and sending.', next_try_at: null } });
    return [200, message];
  },
  'DELETE /messages/:id': (node, { id }) => {
    for (const [chatId, list] of Object.entries(node.world.messages)) {
      const at = list.findIndex((each) => each.id === id);
      if (at < 0) continue;
      list.splice(at, 1);
      node.emit('message.removed', { id, chat_id: chatId });
      node.emit('chat.changed', touch(node.world, chatId));
    }
    return [204];
  },
};
