//! From an invite to a session: PQXDH with a pre-shared key and a hidden initiator.
//!
//! 1. Bob holds Alice's token and bundle and [`join()`]s: one request of exactly
//!    [`JOIN_REQUEST_LEN`] bytes, which he persists before the first send and only ever resends.
//! 2. Alice [`respond()`]s with the prekeys of that invite: she learns who asks, reads the first
//!    payload, and holds the same session.
//! 3. Hold, Reveal, Accept or Reject are ordinary frames of that session; their rules live above.
//!
//! ```text
//! request  ver 1 ‖ EA 32 ‖ ct 1088 ‖ c1 (DeviceCert 189 + tag 16) ‖ first frame 2770
//! ```
//!
//! # Invariants
//! * Every byte of a request is authenticated; padding is inside the first frame.
//! * Every Diffie–Hellman output is contributory or the handshake stops.
//! * The transcript covers suite, invite, both accounts, devices and agreement keys, every public
//!   key and the ciphertext.
//! * Nobody without the token's secret can produce a request that opens, and nobody without the
//!   prekeys can read one.
//!
//! Knows nothing of invite states, one-time use or replies. Spec: `docs/protocol/session.md` §4.

mod join;
mod respond;
mod schedule;
mod transcript;

pub use self::join::{JoinError, Joined, join};
pub(crate) use self::join::{Offered, initiate};
pub(crate) use self::respond::{Held, accept};
pub use self::respond::{RespondError, Responded, respond};

use crate::aead::TAG_LEN;
use crate::agreement::AGREEMENT_KEY_LEN;
use crate::identity::DEVICE_CERT_LEN;
use crate::kem::KEM_CIPHERTEXT_LEN;
use crate::ratchet::FRAME_OVERHEAD;

/// Bytes of a join request: the first-contact class.
pub const JOIN_REQUEST_LEN: usize = 4096;
/// Longest first payload of a join request.
pub const MAX_JOIN_PAYLOAD: usize = FIRST_FRAME_LEN - FRAME_OVERHEAD - 2;

/// Version byte of a join request.
const REQUEST_VERSION: u8 = 1;
/// Bytes of the sealed certificate.
const SEALED_CERT_LEN: usize = DEVICE_CERT_LEN + TAG_LEN;
/// Bytes of `EA ‖ ct ‖ c1`, which come before the first frame.
pub(crate) const OPENING_LEN: usize = AGREEMENT_KEY_LEN + KEM_CIPHERTEXT_LEN + SEALED_CERT_LEN;
/// Bytes of the frame that fills a request up.
const FIRST_FRAME_LEN: usize = JOIN_REQUEST_LEN - 1 - OPENING_LEN;
/// The key that seals a certificate is used once, so its nonce is constant.
const CERT_NONCE: [u8; 12] = [0; 12];

#[cfg(test)]
mod tests;
