//! Fixed-size secrets that leave no trace.
//!
//! [`Secret`] is the only type in which this crate keeps key material of fixed length.
//!
//! # Invariants
//! * The bytes are overwritten when the value is dropped.
//! * `Debug` never prints them; there is no `Display`, no serialisation, no `Copy`, no `Clone` and
//!   no `PartialEq`. Comparison is [`Secret::ct_eq`], duplication is the deliberate
//!   [`Secret::duplicate`].
//!
//! Knows nothing of what the bytes are for. A move may leave a copy on the stack: that is a limit
//! of the language, and one reason why the vault does not promise anything against malware.

use core::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes, erased on drop and redacted in `Debug`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes over bytes that are secret from now on.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Copies a slice of exactly `N` bytes; `None` for any other length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zero();
        if bytes.len() != N {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// Draws `N` bytes from `rng`.
    #[must_use]
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut secret = Self::zero();
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// The bytes themselves. The caller must not let them out of a cryptographic call or a sealed
    /// store value.
    #[must_use]
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A second copy, for the few places where a key must live in two owners.
    #[must_use]
    pub const fn duplicate(&self) -> Self {
        Self(self.0)
    }

    /// Compares in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Zero bytes, to be filled by a derivation.
    pub(crate) const fn zero() -> Self {
        Self([0; N])
    }

    /// Where a derivation writes its output.
    pub(crate) const fn bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn debug_never_shows_the_bytes() {
        assert_eq!(format!("{:?}", Secret::from_bytes([0xAB; 32])), "Secret(..)");
    }

    /// What `unwrap`, `expect` and assertions put into a panic is what `Debug` shows.
    #[test]
    fn a_panic_over_a_secret_does_not_show_it() {
        let refused = || -> Result<(), _> {
            Err((Secret::from_bytes([0xAB; 32]), [Secret::from_bytes([0xAB; 16])]))
        };
        let panicked = std::panic::catch_unwind(|| refused().unwrap());
        let message = *panicked.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("Secret(..)"), "{message}");
        assert!(!message.contains("171") && !message.to_lowercase().contains("ab, "), "{message}");
    }

    #[test]
    fn comparison_sees_every_byte() {
        let secret = Secret::from_bytes([7; 32]);
        assert!(secret.ct_eq(&secret.duplicate()));
        for i in 0..32 {
            let mut other = [7; 32];
            other[i] ^= 1;
            assert!(!secret.ct_eq(&Secret::from_bytes(other)));
        }
    }

    #[test]
    fn a_slice_of_another_length_is_no_secret() {
        assert!(Secret::<4>::from_slice(&[1, 2, 3]).is_none());
        assert!(Secret::<4>::from_slice(&[1, 2, 3, 4, 5]).is_none());
        assert_eq!(Secret::<4>::from_slice(&[1, 2, 3, 4]).unwrap().expose(), &[1, 2, 3, 4]);
    }
}
