//! The processes of relays that the identity lane knows: who named them, where they are, which are kept.

use std::collections::btree_map::Entry;
use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};
use protocol::contact::{MAX_ADDRESSES, RelayHome};
use protocol::ids::AccountId;

use super::IdentityLane;
use super::relays::Ours;
use crate::net::address;
use crate::net::dial::DialId;
use crate::net::processes::Processes;

/// Most processes of relays known at a time, our own relays' and our contacts'. More are not used.
const MAX_LINKS: usize = 512;

/// A contact that waits for a relay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circuit {
    pub(super) account: AccountId,
    pub(super) dial: DialId,
    pub(super) until: Instant,
}

/// What is known of a process of a relay, and waits for it. Without `Debug`: addresses are in it.
pub(super) struct Link {
    pub(super) addresses: Vec<Multiaddr>,
    /// Where it was reached last.
    pub(super) through: Option<Multiaddr>,
    pub(super) dialling: usize,
    pub(super) circuits: Vec<Circuit>,
    pub(super) clock_offset_ms: Option<i64>,
}

impl IdentityLane {
    /// Keeps the connection to the process of each home that is used, whatever the limits, and to no other.
    pub(super) fn settle_pins(&mut self) {
        let homes = self.ours.iter().filter(|(relay, _)| self.homes.contains(**relay));
        let used: BTreeSet<PeerId> = homes.map(|(_, ours)| ours.processes.current().peer).collect();
        let behaviour = self.swarm.behaviour_mut();
        for left in self.pinned.difference(&used) {
            behaviour.gate.pin(*left, false);
            behaviour.limits.remove_peer_id(left);
        }
        for new in used.difference(&self.pinned) {
            behaviour.gate.pin(*new, true);
            behaviour.limits.bypass_peer_id(new);
        }
        self.pinned = used;
    }

    /// Whether the engine named it: contacts cannot change its addresses.
    fn is_ours(&self, peer: &PeerId) -> bool {
        let all = self.ours.values().flat_map(|ours| ours.processes.all());
        all.into_iter().any(|process| process.peer == *peer)
    }

    /// Takes what the engine says of a relay; the process of it that is used.
    pub(super) fn learn_ours(&mut self, home: &RelayHome) -> Option<PeerId> {
        let told = Processes::of(home, &self.local.to_bytes())?;
        for process in told.all() {
            let link = self.links.entry(process.peer).or_insert_with(Link::new);
            if !process.addresses.is_empty() {
                link.addresses.clone_from(&process.addresses);
            }
            self.swarm.behaviour_mut().gate.admit_relay(process.peer);
        }
        let ours = match self.ours.entry(home.relay) {
            Entry::Vacant(new) => new.insert(Ours { processes: told, jobs: VecDeque::new() }),
            Entry::Occupied(known) => {
                let ours = known.into_mut();
                ours.processes.learn(told);
                ours
            }
        };
        Some(ours.processes.current().peer)
    }

    /// Takes what a contact says of a relay, unless we know better: the processes that may lead to the contact.
    pub(super) fn learn_told(&mut self, home: &RelayHome, whose: &PeerId) -> Vec<PeerId> {
        let told = Processes::of(home, &whose.to_bytes());
        let mut usable = Vec::new();
        for process in told.iter().flat_map(Processes::all) {
            let gate = &self.swarm.behaviour().gate;
            if [self.local, *whose].contains(&process.peer) || gate.is_contact(&process.peer) {
                // A person's node is no relay, and whoever is let in as one stays when the person is removed.
                continue;
            }
            if !self.links.contains_key(&process.peer) && self.links.len() >= MAX_LINKS {
                continue;
            }
            let ours = self.is_ours(&process.peer);
            let link = self.links.entry(process.peer).or_insert_with(Link::new);
            if !ours {
                for address in &process.addresses {
                    if !link.addresses.contains(address) {
                        link.addresses.insert(0, address.clone());
                    }
                }
                link.addresses.truncate(MAX_ADDRESSES);
            }
            self.swarm.behaviour_mut().gate.admit_relay(process.peer);
            usable.push(process.peer);
        }
        usable
    }

    /// This is a person's node, whatever another contact said: it is let in as that only, and out with the contact.
    pub(super) fn is_a_person(&mut self, peer: PeerId) {
        if !self.is_ours(&peer) && self.links.contains_key(&peer) {
            self.fail_circuits(&peer);
            self.links.remove(&peer);
            self.swarm.behaviour_mut().gate.expel_relay(peer);
        }
    }

    /// Forgets relays that nobody uses any more.
    pub(super) fn sweep_links(&mut self) {
        let homes = &self.homes;
        self.ours.retain(|relay, ours| homes.contains(*relay) || !ours.jobs.is_empty());
        self.settle_pins();
        let gate = &mut self.swarm.behaviour_mut().gate;
        let (connections, dialer) = (&self.connections, &self.dialer);
        let ours = &self.ours;
        self.links.retain(|peer, link| {
            let is_of_ours = || {
                ours.values().flat_map(|ours| ours.processes.all()).any(|known| known.peer == *peer)
            };
            let busy = connections.is_connected(peer) || link.dialling > 0;
            let used = busy || !link.circuits.is_empty() || dialer.has_home(peer);
            let kept = used || is_of_ours();
            if !kept {
                gate.expel_relay(*peer);
            }
            kept
        });
    }
}

impl Link {
    fn new() -> Self {
        Self {
            addresses: Vec::new(),
            through: None,
            dialling: 0,
            circuits: Vec::new(),
            clock_offset_ms: None,
        }
    }

    /// Where this process takes circuits for us, or to somebody.
    pub(super) fn circuit(&self, process: PeerId, to: Option<PeerId>) -> Option<Multiaddr> {
        let through = self.through.as_ref().or(self.addresses.first())?;
        Some(address::circuit(through, process, to))
    }
}
