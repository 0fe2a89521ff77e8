//! ML-KEM-768 (FIPS 203), the post-quantum half of handshake and ratchet.
//!
//! # Invariants
//! * A secret key is stored as its 64-byte seed and nothing else.
//! * An encapsulation key is checked (FIPS 203 §7.2) before anything is encapsulated to it.
//! * Decapsulation never fails: a forged ciphertext yields an unrelated secret (implicit
//!   rejection), which the AEAD that uses it then refuses.

use core::fmt;

use ml_kem::kem::{Decapsulate, Encapsulate, KeyExport};
use ml_kem::ml_kem_768::{Ciphertext, DecapsulationKey, EncapsulationKey};
use rand_core::CryptoRng;
use zeroize::Zeroize;

use crate::secret::Secret;

/// Bytes of an encapsulation key.
pub const KEM_KEY_LEN: usize = 1184;
/// Bytes of a ciphertext.
pub const KEM_CIPHERTEXT_LEN: usize = 1088;
/// Bytes of the seed that is a secret key.
pub const KEM_SEED_LEN: usize = 64;

/// The bytes are no canonical ML-KEM-768 encapsulation key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an encapsulation key")]
pub struct BadKemKey;

/// A secret ML-KEM-768 key, as its seed.
pub(crate) struct KemSecret(Secret<KEM_SEED_LEN>);

impl KemSecret {
    /// Draws a fresh seed.
    pub(crate) fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// Uses a stored seed.
    pub(crate) const fn from_seed(seed: Secret<KEM_SEED_LEN>) -> Self {
        Self(seed)
    }

    /// The seed to store.
    pub(crate) const fn seed(&self) -> &Secret<KEM_SEED_LEN> {
        &self.0
    }

    fn key(&self) -> DecapsulationKey {
        DecapsulationKey::from_seed((*self.0.expose()).into())
    }

    /// The encapsulation key. Costs a key generation.
    pub(crate) fn public(&self) -> Box<[u8; KEM_KEY_LEN]> {
        Box::new(self.key().encapsulation_key().to_bytes().into())
    }

    /// The shared secret of `ciphertext`. Costs a key generation besides.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8; KEM_CIPHERTEXT_LEN]) -> Secret<32> {
        let mut shared = self.key().decapsulate(<&Ciphertext>::from(ciphertext));
        let secret = Secret::from_bytes(shared.into());
        shared.zeroize();
        secret
    }
}

impl fmt::Debug for KemSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KemSecret(..)")
    }
}

fn parse(key: &[u8; KEM_KEY_LEN]) -> Result<EncapsulationKey, BadKemKey> {
    EncapsulationKey::new(key.into()).map_err(|_| BadKemKey)
}

/// Checks that `key` is canonical.
pub(crate) fn check_key(key: &[u8; KEM_KEY_LEN]) -> Result<(), BadKemKey> {
    parse(key).map(|_| ())
}

/// Draws a secret and its ciphertext for the holder of `key`.
pub(crate) fn encapsulate<R: CryptoRng + ?Sized>(
    key: &[u8; KEM_KEY_LEN],
    rng: &mut R,
) -> Result<(Box<[u8; KEM_CIPHERTEXT_LEN]>, Secret<32>), BadKemKey> {
    let (ciphertext, mut shared) = parse(key)?.encapsulate_with_rng(rng);
    let secret = Secret::from_bytes(shared.into());
    shared.zeroize();
    Ok((Box::new(ciphertext.into()), secret))
}
