//! How the ratchet refuses, per operation.

use crate::agreement::LowOrderKey;
use crate::layout::LayoutError;
use crate::ratchet::pq::PqViolation;

/// Why a message could not be encrypted. The state is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The content exceeds [`crate::MAX_PLAINTEXT`].
    #[error("content exceeds the largest frame")]
    TooLong,
    /// 2³² messages without an answer.
    #[error("sending chain is exhausted")]
    ChainExhausted,
    /// A stored state that no handshake produces.
    #[error("session cannot send yet")]
    NotReady,
    /// The peer's ratchet key has low order.
    #[error("peer's ratchet key: {0}")]
    PeerKey(#[from] LowOrderKey),
}

/// Why a frame was refused. The state is unchanged. Toward the network all of these look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// Not a length of [`crate::FRAME_CLASSES`].
    #[error("frame length is not a class")]
    Length,
    /// A version this release does not know.
    #[error("unknown frame version")]
    UnknownVersion,
    /// No header key of the session opens it: another session's, too old, or altered.
    #[error("no header key opens the frame")]
    UnknownHeader,
    /// The header is authentic but contradicts its chain or uses reserved bits.
    #[error("frame header contradicts its chain")]
    Header,
    /// The message key was used, evicted or expired: most likely a duplicate.
    #[error("message key is gone")]
    KeyGone,
    /// More than [`crate::MAX_JUMP`] messages are missing before it.
    #[error("frame is too far ahead")]
    TooFarAhead,
    /// The body was altered.
    #[error("frame body does not authenticate")]
    Body,
    /// The body is authentic but malformed.
    #[error("frame content is malformed")]
    Content,
    /// The sender's ratchet key has low order.
    #[error("peer's ratchet key: {0}")]
    PeerKey(#[from] LowOrderKey),
    /// The peer broke the post-quantum ratchet.
    #[error("{0}")]
    Pq(#[from] PqViolation),
}

impl DecryptError {
    /// Whether the authenticated peer broke the protocol, so that the session must be reset and
    /// the user told, rather than the frame dropped.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        matches!(self, Self::Header | Self::Content | Self::PeerKey(_) | Self::Pq(_))
    }
}

/// Why a stored session could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionImportError {
    /// Longer than any session.
    #[error("stored session is too long")]
    TooLong,
    /// The bytes do not have the layout.
    #[error("stored session: {0}")]
    Layout(#[from] LayoutError),
    /// Another version, or a field out of range.
    #[error("stored session is of an unknown form")]
    UnknownForm,
}
