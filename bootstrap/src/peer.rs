//! Between libp2p's peer ids and Kith's keys.
//!
//! An Ed25519 peer id carries its public key inline, so both directions are total for the keys
//! that Kith uses and need no lookup.

use libp2p::PeerId;
use libp2p::identity::{PublicKey, ed25519};
use protocol::ids::{AccountId, RelayId};

/// Code of the multihash that *is* its input.
const IDENTITY_MULTIHASH: u64 = 0;

/// The Ed25519 key inside a peer id; `None` for any other kind of key.
#[must_use]
pub fn ed25519_of(peer: &PeerId) -> Option<[u8; 32]> {
    let multihash = peer.as_ref();
    if multihash.code() != IDENTITY_MULTIHASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    key.try_into_ed25519().ok().map(|key| key.to_bytes())
}

/// The peer id of an Ed25519 key; `None` for bytes that are no point of the curve.
#[must_use]
pub fn of_ed25519(key: &[u8; 32]) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(key).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The account that a connection with this peer id is authenticated as.
#[must_use]
pub fn account_of(peer: &PeerId) -> Option<AccountId> {
    ed25519_of(peer).map(AccountId)
}

/// The relay that a connection with this peer id is authenticated as.
#[must_use]
pub fn relay_of(peer: &PeerId) -> Option<RelayId> {
    ed25519_of(peer).map(RelayId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_key_survives_the_way_through_a_peer_id() {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        let key = ed25519_of(&peer).expect("an Ed25519 peer");
        assert_eq!(of_ed25519(&key), Some(peer));
    }

    #[test]
    fn a_hashed_peer_id_has_no_key() {
        let random = PeerId::random();
        assert_eq!(ed25519_of(&random), None);
    }
}
