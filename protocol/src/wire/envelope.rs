//! `/kith/envelope/1`: sealed frames from a node to a contact's node.
//!
//! 1. Ada's node sends a batch of frames, each sealed by the ratchet and nothing else.
//! 2. Ben's node opens each, commits what they change and flushes.
//! 3. Only then does it answer, with a signed [`DeliveryReceipt`]
//!    over the ids of the frames that are now durable.
//!
//! A frame that is not in the receipt was not delivered; Ada's node sends the same bytes again.
//!
//! Spec: `docs/protocol/wire.md` §4.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::codec::Wire;
use crate::receipt::DeliveryReceipt;

/// The protocol's name in libp2p.
pub const PROTOCOL: &str = "/kith/envelope/1";
/// Most frames in one request.
pub const MAX_FRAMES: usize = 128;
/// Most bytes of frames in one request.
pub const MAX_BATCH_BYTES: usize = 192 * 1024;
/// Longest ephemeral (presence, typing) in bytes.
pub const MAX_EPHEMERAL: usize = crypto::ephemeral::MAX_EPHEMERAL_SEALED;

/// What a node asks of a contact's node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvelopeRequest {
    /// Keep these frames: at most [`MAX_FRAMES`], at most [`MAX_BATCH_BYTES`].
    Deliver {
        /// Sealed frames in the order of their sending.
        frames: Vec<ByteBuf>,
    },
    /// Presence or typing, sealed under the session's exporter key. Never stored.
    Ephemeral {
        /// At most [`MAX_EPHEMERAL`] bytes.
        sealed: ByteBuf,
    },
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvelopeResponse {
    /// These frames are durable here.
    Durable {
        /// Signed by the answering account.
        receipt: DeliveryReceipt,
    },
    /// An ephemeral was taken (or silently dropped: the sender cannot tell).
    Taken,
    /// Too much at once; ask again after this many milliseconds.
    Busy {
        /// Milliseconds to wait.
        retry_ms: u32,
    },
    /// The asking key is no contact of this node, or the request breaks a bound.
    Refused,
}

impl Wire for EnvelopeRequest {
    const LIMIT: usize = MAX_BATCH_BYTES + 8 * MAX_FRAMES + 64;
}

impl Wire for EnvelopeResponse {
    const LIMIT: usize = 20 * MAX_FRAMES + 256;
}

impl std::fmt::Debug for EnvelopeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Deliver { frames } => write!(f, "Deliver({} frames)", frames.len()),
            Self::Ephemeral { sealed } => write!(f, "Ephemeral({} bytes)", sealed.len()),
        }
    }
}

impl std::fmt::Debug for EnvelopeResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Durable { receipt } => f.debug_tuple("Durable").field(receipt).finish(),
            Self::Taken => f.write_str("Taken"),
            Self::Busy { retry_ms } => write!(f, "Busy({retry_ms} ms)"),
            Self::Refused => f.write_str("Refused"),
        }
    }
}
