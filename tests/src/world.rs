//! A world of people, each with a real engine on a store in memory, and two relays; the second
//! is for those who move.
//!
//! 1. A person acts ([`World::act`], [`World::say`], …): one step of their engine.
//! 2. The step's effects are performed: network commands become questions on the simulated
//!    [`Network`], answers and pushes become events of the engines they are for.
//! 3. Time passes only in [`World::run_for`] and its like: to the next arrival, the next
//!    time-out, or the next moment an engine asked for.
//!
//! # Invariants
//! * The same seed and the same acts give the same world.
//! * The relays and the network part admit whom the real ones admit: contacts that an engine
//!   named, and strangers while it says so, for invites only.
//! * Nothing of a node but its store outlives [`World::stop`] and [`World::crash_in`].
//!
//! Simulated are the sockets and the relay's shell. Engines, stores, crypto and the relay's
//! machines are the real ones.

mod failing;
mod frozen;
mod net;
mod people;
mod person;
mod relay;
mod restored;
mod wires;

use std::collections::BTreeMap;
use std::sync::Arc;

use crypto::{KdfParams, Secret, Unlock, Vault};
use node::engine::{Effect, Engine, Input, Settings};
use node::net::NetEvent;
use node::store::SealedStore;
use protocol::ids::RelayId;
use protocol::sim::{Link, Network, Party};
use protocol::time::{MINUTE, SECOND, Timestamp};
use tokio::sync::oneshot;

pub use failing::Fails;
pub use frozen::left_by;
use net::{Answer, CallId, Packet, Purpose};
use person::{Awaited, Person};
pub use relay::Relay;

/// When every world begins.
pub const START: Timestamp = Timestamp(1_795_000_000_000);
/// How long an answer is waited for.
const ANSWER_IN: u64 = 10 * SECOND;
/// Steps without time passing that no honest world needs.
const MAX_STEPS_AT_ONCE: u32 = 5_000;
/// The relays' places in the network; people follow.
const RELAY: Party = 0;
const OTHER: Party = 1;
const RELAYS: usize = 2;

/// A person of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who(usize);

impl Who {
    fn party(self) -> Party {
        self.0 + RELAYS
    }

    /// Who has this place, unless it is a relay.
    fn at(party: Party) -> Option<Self> {
        party.checked_sub(RELAYS).map(Self)
    }
}

/// A question that waits for its answer.
struct Call {
    from: Party,
    to: Party,
    purpose: Purpose,
}

enum Timer {
    /// Nobody answered this.
    NoAnswer(CallId),
    /// A node tries a relay again.
    Hello(Who, Party),
    /// A relay offers again what was not acknowledged.
    Push(Party, Who),
}

/// The world.
pub struct World {
    network: Network<Packet>,
    people: Vec<Person>,
    /// The relay.
    pub relay: Relay,
    /// Another one.
    pub other: Relay,
    calls: BTreeMap<CallId, Call>,
    timers: BTreeMap<(Timestamp, u64), Timer>,
    serial: u64,
    steps: u64,
    crash_at: Option<u64>,
    planned: Option<(usize, u64, Fails)>,
    crashed: Vec<Who>,
    steps_at: (Timestamp, u32),
    /// Frames that left any engine, on any way.
    frames: u64,
    ephemerals: Vec<(Who, protocol::ids::AccountId)>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl World {
    /// An empty world: its relays and nobody.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            network: Network::seeded(seed, START),
            people: Vec::new(),
            relay: Relay::new(RELAY),
            other: Relay::new(OTHER),
            calls: BTreeMap::new(),
            timers: BTreeMap::new(),
            serial: 0,
            steps: 0,
            crash_at: None,
            planned: None,
            crashed: Vec::new(),
            steps_at: (START, 0),
            frames: 0,
            ephemerals: Vec::new(),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.network.now()
    }

    /// Steps of any engine so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Frames that any engine sent or deposited so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// How often the engine of one wished to tell another who is here, or who is typing.
    #[must_use]
    pub fn told_presence(&self, who: Who, other: Who) -> usize {
        let other = self.account(other);
        self.ephemerals.iter().filter(|told| **told == (who, other)).count()
    }

    /// A person with a fresh node, not registered anywhere.
    ///
    /// # Panics
    /// When the node does not start.
    pub fn node(&mut self, name: &str) -> Who {
        let rng = self.network.rng();
        let device_key = Secret::random(rng);
        let vault = Vault::create(Unlock::DeviceKey(&device_key), KdfParams::default(), rng)
            .expect("a vault without a passphrase");
        let who = self.join(Person::on(name, Arc::default(), vault, device_key));
        self.start(who);
        self.name(who, name);
        who
    }

    fn join(&mut self, person: Person) -> Who {
        if let Some((_, n, how)) = self.planned.take_if(|planned| planned.0 == self.people.len()) {
            person.store.fail_in(n, how);
        }
        self.people.push(person);
        Who(self.people.len() - 1)
    }

    /// Starts a person's node on what its store holds.
    ///
    /// # Panics
    /// When it does not start: its store must always be readable.
    pub fn start(&mut self, who: Who) {
        let now = self.clock_of(who);
        let person = &mut self.people[who.0];
        assert!(person.engine.is_none(), "{} runs already", person.name);
        let started = loop {
            let store = SealedStore::new(Arc::clone(&person.store) as _, &person.vault);
            let settings = Settings { profile: person.name.clone(), ..Settings::default() };
            person.sealed = Some(store.clone());
            match Engine::start(store, settings, now, self.network.rng()) {
                Err(_) if person.store.open_again() => self.crashed.push(who),
                started => break started,
            }
        };
        let (engine, effects) = started.expect("a readable store");
        person.account = engine.account().id;
        person.engine = Some(engine);
        self.perform(who, effects);
        self.drain();
    }

    /// Ends a person's node as a power cut does: nothing but its store is left, and nobody is told
    /// but by their broken connections.
    pub fn stop(&mut self, who: Who) {
        let person = &mut self.people[who.0];
        person.engine = None;
        person.inbox.clear();
        person.replies.clear();
        let connected = std::mem::take(&mut person.net).connected;
        let gone = person.account;
        self.network.lose_arrivals(who.party());
        self.calls.retain(|_, call| call.from != who.party());
        self.relay.detach(who.party());
        self.other.detach(who.party());
        for peer in self.people.iter_mut().filter(|peer| connected.contains(&peer.account)) {
            if peer.net.connected.remove(&gone) {
                peer.inbox.push_back(NetEvent::Disconnected(gone));
            }
        }
        self.drain();
    }

    /// Stops and starts a person's node.
    pub fn restart(&mut self, who: Who) {
        self.stop(who);
        self.start(who);
    }

    /// Crashes the node that makes the `n`-th step from now: its commit holds, its effects
    /// never happen, and it starts again.
    pub fn crash_in(&mut self, n: u64) {
        self.crash_at = Some(self.steps + n);
    }

    /// Lets the `n`-th commit of the person who joins as number `index` fail, and their node start
    /// again.
    pub fn fail_commit(&mut self, index: usize, n: u64, how: Fails) {
        self.planned = Some((index, n, how));
    }

    /// The same for the `n`-th commit from now of somebody who is there.
    pub fn fail_commit_in(&mut self, who: Who, n: u64, how: Fails) {
        self.people[who.0].store.fail_in(n, how);
    }

    /// Commits of a person's nodes so far.
    #[must_use]
    pub fn commits(&self, who: Who) -> u64 {
        self.people[who.0].store.commits()
    }

    /// Whether the crash that was asked for has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        !self.crashed.is_empty()
    }

    /// Makes all links like this.
    pub fn links(&mut self, link: Link) {
        self.network.set_all(link);
    }

    /// Takes a person off the network altogether; their node runs on.
    pub fn cut(&mut self, who: Who) {
        for other in 0..self.people.len() {
            if other != who.0 {
                self.cut_between(who, Who(other));
            }
        }
        self.cut_relay(who);
    }

    /// Brings a person back to the network.
    pub fn heal(&mut self, who: Who) {
        for other in 0..self.people.len() + RELAYS {
            self.network.heal(who.party(), other);
        }
        self.hello(who, RELAY);
        self.hello(who, OTHER);
        self.drain();
    }

    /// Cuts the way between two people; the relay stays within reach of both.
    pub fn cut_between(&mut self, one: Who, other: Who) {
        self.network.cut(one.party(), other.party());
        for (of, gone) in [(one, other), (other, one)] {
            let gone = self.people[gone.0].account;
            let person = &mut self.people[of.0];
            if person.net.connected.remove(&gone) {
                person.inbox.push_back(NetEvent::Disconnected(gone));
            }
        }
        self.drain();
    }

    /// Mends the way between two people.
    pub fn heal_between(&mut self, one: Who, other: Who) {
        self.network.heal(one.party(), other.party());
    }

    /// Cuts a person's way to the relays.
    pub fn cut_relay(&mut self, who: Who) {
        for relay in [RELAY, OTHER] {
            self.network.cut(who.party(), relay);
            self.relay_at(relay).detach(who.party());
            self.relay_lost(who, relay);
        }
        self.drain();
    }

    /// Mends a person's way to the other relay, and to nobody else.
    pub fn heal_other(&mut self, who: Who) {
        self.network.heal(who.party(), OTHER);
        self.hello(who, OTHER);
        self.drain();
    }

    /// Whether a person's node collects anything from a relay.
    #[must_use]
    pub fn collects_from(&self, who: Who, relay: RelayId) -> bool {
        let link = self.people[who.0].net.relays.get(&self.party_of_id(relay));
        link.is_some_and(|link| !link.queues.is_empty())
    }

    fn relay_at(&mut self, party: Party) -> &mut Relay {
        match party {
            RELAY => &mut self.relay,
            _ => &mut self.other,
        }
    }

    /// Sets a person's clock off by so many milliseconds.
    pub fn skew(&mut self, who: Who, millis: i64) {
        self.people[who.0].clock = millis;
    }

    /// Lets time pass.
    pub fn run_for(&mut self, millis: u64) {
        self.run_to(self.now().plus(millis));
    }

    /// Lets as much time pass as an undisturbed world needs for everything to come to rest.
    pub fn settle(&mut self) {
        self.run_for(3 * MINUTE);
    }

    /// Lets time pass until `done`, at most `limit` milliseconds. Returns whether it is done.
    pub fn run_until(&mut self, limit: u64, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now().plus(limit);
        while !done(self) {
            if self.now() >= end {
                return false;
            }
            self.run_to(self.now().plus(5 * SECOND).min(end));
        }
        true
    }

    fn run_to(&mut self, until: Timestamp) {
        self.drain();
        while self.now() < until {
            let wanted = (0..self.people.len()).filter_map(|n| self.deadline(Who(n)));
            let timer = self.timers.keys().next().map(|(at, _)| *at);
            let next = wanted.chain(timer).chain([until]).min().unwrap_or(until);
            self.network.advance_to(next);
            self.arrivals();
            self.time_outs();
            self.ticks();
        }
    }

    fn arrivals(&mut self) {
        while self.network.next_at().is_some_and(|at| at <= self.now()) {
            let Some(arrival) = self.network.next() else { return };
            self.arrive(arrival.from, arrival.to, arrival.message);
            self.drain();
        }
    }

    fn time_outs(&mut self) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > self.network.now() {
                return;
            }
            match entry.remove() {
                Timer::NoAnswer(call) => self.unanswered(call),
                Timer::Hello(who, relay) => self.hello(who, relay),
                Timer::Push(relay, who) => self.push(relay, who),
            }
            self.drain();
        }
    }

    fn ticks(&mut self) {
        for n in 0..self.people.len() {
            if self.deadline(Who(n)).is_some_and(|at| at <= self.now()) {
                self.step(Who(n), vec![Input::Tick]);
                self.drain();
            }
        }
    }

    /// When a person's engine wants to be stepped, by the world's clock.
    fn deadline(&self, who: Who) -> Option<Timestamp> {
        let person = &self.people[who.0];
        let deadline = person.engine.as_ref()?.next_deadline(self.clock_of(who))?;
        Some(Timestamp(deadline.0.saturating_add_signed(-person.clock)))
    }

    fn clock_of(&self, who: Who) -> Timestamp {
        Timestamp(self.now().0.saturating_add_signed(self.people[who.0].clock))
    }

    /// Hands every event to its engine.
    fn drain(&mut self) {
        loop {
            let waiting = self
                .people
                .iter()
                .position(|person| person.engine.is_some() && !person.inbox.is_empty());
            let Some(n) = waiting else { return };
            if let Some(event) = self.people[n].inbox.pop_front() {
                self.step(Who(n), vec![Input::Net(event)]);
            }
        }
    }

    fn step(&mut self, who: Who, inputs: Vec<Input>) {
        let now = self.clock_of(who);
        let person = &mut self.people[who.0];
        let Some(engine) = person.engine.as_mut() else { return };
        let effects = match engine.step(inputs, now, self.network.rng()) {
            Err(_) if person.store.open_again() => {
                self.crashed.push(who);
                return self.restart(who);
            }
            effects => effects.expect("a store that works"),
        };
        self.steps += 1;
        self.steps_at = match self.steps_at {
            (at, count) if at == self.network.now() => (at, count + 1),
            _ => (self.network.now(), 1),
        };
        assert!(self.steps_at.1 < MAX_STEPS_AT_ONCE, "the world spins without time passing");
        if self.crash_at == Some(self.steps) {
            self.crash_at = None;
            self.crashed.push(who);
            drop(effects);
            self.restart(who);
        } else {
            self.perform(who, effects);
        }
    }

    fn perform(&mut self, who: Who, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Net(command) => self.command(who, command),
                Effect::Reply(reply) => reply(),
                Effect::News(_) | Effect::Volatile(_) => {}
            }
        }
        self.answer_peers(who);
    }

    /// Sends the answers that the last step gave.
    fn answer_peers(&mut self, who: Who) {
        use oneshot::error::TryRecvError;
        for mut reply in std::mem::take(&mut self.people[who.0].replies) {
            let answer = match &mut reply.answer {
                Awaited::Envelope(receiver) => receiver.try_recv().map(Answer::Envelope),
                Awaited::Invite(receiver) => receiver.try_recv().map(Answer::Invite),
                Awaited::Items(receiver) => receiver.try_recv().map(Answer::Durable),
            };
            match answer {
                Ok(answer) => {
                    self.network.send(who.party(), reply.to, Packet::Answer(reply.call, answer));
                }
                Err(TryRecvError::Empty) => self.people[who.0].replies.push(reply),
                Err(TryRecvError::Closed) => {}
            }
        }
    }

    fn at(&mut self, at: Timestamp, timer: Timer) {
        self.serial += 1;
        self.timers.insert((at, self.serial), timer);
    }
}
