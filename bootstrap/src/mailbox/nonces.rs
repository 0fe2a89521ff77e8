//! The nonce of a connection's key.
//!
//! A nonce is HMAC-SHA256(a key drawn at start, peer id): unpredictable, different for every
//! key and every run of the relay, and forgotten without ever having been stored. Clients use
//! a fresh throwaway key per connection, so this is a nonce per connection; and who replays a
//! proof needs the very key that made the connection.

use crypto::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use libp2p::PeerId;
use sha2::Sha256;

#[derive(Debug)]
pub(crate) struct Nonces {
    key: Secret<32>,
}

impl Nonces {
    pub(crate) fn new() -> Self {
        Self { key: Secret::random(&mut rand::rng()) }
    }

    pub(crate) fn of(&self, peer: &PeerId) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose())
            .expect("HMAC takes keys of any length");
        mac.update(&peer.to_bytes());
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ_by_peer_and_by_run() {
        let (here, later) = (Nonces::new(), Nonces::new());
        let (ada, ben) = (PeerId::random(), PeerId::random());
        assert_eq!(here.of(&ada), here.of(&ada));
        assert_ne!(here.of(&ada), here.of(&ben));
        assert_ne!(here.of(&ada), later.of(&ada));
    }
}
