//! Droppable traffic: presence and typing, outside the ratchet.
//!
//! 1. Either side seals a few bytes under a key of the session, the direction and the day.
//! 2. The receiver opens it if it is fresh, and refuses repetitions by [`Ephemeral::id`].
//!
//! ```text
//! ver 1 ‖ N 24 ‖ XChaCha20-Poly1305 { sent u64 ‖ content ‖ 0x80 00… } ‖ tag 16
//! ```
//!
//! # Invariants
//! * Ratchet keys are never consumed, so losing such a message costs nothing.
//! * Lengths are multiples of [`EPHEMERAL_STEP`] plus a constant.
//!
//! No forward secrecy within a session's life: nothing of lasting value belongs here. Direct links
//! only; the caller keeps the replay cache. Spec: `docs/protocol/session.md` §9.

use rand_core::CryptoRng;

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::kdf::sha256;
use crate::layout::{self, Reader, Writer};
use crate::session::Session;

/// Longest content.
pub const MAX_EPHEMERAL: usize = 503;
/// The padded inside is a multiple of this.
pub const EPHEMERAL_STEP: usize = 128;
/// Longest sealed form.
pub const MAX_EPHEMERAL_SEALED: usize = OVERHEAD + 4 * EPHEMERAL_STEP;
/// Seconds by which the sender's clock may differ from ours, either way.
pub const EPHEMERAL_FRESHNESS: u64 = 60;

const VERSION: u8 = 1;
const OVERHEAD: usize = 1 + XNONCE_LEN + TAG_LEN;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// Why an ephemeral message could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content exceeds an ephemeral message")]
pub struct EphemeralTooLong;

/// Why an ephemeral message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EphemeralError {
    /// No length that sealing produces.
    #[error("ephemeral message has an impossible length")]
    Length,
    /// A version this release does not know.
    #[error("unknown ephemeral version")]
    UnknownVersion,
    /// Not this session's, not this direction's, not today's, or altered.
    #[error("ephemeral message does not authenticate")]
    Forged,
    /// Authentic but malformed.
    #[error("ephemeral message is malformed")]
    Content,
    /// The sender's clock is more than [`EPHEMERAL_FRESHNESS`] away.
    #[error("ephemeral message is not fresh")]
    Stale,
}

/// An opened ephemeral message.
#[derive(Clone, PartialEq, Eq)]
pub struct Ephemeral {
    /// What was sealed.
    pub content: Vec<u8>,
    /// The sender's Unix seconds.
    pub sent: u64,
    /// For the replay cache.
    pub id: [u8; 16],
}

impl core::fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { content: _, sent, id: _ } = self;
        f.debug_struct("Ephemeral").field("sent", sent).finish_non_exhaustive()
    }
}

fn day(now: u64) -> u32 {
    u32::try_from(now / SECONDS_PER_DAY).unwrap_or(u32::MAX)
}

impl Session {
    fn ephemeral_ad(&self, direction: u8) -> [u8; 33] {
        let mut ad = [direction; 33];
        let (transcript, _) = ad.split_at_mut(32);
        transcript.copy_from_slice(&self.shared.transcript);
        ad
    }

    /// Seals droppable content at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`EphemeralTooLong`] beyond [`MAX_EPHEMERAL`] bytes.
    pub fn seal_ephemeral<R: CryptoRng + ?Sized>(
        &self,
        content: &[u8],
        now: u64,
        rng: &mut R,
    ) -> Result<Vec<u8>, EphemeralTooLong> {
        if content.len() > MAX_EPHEMERAL {
            return Err(EphemeralTooLong);
        }
        let mut inside = Writer::with_capacity(MAX_EPHEMERAL_SEALED);
        inside.u64(now).bytes(content);
        let mut inside = inside.finish();
        let padded = inside.len().saturating_add(1).next_multiple_of(EPHEMERAL_STEP);
        layout::pad(&mut inside, padded);
        let mut nonce = [0; XNONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let key = self.ephemeral(self.role(), day(now));
        let ad = self.ephemeral_ad(self.role().direction());
        let tag = aead::xseal(&key, &nonce, &ad, &mut inside);
        let mut w = Writer::with_capacity(MAX_EPHEMERAL_SEALED);
        w.u8(VERSION).bytes(&nonce).bytes(&inside).bytes(&tag);
        Ok(w.finish())
    }

    /// Opens droppable content at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub fn open_ephemeral(&self, sealed: &[u8], now: u64) -> Result<Ephemeral, EphemeralError> {
        let inside_len = sealed.len().checked_sub(OVERHEAD).ok_or(EphemeralError::Length)?;
        if inside_len == 0
            || !inside_len.is_multiple_of(EPHEMERAL_STEP)
            || sealed.len() > MAX_EPHEMERAL_SEALED
        {
            return Err(EphemeralError::Length);
        }
        let mut r = Reader::new(sealed);
        if r.u8().map_err(|_| EphemeralError::Length)? != VERSION {
            return Err(EphemeralError::UnknownVersion);
        }
        let nonce = r.array().map_err(|_| EphemeralError::Length)?;
        let body = r.take(inside_len).map_err(|_| EphemeralError::Length)?;
        let tag = r.array().map_err(|_| EphemeralError::Length)?;

        let sender = self.role().peer();
        let ad = self.ephemeral_ad(sender.direction());
        // The day is the sender's; near midnight it may be either of two.
        let (earliest, latest) = (
            day(now.saturating_sub(EPHEMERAL_FRESHNESS)),
            day(now.saturating_add(EPHEMERAL_FRESHNESS)),
        );
        let mut days = [Some(latest), (earliest != latest).then_some(earliest)].into_iter();
        let inside = days
            .find_map(|day| {
                let mut inside = body.to_vec();
                let key = self.ephemeral(sender, day?);
                aead::xopen(&key, &nonce, &ad, &mut inside, &tag).ok().map(|()| inside)
            })
            .ok_or(EphemeralError::Forged)?;
        let len = layout::unpadded_len(&inside).ok_or(EphemeralError::Content)?;
        let (content, _) = inside.split_at(len);
        let mut r = Reader::new(content);
        let sent = r.u64().map_err(|_| EphemeralError::Content)?;
        if sent.abs_diff(now) > EPHEMERAL_FRESHNESS {
            return Err(EphemeralError::Stale);
        }
        let hash = sha256(&[sealed]);
        let (id, _) = hash.split_first_chunk().expect("16 is below 32");
        Ok(Ephemeral { content: r.into_rest().to_vec(), sent, id: *id })
    }
}

#[cfg(test)]
mod tests;
