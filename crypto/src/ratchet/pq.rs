//! Sparse post-quantum healing: an ML-KEM secret mixed into the root now and then.
//!
//! 1. The offerer of the next epoch (odd: initiator, even: responder), when due, attaches
//!    `PQ_EK` to every frame until answered.
//! 2. The other side encapsulates once and attaches `PQ_CT` until it sees the epoch in a header.
//! 3. The offerer mixes the secret at its next sending root step and names the epoch in that
//!    chain's headers.
//! 4. The other side mixes at the matching receiving root step.
//!
//! ```text
//! offerer    Idle → Offering → Answered → Idle (epoch + 1)
//! responder  Idle → Offered → Responding → Idle (epoch + 1)
//! ```
//!
//! # Invariants
//! * At most one epoch is open. The offerer cannot mix before it holds the ciphertext, so the
//!   responder always holds the secret: loss and reordering cannot deadlock.
//! * Records are repeated byte for byte. A changed key for the same epoch, or an epoch that is
//!   neither past nor next, is fatal for the session.
//!
//! Spec: `docs/protocol/session.md` §7.

use rand_core::CryptoRng;

use crate::kdf::sha256;
use crate::kem::{self, KEM_CIPHERTEXT_LEN, KEM_KEY_LEN, KemSecret};
use crate::layout::{Reader, Writer};
use crate::ratchet::SessionImportError;
use crate::ratchet::frame::{Inside, Record};
use crate::secret::Secret;
use crate::session::Role;

/// Root steps after which the next epoch is due.
pub const PQ_EPOCH_STEPS: u32 = 20;
/// Seconds of use after which the next epoch is due.
pub const PQ_EPOCH_SECONDS: u64 = 24 * 60 * 60;

/// How the peer broke the rules of the post-quantum ratchet. Fatal for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PqViolation {
    /// A header or record names an epoch that is neither past nor next.
    #[error("unexpected post-quantum epoch")]
    Epoch,
    /// A record came from the side whose turn it is not, or answers nothing.
    #[error("post-quantum record out of turn")]
    Turn,
    /// The key of an open epoch changed, or the answer is to another key.
    #[error("post-quantum key changed within an epoch")]
    KeyChanged,
    /// The key is not a canonical ML-KEM-768 key.
    #[error("post-quantum key is malformed")]
    MalformedKey,
}

/// Where the open epoch (always `last + 1`) stands.
#[derive(Debug)]
enum State {
    /// No epoch is open.
    Idle,
    /// We offer; leaves for `Answered` when the ciphertext arrives.
    Offering { secret: KemSecret, key: Box<[u8; KEM_KEY_LEN]>, key_hash: [u8; 32] },
    /// We hold the secret; leaves for `Idle` at our next sending root step.
    Answered { key_hash: [u8; 32], shared: Secret<32> },
    /// The peer offered; leaves for `Responding` at our next send.
    Offered { key: Box<[u8; KEM_KEY_LEN]>, key_hash: [u8; 32] },
    /// We answered; leaves for `Idle` when the peer's header names the epoch.
    Responding { key_hash: [u8; 32], ciphertext: Box<[u8; KEM_CIPHERTEXT_LEN]>, shared: Secret<32> },
}

/// What an accepted frame changes.
#[derive(Debug)]
pub(crate) enum PqChange {
    /// Nothing.
    None,
    /// The peer opened the next epoch.
    Offered { key: Box<[u8; KEM_KEY_LEN]>, key_hash: [u8; 32] },
    /// The peer answered our offer.
    Answered { key_hash: [u8; 32], shared: Secret<32> },
}

/// The post-quantum side of a ratchet.
#[derive(Debug)]
pub(crate) struct Pq {
    /// The last epoch mixed into the root; 0 is the handshake's own.
    last: u32,
    /// Root steps since.
    steps: u32,
    /// Unix seconds of the last mix, or of the first send.
    since: Option<u64>,
    state: State,
}

fn offerer(epoch: u32) -> Role {
    if epoch % 2 == 1 { Role::Initiator } else { Role::Responder }
}

impl Pq {
    /// The state after the handshake.
    pub(crate) const fn new() -> Self {
        Self { last: 0, steps: 0, since: None, state: State::Idle }
    }

    /// The last epoch mixed into the root.
    pub(crate) const fn epoch(&self) -> u32 {
        self.last
    }

    /// Opens an epoch if it is our turn and due, and answers an offer that waits.
    pub(crate) fn prepare<R: CryptoRng + ?Sized>(&mut self, role: Role, now: u64, rng: &mut R) {
        let since = *self.since.get_or_insert(now);
        match &self.state {
            State::Idle => {
                let turn = self.last.checked_add(1).map(offerer) == Some(role);
                let due = self.steps >= PQ_EPOCH_STEPS
                    || (self.steps > 0 && now.saturating_sub(since) >= PQ_EPOCH_SECONDS);
                if turn && due {
                    let secret = KemSecret::random(rng);
                    let key = secret.public();
                    let key_hash = sha256(&[&*key]);
                    self.state = State::Offering { secret, key, key_hash };
                }
            }
            State::Offered { key, key_hash } => {
                let (ciphertext, shared) =
                    kem::encapsulate(key, rng).expect("the key was checked when it arrived");
                self.state = State::Responding { key_hash: *key_hash, ciphertext, shared };
            }
            State::Offering { .. } | State::Answered { .. } | State::Responding { .. } => {}
        }
    }

    /// The record to attach to a frame.
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        let epoch = self.last.checked_add(1)?;
        match &self.state {
            State::Offering { secret: _, key, key_hash: _ } => Some(Record::Offer { epoch, key }),
            State::Responding { key_hash, ciphertext, shared: _ } => {
                Some(Record::Answer { epoch, key_hash, ciphertext })
            }
            State::Idle | State::Answered { .. } | State::Offered { .. } => None,
        }
    }

    /// Counts our sending root step and hands out the secret to mix into it, if one waits.
    pub(crate) fn step_sending(&mut self, now: Option<u64>) -> Option<Secret<32>> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Answered { key_hash: _, shared } => {
                self.advance(now);
                Some(shared)
            }
            state => {
                self.state = state;
                self.steps = self.steps.saturating_add(1);
                None
            }
        }
    }

    /// The secret that a receiving root step at header epoch `epoch` mixes.
    pub(crate) fn secret_for(&self, epoch: u32) -> Result<Option<&Secret<32>>, PqViolation> {
        if epoch == self.last {
            return Ok(None);
        }
        match &self.state {
            State::Responding { shared, .. } if self.last.checked_add(1) == Some(epoch) => {
                Ok(Some(shared))
            }
            _ => Err(PqViolation::Epoch),
        }
    }

    /// Commits a receiving root step that did or did not mix a secret.
    pub(crate) fn step_receiving(&mut self, mixed: bool, now: u64) {
        if mixed {
            self.state = State::Idle;
            self.advance(Some(now));
        } else {
            self.steps = self.steps.saturating_add(1);
        }
    }

    fn advance(&mut self, now: Option<u64>) {
        self.last = self.last.saturating_add(1);
        self.steps = 0;
        self.since = now.or(self.since);
    }

    /// Judges the records of an authenticated body without changing anything. `mixed` tells that
    /// the same frame also completes the open epoch.
    pub(crate) fn review(
        &self,
        role: Role,
        inside: &Inside<'_>,
        mixed: bool,
    ) -> Result<PqChange, PqViolation> {
        let last = if mixed { self.last.saturating_add(1) } else { self.last };
        let state = if mixed { &State::Idle } else { &self.state };
        let next = last.checked_add(1);
        let mut change = PqChange::None;
        if let Some((epoch, key)) = inside.offer
            && epoch > last
        {
            change = Self::review_offer(role, state, next == Some(epoch), epoch, key)?;
        }
        if let Some((epoch, key_hash, ciphertext)) = inside.answer
            && epoch > last
        {
            if next != Some(epoch) {
                return Err(PqViolation::Epoch);
            }
            match state {
                State::Offering { key_hash: ours, secret, key: _ } if ours == key_hash => {
                    let shared = secret.decapsulate(ciphertext);
                    change = PqChange::Answered { key_hash: *key_hash, shared };
                }
                State::Answered { key_hash: ours, .. } if ours == key_hash => {}
                State::Offering { .. } | State::Answered { .. } => {
                    return Err(PqViolation::KeyChanged);
                }
                State::Idle | State::Offered { .. } | State::Responding { .. } => {
                    return Err(PqViolation::Turn);
                }
            }
        }
        Ok(change)
    }

    fn review_offer(
        role: Role,
        state: &State,
        is_next: bool,
        epoch: u32,
        key: &[u8; KEM_KEY_LEN],
    ) -> Result<PqChange, PqViolation> {
        if !is_next {
            return Err(PqViolation::Epoch);
        }
        if offerer(epoch) == role {
            return Err(PqViolation::Turn);
        }
        let offered = sha256(&[key]);
        match state {
            State::Idle => {
                kem::check_key(key).map_err(|_| PqViolation::MalformedKey)?;
                Ok(PqChange::Offered { key: Box::new(*key), key_hash: offered })
            }
            State::Offered { key_hash, .. } | State::Responding { key_hash, .. } => {
                if *key_hash == offered { Ok(PqChange::None) } else { Err(PqViolation::KeyChanged) }
            }
            State::Offering { .. } | State::Answered { .. } => Err(PqViolation::Turn),
        }
    }

    /// Commits what [`Pq::review`] found.
    pub(crate) fn apply(&mut self, change: PqChange) {
        match change {
            PqChange::None => {}
            PqChange::Offered { key, key_hash } => self.state = State::Offered { key, key_hash },
            PqChange::Answered { key_hash, shared } => {
                self.state = State::Answered { key_hash, shared };
            }
        }
    }

    /// Appends the stored form.
    pub(crate) fn write(&self, w: &mut Writer) {
        w.u32(self.last).u32(self.steps);
        match self.since {
            Some(since) => w.u8(1).u64(since),
            None => w.u8(0),
        };
        match &self.state {
            State::Idle => w.u8(0),
            State::Offering { secret, key, key_hash } => {
                w.u8(1).bytes(secret.seed().expose()).bytes(&**key).bytes(key_hash)
            }
            State::Answered { key_hash, shared } => w.u8(2).bytes(key_hash).bytes(shared.expose()),
            State::Offered { key, key_hash } => w.u8(3).bytes(&**key).bytes(key_hash),
            State::Responding { key_hash, ciphertext, shared } => {
                w.u8(4).bytes(key_hash).bytes(&**ciphertext).bytes(shared.expose())
            }
        };
    }

    /// Reads the stored form.
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, SessionImportError> {
        let (last, steps) = (r.u32()?, r.u32()?);
        let since = match r.u8()? {
            0 => None,
            1 => Some(r.u64()?),
            _ => return Err(SessionImportError::UnknownForm),
        };
        let state = match r.u8()? {
            0 => State::Idle,
            1 => State::Offering {
                secret: KemSecret::from_seed(Secret::from_bytes(r.array()?)),
                key: Box::new(r.array()?),
                key_hash: r.array()?,
            },
            2 => State::Answered { key_hash: r.array()?, shared: Secret::from_bytes(r.array()?) },
            3 => {
                let state = State::Offered { key: Box::new(r.array()?), key_hash: r.array()? };
                if let State::Offered { key, .. } = &state {
                    kem::check_key(key).map_err(|_| SessionImportError::UnknownForm)?;
                }
                state
            }
            4 => State::Responding {
                key_hash: r.array()?,
                ciphertext: Box::new(r.array()?),
                shared: Secret::from_bytes(r.array()?),
            },
            _ => return Err(SessionImportError::UnknownForm),
        };
        Ok(Self { last, steps, since, state })
    }
}
