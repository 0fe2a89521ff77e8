//! Keys, handshake, ratchet and vault of Kith.
//!
//! 1. An [`Identity`] comes from a [`Seed`]; it signs invites ([`Token`]), prekey [`Bundle`]s and
//!    [`DeviceCert`]s.
//! 2. [`join`] and [`respond`] turn an invite into a [`Session`] on both sides.
//! 3. The session encrypts and decrypts frames; the caller persists its export with every step.
//! 4. Should one side lose it, an [offer](rekey::Offer) and its answer make a new one.
//! 5. The [`Vault`] seals what is stored.
//!
//! # Invariants
//! * No IO, no clock, no async, no threads, no logging, no global randomness: `now` (Unix seconds)
//!   and `rng` are arguments.
//! * Whatever comes from outside is bounded before it is copied and refused with a typed error.
//! * Secrets are erased on drop and never printed.
//! * Bytes that are signed, hashed or fed to a derivation have one layout, written out in
//!   `docs/protocol/invite.md` and `docs/protocol/session.md`.
//!
//! Knows nothing of messages, contacts, transports or databases.

#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::panic, clippy::unreachable))]

mod aead;
pub mod agreement;
pub mod backup;
pub mod ephemeral;
pub mod handshake;
pub mod identity;
pub mod invite;
mod kdf;
mod kem;
pub mod layout;
pub mod phrase;
pub mod prekey;
mod ratchet;
pub mod rekey;
pub mod safety;
pub mod secret;
pub mod session;
pub mod vault;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod known_answers;

pub use agreement::{AGREEMENT_KEY_LEN, AgreementKey, AgreementSecret, LowOrderKey};
pub use ephemeral::{
    EPHEMERAL_FRESHNESS, Ephemeral, EphemeralError, EphemeralTooLong, MAX_EPHEMERAL,
    MAX_EPHEMERAL_SEALED,
};
pub use handshake::{
    JOIN_REQUEST_LEN, JoinError, Joined, MAX_JOIN_PAYLOAD, RespondError, Responded, join, respond,
};
pub use identity::{
    ACCOUNT_KEY_LEN, AccountKey, BadSignature, DEVICE_CERT_LEN, DeviceCert, DeviceCertError,
    DeviceCertSpec, FIRST_AGREEMENT_VERSION, Identity, PRIMARY_DEVICE, Purpose, SIGNATURE_LEN,
    Seed, Signature, SigningKey, VerifyingKey,
};
pub use invite::{
    INVITE_SECRET_LEN, InviteKind, MAX_RELAY_ADDR, MAX_RELAY_HINTS, MintError, RelayHint,
    TOKEN_LEN_MAX, TOKEN_LEN_MIN, TOKEN_PREFIX, TOKEN_TEXT_MAX, Token, TokenError, TokenKeys,
    TokenSpec,
};
pub use kem::{BadKemKey, KEM_CIPHERTEXT_LEN, KEM_KEY_LEN, KEM_SEED_LEN};
pub use prekey::{
    BUNDLE_LEN, Bundle, BundleBuildError, BundleError, BundleInfo, InvitePrekeys, MAX_BUNDLE_NAME,
    MAX_BUNDLE_PREVIEW, MAX_PREKEYS_LEN, PrekeyImportError,
};
pub use rand_core::CryptoRng;
pub use ratchet::{
    DecryptError, EncryptError, FRAME_CLASSES, FRAME_OVERHEAD, MAX_FRAME, MAX_JUMP, MAX_PLAINTEXT,
    MAX_RECEIVE_CHAINS, MAX_SKIPPED_KEYS, PQ_EPOCH_SECONDS, PQ_EPOCH_STEPS, PqViolation,
    SKIPPED_KEY_LIFETIME, SessionImportError,
};
pub use safety::{SAFETY_DIGITS, safety_number};
pub use secret::Secret;
pub use session::{
    ENVELOPE_ID_LEN, MAX_SESSION_LEN, Role, SAS_NONCE_LEN, SAS_SYMBOLS, Session, envelope_id,
    sas_commit, sas_nonce, sas_reveal_matches,
};
pub use vault::{
    DecodedTreeValue, KdfParams, KeyFileError, KeyFileMode, TreeKey, TreeOpenError, Unlock, Vault,
    VaultLock,
};

/// SHA-256, the one hash of the protocol.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    kdf::sha256(&[bytes])
}
