// Scripted worlds: what a node could hold at the moment a tab opens.
import { createHash } from 'node:crypto';

export const iso = (ms) => new Date(ms).toISOString();
export const seedOf = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16);
export const accountOf = (text) => `kith1${createHash('sha256').update(`account ${text}`).digest('hex').slice(0, 40)}`;
export const symbolsOf = (text) => [...createHash('sha256').update(`symbols ${text}`).digest()].slice(0, 6).map((byte) => byte & 63);

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const RELAY = '/dns4/relay.lindgarden.example/tcp/4001/p2p/12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust';

/** A node that was just made: nobody, nothing. */
export function fresh(now) {
  return {
    me: { account: accountOf('Ada'), name: null, about: '', symbol_seed: seedOf('Ada'), created_at: iso(now) },
    registration: { state: 'none', relay: null, identifier: null, displaced_at: null, expires_at: null, challenge: null, suggested_relay: RELAY },
    contacts: [], requests: [], invites: [], chats: [], messages: {}, presence: [],
    network: {
      online: true,
      relays: [{ id: '12D3KooWQYV9', address: RELAY, state: 'connected', reservation: 'active', since: iso(now - 2 * HOUR), detail: null }],
      listening: ['/ip4/192.168.1.23/udp/41872/quic-v1', '/ip4/192.168.1.23/tcp/41872'],
      lan: true,
      clock_offset_seconds: 0,
    },
    checks: [
      { id: 'data_dir', title: 'Keys and history are private', state: 'ok', detail: 'Only you can read the folder', fix: null },
      { id: 'relay', title: 'Relay answers in 38 ms', state: 'ok', detail: 'relay.lindgarden.example, reservation active', fix: null },
      { id: 'relays', title: 'Only one relay', state: 'warn', detail: 'If it stops, mail for you waits at the sender', fix: 'Add a second with kith config set relay' },
      { id: 'clock', title: 'Clock', state: 'ok', detail: 'Within a second of the relay', fix: null },
    ],
  };
}

/** Registered and named, nobody met yet. */
export function named(now) {
  const world = fresh(now);
  world.me.name = 'Ada Lindgren';
  world.registration = { ...world.registration, state: 'registered', relay: { id: '12D3KooWQYV9', address: RELAY, development: true }, identifier: 'a•••@lindgarden.example', expires_at: iso(now + 20 * 24 * HOUR) };
  return world;
}

function meet(world, now, name, { state = 'unknown', typing = false, lastSeen = null, via = 'in_person', path = 'none', draft = '' } = {}) {
  const id = accountOf(name);
  const presence = { account: id, state, last_seen: lastSeen, typing };
  const chatId = `chat-${name.toLowerCase().replace(/\W/g, '')}`;
  world.contacts.push({
    id, name, alias: null, about: '', symbol_seed: seedOf(name), symbols: symbolsOf(name), since: iso(now - 40 * 24 * HOUR), via, verified: false, began_anew: [], keys_renewed_at: null,
    reach: { path, detail: path === 'none' ? '' : 'QUIC, 14 ms' }, presence, chat_id: chatId,
  });
  world.presence.push(presence);
  world.chats.push({ id: chatId, contact_id: id, name, symbol_seed: seedOf(name), last_message: null, unread: 0, first_unread_id: null, draft, last_activity: iso(now - 40 * 24 * HOUR) });
  world.messages[chatId] = [];
  return chatId;
}

let counter = 0;

/** Appends a message; `got` is a delivery state for our own. */
export function say(world, chatId, author, text, at, got = 'read', extra = {}) {
  counter += 1;
  const id = `m${String(counter).padStart(6, '0')}`;
  const message = {
    id, chat_id: chatId, author, text, sent_at: iso(at), received_at: author === 'them' ? iso(at + 400) : null,
    position: `${iso(at)}-${String(counter).padStart(6, '0')}`, client_key: null, delivery: author === 'me' ? delivery(got, at, extra) : null, recovered: false,
  };
  world.messages[chatId].push(message);
  touch(world, chatId);
  return message;
}

/** A delivery that got as far as `state`, with its steps. */
export function delivery(state, at, { relay = false, why = null } = {}) {
  const order = ['queued', relay || state === 'custody' ? 'custody' : null, 'delivered', 'read'].filter(Boolean);
  const upTo = state === 'failed' ? 0 : order.indexOf(state);
  const steps = order.slice(0, upTo + 1).map((each, i) => ({
    state: each, at: iso(at + i * 1500),
    path: each === 'custody' ? 'mailbox' : each === 'delivered' ? (relay ? 'mailbox' : 'hole_punched') : null,
    relay: each === 'custody' ? 'relay.lindgarden.example' : null,
    until: each === 'custody' ? iso(at + 14 * 24 * HOUR) : null,
  }));
  if (state === 'failed') steps.push({ state: 'failed', at: iso(at + 1500), path: null, relay: null, until: null });
  return { state, at: steps.at(-1).at, steps, why };
}

/** Brings a chat's row in step with its messages. */
export function touch(world, chatId) {
  const chat = world.chats.find((each) => each.id === chatId);
  const last = world.messages[chatId].at(-1);
  chat.last_message = last ? { id: last.id, author: last.author, text: last.text.slice(0, 140), sent_at: last.sent_at, delivery_state: last.delivery?.state ?? null } : null;
  if (last) chat.last_activity = last.sent_at;
  return chat;
}

function unread(world, chatId, count) {
  const chat = world.chats.find((each) => each.id === chatId);
  const theirs = world.messages[chatId].filter((each) => each.author === 'them').slice(-count);
  chat.unread = theirs.length;
  chat.first_unread_id = theirs[0]?.id ?? null;
}

/** A node in the middle of life. */
export function home(now) {
  const world = named(now);
  const ben = meet(world, now, 'Ben', { state: 'online', path: 'hole_punched' });
  const meera = meet(world, now, 'Meera', { state: 'online', typing: false, path: 'direct' });
  const tomas = meet(world, now, 'Tomás', { state: 'away', lastSeen: iso(now - 3 * HOUR) });
  const rosa = meet(world, now, 'Grandma Rosa', { lastSeen: iso(now - 5 * HOUR) });
  const noor = meet(world, now, 'Noor', { state: 'online', draft: 'about the long rake, I can', path: 'lan' });
  const jun = meet(world, now, 'Jun', {});
  const leo = meet(world, now, 'Leo', { state: 'away' });
  const D = 24 * HOUR;

  say(world, leo, 'me', 'Are you home on Sunday?', now - 4 * D, 'failed', { why: { code: 'session_broken', text: 'Leo’s machine changed its keys and refused this one.', next_try_at: null } });
  say(world, jun, 'me', 'Train gets in at 18:40', now - 3 * D, 'delivered');
  say(world, noor, 'them', 'Could I borrow the long rake?', now - D - 2 * HOUR);
  say(world, rosa, 'them', 'Thank you for the photo', now - 6 * HOUR);
  say(world, rosa, 'me', 'The photo is on the fridge now', now - 5 * HOUR, 'read');

  say(world, tomas, 'them', 'The gate sticks. Lift, then push.', now - 3.3 * HOUR);
  say(world, tomas, 'them', 'Shed code is the same as last year', now - 3.29 * HOUR);
  say(world, tomas, 'me', 'Last year feels long ago', now - 3.2 * HOUR, 'read');
  say(world, tomas, 'me', 'Can you send the shed code again?', now - 20 * MINUTE, 'custody', { why: { code: 'in_custody', text: 'Tomás’s computer is off or has no network. A relay holds this, sealed, and hands it over when he is back.', next_try_at: iso(now + 12 * MINUTE) } });
  say(world, tomas, 'me', 'And is the hose yours or ours?', now - 15 * MINUTE, 'queued', { why: { code: 'relay_unreachable', text: 'Tomás’s computer is off, and the relay does not answer right now.', next_try_at: iso(now + 5 * MINUTE) } });

  say(world, ben, 'them', 'The council said yes. Plot 14 is ours until spring!', now - D - 3 * HOUR);
  say(world, ben, 'me', 'I am already wearing the boots', now - D - 2.9 * HOUR, 'read');
  say(world, ben, 'them', 'Minutes are at https://council.example/plots/14 (page 3).', now - 2 * HOUR);
  say(world, ben, 'them', 'Bring gloves', now - 2 * HOUR + MINUTE);
  say(world, ben, 'me', 'Are those beans already up?', now - 80 * MINUTE, 'read');
  say(world, ben, 'me', 'Save me a few for the windowsill', now - 79 * MINUTE, 'delivered');
  say(world, ben, 'me', 'Sunday works. Bring the long rake too, please', now - 30 * MINUTE, 'custody', { why: { code: 'in_custody', text: 'Ben’s computer is off. A relay holds this until it is back.', next_try_at: iso(now + 12 * MINUTE) } });

  say(world, meera, 'me', 'How is the fence?', now - 70 * MINUTE, 'read');
  say(world, meera, 'them', 'Still standing', now - 60 * MINUTE);
  say(world, meera, 'them', 'Your beans are climbing my fence', now - 10 * MINUTE);
  unread(world, meera, 2);
  world.chats.sort((a, b) => (a.last_activity < b.last_activity ? 1 : -1));
  return world;
}

/** Hostile words in every field that another person fills. */
export function hostile(now) {
  const world = named(now);
  const evil = meet(world, now, 'x', {});
  const contact = world.contacts[0];
  contact.name = '<img src=x onerror=alert(1)>\u202Egnp.exe\u0000';
  contact.about = '<script>alert(1)</script>';
  world.chats[0].name = contact.name;
  say(world, evil, 'them', '<img src=x onerror="document.title=\'owned\'">', now - 3 * MINUTE);
  say(world, evil, 'them', 'javascript:alert(1) https://аррӏе.example/x data:text/html,x', now - 2 * MINUTE);
  say(world, evil, 'them', 'שלום עולם, مرحبا', now - MINUTE);
  say(world, evil, 'them', `${'A'.repeat(400)}${'\u202E'}evil`, now - 30_000);
  addRequest(world, now, { name: '"><svg onload=alert(1)>\u2066x' });
  return world;
}

/** A long conversation. */
export function long(now) {
  const world = named(now);
  const ben = meet(world, now, 'Ben', { state: 'online' });
  for (let i = 0; i < 700; i += 1) say(world, ben, i % 3 ? 'them' : 'me', `Message number ${i}. ${'words '.repeat(i % 9)}`, now - (700 - i) * 4 * MINUTE, 'read');
  return world;
}

/** An incoming request that waits. */
export function addRequest(world, now, { name = 'Ilse Brandt', direction = 'incoming', state = 'held', via = 'in_person', why = null, invite = null } = {}) {
  const request = {
    id: `r-${seedOf(`${name}${direction}${world.requests.length}`)}`, direction, account: accountOf(name ?? 'nameless'), symbol_seed: seedOf(name ?? 'nameless'), name, state,
    symbols: state === 'looking' || state === 'asking' ? null : symbolsOf(name ?? 'nameless'), via, invite_id: invite?.id ?? null, invite_label: invite?.label || null,
    created_at: iso(now), updated_at: iso(now), why,
  };
  world.requests.push(request);
  return request;
}

/** Life with requests both ways and a ledger of codes. */
export function requests(now) {
  const world = home(now);
  addRequest(world, now - 20_000, {});
  addRequest(world, now - 26 * HOUR, {
    name: null, direction: 'outgoing', state: 'waiting', via: 'link',
    why: { code: 'awaiting_acceptance', text: 'Their computer holds your request. They have to accept it.', next_try_at: null },
  });
  addRequest(world, now - HOUR, {
    name: 'Leo', direction: 'outgoing', state: 'looking', via: 'link',
    why: { code: 'contact_offline', text: 'Their computer does not answer. It may be off.', next_try_at: iso(now + 4 * MINUTE) },
  });
  const base = { text: null, failed_tries: 0, last_failed_at: null, claimed_by: null, request_id: null, reachable: { direct: false, relay: true, detail: 'A relay covers the times you are off.' } };
  world.invites.push(
    { ...base, id: 'i-jun', kind: 'link', label: 'For Jun', state: 'active', text: 'KITH:I1/JUN0LINK', created_at: iso(now - 3 * HOUR), expires_at: iso(now + 21 * HOUR) },
    { ...base, id: 'i-poster', kind: 'link', label: 'Book circle poster', state: 'accepted', created_at: iso(now - 30 * HOUR), expires_at: iso(now - 6 * HOUR), claimed_by: { account: accountOf('Noor'), name: 'Noor' }, failed_tries: 2, last_failed_at: iso(now - 2 * HOUR) },
    { ...base, id: 'i-old', kind: 'in_person', label: '', state: 'expired', created_at: iso(now - 50 * HOUR), expires_at: iso(now - 49 * HOUR) },
  );
  return world;
}

export const WORLDS = { fresh, named, home, hostile, long, requests };
