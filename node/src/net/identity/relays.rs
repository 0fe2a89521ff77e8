//! The identity lane's dealings with relays: homes, requests, and the way to contacts over them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use protocol::contact::{MAX_ADDRESSES, RelayHome};
use protocol::ids::{AccountId, RelayId};
use protocol::mailbox::wire::QueueSpec;
use protocol::registration::wire::{RegisterRequest, RegisterResponse};

use super::{Dialled, IdentityLane};
use crate::net::address;
use crate::net::command::{Credential, Ticket};
use crate::net::dial::DialId;
use crate::net::event::{NetEvent, NetFailure, RelayPhase};
use crate::net::homes::Action;
use crate::net::peer;
use crate::net::protocols::register::Outcome;

/// Most relays known at a time, our own and our contacts'. More are not used.
const MAX_LINKS: usize = 512;
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

/// A contact that waits for a relay.
#[derive(Clone, Copy, Debug)]
struct Circuit {
    account: AccountId,
    dial: DialId,
    until: Instant,
}

/// What is known of a relay and waits for it. Without `Debug`: addresses are in it.
pub(super) struct Link {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    /// The engine named it; contacts cannot change its addresses.
    ours: bool,
    /// Where it was reached last.
    through: Option<Multiaddr>,
    dialling: usize,
    jobs: VecDeque<Job>,
    circuits: Vec<Circuit>,
    clock_offset_ms: Option<i64>,
}

impl IdentityLane {
    /// Homes on exactly these relays.
    pub(super) fn set_homes(&mut self, homes: &[RelayHome], now: Instant) {
        let mut relays = Vec::new();
        for home in homes {
            if let Some(peer) = self.learn_ours(home) {
                self.swarm.behaviour_mut().gate.pin(peer, true);
                self.swarm.behaviour_mut().limits.bypass_peer_id(&peer);
                relays.push(home.relay);
            }
        }
        self.homes.set(&relays, now);
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
        let Some(link) = self.links.get_mut(&relay.relay) else {
            return;
        };
        if link.jobs.len() >= MAX_JOBS {
            self.events.push(job.failed(NetFailure::Busy));
            return;
        }
        link.jobs.push_back(job);
        self.dial_relay(relay.relay, now);
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
                if let Some(link) = self.links.get(&relay) {
                    self.registrations.probe(
                        &mut self.swarm.behaviour_mut().register,
                        &link.peer,
                        now,
                    );
                }
            }
            Action::Unlisten(listener) => {
                self.swarm.remove_listener(listener);
            }
            Action::Release(relay) => {
                if let Some(link) = self.links.get_mut(&relay) {
                    link.ours = false;
                    self.swarm.behaviour_mut().gate.pin(link.peer, false);
                    self.swarm.behaviour_mut().limits.remove_peer_id(&link.peer);
                }
                self.sweep_links();
            }
            Action::Report(relay, phase) => self.report_relay(relay, phase),
        }
    }

    fn report_relay(&mut self, relay: RelayId, phase: RelayPhase) {
        tracing::debug!(relay = %relay.short(), ?phase, "home");
        let clock_offset_ms = self.links.get(&relay).and_then(|link| link.clock_offset_ms);
        self.events.push(NetEvent::Relay { relay, phase, clock_offset_ms });
    }

    fn reserve(&mut self, relay: RelayId, now: Instant) {
        let listener = self.links.get(&relay).and_then(|link| {
            let through = link.through.as_ref().or(link.addresses.first())?;
            self.swarm.listen_on(address::circuit(through, link.peer, None)).ok()
        });
        self.homes.requested(relay, listener, now, &mut self.rng);
    }

    /// Connects to a relay, unless that is done or under way.
    fn dial_relay(&mut self, relay: RelayId, now: Instant) {
        let Some(link) = self.links.get(&relay) else {
            self.homes.dial_failed(relay, now, &mut self.rng);
            return;
        };
        let (peer, addresses) = (link.peer, link.addresses.clone());
        if self.connections.is_connected(&peer) {
            self.homes.connected(relay, now);
            if self.connections.is_identified(&peer) {
                self.homes.identified(relay, now);
            }
            return;
        }
        if link.dialling > 0 {
            return;
        }
        let started = !addresses.is_empty() && self.dial(peer, addresses, Dialled::Relay(relay));
        if let Some(link) = self.links.get_mut(&relay) {
            link.dialling += usize::from(started);
        }
        if !started {
            self.relay_unreachable(relay, now);
        }
    }

    /// Dials a contact over a relay, once that relay is connected and has identified itself:
    /// before, hole punching would have no address to offer.
    pub(super) fn dial_over(
        &mut self,
        relay: RelayId,
        account: AccountId,
        dial: DialId,
        now: Instant,
    ) {
        let Some(link) =
            self.links.get_mut(&relay).filter(|link| link.circuits.len() < MAX_CIRCUITS)
        else {
            self.dialer.failed(account, dial);
            return;
        };
        if self.connections.is_identified(&link.peer) {
            self.dial_circuit(relay, account, dial);
            return;
        }
        link.circuits.push(Circuit { account, dial, until: now + CIRCUIT_TIMEOUT });
        self.dial_relay(relay, now);
    }

    fn dial_circuit(&mut self, relay: RelayId, account: AccountId, dial: DialId) {
        let way = self.links.get(&relay).and_then(|link| {
            let through = link.through.as_ref().or(link.addresses.first())?;
            let peer = peer::of_account(account)?;
            Some((peer, address::circuit(through, link.peer, Some(peer))))
        });
        let started = way.is_some_and(|(peer, address)| {
            self.dial(peer, vec![address], Dialled::Contact(account, dial))
        });
        if !started {
            self.dialer.failed(account, dial);
        }
    }

    /// There is a connection to a relay, dialled at `through` if we dialled it.
    pub(super) fn relay_connected(
        &mut self,
        relay: RelayId,
        through: Option<Multiaddr>,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(&relay) else {
            return;
        };
        link.through = through.or(link.through.take());
        let (peer, jobs) = (link.peer, std::mem::take(&mut link.jobs));
        for job in jobs {
            self.send_job(&peer, job, now);
        }
        self.homes.connected(relay, now);
    }

    /// The relay has identified itself.
    pub(super) fn relay_identified(&mut self, relay: RelayId, now: Instant) {
        let Some(link) = self.links.get_mut(&relay) else {
            return;
        };
        for circuit in std::mem::take(&mut link.circuits) {
            self.dial_circuit(relay, circuit.account, circuit.dial);
        }
        self.homes.identified(relay, now);
    }

    /// A dial of a relay came to nothing.
    pub(super) fn relay_dial_failed(&mut self, relay: RelayId, now: Instant) {
        let Some(link) = self.links.get_mut(&relay) else {
            return;
        };
        link.dialling = link.dialling.saturating_sub(1);
        if link.dialling == 0 && !self.connections.is_connected(&link.peer) {
            self.relay_unreachable(relay, now);
        }
    }

    /// A dial of a relay succeeded.
    pub(super) fn relay_dial_done(&mut self, relay: RelayId) {
        if let Some(link) = self.links.get_mut(&relay) {
            link.dialling = link.dialling.saturating_sub(1);
        }
    }

    fn relay_unreachable(&mut self, relay: RelayId, now: Instant) {
        if let Some(link) = self.links.get_mut(&relay) {
            let jobs = std::mem::take(&mut link.jobs).into_iter();
            self.events.extend(jobs.map(|job| job.failed(NetFailure::Unreachable)));
            for circuit in std::mem::take(&mut link.circuits) {
                self.dialer.failed(circuit.account, circuit.dial);
            }
        }
        self.homes.dial_failed(relay, now, &mut self.rng);
    }

    /// The last connection to a relay is gone.
    pub(super) fn relay_disconnected(&mut self, relay: RelayId, now: Instant) {
        if let Some(link) = self.links.get_mut(&relay) {
            for circuit in std::mem::take(&mut link.circuits) {
                self.dialer.failed(circuit.account, circuit.dial);
            }
        }
        self.homes.disconnected(relay, now, &mut self.rng);
        self.sweep_links();
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
    pub(super) fn registration(&mut self, from: Option<RelayId>, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Done(ticket, result) => {
                if let (Ok(RegisterResponse::Admitted { .. }), Some(relay)) = (&result, from) {
                    // The relay knows us now: it may grant the reservation that it refused.
                    self.homes.kick(relay, now);
                }
                self.events.push(NetEvent::RegisterDone { ticket, result });
            }
            Outcome::ClockOffset(offset) => {
                let Some((relay, link)) =
                    from.and_then(|relay| Some((relay, self.links.get_mut(&relay)?)))
                else {
                    return;
                };
                let noise = link
                    .clock_offset_ms
                    .is_some_and(|known| known.abs_diff(offset) < CLOCK_NOISE_MS);
                link.clock_offset_ms = Some(offset);
                if let Some(phase) = self.homes.phase(relay)
                    && !noise
                {
                    self.report_relay(relay, phase);
                }
            }
        }
    }

    /// A queue was opened: the relay has seen our credential, and may grant a reservation.
    pub(super) fn credential_accepted(&mut self, relay: RelayId, now: Instant) {
        if self.homes.phase(relay) == Some(RelayPhase::Connected) {
            self.homes.kick(relay, now);
        }
    }

    /// Takes what the engine says of a relay.
    fn learn_ours(&mut self, home: &RelayHome) -> Option<PeerId> {
        let (peer, addresses) = address::of_home(home)?;
        let link = self.links.entry(home.relay).or_insert_with(|| Link::new(peer));
        if !addresses.is_empty() {
            link.addresses = addresses;
        }
        link.ours = true;
        self.swarm.behaviour_mut().gate.admit_relay(peer);
        Some(peer)
    }

    /// Takes what a contact says of a relay, unless we know better. False when it is not usable.
    pub(super) fn learn_told(&mut self, home: &RelayHome) -> bool {
        let Some((peer, addresses)) = address::of_home(home) else {
            return false;
        };
        if !self.links.contains_key(&home.relay) && self.links.len() >= MAX_LINKS {
            return false;
        }
        let link = self.links.entry(home.relay).or_insert_with(|| Link::new(peer));
        if !link.ours {
            for address in addresses {
                if !link.addresses.contains(&address) {
                    link.addresses.insert(0, address);
                }
            }
            link.addresses.truncate(MAX_ADDRESSES);
        }
        self.swarm.behaviour_mut().gate.admit_relay(peer);
        true
    }

    /// Forgets relays that nobody uses any more.
    pub(super) fn sweep_links(&mut self) {
        let gate = &mut self.swarm.behaviour_mut().gate;
        let (connections, homes, dialer) = (&self.connections, &self.homes, &self.dialer);
        self.links.retain(|relay, link| {
            let used = homes.contains(*relay) || dialer.has_home(*relay);
            let busy = connections.is_connected(&link.peer) || link.dialling > 0;
            let kept = used || busy || !link.jobs.is_empty() || !link.circuits.is_empty();
            if !kept {
                gate.expel_relay(link.peer);
            }
            kept
        });
    }
}

impl Link {
    fn new(peer: PeerId) -> Self {
        Self {
            peer,
            addresses: Vec::new(),
            ours: false,
            through: None,
            dialling: 0,
            jobs: VecDeque::new(),
            circuits: Vec::new(),
            clock_offset_ms: None,
        }
    }
}
