//! A lane under a throwaway key: mailboxes.
//!
//! There are two of them, with a key each. One collects what is in our own queues, the other
//! deposits in our contacts': on one connection a relay would see who, owning these queues,
//! writes to those.
//!
//! 1. A relay is dialled when something is wanted of it, and gives the connection a nonce.
//! 2. Queues are attached, and again after every loss; deposits and the rest are signed and sent.
//! 3. What the relay pushes goes to the engine; the engine's answer, given after its flush, is
//!    the acknowledgement that lets the relay delete.
//!
//! # Invariants
//! * A custody receipt reaches the engine only if it is the relay's, for this queue, over this
//!   very frame.
//! * The key is replaced about once a day, when nothing is under way.
//!
//! Spec: `docs/protocol/mailbox.md` §3.

mod job;
mod link;
mod reaching;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Message, OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, Swarm, ping};
use protocol::contact::RelayHome;
use protocol::ids::RelayId;
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{Item, MAX_BUNDLE, MailboxRefusal, MailboxRequest, MailboxResponse};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::job::{Job, Sent, in_custody, signed, within_bounds};
use self::link::{Link, Step};
use super::address;
use super::behaviour::{Throwaway, ThrowawayEvent};
use super::command::{NetCommand, OwnedQueue};
use super::connections::{Closed, Connections};
use super::event::{NetEvent, NetFailure, Path};
use super::outgoing::Outgoing;
use super::peer;
use super::processes::Processes;
use super::protocols::exchange::{self, BUSY_MS, Pending, RELAYED_TIMEOUT, Waiting};
use super::protocols::mailbox;
use super::swarm::{self, BuildError};

/// A key is used for at least this long, and at most two hours longer.
const KEY_LIFETIME: Duration = Duration::from_secs(23 * 60 * 60);
/// The jitter of [`KEY_LIFETIME`].
const KEY_JITTER: Duration = Duration::from_secs(2 * 60 * 60);
/// When something is under way at the end of a key's life, it is looked at again after this.
const KEY_PATIENCE: Duration = Duration::from_secs(60);
/// An attach that came to nothing is repeated after this.
const ATTACH_PAUSE: Duration = Duration::from_secs(5);
/// Most relays known at a time: our own, or our contacts'. Others are not reachable.
const MAX_LINKS: usize = 512;

/// Without `Debug`: addresses are in it.
struct Relay {
    processes: Processes,
    link: Link,
}

impl Relay {
    /// The process that is used.
    fn peer(&self) -> PeerId {
        self.processes.current().peer
    }
}

/// The lane.
pub(super) struct ThrowawayLane {
    swarm: Swarm<Throwaway>,
    commands: mpsc::Receiver<NetCommand>,
    events: Outgoing,
    rng: StdRng,
    rotate_at: Instant,
    connections: Connections,
    dials: HashMap<ConnectionId, RelayId>,
    /// Whose connections are kept: the process in use of each relay that has queues of ours.
    pinned: HashSet<PeerId>,
    relays: BTreeMap<RelayId, Relay>,
    /// In which order processes of a relay are tried: at random, lest it be known by the order who this is.
    order: [u8; 16],
    pending: Pending<Sent>,
    waiting: Waiting<MailboxResponse>,
}

impl ThrowawayLane {
    /// A lane with a fresh key.
    pub(super) fn new(
        commands: mpsc::Receiver<NetCommand>,
        events: mpsc::Sender<NetEvent>,
    ) -> Result<Self, BuildError> {
        let mut rng: StdRng = rand::make_rng();
        Ok(Self {
            swarm: swarm::throwaway(Keypair::generate_ed25519())?,
            commands,
            events: Outgoing::new(events),
            rotate_at: Instant::now() + lifetime(&mut rng),
            rng,
            connections: Connections::default(),
            dials: HashMap::new(),
            pinned: HashSet::new(),
            relays: BTreeMap::new(),
            order: rand::random(),
            pending: Pending::default(),
            waiting: Waiting::default(),
        })
    }

    /// Runs until `shutdown`, or until the engine is gone.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.advance(Instant::now());
            let deadline = self.next_deadline();
            tokio::select! { biased;
                () = shutdown.cancelled() => break,
                flushed = self.events.flush(), if self.events.is_waiting() => if flushed.is_err() { break },
                Some((channel, answer)) = self.waiting.next() => self.answer(channel, answer),
                () = super::until(deadline) => {}
                Some(command) = self.commands.recv(), if self.events.has_room() => self.command(command, Instant::now()),
                event = self.swarm.select_next_some(), if self.events.has_room() => self.route(event, Instant::now()),
            }
        }
    }

    fn advance(&mut self, now: Instant) {
        for sent in self.pending.expired(now) {
            self.failed(sent, NetFailure::TimedOut, now);
        }
        let due: Vec<RelayId> = self.relays.keys().copied().collect();
        for relay in due {
            while let Some(step) =
                self.relays.get_mut(&relay).and_then(|known| known.link.poll(now))
            {
                self.step(relay, step, now);
            }
        }
        if self.rotate_at <= now {
            self.rotate(now);
        }
        self.sweep();
    }

    fn next_deadline(&self) -> Option<Instant> {
        let links = self.relays.values().filter_map(|relay| relay.link.next_deadline());
        links.chain(self.pending.next_deadline()).chain([self.rotate_at]).min()
    }

    fn command(&mut self, command: NetCommand, now: Instant) {
        match command {
            NetCommand::Subscribe { relay, queues } => self.subscribe(&relay, queues, now),
            NetCommand::Deposit { ticket, relay, deposits } => {
                self.job(&relay, Job::Deposit(ticket, deposits), now)
            }
            NetCommand::CloseQueue { ticket, relay, queue } => {
                self.job(&relay, Job::Close(ticket, queue), now)
            }
            NetCommand::FetchBundle { ticket, relay, send, key } => {
                self.job(&relay, Job::Bundle(ticket, send, key), now);
            }
            NetCommand::ForgetRelay(relay) => self.forget(relay),
            // The handle sends the others to the identity lane.
            _ => tracing::error!("an identity command reached a throwaway lane"),
        }
    }

    fn subscribe(&mut self, home: &RelayHome, queues: Vec<OwnedQueue>, now: Instant) {
        if let Some(relay) = self.learn(home, now) {
            relay.link.subscribe(queues);
            self.settle_pins();
        }
    }

    fn job(&mut self, home: &RelayHome, job: Job, now: Instant) {
        let refused = match self.learn(home, now) {
            Some(relay) => relay.link.enqueue(job, now).map(|job| job.failed(NetFailure::Busy)),
            None => Some(job.failed(NetFailure::Unreachable)),
        };
        self.events.extend(refused);
    }

    fn forget(&mut self, relay: RelayId) {
        if let Some(mut gone) = self.relays.remove(&relay) {
            let jobs = gone.link.abandon().into_iter();
            self.events.extend(jobs.map(|job| job.failed(NetFailure::Unreachable)));
            self.dials.retain(|_, of| *of != relay);
            self.expel_unused(&gone.processes);
        }
    }

    fn step(&mut self, relay: RelayId, step: Step, now: Instant) {
        match step {
            Step::Dial => self.dial(relay, now),
            Step::Report(missing) => {
                tracing::debug!(relay = %relay.short(), missing = missing.len(), "subscribed");
                self.events.push(NetEvent::Subscribed { relay, missing });
            }
            Step::Attach(nonce, queues) => {
                let binding = Binding { relay, nonce: &nonce };
                let claims = self.relays.get(&relay).map(|known| {
                    let keyed =
                        queues.iter().filter_map(|queue| Some((*queue, known.link.key(*queue)?)));
                    keyed.map(|(queue, key)| proof::claim(key, queue, binding)).collect()
                });
                let request = MailboxRequest::Attach { claims: claims.unwrap_or_default() };
                self.send(relay, request, Sent::Attach(relay, queues), now);
            }
            Step::Send(nonce, job) => {
                let (request, sent) = signed(job, Binding { relay, nonce: &nonce });
                self.send(relay, request, sent, now);
            }
        }
    }

    fn send(&mut self, relay: RelayId, request: MailboxRequest, sent: Sent, now: Instant) {
        match self.relays.get(&relay).map(Relay::peer) {
            Some(peer) => {
                let id = self.swarm.behaviour_mut().mailbox.send_request(&peer, request);
                self.pending.sent(id, sent, now + RELAYED_TIMEOUT);
            }
            None => self.failed(sent, NetFailure::Unreachable, now),
        }
    }

    fn route(&mut self, event: SwarmEvent<ThrowawayEvent>, now: Instant) {
        match event {
            SwarmEvent::Behaviour(ThrowawayEvent::Mailbox(event)) => self.on_mailbox(event, now),
            SwarmEvent::Behaviour(ThrowawayEvent::Ping(event)) => self.on_ping(&event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.dials.remove(&connection_id);
                let path = address::path(endpoint.get_remote_address());
                self.on_connected(peer_id, connection_id, path, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                match self.connections.closed(&peer_id, connection_id) {
                    Closed::Last { .. } => self.disconnected(&peer_id, now),
                    Closed::OneOfSeveral => {}
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, .. } => {
                if let Some(relay) = self.dials.remove(&connection_id) {
                    self.dial_failed(relay, now);
                }
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, id: ConnectionId, path: Path, now: Instant) {
        self.connections.established(peer, id, path, true, now);
        for relay in self.served_by(&peer) {
            self.connected(relay, now);
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        if self.connections.ping(&event.peer, event.connection, event.result.is_ok()) {
            self.swarm.close_connection(event.connection);
        }
    }

    fn on_mailbox(&mut self, event: mailbox::Event, now: Instant) {
        use request_response::Event;
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.on_push(&peer, request, channel);
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.on_response(request_id, response, now);
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(sent) = self.pending.done(request_id) {
                    self.failed(sent, exchange::failure(&error), now);
                }
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => {}
        }
    }

    fn on_push(
        &mut self,
        peer: &PeerId,
        request: MailboxRequest,
        channel: ResponseChannel<MailboxResponse>,
    ) {
        let malformed = MailboxResponse::Refused(MailboxRefusal::Malformed);
        let MailboxRequest::Push { items } = request else {
            return self.answer(channel, malformed);
        };
        let Some(relay) = self.pushed_by(peer, &items).filter(|_| within_bounds(&items)) else {
            return self.answer(channel, malformed);
        };
        if !self.waiting.has_room(peer) {
            let refusal = MailboxRefusal::Busy { retry_ms: BUSY_MS };
            return self.answer(channel, MailboxResponse::Refused(refusal));
        }
        let known = self.relays.get(&relay).map(|known| &known.link);
        let ours = |item: &Item| known.is_some_and(|link| link.has_queue(item.receive));
        let items: Vec<Item> = items.into_iter().filter(ours).collect();
        let (reply, answer) = oneshot::channel();
        self.waiting.push(*peer, channel, async {
            MailboxResponse::Acknowledged { items: answer.await.unwrap_or_default() }
        });
        self.events.push(NetEvent::Items { relay, items, reply });
    }

    fn answer(&mut self, channel: ResponseChannel<MailboxResponse>, answer: MailboxResponse) {
        if self.swarm.behaviour_mut().mailbox.send_response(channel, answer).is_err() {
            tracing::debug!("a relay was gone before its answer; it will push again");
        }
    }

    fn on_response(&mut self, id: OutboundRequestId, response: MailboxResponse, now: Instant) {
        if let Some(sent) = self.pending.done(id) {
            self.answered(sent, response, now);
        }
    }

    fn answered(&mut self, sent: Sent, response: MailboxResponse, now: Instant) {
        match (sent, response) {
            (Sent::Hello(relay, process), MailboxResponse::Hello { nonce, process: word, .. })
                if peer::key_of(&process)
                    .is_some_and(|key| proof::process_holds(&word, relay, &key)) =>
            {
                let known = self.relays.get_mut(&relay);
                if let Some(known) = known.filter(|known| known.peer() == process) {
                    known.processes.answered();
                    known.link.greeted(nonce);
                }
            }
            (Sent::Attach(relay, queues), MailboxResponse::Attached { waiting })
                if waiting.len() == queues.len() =>
            {
                if let Some(known) = self.relays.get_mut(&relay) {
                    let known_there = waiting.iter().map(Option::is_some);
                    known.link.attached(queues.into_iter().zip(known_there));
                }
            }
            (Sent::Deposit(ticket, relay, expected), MailboxResponse::Deposited { results }) => {
                let result = match in_custody(relay, &expected, &results) {
                    true => Ok(results),
                    false => Err(NetFailure::Unexpected),
                };
                self.events.push(NetEvent::DepositDone { ticket, result });
            }
            (Sent::Close(ticket), MailboxResponse::Closed) => {
                self.events.push(NetEvent::QueueDone { ticket, result: Ok(()) });
            }
            (Sent::Bundle(ticket), MailboxResponse::Bundle { sealed })
                if sealed.len() <= MAX_BUNDLE =>
            {
                self.events.push(NetEvent::BundleDone { ticket, result: Ok(sealed.into_vec()) });
            }
            (sent, MailboxResponse::Refused(why)) => {
                self.failed(sent, NetFailure::Refused(why), now)
            }
            (sent, _) => self.failed(sent, NetFailure::Unexpected, now),
        }
    }

    fn failed(&mut self, sent: Sent, why: NetFailure, now: Instant) {
        match sent {
            Sent::Hello(relay, process) => self.not_greeted(relay, &process, now),
            Sent::Attach(relay, queues) => {
                let pause = match why {
                    NetFailure::Refused(MailboxRefusal::Busy { retry_ms }) => {
                        Duration::from_millis(retry_ms.into())
                    }
                    _ => ATTACH_PAUSE,
                };
                if let Some(known) = self.relays.get_mut(&relay) {
                    known.link.attach_failed(&queues, now + pause.min(super::backoff::CEILING));
                }
            }
            Sent::Deposit(ticket, ..) => {
                self.events.push(NetEvent::DepositDone { ticket, result: Err(why) })
            }
            Sent::Close(ticket) => {
                self.events.push(NetEvent::QueueDone { ticket, result: Err(why) })
            }
            Sent::Bundle(ticket) => {
                self.events.push(NetEvent::BundleDone { ticket, result: Err(why) })
            }
        }
    }

    /// Replaces the key, unless something is under way.
    fn rotate(&mut self, now: Instant) {
        let busy = !self.pending.is_empty()
            || !self.waiting.is_empty()
            || self.relays.values().any(|relay| relay.link.has_jobs());
        if busy {
            self.rotate_at = now + KEY_PATIENCE;
            return;
        }
        match swarm::throwaway(Keypair::generate_ed25519()) {
            Ok(fresh) => self.swarm = fresh,
            Err(error) => {
                tracing::warn!(%error, "the throwaway key could not be replaced");
                self.rotate_at = now + KEY_PATIENCE;
                return;
            }
        }
        self.rotate_at = now + lifetime(&mut self.rng);
        self.connections = Connections::default();
        self.dials.clear();
        self.pinned.clear();
        // Nor is the order what it was: it would say that the next key is the same person's.
        self.order = self.rng.random();
        for relay in self.relays.values_mut() {
            relay.processes.line_up(&self.order);
            for process in relay.processes.all() {
                self.swarm.behaviour_mut().gate.admit_relay(process.peer);
            }
            relay.link.restart(now);
        }
        self.settle_pins();
    }
}

#[cfg(test)]
mod tests;

fn lifetime(rng: &mut StdRng) -> Duration {
    KEY_LIFETIME + KEY_JITTER.mul_f64(rng.random_range(0.0..1.0))
}
