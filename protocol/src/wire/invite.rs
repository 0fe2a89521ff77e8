//! `/kith/invite/1`: a scanner asks an inviter's node directly.
//!
//! 1. Ben's node, which scanned Ada's code, asks for the bundle behind it ([`InviteRequest::Bundle`]).
//! 2. It sends its join request ([`InviteRequest::Join`]); the same bytes on every attempt.
//! 3. Ada's node claims the invite durably and answers with the Hold frame. The same bytes get
//!    the same answer; anybody else gets [`InviteResponse::Gone`], as for an expired code.
//!
//! Spec: `docs/protocol/invite.md` §5.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::codec::Wire;
use crate::ids::InviteId;

/// The protocol's name in libp2p.
pub const PROTOCOL: &str = "/kith/invite/1";
/// Longest sealed bundle in bytes.
pub const MAX_BUNDLE: usize = 4 * 1024;
/// Longest join request in bytes.
pub const MAX_JOIN: usize = 8 * 1024;
/// Longest Hold frame in bytes.
pub const MAX_HOLD: usize = 8 * 1024;

/// What a scanner asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InviteRequest {
    /// The sealed bundle of this invite.
    Bundle {
        /// Derived from the token's secret, so only its holder can name it.
        invite: InviteId,
    },
    /// Claim it.
    Join {
        /// The invite that is claimed.
        invite: InviteId,
        /// The join request: at most [`MAX_JOIN`] bytes.
        request: ByteBuf,
    },
}

/// The inviter's answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InviteResponse {
    /// The sealed bundle: at most [`MAX_BUNDLE`] bytes.
    Bundle {
        /// Sealed under the token's bundle key.
        sealed: ByteBuf,
    },
    /// Claimed by this request; the person now decides.
    Held {
        /// The Hold frame: at most [`MAX_HOLD`] bytes.
        frame: ByteBuf,
    },
    /// No such invite, or used, revoked, expired, or a request that does not open: one answer
    /// for all, so that nobody can probe.
    Gone,
    /// Too many at once; ask again after this many milliseconds.
    Busy {
        /// Milliseconds to wait.
        retry_ms: u32,
    },
}

impl Wire for InviteRequest {
    const LIMIT: usize = MAX_JOIN + 64;
}

impl Wire for InviteResponse {
    const LIMIT: usize = MAX_HOLD + 64;
}

impl std::fmt::Debug for InviteRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bundle { .. } => f.write_str("Bundle(..)"),
            Self::Join { request, .. } => write!(f, "Join({} bytes)", request.len()),
        }
    }
}

impl std::fmt::Debug for InviteResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bundle { sealed } => write!(f, "Bundle({} bytes)", sealed.len()),
            Self::Held { frame } => write!(f, "Held({} bytes)", frame.len()),
            Self::Gone => f.write_str("Gone"),
            Self::Busy { retry_ms } => write!(f, "Busy({retry_ms} ms)"),
        }
    }
}
