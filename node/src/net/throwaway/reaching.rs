//! How a throwaway lane reaches its relays: whichever process of each answers.

use std::collections::HashSet;
use std::collections::btree_map::Entry;
use std::time::Instant;

use libp2p::PeerId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use protocol::contact::RelayHome;
use protocol::ids::RelayId;
use protocol::mailbox::wire::{Item, MailboxRequest};

use super::job::Sent;
use super::link::Link;
use super::{MAX_LINKS, Relay, ThrowawayLane};
use crate::net::event::NetFailure;
use crate::net::processes::Processes;

impl ThrowawayLane {
    /// Takes what the engine says of a relay; `None` when it is none, or one too many.
    pub(super) fn learn(&mut self, home: &RelayHome, now: Instant) -> Option<&mut Relay> {
        let told = Processes::of(home, &self.order)?;
        if !self.relays.contains_key(&home.relay) && self.relays.len() >= MAX_LINKS {
            return None;
        }
        for process in told.all() {
            self.swarm.behaviour_mut().gate.admit_relay(process.peer);
        }
        match self.relays.entry(home.relay) {
            Entry::Vacant(new) => Some(new.insert(Relay { processes: told, link: Link::new(now) })),
            Entry::Occupied(known) => {
                let relay = known.into_mut();
                relay.processes.learn(told);
                Some(relay)
            }
        }
    }

    pub(super) fn dial(&mut self, relay: RelayId, now: Instant) {
        self.settle_pins();
        while let Some(known) = self.relays.get_mut(&relay) {
            let process = known.processes.current();
            if self.connections.is_connected(&process.peer) {
                // Another relay, by its name, has the same process.
                return self.connected(relay, now);
            }
            let options = DialOpts::peer_id(process.peer)
                .condition(PeerCondition::Always)
                .addresses(process.addresses.clone())
                .build();
            let id = options.connection_id();
            if self.swarm.dial(options).is_ok() {
                self.dials.insert(id, relay);
                return;
            }
            if !known.processes.next() {
                return self.unreachable(relay, now);
            }
            self.settle_pins();
        }
    }

    /// Keeps connections to the processes that are used, where there are queues of ours, and to no others.
    pub(super) fn settle_pins(&mut self) {
        let used = self.relays.values().filter(|known| known.link.is_pinned()).map(Relay::peer);
        let used: HashSet<PeerId> = used.collect();
        let gate = &mut self.swarm.behaviour_mut().gate;
        self.pinned.difference(&used).for_each(|left| gate.pin(*left, false));
        used.difference(&self.pinned).for_each(|new| gate.pin(*new, true));
        self.pinned = used;
    }

    /// A process cannot be reached; the next one is tried at once, if there is one that was not.
    pub(super) fn dial_failed(&mut self, relay: RelayId, now: Instant) {
        let known = self.relays.get_mut(&relay).filter(|known| known.link.is_dialling());
        match known.map(|known| known.processes.next()) {
            Some(true) => self.dial(relay, now),
            Some(false) => self.unreachable(relay, now),
            None => {}
        }
    }

    fn unreachable(&mut self, relay: RelayId, now: Instant) {
        if let Some(known) = self.relays.get_mut(&relay) {
            let jobs = known.link.dial_failed(now, &mut self.rng).into_iter();
            self.events.extend(jobs.map(|job| job.failed(NetFailure::Unreachable)));
        }
    }

    /// The relays of which this process is the one that is used: one, unless somebody gave it another name.
    pub(super) fn served_by(&self, peer: &PeerId) -> Vec<RelayId> {
        let used = self.relays.iter().filter(|(_, known)| known.processes.is_current(peer));
        used.map(|(relay, _)| *relay).collect()
    }

    /// There is a connection to the process of a relay that is used.
    pub(super) fn connected(&mut self, relay: RelayId, now: Instant) {
        if let Some(known) = self.relays.get_mut(&relay).filter(|known| !known.link.is_up()) {
            known.link.connected(now);
            let hello = Sent::Hello(relay, known.peer());
            self.send(relay, MailboxRequest::Hello, hello, now);
        }
    }

    /// The last connection to a process is gone.
    pub(super) fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        for relay in self.served_by(peer) {
            self.leave(relay, now);
        }
    }

    /// The relay gave no nonce of its own. Under another name the same process may be what it is said to be: its
    /// connection ends only if nobody else uses it.
    pub(super) fn not_greeted(&mut self, relay: RelayId, process: &PeerId, now: Instant) {
        if self.relays.get(&relay).is_none_or(|known| known.peer() != *process) {
            // An answer to an earlier question.
            return;
        }
        self.leave(relay, now);
        let mut others = self.relays.values();
        if !others.any(|known| known.peer() == *process && known.link.is_up()) {
            let _ = self.swarm.disconnect_peer_id(*process);
        }
    }

    /// Does without the connection to the process of a relay that is in use. One that gave no nonce, or hung up at once, is
    /// of no use: after a pause the next one is tried, and after all of them what waited fails.
    fn leave(&mut self, relay: RelayId, now: Instant) {
        let Some(known) = self.relays.get_mut(&relay).filter(|known| known.link.is_up()) else {
            return;
        };
        let was_ready = known.link.is_ready();
        let lasted = known.link.disconnected(now, &mut self.rng);
        if was_ready && lasted {
            known.processes.lost();
        } else if !known.processes.next() && !was_ready {
            let jobs = known.link.abandon().into_iter();
            self.events.extend(jobs.map(|job| job.failed(NetFailure::Unreachable)));
        }
    }

    /// Which relay of those that this process serves pushes these items.
    pub(super) fn pushed_by(&self, peer: &PeerId, items: &[Item]) -> Option<RelayId> {
        let served = self.served_by(peer);
        let link = |relay: &RelayId| self.relays.get(relay).map(|known| &known.link);
        let has = |relay: &&RelayId| {
            items.iter().any(|item| link(relay).is_some_and(|link| link.has_queue(item.receive)))
        };
        let pinned = |relay: &&RelayId| link(relay).is_some_and(Link::is_pinned);
        served.iter().find(has).or_else(|| served.iter().find(pinned)).copied()
    }

    /// Lets go of processes that no relay of ours has any more.
    pub(super) fn expel_unused(&mut self, gone: &Processes) {
        self.settle_pins();
        for process in gone.all() {
            let mut known = self.relays.values().flat_map(|relay| relay.processes.all());
            if !known.any(|known| known.peer == process.peer) {
                self.swarm.behaviour_mut().gate.expel_relay(process.peer);
            }
        }
    }

    /// Forgets relays of which nothing is wanted.
    pub(super) fn sweep(&mut self) {
        let idle = |relay: &Relay| !relay.link.is_wanted() && relay.link.is_down();
        let over = self.relays.iter().filter(|(_, relay)| idle(relay));
        let over: Vec<RelayId> = over.map(|(relay, _)| *relay).collect();
        for relay in over {
            if let Some(gone) = self.relays.remove(&relay) {
                self.expel_unused(&gone.processes);
            }
        }
    }
}
