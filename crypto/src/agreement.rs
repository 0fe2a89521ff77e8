//! X25519 key agreement (RFC 7748).
//!
//! # Invariants
//! * A shared secret that did not depend on both keys is never returned: [`AgreementSecret::agree`]
//!   refuses low-order public keys.
//!
//! Knows nothing of identities, prekeys or ratchets.

use core::fmt;

use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};

use crate::secret::Secret;

/// Bytes of an X25519 public key.
pub const AGREEMENT_KEY_LEN: usize = 32;

/// A public X25519 key: identity agreement key, prekey or ratchet key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementKey([u8; AGREEMENT_KEY_LEN]);

/// The other side's public key has low order; the result would not depend on our secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("public key of low order")]
pub struct LowOrderKey;

impl AgreementKey {
    /// Takes bytes as they are; order is checked at agreement.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; AGREEMENT_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The encoded u-coordinate.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; AGREEMENT_KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreementKey({})", crate::identity::short_hex(&self.0))
    }
}

/// A secret X25519 key.
pub struct AgreementSecret(StaticSecret);

impl AgreementSecret {
    /// Draws a fresh secret.
    #[must_use]
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_secret(&Secret::random(rng))
    }

    /// Uses 32 secret bytes; they are clamped when used.
    #[must_use]
    pub fn from_secret(bytes: &Secret<32>) -> Self {
        Self(StaticSecret::from(*bytes.expose()))
    }

    /// The bytes to store, unclamped.
    #[must_use]
    pub fn to_secret(&self) -> Secret<32> {
        Secret::from_bytes(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> AgreementKey {
        AgreementKey(PublicKey::from(&self.0).to_bytes())
    }

    /// The shared secret with `theirs`.
    ///
    /// # Errors
    /// [`LowOrderKey`] if the result is independent of our secret.
    pub fn agree(&self, theirs: &AgreementKey) -> Result<Secret<32>, LowOrderKey> {
        let shared = self.0.diffie_hellman(&PublicKey::from(theirs.0));
        if !shared.was_contributory() {
            return Err(LowOrderKey);
        }
        Ok(Secret::from_bytes(*shared.as_bytes()))
    }
}

impl fmt::Debug for AgreementSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_beginning_of_a_public_key() {
        let key = AgreementKey::from_bytes([0xAB; AGREEMENT_KEY_LEN]);
        assert_eq!(format!("{key:?}"), "AgreementKey(ababababab)");
    }
}
