//! Who is admitted: the peers that may reserve, open circuits and own queues here.
//!
//! Filled from the accounts at start, then by every registration and renewal. Looked at by
//! libp2p's relay behaviour through an access rule, so it is memory behind a short lock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use libp2p::PeerId;
use protocol::ids::AccountId;
use protocol::registration::wire::Told;
use protocol::registration::{Account, Standing};
use protocol::time::Timestamp;

use crate::peer;

/// Most admitted peers in memory. Beyond it, those whose admission ends first are forgotten;
/// they are admitted again by renewing.
const MAX_ADMITTED: usize = 200_000;

/// The admitted peers, and those who are not to be, shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    peers: Arc<RwLock<HashMap<PeerId, Entry>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Until(Timestamp),
    Suspended,
    Displaced(Timestamp),
}

impl Admission {
    /// Admits an account for as long as the credential of its last renewal is good, or no more, by its standing.
    /// Says whether that ends an admission, or what may be left of one.
    pub(crate) fn apply(&self, account: &Account, lifetime: u64) -> bool {
        let Some(peer) = peer::of_ed25519(&account.account.0) else { return false };
        let entry = match account.standing {
            Standing::Good => Entry::Until(account.renewed.plus(lifetime)),
            Standing::Suspended => Entry::Suspended,
            Standing::Displaced { at } => Entry::Displaced(at),
        };
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= MAX_ADMITTED && !peers.contains_key(&peer) {
            make_room(&mut peers);
        }
        let before = peers.insert(peer, entry);
        !matches!(entry, Entry::Until(_)) && before != Some(entry)
    }

    /// This key is nobody's any more.
    pub(crate) fn forget(&self, account: &AccountId) {
        if let Some(peer) = peer::of_ed25519(&account.0) {
            self.peers.write().unwrap_or_else(PoisonError::into_inner).remove(&peer);
        }
    }

    pub(crate) fn is_admitted(&self, peer: &PeerId, now: Timestamp) -> bool {
        self.told(peer, now) == Told::Admitted
    }

    /// Whether the operator does not serve this account.
    pub(crate) fn is_suspended(&self, account: &AccountId) -> bool {
        let peer = peer::of_ed25519(&account.0);
        peer.and_then(|peer| self.entry(&peer)) == Some(Entry::Suspended)
    }

    /// How many keys are known, admitted or refused.
    pub(crate) fn len(&self) -> usize {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How this key stands.
    pub(crate) fn told(&self, peer: &PeerId, now: Timestamp) -> Told {
        match self.entry(peer) {
            Some(Entry::Until(until)) if now < until => Told::Admitted,
            Some(Entry::Until(_)) | None => Told::Unknown,
            Some(Entry::Suspended) => Told::Suspended,
            Some(Entry::Displaced(at)) => Told::Displaced { at },
        }
    }

    fn entry(&self, peer: &PeerId) -> Option<Entry> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).get(peer).copied()
    }
}

/// Forgets the tenth that ends first: rarely, and then enough for a while. Those who are not served stay, unless
/// they are a tenth themselves: they are refused without an entry as well, and only not told why.
fn make_room(peers: &mut HashMap<PeerId, Entry>) {
    let end = |entry: &Entry| match entry {
        Entry::Until(until) => *until,
        Entry::Suspended | Entry::Displaced(_) => Timestamp(u64::MAX),
    };
    let mut ends: Vec<_> = peers.values().map(end).collect();
    let tenth = ends.len() / 10;
    let (_, limit, _) = ends.select_nth_unstable(tenth);
    let limit = *limit;
    peers.retain(|_, entry| end(entry) > limit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;
    use protocol::registration::IdentifierHash;

    fn account(peer: &PeerId, standing: Standing) -> Account {
        Account {
            account: peer::account_of(peer).expect("an Ed25519 peer"),
            identifier: IdentifierHash([0; 32]),
            created: Timestamp(0),
            renewed: Timestamp(100),
            standing,
        }
    }

    #[test]
    fn admission_ends_with_the_credential_and_with_suspension() {
        let admission = Admission::default();
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        assert!(!admission.is_admitted(&peer, Timestamp(100)));
        admission.apply(&account(&peer, Standing::Good), 50);
        assert!(admission.is_admitted(&peer, Timestamp(149)));
        assert!(!admission.is_admitted(&peer, Timestamp(150)));
        admission.apply(&account(&peer, Standing::Suspended), 50);
        assert!(!admission.is_admitted(&peer, Timestamp(100)));
    }

    #[test]
    fn each_key_is_told_how_it_stands_and_an_end_is_said_once() {
        let admission = Admission::default();
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let now = Timestamp(100);
        assert_eq!(admission.told(&peer, now), Told::Unknown);
        assert!(!admission.apply(&account(&peer, Standing::Good), 50));
        assert_eq!(admission.told(&peer, now), Told::Admitted);
        let at = Timestamp(7);
        for (standing, told) in [
            (Standing::Suspended, Told::Suspended),
            (Standing::Displaced { at }, Told::Displaced { at }),
        ] {
            assert!(admission.apply(&account(&peer, standing), 50));
            assert!(!admission.apply(&account(&peer, standing), 50), "twice");
            assert_eq!(admission.told(&peer, now), told);
            assert!(!admission.is_admitted(&peer, now));
        }
        let who = peer::account_of(&peer).expect("an Ed25519 peer");
        admission.forget(&who);
        assert_eq!(admission.told(&peer, now), Told::Unknown);
    }

    #[test]
    fn room_is_made_by_forgetting_what_ends_first() {
        let entries = (0..100).map(|n| Entry::Until(Timestamp(n))).chain([Entry::Suspended]);
        let mut peers: HashMap<_, _> = entries.map(|entry| (PeerId::random(), entry)).collect();
        make_room(&mut peers);
        let gone = |entry: &Entry| matches!(entry, Entry::Until(until) if until.0 <= 10);
        assert!(peers.len() == 90 && !peers.values().any(gone));
        assert!(peers.values().any(|entry| *entry == Entry::Suspended));
    }
}
