//! The processes of a relay, of which one is used at a time.
//!
//! A relay may be several processes with a libp2p key each, and each of them does for us what the others do: they share
//! what they keep. The first that answers is used until it is lost.
//!
//! # Invariants
//! * There is always one, and none stands here twice.
//! * Those who are told of the same processes for the same node line them up in the same order, wherever they are: whoever
//!   looks for a node looks first where that is, and all nodes together spread evenly (rendezvous hashing).

use libp2p::{Multiaddr, PeerId};
use protocol::contact::{MAX_ADDRESSES, RelayHome};
use sha2::{Digest, Sha256};

use super::{address, peer};

/// One process, and where it listens. Without `Debug`: addresses locate people.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
}

/// All of one relay.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Processes {
    all: Vec<Process>,
    current: usize,
    /// How many were tried since one answered.
    tried: usize,
}

impl Processes {
    /// Those that a relay is said to have, lined up by `whose` they are to serve; `None` when its key is no key.
    pub(super) fn of(home: &RelayHome, whose: &[u8]) -> Option<Self> {
        let relay = peer::of_relay(home.relay)?;
        let mut all: Vec<Process> = Vec::new();
        for told in home.addresses.iter().take(MAX_ADDRESSES) {
            let Some((peer, address)) = address::of_process(told, relay) else { continue };
            match all.iter_mut().find(|process| process.peer == peer) {
                None => all.push(Process { peer, addresses: vec![address] }),
                Some(known) if known.addresses.contains(&address) => {}
                Some(known) => known.addresses.push(address),
            }
        }
        if all.is_empty() {
            all.push(Process { peer: relay, addresses: Vec::new() });
        }
        let mut processes = Self { all, current: 0, tried: 0 };
        processes.line_up(whose);
        Some(processes)
    }

    /// Takes what is said now. The one that is used stays, though it is not named any more; and nobody is known worse
    /// than before.
    pub(super) fn learn(&mut self, mut told: Self) {
        let used = self.current().clone();
        match told.all.iter().position(|process| process.peer == used.peer) {
            Some(at) => {
                told.current = at;
                let known = &mut told.all[at];
                if known.addresses.is_empty() {
                    known.addresses = used.addresses;
                }
            }
            None if told.is_nowhere() => return,
            None => {
                told.all.insert(0, used);
                // Of these none was tried.
                self.tried = 0;
            }
        }
        told.tried = self.tried;
        *self = told;
    }

    fn is_nowhere(&self) -> bool {
        self.all.iter().all(|process| process.addresses.is_empty())
    }

    /// The one that is used.
    pub(super) fn current(&self) -> &Process {
        &self.all[self.current]
    }

    /// Whether this is the one that is used.
    pub(super) fn is_current(&self, peer: &PeerId) -> bool {
        self.current().peer == *peer
    }

    /// All of them, those first that are to be tried first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Process> {
        self.all.iter()
    }

    /// The one that is used was reached, and does what a relay does.
    pub(super) fn answered(&mut self) {
        self.tried = 0;
    }

    /// The one that was used is lost: after a pause all are tried again, those first that others look for us at.
    pub(super) fn lost(&mut self) {
        self.current = 0;
        self.tried = 0;
    }

    /// From now on they are lined up for somebody else, and nothing is known of any.
    pub(super) fn line_up(&mut self, whose: &[u8]) {
        self.all.sort_by_cached_key(|process| score(whose, &process.peer));
        self.lost();
    }

    /// The one that was tried cannot be reached, or is of no use: whether another is tried at once. After all of them
    /// there is a pause.
    pub(super) fn next(&mut self) -> bool {
        self.current = (self.current + 1) % self.all.len();
        self.tried = (self.tried + 1) % self.all.len();
        self.tried != 0
    }
}

/// The order of a process for somebody.
fn score(whose: &[u8], process: &PeerId) -> [u8; 32] {
    Sha256::new().chain_update(whose).chain_update(process.to_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use libp2p::identity::Keypair;
    use libp2p::multiaddr::Protocol;
    use protocol::contact::Address;
    use protocol::ids::RelayId;

    fn key() -> PeerId {
        Keypair::generate_ed25519().public().to_peer_id()
    }

    fn at(port: u16, process: Option<PeerId>) -> Address {
        let at: Multiaddr = format!("/ip4/9.9.9.9/tcp/{port}").parse().unwrap();
        Address(process.map_or(at.clone(), |peer| at.with(Protocol::P2p(peer))).to_vec().into())
    }

    fn home(relay: PeerId, addresses: Vec<Address>) -> RelayHome {
        RelayHome { relay: peer::relay(&relay).unwrap(), addresses }
    }

    fn peers(processes: &Processes) -> Vec<PeerId> {
        processes.all().map(|process| process.peer).collect()
    }

    #[test]
    fn addresses_are_of_the_process_that_they_name_or_of_the_relay() {
        let (relay, other) = (key(), key());
        let told = home(
            relay,
            vec![at(1, None), at(2, Some(other)), at(3, Some(other)), at(1, Some(relay))],
        );
        let processes = Processes::of(&told, b"ada").unwrap();
        let count = |of: PeerId| {
            processes.all().find(|process| process.peer == of).unwrap().addresses.len()
        };
        assert_eq!((processes.all().count(), count(relay), count(other)), (2, 1, 2));
        let nowhere = Processes::of(&home(relay, Vec::new()), b"ada").unwrap();
        assert_eq!(peers(&nowhere), [relay], "to be known by its key");
        let bad = RelayHome { relay: RelayId([1; 32]), addresses: Vec::new() };
        assert_eq!(Processes::of(&bad, b"ada").is_none(), peer::of_relay(bad.relay).is_none());
    }

    #[test]
    fn everybody_lines_them_up_alike_for_one_person_and_spreads_the_persons() {
        let (relay, keys) = (key(), [key(), key(), key(), key()]);
        let mut addresses: Vec<_> = keys.iter().map(|peer| at(1, Some(*peer))).collect();
        let forwards = home(relay, addresses.clone());
        addresses.reverse();
        let backwards = home(relay, addresses);
        let mut first = std::collections::BTreeMap::new();
        for person in 0..200u8 {
            let here = peers(&Processes::of(&forwards, &[person]).unwrap());
            assert_eq!(here, peers(&Processes::of(&backwards, &[person]).unwrap()));
            *first.entry(here[0]).or_insert(0) += 1;
        }
        assert_eq!(first.len(), 4);
        assert!(first.values().all(|persons| *persons > 20), "{first:?}");
    }

    #[test]
    fn each_is_tried_once_before_there_is_a_pause() {
        let (relay, keys) = (key(), [key(), key(), key()]);
        let addresses = keys.iter().map(|peer| at(1, Some(*peer))).collect();
        let mut processes = Processes::of(&home(relay, addresses), b"ada").unwrap();
        let first = processes.current().peer;
        assert_eq!([processes.next(), processes.next(), processes.next()], [true, true, false]);
        assert!(processes.is_current(&first));
        processes.next();
        processes.answered();
        assert_eq!([processes.next(), processes.next(), processes.next()], [true, true, false]);
        let mut alone = Processes::of(&home(relay, vec![at(1, None)]), b"ada").unwrap();
        assert!(!alone.next());
    }

    #[test]
    fn the_one_that_is_used_stays_whatever_is_said() {
        let (relay, keys) = (key(), [key(), key(), key()]);
        let told = |of: &[PeerId]| {
            let addresses = of.iter().map(|peer| at(1, Some(*peer))).collect();
            Processes::of(&home(relay, addresses), b"ada").unwrap()
        };
        let mut processes = told(&keys);
        processes.next();
        let used = processes.current().peer;
        processes.learn(told(&keys));
        assert!(processes.is_current(&used));
        let others: Vec<_> = keys.into_iter().filter(|peer| *peer != used).collect();
        processes.learn(told(&others));
        assert!(processes.is_current(&used) && processes.all().count() == 3);
        processes.learn(Processes::of(&home(relay, Vec::new()), b"ada").unwrap());
        assert_eq!(processes.all().count(), 3, "nothing was said");
        processes.next();
        processes.learn(told(&others));
        assert_eq!(processes.all().count(), 2, "it is not used any more");
    }
}
