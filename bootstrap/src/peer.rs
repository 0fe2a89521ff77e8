//! Between libp2p's peer ids and Kith's keys.
//!
//! An Ed25519 peer id carries its public key inline, so both directions are total for the keys
//! that Kith uses and need no lookup.

use libp2p::identity::{PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
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

/// The process that listens at a relay's address, and the relay: `/…/p2p/<process>/p2p/<relay>`, or one for both.
#[must_use]
pub fn named_in(address: &Multiaddr) -> Option<(PeerId, RelayId)> {
    let mut named = address.iter().filter_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    let process = named.next()?;
    let relay = named.last().unwrap_or(process);
    Some((process, relay_of(&relay)?))
}

/// A relay's address as libp2p dials it: up to the process.
#[must_use]
pub fn dialable(address: &Multiaddr) -> Multiaddr {
    let before = address.iter().take_while(|part| !matches!(part, Protocol::P2p(_)));
    let process = address.iter().find(|part| matches!(part, Protocol::P2p(_)));
    before.chain(process).collect()
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

    #[test]
    fn an_address_names_a_process_and_a_relay_or_one_for_both() {
        let peer = || Keypair::generate_ed25519().public().to_peer_id();
        let (process, relay) = (peer(), peer());
        let at: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        assert_eq!(named_in(&at), None);
        let one = at.with(Protocol::P2p(process));
        assert_eq!(named_in(&one), relay_of(&process).map(|relay| (process, relay)));
        let both = one.clone().with(Protocol::P2p(relay));
        assert_eq!(named_in(&both), relay_of(&relay).map(|relay| (process, relay)));
        assert_eq!([dialable(&one), dialable(&both)], [one.clone(), one]);
    }
}
