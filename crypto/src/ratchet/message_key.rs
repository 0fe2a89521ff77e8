//! The key of one message's body.

use zeroize::Zeroizing;

use crate::aead::{self, Forged, TAG_LEN, XNONCE_LEN};
use crate::kdf::{hkdf_fill, label};
use crate::secret::Secret;

/// Encrypts exactly one body.
#[derive(Debug)]
pub(crate) struct MessageKey(pub(crate) Secret<32>);

impl MessageKey {
    /// HKDF(salt = N, ikm = mk, info = `"KITH/1 body"`) → key 32 ‖ nonce 12.
    ///
    /// The random `N` of the frame is mixed in so that a sender whose state was rolled back costs
    /// an undecryptable message, never a reused key stream.
    fn derive(&self, random: &[u8; XNONCE_LEN]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 12]>) {
        let (mut key, mut nonce) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 12]));
        hkdf_fill(random, &[self.0.expose()], &[label::BODY], &mut [&mut *key, &mut *nonce]);
        (key, nonce)
    }

    /// Encrypts a padded body in place.
    pub(crate) fn seal(
        &self,
        random: &[u8; XNONCE_LEN],
        ad: &[u8],
        body: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let (key, nonce) = self.derive(random);
        aead::seal(&key, &nonce, ad, body)
    }

    /// Decrypts a body in place.
    pub(crate) fn open(
        &self,
        random: &[u8; XNONCE_LEN],
        ad: &[u8],
        body: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Forged> {
        let (key, nonce) = self.derive(random);
        aead::open(&key, &nonce, ad, body, tag)
    }

    /// A copy for a frame that is still to be judged; the stored key stays until it is.
    pub(crate) const fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}
