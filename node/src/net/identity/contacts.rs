//! The identity lane's dealings with people.

use std::time::Instant;

use libp2p::PeerId;
use libp2p::request_response::ResponseChannel;
use protocol::contact::{Address, RelayHome};
use protocol::ids::AccountId;
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use protocol::wire::invite::{InviteRequest, InviteResponse};

use super::{Dialled, IdentityLane};
use crate::net::address::{self, Reach};
use crate::net::command::Ticket;
use crate::net::dial::{Route, Step, Want};
use crate::net::event::{NetEvent, NetFailure, Path};
use crate::net::peer;
use crate::net::protocols::exchange::{DIRECT_TIMEOUT, RELAYED_TIMEOUT};

/// Most requests to one account that wait for a connection. More are answered busy.
pub(crate) const MAX_QUEUED: usize = 32;

/// Most processes of relays that are tried for one contact: it is at one of the first, unless those are lost.
const MAX_PROCESSES: usize = 4;

/// A request that waits for a connection.
#[derive(Debug)]
pub(super) enum Queued {
    Envelope(Ticket, EnvelopeRequest),
    Invite(Ticket, InviteRequest),
}

impl Queued {
    fn failed(self, why: NetFailure) -> NetEvent {
        match self {
            Self::Envelope(ticket, _) => NetEvent::EnvelopeDone { ticket, result: Err(why) },
            Self::Invite(ticket, _) => NetEvent::InviteDone { ticket, result: Err(why) },
        }
    }

    /// Whether it is worthless by the time that a connection is up.
    fn is_ephemeral(&self) -> bool {
        matches!(self, Self::Envelope(_, EnvelopeRequest::Ephemeral { .. }))
    }
}

impl IdentityLane {
    pub(super) fn know(&mut self, account: AccountId, addresses: &[Address], homes: &[RelayHome]) {
        let Some(peer) = peer::of_account(account).filter(|peer| *peer != self.local) else {
            tracing::debug!(account = %account.short(), "no such node key");
            return;
        };
        let mut told = address::all_from_wire(addresses, &peer);
        // A contact's loopback is this machine: dialling it would only poke at local services.
        told.retain(|address| match address::reach(address) {
            Reach::Loopback => self.loopback,
            Reach::Link | Reach::Nowhere => false,
            Reach::Private | Reach::Public => true,
        });
        self.swarm.behaviour_mut().gate.admit_contact(peer);
        self.is_a_person(peer);
        let relays = homes.iter().flat_map(|home| self.learn_told(home, &peer));
        let relays = relays.take(MAX_PROCESSES).collect();
        self.dialer.know(account, told, relays);
        self.sweep_links();
        self.announce(account, &peer);
    }

    pub(super) fn forget(&mut self, account: AccountId) {
        self.dialer.forget(account);
        self.wanted.remove(&account);
        self.fail_queued(account, NetFailure::Unreachable);
        if self.announced.remove(&account).is_some() {
            self.events.push(NetEvent::Disconnected(account));
        }
        if let Some(peer) = peer::of_account(account) {
            self.is_a_person(peer);
            self.swarm.behaviour_mut().gate.expel_contact(peer);
        }
        self.sweep_links();
    }

    pub(super) fn connect(&mut self, account: AccountId, now: Instant) {
        if let Some(path) = self.announced.get(&account).copied() {
            self.events.push(NetEvent::Connected { account, path });
            return;
        }
        let connected =
            peer::of_account(account).is_some_and(|peer| self.connections.is_connected(&peer));
        if self.dialer.knows(account)
            && (connected || self.dialer.want(account, now) == Want::Trying)
        {
            self.wanted.insert(account);
        } else {
            self.events.push(NetEvent::Unreachable(account));
        }
    }

    /// Sends a request, or queues it and dials.
    pub(super) fn request(&mut self, to: AccountId, request: Queued, now: Instant) {
        let peer = peer::of_account(to).filter(|_| self.dialer.knows(to));
        let Some(peer) = peer else {
            self.events.push(request.failed(NetFailure::Unreachable));
            return;
        };
        if self.connections.is_connected(&peer) {
            self.send(&peer, request, now);
            return;
        }
        let queue = self.queued.entry(to).or_default();
        if request.is_ephemeral() {
            self.events.push(request.failed(NetFailure::Unreachable));
        } else if queue.len() >= MAX_QUEUED {
            self.events.push(request.failed(NetFailure::Busy));
        } else {
            queue.push_back(request);
            if self.dialer.want(to, now) == Want::Unreachable {
                self.fail_queued(to, NetFailure::Unreachable);
            }
        }
    }

    fn send(&mut self, peer: &PeerId, request: Queued, now: Instant) {
        let relayed = self.connections.best_path(peer) == Some(Path::Relayed);
        let deadline = now + if relayed { RELAYED_TIMEOUT } else { DIRECT_TIMEOUT };
        let behaviour = self.swarm.behaviour_mut();
        match request {
            Queued::Envelope(ticket, request) => {
                self.envelopes.send(&mut behaviour.envelope, peer, ticket, request, deadline);
            }
            Queued::Invite(ticket, request) => {
                self.invites.send(&mut behaviour.invite, peer, ticket, request, deadline);
            }
        }
    }

    /// There is a connection to a contact, or one more.
    pub(super) fn contact_connected(&mut self, account: AccountId, peer: &PeerId, now: Instant) {
        self.dialer.connected(account);
        self.connections.supersede(&self.local, peer, now);
        self.announce(account, peer);
        for request in self.queued.remove(&account).unwrap_or_default() {
            self.send(peer, request, now);
        }
    }

    /// The last connection to a contact is gone.
    pub(super) fn contact_disconnected(
        &mut self,
        account: AccountId,
        identified: bool,
        now: Instant,
    ) {
        if self.announced.remove(&account).is_some() {
            self.events.push(NetEvent::Disconnected(account));
        }
        if !identified {
            self.dialer.turned_away(account, now, &mut self.rng);
            if self.wanted.remove(&account) {
                self.events.push(NetEvent::Unreachable(account));
            }
        }
    }

    /// Tells the engine of a contact's path, when it is new.
    pub(super) fn announce(&mut self, account: AccountId, peer: &PeerId) {
        if !self.dialer.knows(account) || !self.connections.is_identified(peer) {
            return;
        }
        let Some(path) = self.connections.best_path(peer) else {
            return;
        };
        let wanted = self.wanted.remove(&account);
        let changed = self.announced.insert(account, path) != Some(path);
        if changed || wanted {
            tracing::debug!(account = %account.short(), ?path, "connected");
            self.events.push(NetEvent::Connected { account, path });
        }
    }

    pub(super) fn dial_step(&mut self, step: Step, now: Instant) {
        match step {
            Step::Dial { account, dial, route: Route::Relay(relay) } => {
                self.dial_over(relay, account, dial, now);
            }
            Step::Dial { account, dial, route: Route::Addresses(addresses) } => {
                let started = peer::of_account(account).is_some_and(|peer| {
                    self.dial(peer, addresses, Dialled::Contact(account, dial))
                });
                if !started {
                    self.dialer.failed(account, dial);
                }
            }
            Step::GiveUp(account) => {
                tracing::debug!(account = %account.short(), "unreachable");
                self.wanted.remove(&account);
                self.fail_queued(account, NetFailure::Unreachable);
                self.events.push(NetEvent::Unreachable(account));
            }
        }
    }

    pub(super) fn answer_envelope(
        &mut self,
        channel: ResponseChannel<EnvelopeResponse>,
        answer: EnvelopeResponse,
    ) {
        if self.swarm.behaviour_mut().envelope.send_response(channel, answer).is_err() {
            tracing::debug!("a contact was gone before its answer");
        }
    }

    pub(super) fn answer_invite(
        &mut self,
        channel: ResponseChannel<InviteResponse>,
        answer: InviteResponse,
    ) {
        if self.swarm.behaviour_mut().invite.send_response(channel, answer).is_err() {
            tracing::debug!("a scanner was gone before its answer");
        }
    }

    fn fail_queued(&mut self, account: AccountId, why: NetFailure) {
        let failed = self.queued.remove(&account).unwrap_or_default().into_iter();
        self.events.extend(failed.map(|request| request.failed(why)));
    }
}
