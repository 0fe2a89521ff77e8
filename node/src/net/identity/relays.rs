//! The identity lane's dealings with relays: homes, requests, and the way to contacts over them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use protocol::contact::RelayHome;
use protocol::ids::{AccountId, RelayId};
use protocol::mailbox::wire::QueueSpec;
use protocol::registration::wire::{RegisterRequest, RegisterResponse};

use super::links::{Circuit, Link};
use super::{Dialled, IdentityLane};
use crate::net::command::{Credential, Ticket};
use crate::net::dial::DialId;
use crate::net::event::{NetEvent, NetFailure, RelayPhase};
use crate::net::homes::Action;
use crate::net::peer;
use crate::net::processes::Processes;
use crate::net::protocols::register::Outcome;

/// Most requests to one relay that wait for a connection. More are answered busy.
const MAX_JOBS: usize = 64;
/// Most contacts that wait for one relay to be connected.
const MAX_CIRCUITS: usize = 64;
/// A relay that is wanted for a circuit has this long to connect and identify itself.
const CIRCUIT_TIMEOUT: Duration = Duration::from_secs(12);
/// A change of the clocks' difference below this is not worth an event, milliseconds.
const CLOCK_NOISE_MS: u64 = 1_000;

/// A request that waits for a relay.
#[derive(Debug)]
pub(super) enum Job {
    Register(Ticket, RegisterRequest),
    Open(Ticket, Credential, QueueSpec),
}

impl Job {
    fn failed(self, why: NetFailure) -> NetEvent {
        match self {
            Self::Register(ticket, _) => NetEvent::RegisterDone { ticket, result: Err(why) },
            Self::Open(ticket, ..) => NetEvent::QueueDone { ticket, result: Err(why) },
        }
    }
}

/// A relay that the engine named, and what waits for whichever of its processes is reached.
pub(super) struct Ours {
    pub(super) processes: Processes,
    pub(super) jobs: VecDeque<Job>,
}

impl IdentityLane {
    /// Homes on exactly these relays.
    pub(super) fn set_homes(&mut self, homes: &[RelayHome], now: Instant) {
        let mut relays = Vec::new();
        for home in homes {
            if self.learn_ours(home).is_some() {
                relays.push(home.relay);
            }
        }
        self.homes.set(&relays, now);
        self.settle_pins();
    }

    /// Sends a request to a relay, connecting if need be.
    pub(super) fn relay_job(&mut self, relay: &RelayHome, job: Job, now: Instant) {
        let Some(peer) = self.learn_ours(relay) else {
            self.events.push(job.failed(NetFailure::Unreachable));
            return;
        };
        if self.connections.is_connected(&peer) {
            self.send_job(&peer, job, now);
            return;
        }
        let Some(ours) = self.ours.get_mut(&relay.relay) else {
            return;
        };
        if ours.jobs.len() >= MAX_JOBS {
            self.events.push(job.failed(NetFailure::Busy));
            return;
        }
        ours.jobs.push_back(job);
        self.dial_relay(relay.relay, now);
    }

    /// The relays of which this process is the one that is used.
    fn served_by(&self, peer: &PeerId) -> Vec<RelayId> {
        let used = self.ours.iter().filter(|(_, ours)| ours.processes.is_current(peer));
        used.map(|(relay, _)| *relay).collect()
    }

    /// The process of a relay that is used, and what is known of it.
    fn current(&self, relay: RelayId) -> Option<(PeerId, &Link)> {
        let peer = self.ours.get(&relay)?.processes.current().peer;
        Some((peer, self.links.get(&peer)?))
    }

    fn send_job(&mut self, peer: &PeerId, job: Job, now: Instant) {
        let behaviour = self.swarm.behaviour_mut();
        match job {
            Job::Register(ticket, request) => {
                self.registrations.send(&mut behaviour.register, peer, ticket, request, now);
            }
            Job::Open(ticket, credential, queue) => {
                self.openings.send(&mut behaviour.mailbox, peer, ticket, (credential, queue), now);
            }
        }
    }

    pub(super) fn home_action(&mut self, action: Action, now: Instant) {
        match action {
            Action::Dial(relay) => self.dial_relay(relay, now),
            Action::Reserve(relay) => self.reserve(relay, now),
            Action::Probe(relay) => {
                if let Some((peer, _)) = self.current(relay) {
                    let behaviour = self.swarm.behaviour_mut();
                    self.registrations.probe(&mut behaviour.register, &peer, now);
                }
            }
            Action::Unlisten(listener) => {
                self.swarm.remove_listener(listener);
            }
            Action::Release(_) => self.sweep_links(),
            Action::Report(relay, phase) => self.report_relay(relay, phase),
        }
    }

    fn report_relay(&mut self, relay: RelayId, phase: RelayPhase) {
        tracing::debug!(relay = %relay.short(), ?phase, "home");
        let clock_offset_ms = self.current(relay).and_then(|(_, link)| link.clock_offset_ms);
        self.events.push(NetEvent::Relay { relay, phase, clock_offset_ms });
    }

    fn reserve(&mut self, relay: RelayId, now: Instant) {
        let way = self.current(relay).and_then(|(peer, link)| link.circuit(peer, None));
        let listener = way.and_then(|way| self.swarm.listen_on(way).ok());
        self.homes.requested(relay, listener, now, &mut self.rng);
    }

    /// Connects to a relay's processes, one after the other, unless that is done or under way.
    fn dial_relay(&mut self, relay: RelayId, now: Instant) {
        self.settle_pins();
        let Some((peer, _)) = self.current(relay) else {
            self.relay_unreachable(relay, now);
            return;
        };
        if self.connections.is_connected(&peer) {
            self.relay_connected(relay, peer, now);
            if self.connections.is_identified(&peer) {
                self.relay_identified(relay, now);
            }
            return;
        }
        self.dial_process(peer, now);
    }

    fn relay_connected(&mut self, relay: RelayId, process: PeerId, now: Instant) {
        self.settle_pins();
        let jobs = self.ours.get_mut(&relay).map(|ours| std::mem::take(&mut ours.jobs));
        for job in jobs.into_iter().flatten() {
            self.send_job(&process, job, now);
        }
        self.homes.connected(relay, now);
    }

    fn relay_identified(&mut self, relay: RelayId, now: Instant) {
        if let Some(ours) = self.ours.get_mut(&relay) {
            ours.processes.answered();
        }
        self.homes.identified(relay, now);
    }

    fn relay_unreachable(&mut self, relay: RelayId, now: Instant) {
        let jobs = self.ours.get_mut(&relay).map(|ours| std::mem::take(&mut ours.jobs));
        let jobs = jobs.into_iter().flatten();
        self.events.extend(jobs.map(|job| job.failed(NetFailure::Unreachable)));
        self.homes.dial_failed(relay, now, &mut self.rng);
        self.settle_pins();
    }

    /// Connects to a process, unless that is under way.
    fn dial_process(&mut self, peer: PeerId, now: Instant) {
        let Some(link) = self.links.get(&peer) else {
            return;
        };
        if link.dialling > 0 {
            return;
        }
        let addresses = link.addresses.clone();
        let started = !addresses.is_empty() && self.dial(peer, addresses, Dialled::Relay(peer));
        if let Some(link) = self.links.get_mut(&peer) {
            link.dialling += usize::from(started);
        }
        if !started {
            self.process_unreachable(peer, now);
        }
    }

    /// Dials a contact over a process of a relay, once that is connected and has identified itself:
    /// before, hole punching would have no address to offer.
    pub(super) fn dial_over(
        &mut self,
        process: PeerId,
        account: AccountId,
        dial: DialId,
        now: Instant,
    ) {
        let Some(link) =
            self.links.get_mut(&process).filter(|link| link.circuits.len() < MAX_CIRCUITS)
        else {
            self.dialer.failed(account, dial);
            return;
        };
        if self.connections.is_identified(&process) {
            self.dial_circuit(process, account, dial);
            return;
        }
        link.circuits.push(Circuit { account, dial, until: now + CIRCUIT_TIMEOUT });
        if !self.connections.is_connected(&process) {
            self.dial_process(process, now);
        }
    }

    fn dial_circuit(&mut self, process: PeerId, account: AccountId, dial: DialId) {
        let way = self.links.get(&process).and_then(|link| {
            let peer = peer::of_account(account)?;
            Some((peer, link.circuit(process, Some(peer))?))
        });
        let started = way.is_some_and(|(peer, address)| {
            self.dial(peer, vec![address], Dialled::Contact(account, dial))
        });
        if !started {
            self.dialer.failed(account, dial);
        }
    }

    /// There is a connection to a process, dialled at `through` if we dialled it.
    pub(super) fn process_connected(
        &mut self,
        peer: PeerId,
        through: Option<Multiaddr>,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.through = through.or(link.through.take());
        for relay in self.served_by(&peer) {
            self.relay_connected(relay, peer, now);
        }
    }

    /// The process has identified itself.
    pub(super) fn process_identified(&mut self, peer: PeerId, now: Instant) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        for circuit in std::mem::take(&mut link.circuits) {
            self.dial_circuit(peer, circuit.account, circuit.dial);
        }
        for relay in self.served_by(&peer) {
            self.relay_identified(relay, now);
        }
    }

    /// A dial of a process came to nothing.
    pub(super) fn process_dial_failed(&mut self, peer: PeerId, now: Instant) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.dialling = link.dialling.saturating_sub(1);
        if link.dialling == 0 && !self.connections.is_connected(&peer) {
            self.process_unreachable(peer, now);
        }
    }

    /// A dial of a process succeeded.
    pub(super) fn process_dial_done(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.dialling = link.dialling.saturating_sub(1);
        }
    }

    /// Whoever waited for this process goes on to the next, if there is one that was not tried.
    pub(super) fn process_unreachable(&mut self, peer: PeerId, now: Instant) {
        self.fail_circuits(&peer);
        for relay in self.served_by(&peer) {
            let Some(ours) = self.ours.get_mut(&relay) else { continue };
            if ours.jobs.is_empty() && !self.homes.is_dialling(relay) {
                // It was tried for a contact.
                continue;
            }
            if ours.processes.next() {
                tracing::debug!(relay = %relay.short(), "trying another process");
                self.dial_relay(relay, now);
            } else {
                self.relay_unreachable(relay, now);
            }
        }
    }

    /// The last connection to a process is gone. One that hangs up at once is of no use.
    pub(super) fn process_disconnected(&mut self, peer: PeerId, identified: bool, now: Instant) {
        self.fail_circuits(&peer);
        for relay in self.served_by(&peer) {
            let lasted = self.homes.disconnected(relay, now, &mut self.rng);
            if let Some(ours) = self.ours.get_mut(&relay) {
                match lasted && identified {
                    true => ours.processes.lost(),
                    false => _ = ours.processes.next(),
                }
            }
        }
        self.sweep_links();
    }

    pub(super) fn fail_circuits(&mut self, peer: &PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            for circuit in std::mem::take(&mut link.circuits) {
                self.dialer.failed(circuit.account, circuit.dial);
            }
        }
    }

    /// Gives up on relays that took too long to be of use for a circuit.
    pub(super) fn expire_circuits(&mut self, now: Instant) {
        for link in self.links.values_mut() {
            for circuit in link.circuits.extract_if(.., |circuit| circuit.until <= now) {
                self.dialer.failed(circuit.account, circuit.dial);
            }
        }
    }

    pub(super) fn circuits_deadline(&self) -> Option<Instant> {
        self.links.values().flat_map(|link| &link.circuits).map(|circuit| circuit.until).min()
    }

    /// What came of a request on the registration protocol.
    pub(super) fn registration(&mut self, from: Option<PeerId>, outcome: Outcome, now: Instant) {
        let relays = from.map(|peer| self.served_by(&peer)).unwrap_or_default();
        match outcome {
            Outcome::Done(ticket, result) => {
                if let Ok(RegisterResponse::Admitted { .. }) = &result {
                    // The relay knows us now: it may grant the reservation that it refused.
                    relays.iter().for_each(|relay| self.homes.kick(*relay, now));
                }
                self.events.push(NetEvent::RegisterDone { ticket, result });
            }
            Outcome::Probed { offset_ms, addresses } => {
                let Some(link) = from.and_then(|peer| self.links.get_mut(&peer)) else {
                    return;
                };
                let noise = link
                    .clock_offset_ms
                    .is_some_and(|known| known.abs_diff(offset_ms) < CLOCK_NOISE_MS);
                link.clock_offset_ms = Some(offset_ms);
                for relay in relays {
                    let Some(phase) = self.homes.phase(relay) else { continue };
                    if !noise {
                        self.report_relay(relay, phase);
                    }
                    if !addresses.is_empty() {
                        let addresses = addresses.clone();
                        self.events.push(NetEvent::RelayReached { relay, addresses });
                    }
                }
            }
        }
    }

    /// A queue was opened: the relay has seen our credential, and may grant a reservation.
    pub(super) fn credential_accepted(&mut self, peer: &PeerId, now: Instant) {
        for relay in self.served_by(peer) {
            if self.homes.phase(relay) == Some(RelayPhase::Connected) {
                self.homes.kick(relay, now);
            }
        }
    }
}
