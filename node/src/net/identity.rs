//! The lane under the account's key: contacts, strangers with an invite, registration, homes.
//!
//! One task owns the swarm and everything pending on it. Policy lives in pure machines
//! ([`Dialer`], [`Homes`], [`Connections`]); this lane carries out what they decide and tells
//! them what became of it.
//!
//! # Invariants
//! * No handler awaits anything.
//! * Every command with a ticket is answered once, whatever happens to its connection.

mod contacts;
mod links;
mod listening;
mod relays;
mod route;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use futures::StreamExt;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Swarm};
use protocol::ids::{AccountId, RelayId};
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::contacts::Queued;
use self::links::Link;
use self::listening::Listening;
use self::relays::{Job, Ours};
use super::behaviour::Identity;
use super::command::{NetCommand, Ticket};
use super::connections::Connections;
use super::dial::{DialId, Dialer};
use super::event::{NetEvent, NetFailure, Path};
use super::homes::Homes;
use super::outgoing::Outgoing;
use super::protocols::envelope::Envelopes;
use super::protocols::invite::Invites;
use super::protocols::mailbox::Openings;
use super::protocols::register::{self, Registrations};

/// What a dial of ours is for.
#[derive(Clone, Copy, Debug)]
enum Dialled {
    Contact(AccountId, DialId),
    Relay(PeerId),
}

/// The lane.
pub(super) struct IdentityLane {
    swarm: Swarm<Identity>,
    local: PeerId,
    commands: mpsc::Receiver<NetCommand>,
    events: Outgoing,
    rng: StdRng,
    loopback: bool,
    connections: Connections,
    dialer: Dialer,
    dials: HashMap<ConnectionId, Dialled>,
    /// Requests that wait for a connection.
    queued: BTreeMap<AccountId, VecDeque<Queued>>,
    /// Contacts that the engine believes connected, and over which path.
    announced: BTreeMap<AccountId, Path>,
    /// `Connect`s that are not answered yet.
    wanted: BTreeSet<AccountId>,
    homes: Homes,
    /// Relays that the engine named.
    ours: BTreeMap<RelayId, Ours>,
    links: BTreeMap<PeerId, Link>,
    /// Whose connections are kept: the process in use of each home.
    pinned: BTreeSet<PeerId>,
    envelopes: Envelopes,
    invites: Invites,
    registrations: Registrations,
    openings: Openings,
    listening: Listening,
}

impl IdentityLane {
    /// A lane over a swarm that listens already.
    pub(super) fn new(
        swarm: Swarm<Identity>,
        commands: mpsc::Receiver<NetCommand>,
        events: mpsc::Sender<NetEvent>,
        loopback: bool,
    ) -> Self {
        Self {
            local: *swarm.local_peer_id(),
            swarm,
            commands,
            events: Outgoing::new(events),
            rng: rand::make_rng(),
            loopback,
            connections: Connections::default(),
            dialer: Dialer::default(),
            dials: HashMap::new(),
            queued: BTreeMap::new(),
            announced: BTreeMap::new(),
            wanted: BTreeSet::new(),
            homes: Homes::default(),
            ours: BTreeMap::new(),
            links: BTreeMap::new(),
            pinned: BTreeSet::new(),
            envelopes: Envelopes::default(),
            invites: Invites::default(),
            registrations: Registrations::default(),
            openings: Openings::default(),
            listening: Listening::new(loopback),
        }
    }

    /// Runs until `shutdown`, or until the engine is gone.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            self.advance(Instant::now());
            let deadline = self.next_deadline();
            tokio::select! { biased;
                () = shutdown.cancelled() => break,
                flushed = self.events.flush(), if self.events.is_waiting() => if flushed.is_err() { break },
                Some((channel, answer)) = self.envelopes.waiting.next() => self.answer_envelope(channel, answer),
                Some((channel, answer)) = self.invites.waiting.next() => self.answer_invite(channel, answer),
                () = super::until(deadline) => {}
                Some(command) = self.commands.recv(), if self.events.has_room() => self.command(command, Instant::now()),
                event = self.swarm.select_next_some(), if self.events.has_room() => self.route(event, Instant::now()),
            }
        }
    }

    /// Does everything that is due.
    fn advance(&mut self, now: Instant) {
        for id in self.connections.retired(now) {
            tracing::debug!("closing a superseded connection");
            self.swarm.close_connection(id);
        }
        self.events.extend(self.envelopes.expired(now));
        self.events.extend(self.invites.expired(now));
        self.events.extend(self.openings.expired(now));
        let over: Vec<register::Outcome> = self.registrations.expired(now).collect();
        for outcome in over {
            self.registration(None, outcome, now);
        }
        while let Some(action) = self.homes.poll(now) {
            self.home_action(action, now);
        }
        self.expire_circuits(now);
        while let Some(step) = self.dialer.poll(now, &mut self.rng) {
            self.dial_step(step, now);
        }
        self.events.extend(self.listening.report(now));
    }

    fn next_deadline(&self) -> Option<Instant> {
        [
            self.connections.next_deadline(),
            self.envelopes.next_deadline(),
            self.invites.next_deadline(),
            self.openings.next_deadline(),
            self.registrations.next_deadline(),
            self.homes.next_deadline(),
            self.circuits_deadline(),
            self.dialer.next_deadline(),
            self.listening.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn command(&mut self, command: NetCommand, now: Instant) {
        match command {
            NetCommand::Know { account, addresses, homes } => {
                self.know(account, &addresses, &homes)
            }
            NetCommand::Forget(account) => self.forget(account),
            NetCommand::AdmitStrangers(admit) => {
                self.swarm.behaviour_mut().gate.admit_strangers(admit)
            }
            NetCommand::Connect(account) => self.connect(account, now),
            NetCommand::Envelope { ticket, to, request } => {
                self.request(to, Queued::Envelope(ticket, request), now);
            }
            NetCommand::Invite { ticket, to, request } => {
                self.request(to, Queued::Invite(ticket, request), now);
            }
            NetCommand::Register { ticket, relay, request } => {
                self.relay_job(&relay, Job::Register(ticket, request), now);
            }
            NetCommand::OpenQueue { ticket, relay, credential, queue } => {
                self.relay_job(&relay, Job::Open(ticket, credential, queue), now);
            }
            NetCommand::Homes(homes) => self.set_homes(&homes, now),
            // The handle sends these to the throwaway lanes.
            NetCommand::CloseQueue { ticket, .. } => self.misrouted(ticket, |ticket| {
                NetEvent::QueueDone { ticket, result: Err(NetFailure::Unsupported) }
            }),
            NetCommand::Deposit { ticket, .. } => self.misrouted(ticket, |ticket| {
                NetEvent::DepositDone { ticket, result: Err(NetFailure::Unsupported) }
            }),
            NetCommand::FetchBundle { ticket, .. } => self.misrouted(ticket, |ticket| {
                NetEvent::BundleDone { ticket, result: Err(NetFailure::Unsupported) }
            }),
            NetCommand::Subscribe { .. } | NetCommand::ForgetRelay(_) => {}
        }
    }

    fn misrouted(&mut self, ticket: Ticket, answer: impl FnOnce(Ticket) -> NetEvent) {
        tracing::error!("a throwaway command reached the identity lane");
        self.events.push(answer(ticket));
    }

    /// Starts a dial. False when it failed at once.
    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, what: Dialled) -> bool {
        use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
        let options =
            DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(id, what);
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
