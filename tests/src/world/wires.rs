//! The network part of every node, and the relay's shell: commands in, events out.

use crypto::SigningKey;
use node::net::{NetCommand, NetEvent, NetFailure, Path, RelayPhase, Ticket};
use protocol::Cx;
use protocol::contact::RelayHome;
use protocol::ids::{AccountId, RelayId};
use protocol::mailbox::wire::Item;
use protocol::sim::Party;
use protocol::time::{MINUTE, SECOND};
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use tokio::sync::oneshot;

use super::net::{Answer, Ask, CallId, Packet, Parcel, Purpose, RelayLink};
use super::person::{Awaited, Reply};
use super::{ANSWER_IN, Call, OTHER, RELAY, RELAYS, Relay, Timer, Who, World};

/// How often a node tries a relay that did not answer.
const HELLO_AGAIN: u64 = 15 * SECOND;

impl World {
    /// Hands a frame to somebody's node as if `from` had sent it, over an open connection.
    /// Returns what they answered.
    pub fn inject(
        &mut self,
        from: Who,
        to: Who,
        request: EnvelopeRequest,
    ) -> Option<EnvelopeResponse> {
        let (reply, mut answer) = oneshot::channel();
        let from = self.people[from.0].account;
        let event = NetEvent::Envelope { from, path: Path::Direct, request, reply };
        self.people[to.0].inbox.push_back(event);
        self.drain();
        answer.try_recv().ok()
    }

    pub(super) fn command(&mut self, who: Who, command: NetCommand) {
        match command {
            NetCommand::Know { account, homes, .. } => {
                self.people[who.0].net.known.insert(account, homes);
            }
            NetCommand::Forget(account) => self.forget(who, account),
            NetCommand::AdmitStrangers(admits) => self.people[who.0].net.admits = admits,
            NetCommand::Connect(account) => self.connect(who, account),
            NetCommand::Envelope { ticket, to, request } => self.envelope(who, ticket, to, request),
            NetCommand::Invite { ticket, to, request } => {
                self.ask_person(who, to, Ask::Invite(request), Purpose::Invite(ticket));
            }
            NetCommand::Homes(homes) => {
                for relay in [RELAY, OTHER] {
                    let id = self.relay_at(relay).home.relay;
                    let homed = homes.iter().any(|home| home.relay == id);
                    let link = self.link(who, relay);
                    let first = homed && !std::mem::replace(&mut link.homed, homed);
                    if first && link.up {
                        self.tell_phase(who, relay, RelayPhase::Reserved, Some(0));
                    }
                    self.want(who, relay);
                }
            }
            NetCommand::Subscribe { relay, queues } => {
                let relay = self.party_of(&relay);
                let link = self.link(who, relay);
                let first = !link.is_wanted();
                link.queues =
                    queues.iter().map(|queue| (queue.receive, public(&queue.key))).collect();
                link.subscription += 1;
                match link.up {
                    true => self.attach(who, relay),
                    // Otherwise it is tried already.
                    false if first => self.hello(who, relay),
                    false => {}
                }
            }
            NetCommand::ForgetRelay(relay) => {
                let relay = self.party_of_id(relay);
                self.link(who, relay).queues.clear();
                self.relay_at(relay).detach(who.party());
                self.want(who, relay);
            }
            to_relay => self.relay_command(who, to_relay),
        }
    }

    fn relay_command(&mut self, who: Who, command: NetCommand) {
        let (relay, ask, purpose) = match command {
            NetCommand::Register { ticket, relay, request } => {
                (relay, Ask::Register(request), Purpose::Register(ticket))
            }
            NetCommand::OpenQueue { ticket, relay, credential, queue } => {
                (relay, Ask::Open(credential.expose(), queue), Purpose::Queue(ticket))
            }
            NetCommand::CloseQueue { ticket, relay, queue } => {
                (relay, Ask::Close(queue.receive, public(&queue.key)), Purpose::Queue(ticket))
            }
            NetCommand::Deposit { ticket, relay, deposits } => {
                self.frames += deposits.len() as u64;
                let parcels = deposits.into_iter().map(|deposit| Parcel {
                    send: deposit.send,
                    key: public(&deposit.key),
                    ttl_seconds: deposit.ttl_seconds,
                    reserved: deposit.reserved,
                    body: deposit.body,
                });
                (relay, Ask::Deposit(parcels.collect()), Purpose::Deposit(ticket))
            }
            NetCommand::FetchBundle { ticket, relay, send, key } => {
                (relay, Ask::Bundle(send, public(&key)), Purpose::Bundle(ticket))
            }
            other => unreachable!("not for a relay: {other:?}"),
        };
        let relay = self.party_of(&relay);
        self.ask(who.party(), relay, ask, purpose);
    }

    fn party_of(&self, home: &RelayHome) -> Party {
        self.party_of_id(home.relay)
    }

    pub(super) fn party_of_id(&self, relay: RelayId) -> Party {
        if relay == self.other.home.relay { OTHER } else { RELAY }
    }

    fn link(&mut self, who: Who, relay: Party) -> &mut RelayLink {
        self.people[who.0].net.relays.entry(relay).or_default()
    }

    /// Connects to a relay that is wanted, and leaves one that is not.
    fn want(&mut self, who: Who, relay: Party) {
        let link = self.link(who, relay);
        if link.is_wanted() {
            self.hello(who, relay);
        } else {
            link.up = false;
            self.relay_at(relay).detach(who.party());
        }
    }

    fn forget(&mut self, who: Who, account: AccountId) {
        let me = self.people[who.0].account;
        let net = &mut self.people[who.0].net;
        net.known.remove(&account);
        if net.connected.remove(&account) {
            self.tell(who, NetEvent::Disconnected(account));
            if let Some(peer) = self.person(account)
                && self.people[peer.0].net.connected.remove(&me)
            {
                self.tell(peer, NetEvent::Disconnected(me));
            }
        }
    }

    fn connect(&mut self, who: Who, account: AccountId) {
        let net = &self.people[who.0].net;
        if net.connected.contains(&account) {
            self.tell(who, NetEvent::Connected { account, path: Path::Direct });
        } else if net.known.contains_key(&account) {
            self.ask_person(who, account, Ask::Connect, Purpose::Connect(account));
        } else {
            self.tell(who, NetEvent::Unreachable(account));
        }
    }

    fn envelope(&mut self, who: Who, ticket: Ticket, to: AccountId, request: EnvelopeRequest) {
        let net = &self.people[who.0].net;
        if matches!(request, EnvelopeRequest::Ephemeral { .. }) {
            self.ephemerals.push((who, to));
        }
        let purpose = match &request {
            EnvelopeRequest::Ephemeral { .. } if !net.connected.contains(&to) => {
                let result = Err(NetFailure::Unreachable);
                return self.tell(who, NetEvent::EnvelopeDone { ticket, result });
            }
            EnvelopeRequest::Ephemeral { .. } => Purpose::Ephemeral(ticket),
            EnvelopeRequest::Deliver { frames } => {
                self.frames += frames.len() as u64;
                Purpose::Envelope(ticket)
            }
        };
        self.ask_person(who, to, Ask::Envelope(request), purpose);
    }

    fn ask_person(&mut self, who: Who, to: AccountId, ask: Ask, purpose: Purpose) {
        let known = self.people[who.0].net.known.contains_key(&to);
        match self.person(to).filter(|_| known) {
            Some(peer) => self.ask(who.party(), peer.party(), ask, purpose),
            None => self.fail(who, who.party(), purpose, NetFailure::Unreachable),
        }
    }

    fn ask(&mut self, from: Party, to: Party, ask: Ask, purpose: Purpose) {
        self.serial += 1;
        let id = self.serial;
        self.calls.insert(id, Call { from, to, purpose });
        self.network.send(from, to, Packet::Ask(id, ask));
        self.at(self.now().plus(ANSWER_IN), Timer::NoAnswer(id));
    }

    pub(super) fn unanswered(&mut self, id: CallId) {
        let Some(call) = self.calls.remove(&id) else { return };
        match Who::at(call.from) {
            Some(who) => self.fail(who, call.to, call.purpose, NetFailure::TimedOut),
            // A push that was not acknowledged: the items are still there.
            None => self.push(call.from, Who(call.to - RELAYS)),
        }
    }

    fn fail(&mut self, who: Who, asked: Party, purpose: Purpose, why: NetFailure) {
        match purpose {
            Purpose::Connect(account) => self.tell(who, NetEvent::Unreachable(account)),
            Purpose::Hello => {
                self.relay_lost(who, asked);
                self.at(self.now().plus(HELLO_AGAIN), Timer::Hello(who, asked));
            }
            Purpose::Attach(subscription) => {
                if self.link(who, asked).subscription == subscription {
                    self.attach(who, asked);
                }
            }
            purpose => {
                if let Some(event) = purpose.event(Err(why)) {
                    self.tell(who, event);
                }
            }
        }
    }

    pub(super) fn arrive(&mut self, from: Party, to: Party, packet: Packet) {
        match packet {
            Packet::Answer(id, answer) => {
                if let Some(call) = self.calls.remove(&id) {
                    self.answered(call, answer);
                }
            }
            Packet::Ask(id, ask) => match Who::at(to) {
                Some(who) => self.asked(who, (from, id), ask),
                None => {
                    let answer = self.relay_answers(to, Who(from - RELAYS), ask);
                    self.network.send(to, from, Packet::Answer(id, answer));
                    self.push_all(to);
                }
            },
        }
    }

    fn asked(&mut self, who: Who, (from, call): (Party, CallId), ask: Ask) {
        if self.people[who.0].engine.is_none() {
            return;
        }
        if let Ask::Push(items) = ask {
            let relay = self.relay_at(from).home.relay;
            let (reply, answer) = oneshot::channel();
            self.tell(who, NetEvent::Items { relay, items, reply });
            return self.owe(who, from, call, Awaited::Items(answer));
        }
        let asker = self.people[from - RELAYS].account;
        let knows = self.people[who.0].net.known.contains_key(&asker);
        let admitted = knows || (self.people[who.0].net.admits && matches!(ask, Ask::Invite(_)));
        if !admitted {
            let stranger = Packet::Answer(call, Answer::Stranger);
            return self.network.send(who.party(), from, stranger);
        }
        match ask {
            Ask::Envelope(request) => {
                self.connected(who, asker);
                let (reply, answer) = oneshot::channel();
                let path = Path::Direct;
                self.tell(who, NetEvent::Envelope { from: asker, path, request, reply });
                self.owe(who, from, call, Awaited::Envelope(answer));
            }
            Ask::Invite(request) => {
                let (reply, answer) = oneshot::channel();
                self.tell(who, NetEvent::Invite { from: asker, request, reply });
                self.owe(who, from, call, Awaited::Invite(answer));
            }
            _ => {
                self.connected(who, asker);
                self.network.send(who.party(), from, Packet::Answer(call, Answer::Welcome));
            }
        }
    }

    fn owe(&mut self, who: Who, to: Party, call: CallId, answer: Awaited) {
        self.people[who.0].replies.push(Reply { to, call, answer });
    }

    fn relay_answers(&mut self, relay: Party, asker: Who, ask: Ask) -> Answer {
        let now = self.network.now();
        let account = self.people[asker.0].account;
        // Not by a method of the world: its randomness is needed beside it.
        let relay: &mut Relay = if relay == OTHER { &mut self.other } else { &mut self.relay };
        relay.expire(now);
        match ask {
            Ask::Register(request) => {
                let mut cx = Cx { now, rng: self.network.rng() };
                Answer::Register(relay.register(account, request, &mut cx))
            }
            Ask::Open(credential, queue) => {
                Answer::Queue(relay.open(account, &credential, queue, now))
            }
            Ask::Close(receive, owner) => Answer::Queue(relay.close(receive, owner)),
            Ask::Attach(claims) => Answer::Attached(relay.attach(asker.party(), &claims)),
            Ask::Deposit(parcels) => {
                let taken = parcels.into_iter().map(|parcel| relay.deposit(parcel, now));
                Answer::Deposited(taken.collect())
            }
            Ask::Bundle(send, key) => Answer::Bundle(relay.bundle(send, key, now)),
            _ => Answer::Welcome,
        }
    }

    fn answered(&mut self, call: Call, answer: Answer) {
        let Some(who) = Who::at(call.from) else {
            if let Answer::Durable(items) = answer {
                let (relay, owner) = (call.from, Who(call.to - RELAYS));
                self.relay_at(relay).acknowledge(&items);
                match items.is_empty() {
                    // Nothing could be opened yet: offered again later.
                    true => self.at(self.now().plus(MINUTE), Timer::Push(relay, owner)),
                    false => self.push(relay, owner),
                }
            }
            return;
        };
        match (call.purpose, answer) {
            (Purpose::Connect(account), Answer::Welcome) => self.connected(who, account),
            (Purpose::Connect(account), _) => self.tell(who, NetEvent::Unreachable(account)),
            (Purpose::Hello, _) => self.on_hello(who, call.to),
            (Purpose::Attach(subscription), Answer::Attached(missing)) => {
                let link = self.link(who, call.to);
                if link.subscription == subscription && !link.queues.is_empty() {
                    let relay = self.relay_at(call.to).home.relay;
                    self.tell(who, NetEvent::Subscribed { relay, missing });
                }
            }
            (purpose, answer) => {
                // Whoever answered a frame is connected.
                let over = matches!(purpose, Purpose::Envelope(_))
                    && matches!(answer, Answer::Envelope(_));
                if let Some(peer) = Who::at(call.to).filter(|_| over) {
                    let account = self.people[peer.0].account;
                    self.connected(who, account);
                }
                if let Some(event) = purpose.event(Ok(answer)) {
                    self.tell(who, event);
                }
            }
        }
    }

    fn connected(&mut self, who: Who, account: AccountId) {
        let up = self.person(account).is_some_and(|peer| self.people[peer.0].engine.is_some());
        let net = &mut self.people[who.0].net;
        if up && net.known.contains_key(&account) && net.connected.insert(account) {
            self.tell(who, NetEvent::Connected { account, path: Path::Direct });
        }
    }

    pub(super) fn hello(&mut self, who: Who, relay: Party) {
        let runs = self.people[who.0].engine.is_some();
        let link = self.link(who, relay);
        if runs && link.is_wanted() && !link.up {
            self.ask(who.party(), relay, Ask::Hello, Purpose::Hello);
        }
    }

    fn on_hello(&mut self, who: Who, relay: Party) {
        let link = self.link(who, relay);
        if !link.is_wanted() {
            return;
        }
        link.up = true;
        if link.homed {
            self.tell_phase(who, relay, RelayPhase::Reserved, Some(0));
        }
        self.attach(who, relay);
    }

    pub(super) fn relay_lost(&mut self, who: Who, relay: Party) {
        if std::mem::take(&mut self.link(who, relay).up) {
            self.at(self.now().plus(HELLO_AGAIN), Timer::Hello(who, relay));
        }
        if self.link(who, relay).homed {
            self.tell_phase(who, relay, RelayPhase::Unreachable, None);
        }
    }

    fn tell_phase(&mut self, who: Who, relay: Party, phase: RelayPhase, offset: Option<i64>) {
        let relay = self.relay_at(relay).home.relay;
        self.tell(who, NetEvent::Relay { relay, phase, clock_offset_ms: offset });
    }

    fn attach(&mut self, who: Who, relay: Party) {
        let link = self.link(who, relay);
        if link.up {
            let (queues, subscription) = (link.queues.clone(), link.subscription);
            self.ask(who.party(), relay, Ask::Attach(queues), Purpose::Attach(subscription));
        }
    }

    fn push_all(&mut self, relay: Party) {
        for n in 0..self.people.len() {
            self.push(relay, Who(n));
        }
    }

    /// Pushes what waits for a person, unless a push is on its way.
    pub(super) fn push(&mut self, relay: Party, who: Who) {
        let pushing = self.calls.values().any(|call| {
            (call.from, call.to) == (relay, who.party()) && matches!(call.purpose, Purpose::Push)
        });
        let items: Vec<Item> = self.relay_at(relay).items_for(who.party());
        if !pushing && !items.is_empty() {
            self.ask(relay, who.party(), Ask::Push(items), Purpose::Push);
        }
    }

    pub(super) fn tell(&mut self, who: Who, event: NetEvent) {
        if self.people[who.0].engine.is_some() {
            self.people[who.0].inbox.push_back(event);
        }
    }

    fn person(&self, account: AccountId) -> Option<Who> {
        self.people.iter().position(|person| person.account == account).map(Who)
    }
}

fn public(seed: &crypto::Secret<32>) -> [u8; 32] {
    *SigningKey::from_seed(seed).verifying_key().as_bytes()
}
