//! Our identifiers and libp2p's.
//!
//! A [`PeerId`] of an Ed25519 key carries the key inline: an identity multihash (code 0) over
//! the key's protobuf form. So an [`AccountId`] or a [`RelayId`] and its peer id are the same 32
//! bytes in two wrappings, and neither needs to be looked up.
//!
//! # Invariants
//! * What is not an inline Ed25519 key has no identifier here, and so never becomes a contact.

use libp2p::PeerId;
use libp2p::identity::{PublicKey, ed25519};
use protocol::ids::{AccountId, RelayId};

/// The protobuf of an Ed25519 public key before the key itself: type 1, then 32 bytes.
const ED25519_PROTOBUF: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
/// The multihash code of bytes that stand for themselves.
const IDENTITY_MULTIHASH: u64 = 0;

/// The peer id of 32 key bytes; `None` when they are no point of the curve.
fn of_key(key: &[u8; 32]) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The key bytes inside a peer id.
pub(super) fn key_of(peer: &PeerId) -> Option<[u8; 32]> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_MULTIHASH {
        return None;
    }
    hash.digest().strip_prefix(&ED25519_PROTOBUF)?.try_into().ok()
}

/// The peer id of an account; `None` when its bytes are no key.
pub(super) fn of_account(account: AccountId) -> Option<PeerId> {
    of_key(&account.0)
}

/// The peer id of a relay; `None` when its bytes are no key.
pub(super) fn of_relay(relay: RelayId) -> Option<PeerId> {
    of_key(&relay.0)
}

/// The account whose node this is.
pub(super) fn account(peer: &PeerId) -> Option<AccountId> {
    key_of(peer).map(AccountId)
}

/// The relay that this is.
pub(super) fn relay(peer: &PeerId) -> Option<RelayId> {
    key_of(peer).map(RelayId)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_key_and_its_peer_id_are_two_forms_of_one_thing() {
        let pair = Keypair::generate_ed25519();
        let peer = pair.public().to_peer_id();
        let account = account(&peer).unwrap();
        assert_eq!(account.0, pair.public().try_into_ed25519().unwrap().to_bytes());
        assert_eq!(of_account(account), Some(peer));
        assert_eq!(relay(&peer).and_then(of_relay), Some(peer));
    }

    #[test]
    fn a_hashed_peer_id_is_nobody() {
        // A random peer id is an identity multihash over bytes that are no key at all.
        assert_eq!(account(&PeerId::random()), None);
    }

    #[test]
    fn bytes_that_are_no_point_have_no_peer_id() {
        // About half of all encodings are none of a point.
        let mut refused = 0;
        for n in 0..=u8::MAX {
            let mut bytes = [0; 32];
            bytes[0] = n;
            refused += usize::from(of_account(AccountId(bytes)).is_none());
        }
        assert!((64..192).contains(&refused), "{refused} of 256");
    }
}
