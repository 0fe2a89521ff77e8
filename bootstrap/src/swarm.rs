//! The network task: it owns the swarm and the requests under way, and never the store.
//!
//! 1. A request comes in; its cost is taken from the key's and the address' bucket.
//! 2. It goes to its service over a bounded channel; without room it is answered `Busy`.
//! 3. Answers and pushes come back over bounded channels and leave.
//!
//! # Invariants
//! * The task never waits for a service: it hands over what fits, and while what must not be
//!   lost ([`BACKLOG`]) does not fit, it stops polling the network, so that the pressure
//!   reaches the peers instead of growing here.
//! * Addresses of people are used for limits and are not logged.

mod draining;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::request_response::{self, Message, OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{PeerId, Swarm, ping, relay};
use protocol::blob::{BlobRefusal, BlobRequest, BlobResponse};
use protocol::ids::{AccountId, QueueId};
use protocol::mailbox::wire::{MAX_ITEMS, MailboxRefusal, MailboxRequest, MailboxResponse};
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse};
use protocol::turn::{TurnRefusal, TurnRequest, TurnResponse};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::blobs::service::Asked as BlobAsk;
use crate::config::Config;
use crate::current::Current;
use crate::drain::Drain;
use crate::mailbox::subscribers::Ticket;
use crate::mailbox::traffic::{Input, Output};
use crate::metrics::{Asked as To, Metrics};
use crate::rates::{Rates, ip_of};
use crate::registration::service::{Answer, Asked};
use crate::turn::Calls;

/// Inputs for the mailbox thread that wait in its channel.
pub(crate) const MAILBOX_INPUTS: usize = 1_024;
/// Requests for the registration task that wait in its channel; more are told `TooSoon`.
pub(crate) const REGISTER_INPUTS: usize = 256;
/// Requests about files that wait for their service, each with a piece perhaps; more are told `Busy`.
pub(crate) const BLOB_INPUTS: usize = 64;
/// Answers and pushes that wait for the network task; services wait when it is full.
pub(crate) const OUTPUTS: usize = 1_024;
/// Inputs that did not fit into the mailbox thread's channel. At half of it requests are
/// answered `Busy`; at all of it the network is not polled.
const BACKLOG: usize = 512;
/// Waiting time named to those who found no room, milliseconds.
const NO_ROOM_RETRY_MS: u32 = 1_000;
/// Queues of which other processes said something, and the mailbox thread does not know it yet. At the bound orders wait.
const MAX_NEWS: usize = 100_000;
/// Orders that wait for the network task; whoever gives one waits when it is full.
pub(crate) const ORDERS: usize = 256;
/// How often time is passed on to the mailbox thread.
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two sweeps of the rate limiters.
const SWEEP_TICKS: u32 = 60;
/// Ticks that somebody who leaves has for reading the last answer: when they have, nobody tells us, and what is on
/// its way is lost with the connection.
const LEAVE_TICKS: u32 = 2;
/// Failed pings after which a connection is closed.
const MAX_PING_FAILURES: u8 = 2;

pub(crate) type MailboxInput = Input<ResponseChannel<MailboxResponse>>;
pub(crate) type MailboxOutput = Output<ResponseChannel<MailboxResponse>>;
pub(crate) type RegisterAsked = Asked<ResponseChannel<RegisterResponse>>;
pub(crate) type RegisterAnswer = Answer<ResponseChannel<RegisterResponse>>;

pub(crate) type BlobAsked = BlobAsk<ResponseChannel<BlobResponse>>;
pub(crate) type BlobAnswer = (ResponseChannel<BlobResponse>, BlobResponse);

/// The ways between the network task and the services.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) mailbox: mpsc::Sender<MailboxInput>,
    pub(crate) mailbox_out: mpsc::Receiver<MailboxOutput>,
    pub(crate) register: mpsc::Sender<RegisterAsked>,
    pub(crate) register_out: mpsc::Receiver<RegisterAnswer>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Absent where no files are kept.
    pub(crate) blobs: Option<mpsc::Sender<BlobAsked>>,
    pub(crate) blobs_out: mpsc::Receiver<BlobAnswer>,
    /// Answers at once; absent where calls are not carried.
    pub(crate) calls: Option<Arc<Calls>>,
}

/// What others than peers want of the network task.
#[derive(Debug)]
pub(crate) enum Order {
    /// Close every connection of this key.
    Disconnect(PeerId),
    /// Pass on that an account's queues are to be closed, and whom to tell when they are.
    Erase(AccountId, oneshot::Sender<()>),
    /// Pass on that another process stored something in these queues.
    Stored(Vec<QueueId>),
}

/// Why the loop goes round.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one turn of the loop; a box for every event would cost more"
)]
enum Woken {
    /// The mailbox thread takes inputs again.
    Room,
    Output(MailboxOutput),
    Answer(RegisterAnswer),
    Blob(BlobAnswer),
    Order(Order),
    /// Limits changed.
    Config(Arc<Config>),
    Tick,
    Event(SwarmEvent<BehaviourEvent>),
}

pub(crate) struct Net {
    swarm: Swarm<Behaviour>,
    channels: Channels,
    rates: Rates,
    current: Current,
    /// As it was taken up.
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    /// Listen addresses are external ones: the operator named none.
    announce_listeners: bool,
    backlog: VecDeque<MailboxInput>,
    pushes: HashMap<OutboundRequestId, (PeerId, Ticket)>,
    addresses: HashMap<PeerId, IpAddr>,
    /// Queues in which other processes stored something, for the mailbox thread when it is not behind.
    news: HashSet<QueueId>,
    /// To be disconnected, and at which tick.
    leaving: HashMap<PeerId, u32>,
    ping_failures: HashMap<ConnectionId, u8>,
    ticks: u32,
    drain: Drain,
    /// Ticks until nobody is to be connected any more, once that is wanted.
    turns_left: Option<u64>,
}

impl Net {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        channels: Channels,
        current: Current,
        metrics: Arc<Metrics>,
        drain: Drain,
    ) -> Self {
        let config = current.get();
        Self {
            swarm,
            channels,
            rates: Rates::new(&config),
            current,
            metrics,
            announce_listeners: config.network.external_addresses.is_empty(),
            config,
            backlog: VecDeque::new(),
            pushes: HashMap::new(),
            addresses: HashMap::new(),
            news: HashSet::new(),
            leaving: HashMap::new(),
            ping_failures: HashMap::new(),
            ticks: 0,
            drain,
            turns_left: None,
        }
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let woken = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = self.channels.mailbox.reserve(), if !self.backlog.is_empty() => Woken::Room,
                Some(output) = self.channels.mailbox_out.recv() => Woken::Output(output),
                Some(answer) = self.channels.register_out.recv() => Woken::Answer(answer),
                Some(answer) = self.channels.blobs_out.recv() => Woken::Blob(answer),
                Some(order) = self.channels.orders.recv(), if self.news.len() < MAX_NEWS => {
                    Woken::Order(order)
                }
                config = self.current.changed() => Woken::Config(config),
                _ = tick.tick() => Woken::Tick,
                event = self.swarm.select_next_some(), if self.backlog.len() < BACKLOG => {
                    Woken::Event(event)
                }
            };
            match woken {
                Woken::Room => {}
                Woken::Output(output) => self.output(output),
                Woken::Answer(answer) => self.answer(answer),
                Woken::Blob((reply, response)) => {
                    // Fails when the peer has left, or the request timed out.
                    let _ = self.swarm.behaviour_mut().blobs.send_response(reply, response);
                }
                // Fails when the peer has no connection.
                Woken::Order(Order::Disconnect(peer)) => drop(self.swarm.disconnect_peer_id(peer)),
                Woken::Order(Order::Erase(account, done)) => {
                    self.backlog.push_back(Input::Erase(account, done));
                }
                Woken::Order(Order::Stored(queues)) => self.news.extend(queues),
                Woken::Config(config) => {
                    let before = std::mem::replace(&mut self.config, config);
                    self.rates.follow(&before, &self.config);
                }
                Woken::Tick => self.tick(),
                Woken::Event(event) => self.route(event),
            }
            if !self.news.is_empty() && self.backlog.is_empty() {
                let queues = std::mem::take(&mut self.news).into_iter().collect();
                self.backlog.push_back(Input::Stored(queues));
            }
            self.hand_over();
        }
    }

    fn answer(&mut self, answer: RegisterAnswer) {
        let Answer { reply, response, leaves } = answer;
        // Fails when the peer has left, or the request timed out.
        let _ = self.swarm.behaviour_mut().registration.send_response(reply, response);
        if let Some(peer) = leaves {
            self.leaving.insert(peer, self.ticks.wrapping_add(LEAVE_TICKS));
        }
    }

    fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SWEEP_TICKS) {
            self.rates.sweep();
        }
        if self.drain.is_asked() {
            self.drain_some();
        }
        for (peer, _) in self.leaving.extract_if(|_, at| *at == self.ticks) {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        // A thread that is behind gets its ticks by working off what it has.
        if self.backlog.is_empty() {
            self.backlog.push_back(Input::Tick);
        }
    }

    fn hand_over(&mut self) {
        while let Some(input) = self.backlog.pop_front() {
            match self.channels.mailbox.try_send(input) {
                Ok(()) => {}
                Err(TrySendError::Full(input)) => {
                    self.backlog.push_front(input);
                    break;
                }
                Err(TrySendError::Closed(_)) => self.backlog.clear(),
            }
        }
    }

    fn output(&mut self, output: MailboxOutput) {
        let behaviour = self.swarm.behaviour_mut();
        match output {
            Output::Reply(channel, response) => {
                // Fails when the peer has left, or the request timed out.
                let _ = behaviour.mailbox.send_response(channel, response);
            }
            Output::Push { peer, ticket, items } => {
                if self.swarm.is_connected(&peer) {
                    let request = MailboxRequest::Push { items };
                    let id = self.swarm.behaviour_mut().mailbox.send_request(&peer, request);
                    self.pushes.insert(id, (peer, ticket));
                } else {
                    self.pushed(peer, ticket, Vec::new());
                }
            }
            Output::Pin(peer) => behaviour.pin.pin(peer),
            Output::Unpin(peer) => behaviour.pin.unpin(&peer),
        }
    }

    fn route(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Mailbox(event)) => self.on_mailbox(event),
            SwarmEvent::Behaviour(BehaviourEvent::Registration(event)) => self.on_register(event),
            SwarmEvent::Behaviour(BehaviourEvent::Blobs(event)) => self.on_blob(event),
            SwarmEvent::Behaviour(BehaviourEvent::Turn(event)) => self.on_turn(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(&event),
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => self.on_relay(&event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.metrics.connections.inc();
                if let Some(address) = ip_of(endpoint.get_remote_address()) {
                    self.addresses.insert(peer_id, address);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.metrics.connections.dec();
                self.ping_failures.remove(&connection_id);
                if num_established == 0 {
                    self.leaving.remove(&peer_id);
                    self.addresses.remove(&peer_id);
                    self.backlog.push_back(Input::Gone(peer_id));
                }
            }
            SwarmEvent::NewListenAddr { address, .. } if self.announce_listeners => {
                self.swarm.add_external_address(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } if self.announce_listeners => {
                self.swarm.remove_external_address(&address);
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                tracing::error!(%error, "a listener closed");
            }
            _ => {}
        }
    }

    fn on_mailbox(&mut self, event: request_response::Event<MailboxRequest, MailboxResponse>) {
        use request_response::Event;
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let address = self.addresses.get(&peer).copied();
                let room = if self.backlog.len() < BACKLOG / 2 {
                    self.rates.request(&peer, address, mailbox_cost(&request))
                } else {
                    Err(NO_ROOM_RETRY_MS)
                };
                match room {
                    Ok(()) => {
                        self.metrics.request(To::Mailbox);
                        let request = Box::new(request);
                        self.backlog.push_back(Input::Request { peer, request, reply: channel });
                    }
                    Err(retry_ms) => {
                        self.metrics.refusal(To::Mailbox);
                        let busy = MailboxResponse::Refused(MailboxRefusal::Busy { retry_ms });
                        let _ = self.swarm.behaviour_mut().mailbox.send_response(channel, busy);
                    }
                }
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                let acknowledged = match response {
                    MailboxResponse::Acknowledged { items } if items.len() <= MAX_ITEMS => items,
                    _ => Vec::new(),
                };
                self.push_ended(request_id, acknowledged);
            }
            Event::OutboundFailure { request_id, .. } => {
                self.push_ended(request_id, Vec::new());
            }
            Event::InboundFailure { error, .. } => tracing::debug!(%error, "mailbox request"),
            Event::ResponseSent { .. } => {}
        }
    }

    fn push_ended(&mut self, id: OutboundRequestId, acknowledged: Vec<(QueueId, u64)>) {
        if let Some((peer, ticket)) = self.pushes.remove(&id) {
            self.pushed(peer, ticket, acknowledged);
        }
    }

    fn pushed(&mut self, peer: PeerId, ticket: Ticket, acknowledged: Vec<(QueueId, u64)>) {
        self.backlog.push_back(Input::Pushed { peer, ticket, acknowledged });
    }

    fn on_register(&mut self, event: request_response::Event<RegisterRequest, RegisterResponse>) {
        use request_response::Event;
        let Event::Message { peer, message: Message::Request { request, channel, .. }, .. } = event
        else {
            return;
        };
        let address = self.addresses.get(&peer).copied();
        let allowed =
            self.rates.request(&peer, address, NonZeroU32::MIN).and_then(|()| match &request {
                RegisterRequest::Challenge { .. } | RegisterRequest::Resend { .. } => {
                    self.rates.challenge(address)
                }
                _ => Ok(()),
            });
        let refused = match allowed {
            Err(retry_ms) => Some((channel, retry_ms)),
            Ok(()) => {
                match self.channels.register.try_send(Asked { peer, request, reply: channel }) {
                    Ok(()) => None,
                    Err(TrySendError::Full(asked) | TrySendError::Closed(asked)) => {
                        Some((asked.reply, NO_ROOM_RETRY_MS))
                    }
                }
            }
        };
        match refused {
            None => self.metrics.request(To::Registration),
            Some((channel, retry_ms)) => {
                self.metrics.refusal(To::Registration);
                let response = RegisterResponse::Refused(RegisterRefusal::TooSoon { retry_ms });
                let _ = self.swarm.behaviour_mut().registration.send_response(channel, response);
            }
        }
    }

    fn on_turn(&mut self, event: request_response::Event<TurnRequest, TurnResponse>) {
        let request_response::Event::Message {
            peer,
            message: Message::Request { request: TurnRequest::Credentials, channel, .. },
            ..
        } = event
        else {
            return;
        };
        let address = self.addresses.get(&peer).copied();
        let allowed = self.rates.request(&peer, address, NonZeroU32::MIN);
        let response = match (allowed.and_then(|()| self.rates.call(&peer)), &self.channels.calls) {
            (Err(retry_ms), _) => {
                self.metrics.refusal(To::Turn);
                TurnResponse::Refused(TurnRefusal::TooSoon { retry_ms })
            }
            (Ok(()), Some(calls)) => {
                self.metrics.request(To::Turn);
                calls.grant(&peer)
            }
            (Ok(()), None) => TurnResponse::Refused(TurnRefusal::NotOffered),
        };
        // Fails when the peer has left, or the request timed out.
        let _ = self.swarm.behaviour_mut().turn.send_response(channel, response);
    }

    fn on_blob(&mut self, event: request_response::Event<BlobRequest, BlobResponse>) {
        let request_response::Event::Message {
            peer,
            message: Message::Request { request, channel, .. },
            ..
        } = event
        else {
            return;
        };
        let address = self.addresses.get(&peer).copied();
        let allowed = self.rates.request(&peer, address, NonZeroU32::MIN);
        let (channel, refusal) = match (allowed, &self.channels.blobs) {
            (_, None) => (channel, BlobRefusal::NotOffered),
            (Err(retry_ms), Some(_)) => (channel, BlobRefusal::Busy { retry_ms }),
            (Ok(()), Some(blobs)) => {
                match blobs.try_send(BlobAsk { peer, request, reply: channel }) {
                    Ok(()) => return self.metrics.request(To::Blobs),
                    Err(TrySendError::Full(asked) | TrySendError::Closed(asked)) => {
                        (asked.reply, BlobRefusal::Busy { retry_ms: NO_ROOM_RETRY_MS })
                    }
                }
            }
        };
        self.metrics.refusal(To::Blobs);
        let refused = BlobResponse::Refused(refusal);
        let _ = self.swarm.behaviour_mut().blobs.send_response(channel, refused);
    }

    /// libp2p reports failed pings and leaves the connection as it is.
    fn on_ping(&mut self, event: &ping::Event) {
        match &event.result {
            Ok(_) => {
                self.ping_failures.remove(&event.connection);
            }
            // A peer without ping is no dead peer.
            Err(ping::Failure::Unsupported) => {}
            Err(_) => {
                let failures = self.ping_failures.entry(event.connection).or_default();
                *failures += 1;
                if *failures >= MAX_PING_FAILURES {
                    self.swarm.close_connection(event.connection);
                }
            }
        }
    }

    fn on_relay(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { .. } => {
                self.metrics.reservations.inc();
            }
            relay::Event::CircuitReqAccepted { .. } => drop(self.metrics.circuits.inc()),
            _ => {}
        }
    }
}

/// Tokens of a request: what it makes the mailbox thread verify or store.
fn mailbox_cost(request: &MailboxRequest) -> NonZeroU32 {
    let cost = match request {
        MailboxRequest::Deposit { deposits } => deposits.len(),
        MailboxRequest::Attach { claims } => claims.len() / 2,
        _ => 1,
    };
    let most = crate::config::MIN_BURST as usize;
    u32::try_from(cost.clamp(1, most)).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}
