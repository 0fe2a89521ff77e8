//! `/kith/blob/1`: a node to a relay. Opening, putting and deleting over its identity connection, the rest over
//! any.
//!
//! Spec: `docs/protocol/blob.md` §2.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{MAX_PIECES, PIECE};
use crate::time::Timestamp;
use crate::wire::Wire;

/// The protocol's name in libp2p.
pub const PROTOCOL: &str = "/kith/blob/1";

/// 32 random bytes that name a blob; who knows them reads it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId(pub [u8; 32]);

impl std::fmt::Debug for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlobId(..)")
    }
}

/// What a node asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobRequest {
    /// Room for a blob of the connection's account, or what is there of it.
    Open {
        /// Its name.
        blob: BlobId,
        /// All its bytes.
        bytes: u64,
        /// How long to keep it, milliseconds; absent: the relay's usual time.
        keep: Option<u64>,
    },
    /// One piece of an own blob.
    Put {
        /// Which.
        blob: BlobId,
        /// From 0.
        piece: u32,
        /// [`PIECE`] bytes, the last one what is left.
        bytes: ByteBuf,
    },
    /// Forget an own blob.
    Delete {
        /// Which.
        blob: BlobId,
    },
    /// What is there of a blob.
    Stat {
        /// Which.
        blob: BlobId,
    },
    /// One piece of it.
    Get {
        /// Which.
        blob: BlobId,
        /// From 0.
        piece: u32,
    },
}

/// What a relay answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobResponse {
    /// To [`BlobRequest::Open`] and [`BlobRequest::Stat`].
    State(BlobState),
    /// The piece is durable.
    Stored,
    /// There is nothing any more.
    Deleted,
    /// To [`BlobRequest::Get`].
    Piece(ByteBuf),
    /// No.
    Refused(BlobRefusal),
}

/// What a relay has of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobState {
    /// All its bytes.
    pub bytes: u64,
    /// Which pieces are there: bit n % 8 of byte n / 8, from the least.
    pub stored: ByteBuf,
    /// When it ends, by the relay's clock: earlier while it is not whole.
    pub expires_at: Timestamp,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BlobRefusal {
    /// This relay keeps no blobs.
    #[error("this relay keeps no files")]
    NotOffered,
    /// The key of this connection is not admitted.
    #[error("not admitted at this relay")]
    NotAdmitted,
    /// No such blob or piece, or it is not the account's own.
    #[error("no such file")]
    Missing,
    /// Another account's, opened with another length, or over: a blob that is begun anew gets a new name.
    #[error("the name is taken")]
    Taken,
    /// A blob has 1 byte or more, and so many at most.
    #[error("too large for this relay")]
    TooLarge {
        /// Bytes.
        most: u64,
    },
    /// The account has as much here as it may.
    #[error("the account has as much there as it may")]
    Full,
    /// The relay has as much as it may.
    #[error("the relay has no room")]
    NoRoom,
    /// No bytes of that piece's length.
    #[error("not the length of that piece")]
    WrongPiece,
    /// Wait this many milliseconds.
    #[error("too many requests")]
    Busy {
        /// Milliseconds to wait.
        retry_ms: u32,
    },
    /// The relay cannot do it now.
    #[error("the relay cannot do it now")]
    Unavailable,
}

impl Wire for BlobRequest {
    const LIMIT: usize = PIECE as usize + 256;
}

impl Wire for BlobResponse {
    const LIMIT: usize = PIECE as usize + 256;
}

const _: () = assert!(PIECE as usize > MAX_PIECES as usize / 8, "a state fits into a response");

impl std::fmt::Debug for BlobRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { bytes, .. } => write!(f, "Open({bytes} bytes)"),
            Self::Put { piece, .. } => write!(f, "Put({piece})"),
            Self::Delete { .. } => f.write_str("Delete(..)"),
            Self::Stat { .. } => f.write_str("Stat(..)"),
            Self::Get { piece, .. } => write!(f, "Get({piece})"),
        }
    }
}

impl std::fmt::Debug for BlobResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(state) => write!(f, "State({} bytes)", state.bytes),
            Self::Stored => f.write_str("Stored"),
            Self::Deleted => f.write_str("Deleted"),
            Self::Piece(bytes) => write!(f, "Piece({} bytes)", bytes.len()),
            Self::Refused(why) => write!(f, "Refused({why:?})"),
        }
    }
}
