//! The pepper: what addresses are hashed with. It is nowhere in a store.
//!
//! It comes from the relay's identity, so that processes which are one relay have the same: otherwise each would know
//! everybody by another name, an address would admit an account at each, and a suspension would hold at one of them. The
//! database keeps a word of it ([`Pepper::word`]), so that a relay with another one does not start.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::identity::{Derived, RelayIdentity};

/// What addresses are hashed with.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Pepper([u8; 32]);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

impl Pepper {
    /// That of a relay.
    pub(crate) fn of(identity: &RelayIdentity) -> Self {
        Self(*identity.derive(Derived::Pepper).expose())
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// By which it is known again.
    pub(crate) fn word(&self) -> [u8; 32] {
        mac(&self.0, b"kith relay pepper word 1")
    }
}

fn mac(key: &[u8], label: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(label);
    mac.finalize().into_bytes().into()
}
