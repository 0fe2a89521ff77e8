//! Blobs: what is too large for a queue, kept at a relay for somebody who is away.
//!
//! 1. The sender's node cuts ciphertext into pieces of [`PIECE`] bytes and puts them at a relay that admitted it, under
//!    32 random bytes ([`BlobId`]).
//! 2. A message tells the recipient relay, id, key and hash, end to end.
//! 3. Whoever knows the id gets pieces, from a connection that nobody authenticated.
//!
//! # Invariants
//! * What a blob will have is taken from its owner's quota when it is opened, not when it comes.
//! * A piece is confirmed after it is durable; putting it again changes nothing.
//! * Nobody can tell a blob that is not theirs from one that is not there, but by knowing its id.
//!
//! Spec: `docs/protocol/blob.md`.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::ids::AccountId;
use crate::time::{DAY, Timestamp};
use crate::wire::Wire;

pub mod wire;

pub use wire::{BlobId, BlobRefusal, BlobRequest, BlobResponse, BlobState};

/// Bytes of every piece but the last, which has what is left.
pub const PIECE: u64 = 128 * 1024;
/// Most pieces of a blob, whatever a relay's limits are.
pub const MAX_PIECES: u32 = 8_192;

/// What a relay allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a blob; at most [`PIECE`] × [`MAX_PIECES`].
    pub blob_bytes: u64,
    /// Most bytes of an account's blobs together.
    pub account_bytes: u64,
    /// Most blobs of an account.
    pub account_blobs: u64,
    /// Most bytes of all blobs together.
    pub relay_bytes: u64,
    /// How long a blob is kept whose owner names no time, milliseconds.
    pub default_ttl: u64,
    /// How long at most, milliseconds.
    pub max_ttl: u64,
    /// How long one is kept that is not whole, milliseconds.
    pub unfinished_ttl: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blob_bytes: 100 << 20,
            account_bytes: 1 << 30,
            account_blobs: 1_000,
            relay_bytes: 20 << 30,
            default_ttl: 7 * DAY,
            max_ttl: 14 * DAY,
            unfinished_ttl: DAY,
        }
    }
}

/// What somebody's blobs, or everybody's, come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub blobs: u64,
    /// Their bytes, as they will be.
    pub bytes: u64,
    /// Those of them that are not whole.
    pub unfinished: u64,
}

/// A blob as a relay stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Whose quota it uses.
    pub owner: AccountId,
    /// All bytes of it.
    pub bytes: u64,
    /// Which pieces are there: bit n % 8 of byte n / 8, from the least.
    pub stored: ByteBuf,
    /// When it ends if it is not whole.
    pub unfinished_until: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

impl Wire for Blob {
    const LIMIT: usize = 2 * 1024;
}

impl Blob {
    /// The blob that `owner` opens: a new one, or the one that is there, if it is the same.
    ///
    /// # Errors
    /// [`BlobRefusal`]: a size that no blob has, no room, or the id is another one's.
    pub fn open(
        there: Option<Self>,
        owner: AccountId,
        (bytes, keep): (u64, Option<u64>),
        (own, all): (Usage, Usage),
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Self, BlobRefusal> {
        if let Some(there) = there {
            let same = there.owner == owner && there.bytes == bytes;
            // What is over is being forgotten: a piece that came now would go with it.
            return if same && now < there.ends_at() { Ok(there) } else { Err(BlobRefusal::Taken) };
        }
        let most = limits.blob_bytes.min(PIECE * u64::from(MAX_PIECES));
        if bytes == 0 || bytes > most {
            return Err(BlobRefusal::TooLarge { most });
        }
        if own.blobs >= limits.account_blobs
            || own.bytes.saturating_add(bytes) > limits.account_bytes
        {
            return Err(BlobRefusal::Full);
        }
        // Room that is asked for and not used: of one blob of the largest size at most.
        if own.unfinished.saturating_add(bytes) > most {
            return Err(BlobRefusal::Full);
        }
        if all.bytes.saturating_add(bytes) > limits.relay_bytes {
            return Err(BlobRefusal::NoRoom);
        }
        let keep = keep.unwrap_or(limits.default_ttl).clamp(1, limits.max_ttl);
        let unfinished = keep.min(limits.unfinished_ttl);
        Ok(Self {
            owner,
            bytes,
            stored: ByteBuf::from(vec![0; pieces_of(bytes).div_ceil(8) as usize]),
            unfinished_until: now.plus(unfinished),
            until: now.plus(keep),
        })
    }

    /// How many pieces it has when it is whole.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        pieces_of(self.bytes)
    }

    /// Bytes of a piece; `None` when it has no such piece.
    #[must_use]
    pub fn piece_bytes(&self, piece: u32) -> Option<u64> {
        let before = u64::from(piece).checked_mul(PIECE)?;
        self.bytes.checked_sub(before).filter(|left| *left > 0).map(|left| left.min(PIECE))
    }

    /// Whether a piece is there.
    #[must_use]
    pub fn has(&self, piece: u32) -> bool {
        self.stored.get(piece as usize / 8).is_some_and(|byte| byte >> (piece % 8) & 1 == 1)
    }

    /// Whether all of it is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        (0..self.pieces()).all(|piece| self.has(piece))
    }

    /// Its bytes, while it is not whole.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        if self.is_whole() { 0 } else { self.bytes }
    }

    /// A piece is there from now on.
    pub fn keep(&mut self, piece: u32) {
        if let Some(byte) = self.stored.get_mut(piece as usize / 8) {
            *byte |= 1 << (piece % 8);
        }
    }

    /// A piece is not there any more. It ends when it would have: its owner may put that one again.
    pub fn lose(&mut self, piece: u32) {
        self.unfinished_until = self.ends_at();
        if let Some(byte) = self.stored.get_mut(piece as usize / 8) {
            *byte &= !(1 << (piece % 8));
        }
    }

    /// It is over, and stays so.
    pub fn end(&mut self) {
        (self.until, self.unfinished_until) = (Timestamp::default(), Timestamp::default());
    }

    /// Whether [`end`](Self::end) was said.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.until == Timestamp::default() && self.unfinished_until == Timestamp::default()
    }

    /// When it ends.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        match self.is_whole() {
            true => self.until,
            false => self.unfinished_until,
        }
    }

    /// What is told of it.
    #[must_use]
    pub fn state(&self) -> BlobState {
        BlobState { bytes: self.bytes, stored: self.stored.clone(), expires_at: self.ends_at() }
    }
}

/// The pieces of so many bytes; more than any blob has, when they are too many.
fn pieces_of(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
