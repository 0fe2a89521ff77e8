//! Who is admitted: the peers that may reserve, open circuits and own queues here.
//!
//! Filled from the accounts at start, then by every registration and renewal. Looked at by
//! libp2p's relay behaviour through an access rule, so it is memory behind a short lock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use libp2p::PeerId;
use protocol::registration::{Account, Standing};
use protocol::time::Timestamp;

use crate::peer;

/// Most admitted peers in memory. Beyond it, those whose admission ends first are forgotten;
/// they are admitted again by renewing.
const MAX_ADMITTED: usize = 200_000;

/// The admitted peers, shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    until: Arc<RwLock<HashMap<PeerId, Timestamp>>>,
}

impl Admission {
    /// Admits an account for as long as the credential of its last renewal is good, or takes
    /// the admission back when it is suspended.
    pub(crate) fn apply(&self, account: &Account, lifetime: u64) {
        let Some(peer) = peer::of_ed25519(&account.account.0) else { return };
        let mut until = self.until.write().unwrap_or_else(PoisonError::into_inner);
        match account.standing {
            Standing::Suspended => {
                until.remove(&peer);
            }
            Standing::Good => {
                if until.len() >= MAX_ADMITTED && !until.contains_key(&peer) {
                    make_room(&mut until);
                }
                until.insert(peer, account.renewed.plus(lifetime));
            }
        }
    }

    pub(crate) fn is_admitted(&self, peer: &PeerId, now: Timestamp) -> bool {
        let until = self.until.read().unwrap_or_else(PoisonError::into_inner);
        until.get(peer).is_some_and(|until| now < *until)
    }
}

/// Forgets the tenth that ends first: rarely, and then enough for a while.
fn make_room(until: &mut HashMap<PeerId, Timestamp>) {
    let mut ends: Vec<_> = until.values().copied().collect();
    let tenth = ends.len() / 10;
    let (_, limit, _) = ends.select_nth_unstable(tenth);
    let limit = *limit;
    until.retain(|_, end| *end > limit);
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
    fn room_is_made_by_forgetting_what_ends_first() {
        let mut until: HashMap<_, _> = (0..100).map(|n| (PeerId::random(), Timestamp(n))).collect();
        make_room(&mut until);
        assert!(until.len() < 100 && until.values().all(|end| end.0 > 10));
    }
}
