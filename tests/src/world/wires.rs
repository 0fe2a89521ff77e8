//! The network part of every node, and the relay's shell: commands in, events out.

use crypto::SigningKey;
use node::net::{NetCommand, NetEvent, NetFailure, Path, RelayPhase, Ticket};
use protocol::Cx;
use protocol::ids::AccountId;
use protocol::mailbox::wire::Item;
use protocol::sim::Party;
use protocol::time::{MINUTE, SECOND};
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use tokio::sync::oneshot;

use super::net::{Answer, Ask, CallId, Packet, Parcel, Purpose};
use super::{ANSWER_IN, Awaited, Call, RELAY, Reply, Timer, Who, World};

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
            NetCommand::Know { account, .. } => {
                self.people[who.0].net.known.insert(account);
            }
            NetCommand::Forget(account) => self.forget(who, account),
            NetCommand::AdmitStrangers(admits) => self.people[who.0].net.admits = admits,
            NetCommand::Connect(account) => self.connect(who, account),
            NetCommand::Envelope { ticket, to, request } => self.envelope(who, ticket, to, request),
            NetCommand::Invite { ticket, to, request } => {
                self.ask_person(who, to, Ask::Invite(request), Purpose::Invite(ticket));
            }
            NetCommand::Homes(homes) => {
                let net = &mut self.people[who.0].net;
                net.homed = !homes.is_empty();
                if net.homed {
                    self.hello(who);
                } else {
                    net.relay_up = false;
                    self.relay.detach(who.party());
                }
            }
            NetCommand::Subscribe { queues, .. } => {
                let net = &mut self.people[who.0].net;
                net.queues =
                    queues.iter().map(|queue| (queue.receive, public(&queue.key))).collect();
                net.subscription += 1;
                self.attach(who);
            }
            NetCommand::Refresh | NetCommand::ForgetRelay(_) => {}
            to_relay => self.relay_command(who, to_relay),
        }
    }

    fn relay_command(&mut self, who: Who, command: NetCommand) {
        let (ask, purpose) = match command {
            NetCommand::Register { ticket, request, .. } => {
                (Ask::Register(request), Purpose::Register(ticket))
            }
            NetCommand::OpenQueue { ticket, credential, queue, .. } => {
                (Ask::Open(credential.expose(), queue), Purpose::Queue(ticket))
            }
            NetCommand::CloseQueue { ticket, queue, .. } => {
                (Ask::Close(queue.receive, public(&queue.key)), Purpose::Queue(ticket))
            }
            NetCommand::Deposit { ticket, deposits, .. } => {
                self.frames += deposits.len() as u64;
                let parcels = deposits.into_iter().map(|deposit| Parcel {
                    send: deposit.send,
                    key: public(&deposit.key),
                    ttl_seconds: deposit.ttl_seconds,
                    body: deposit.body,
                });
                (Ask::Deposit(parcels.collect()), Purpose::Deposit(ticket))
            }
            NetCommand::FetchBundle { ticket, send, key, .. } => {
                (Ask::Bundle(send, public(&key)), Purpose::Bundle(ticket))
            }
            other => unreachable!("not for a relay: {other:?}"),
        };
        self.ask(who.party(), RELAY, ask, purpose);
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
        } else if net.known.contains(&account) {
            self.ask_person(who, account, Ask::Connect, Purpose::Connect(account));
        } else {
            self.tell(who, NetEvent::Unreachable(account));
        }
    }

    fn envelope(&mut self, who: Who, ticket: Ticket, to: AccountId, request: EnvelopeRequest) {
        let net = &self.people[who.0].net;
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
        let known = self.people[who.0].net.known.contains(&to);
        match self.person(to).filter(|_| known) {
            Some(peer) => self.ask(who.party(), peer.party(), ask, purpose),
            None => self.fail(who, purpose, NetFailure::Unreachable),
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
        match call.from.checked_sub(1) {
            Some(n) => self.fail(Who(n), call.purpose, NetFailure::TimedOut),
            // A push that was not acknowledged: the items are still there.
            None => self.push(Who(call.to - 1)),
        }
    }

    fn fail(&mut self, who: Who, purpose: Purpose, why: NetFailure) {
        match purpose {
            Purpose::Connect(account) => self.tell(who, NetEvent::Unreachable(account)),
            Purpose::Hello => {
                self.relay_lost(who);
                self.at(self.now().plus(HELLO_AGAIN), Timer::Hello(who));
            }
            Purpose::Attach(subscription) => {
                if self.people[who.0].net.subscription == subscription {
                    self.attach(who);
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
            Packet::Ask(id, ask) if to == RELAY => {
                let asker = Who(from - 1);
                let answer = self.relay_answers(asker, ask);
                self.network.send(RELAY, from, Packet::Answer(id, answer));
                self.push_all();
            }
            Packet::Ask(id, ask) => self.asked(Who(to - 1), (from, id), ask),
        }
    }

    fn asked(&mut self, who: Who, (from, call): (Party, CallId), ask: Ask) {
        if self.people[who.0].engine.is_none() {
            return;
        }
        if let Ask::Push(items) = ask {
            let relay = self.relay.home.relay;
            let (reply, answer) = oneshot::channel();
            self.tell(who, NetEvent::Items { relay, items, reply });
            return self.owe(who, from, call, Awaited::Items(answer));
        }
        let asker = self.people[from - 1].account;
        let knows = self.people[who.0].net.known.contains(&asker);
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

    fn relay_answers(&mut self, asker: Who, ask: Ask) -> Answer {
        let now = self.network.now();
        self.relay.expire(now);
        let account = self.people[asker.0].account;
        match ask {
            Ask::Register(request) => {
                let mut cx = Cx { now, rng: self.network.rng() };
                Answer::Register(self.relay.register(account, request, &mut cx))
            }
            Ask::Open(credential, queue) => {
                Answer::Queue(self.relay.open(account, &credential, queue, now))
            }
            Ask::Close(receive, owner) => Answer::Queue(self.relay.close(receive, owner)),
            Ask::Attach(claims) => Answer::Attached(self.relay.attach(asker.party(), &claims)),
            Ask::Deposit(parcels) => {
                let taken = parcels.into_iter().map(|parcel| self.relay.deposit(parcel, now));
                Answer::Deposited(taken.collect())
            }
            Ask::Bundle(send, key) => Answer::Bundle(self.relay.bundle(send, key, now)),
            _ => Answer::Welcome,
        }
    }

    fn answered(&mut self, call: Call, answer: Answer) {
        let Some(n) = call.from.checked_sub(1) else {
            if let Answer::Durable(items) = answer {
                let owner = Who(call.to - 1);
                self.relay.acknowledge(&items);
                match items.is_empty() {
                    // Nothing could be opened yet: offered again later.
                    true => self.at(self.now().plus(MINUTE), Timer::Push(owner)),
                    false => self.push(owner),
                }
            }
            return;
        };
        let who = Who(n);
        let relay = self.relay.home.relay;
        match (call.purpose, answer) {
            (Purpose::Connect(account), Answer::Welcome) => self.connected(who, account),
            (Purpose::Connect(account), _) => self.tell(who, NetEvent::Unreachable(account)),
            (Purpose::Hello, _) => {
                self.people[n].net.relay_up = true;
                let phase = RelayPhase::Reserved;
                self.tell(who, NetEvent::Relay { relay, phase, clock_offset_ms: Some(0) });
                self.attach(who);
            }
            (Purpose::Attach(subscription), Answer::Attached(missing)) => {
                if self.people[n].net.subscription == subscription {
                    self.tell(who, NetEvent::Subscribed { relay, missing });
                }
            }
            (purpose, answer) => {
                // Whoever answered a frame is connected.
                let over = matches!(purpose, Purpose::Envelope(_))
                    && matches!(answer, Answer::Envelope(_));
                if let Some(peer) = call.to.checked_sub(1).filter(|_| over) {
                    let account = self.people[peer].account;
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
        if up && net.known.contains(&account) && net.connected.insert(account) {
            self.tell(who, NetEvent::Connected { account, path: Path::Direct });
        }
    }

    pub(super) fn hello(&mut self, who: Who) {
        let person = &self.people[who.0];
        if person.engine.is_some() && person.net.homed && !person.net.relay_up {
            self.ask(who.party(), RELAY, Ask::Hello, Purpose::Hello);
        }
    }

    pub(super) fn relay_lost(&mut self, who: Who) {
        let (relay, phase) = (self.relay.home.relay, RelayPhase::Unreachable);
        if std::mem::take(&mut self.people[who.0].net.relay_up) {
            self.at(self.now().plus(HELLO_AGAIN), Timer::Hello(who));
        }
        if self.people[who.0].net.homed {
            self.tell(who, NetEvent::Relay { relay, phase, clock_offset_ms: None });
        }
    }

    fn attach(&mut self, who: Who) {
        let net = &self.people[who.0].net;
        if net.relay_up {
            let (queues, subscription) = (net.queues.clone(), net.subscription);
            self.ask(who.party(), RELAY, Ask::Attach(queues), Purpose::Attach(subscription));
        }
    }

    fn push_all(&mut self) {
        for n in 0..self.people.len() {
            self.push(Who(n));
        }
    }

    /// Pushes what waits for a person, unless a push is on its way.
    pub(super) fn push(&mut self, who: Who) {
        let pushing = self
            .calls
            .values()
            .any(|call| call.to == who.party() && matches!(call.purpose, Purpose::Push));
        let items: Vec<Item> = self.relay.items_for(who.party());
        if !pushing && !items.is_empty() {
            self.ask(RELAY, who.party(), Ask::Push(items), Purpose::Push);
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
