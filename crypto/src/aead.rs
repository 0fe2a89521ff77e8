//! The two AEADs of the protocol, in place and with detached tags.
//!
//! ChaCha20-Poly1305 (RFC 8439) where a key is used once, XChaCha20-Poly1305
//! (draft-irtf-cfrg-xchacha) where nonces are random.
//!
//! # Invariants
//! * A failed [`open`] or [`xopen`] has not decrypted anything: the tag is checked first.
//! * Sealing cannot fail: every caller's input is far below the 256 GiB limit.
//!
//! Knows nothing of where keys and nonces come from.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};

use crate::secret::Secret;

/// Bytes of an authentication tag.
pub(crate) const TAG_LEN: usize = 16;
/// Bytes of an XChaCha20 nonce.
pub(crate) const XNONCE_LEN: usize = 24;

/// The tag did not match: wrong key, nonce, associated data or ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forged;

/// Encrypts `buffer` with ChaCha20-Poly1305 and returns the tag.
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: &[u8; 12],
    ad: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG_LEN] {
    ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), ad, InOutBuf::from(buffer))
        .expect("input is below the length limit")
        .into()
}

/// Decrypts `buffer` with ChaCha20-Poly1305.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; 12],
    ad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), Forged> {
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), ad, InOutBuf::from(buffer), tag.into())
        .map_err(|_| Forged)
}

/// Encrypts `buffer` with XChaCha20-Poly1305 and returns the tag.
pub(crate) fn xseal(
    key: &Secret<32>,
    nonce: &[u8; XNONCE_LEN],
    ad: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG_LEN] {
    XChaCha20Poly1305::new(key.expose().into())
        .encrypt_inout_detached(nonce.into(), ad, InOutBuf::from(buffer))
        .expect("input is below the length limit")
        .into()
}

/// Decrypts `buffer` with XChaCha20-Poly1305.
pub(crate) fn xopen(
    key: &Secret<32>,
    nonce: &[u8; XNONCE_LEN],
    ad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), Forged> {
    XChaCha20Poly1305::new(key.expose().into())
        .decrypt_inout_detached(nonce.into(), ad, InOutBuf::from(buffer), tag.into())
        .map_err(|_| Forged)
}
