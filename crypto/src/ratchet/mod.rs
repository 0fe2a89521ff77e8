//! The double ratchet with encrypted headers and sparse post-quantum healing.
//!
//! 1. Sending: if the peer's ratchet key is new, take a root step (fresh X25519 key, and the
//!    post-quantum secret if one waits), then encrypt header and body with keys used once.
//! 2. Receiving: find the header key that opens the header, derive the message key on the side,
//!    decrypt the body, judge its records, and only then commit.
//!
//! # Invariants
//! * A frame that is refused leaves the state exactly as it was.
//! * The sending half of a ratchet step waits for the next send.
//! * A message key decrypts one body and is erased with the commit.
//! * State is bounded: [`MAX_RECEIVE_CHAINS`], [`MAX_SKIPPED_KEYS`], [`MAX_JUMP`].
//!
//! Knows nothing of identities, storage or clocks. Spec: `docs/protocol/session.md` §5–§7.

mod chain_key;
mod error;
mod frame;
mod header_key;
mod message_key;
mod plan;
mod pq;
mod receiver_chain;
mod root_key;
mod skipped_keys;
mod store;

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::agreement::{AgreementKey, AgreementSecret};
use crate::secret::Secret;
use crate::session::Role;

pub use self::error::{DecryptError, EncryptError, SessionImportError};
pub(crate) use self::frame::Context;
pub use self::frame::{FRAME_CLASSES, FRAME_OVERHEAD, MAX_FRAME, MAX_PLAINTEXT};
pub use self::pq::{PQ_EPOCH_SECONDS, PQ_EPOCH_STEPS, PqViolation};

use self::chain_key::ChainKey;
use self::frame::{Incoming, Inside, Outgoing, class_for};
use self::header_key::{Header, HeaderKey};
use self::plan::{Plan, Turn};
use self::pq::{Pq, PqChange};
use self::receiver_chain::{ChainView, ReceiverChain};
use self::root_key::RootKey;
use self::skipped_keys::SkippedKeys;

/// Most messages that a frame may skip in one chain.
pub const MAX_JUMP: u32 = 1000;
/// Most skipped message keys that a session keeps.
pub const MAX_SKIPPED_KEYS: usize = 2000;
/// Seconds that a skipped message key is kept: 21 days.
pub const SKIPPED_KEY_LIFETIME: u64 = 21 * 24 * 60 * 60;
/// Most receiving chains that a session remembers, the current one included.
pub const MAX_RECEIVE_CHAINS: usize = 5;

/// The chain on which we send now.
#[derive(Debug)]
struct SendingChain {
    header_key: HeaderKey,
    chain: ChainKey,
    dh: AgreementKey,
    previous_len: u32,
    epoch: u32,
}

/// The state of one side.
pub(crate) struct Ratchet {
    role: Role,
    root: RootKey,
    /// Our current ratchet secret; `None` until the initiator's first send.
    own: Option<AgreementSecret>,
    /// The peer's ratchet key that our next sending root step answers; `None` if it is not our
    /// turn to step.
    turn: Option<AgreementKey>,
    sending: Option<SendingChain>,
    next_sending_header: HeaderKey,
    receiving: Option<ReceiverChain>,
    next_receiving_header: HeaderKey,
    /// Earlier receiving chains that still have skipped keys, oldest first.
    retired: Vec<ChainView>,
    pq: Pq,
}

/// The keys that a handshake hands to a new ratchet.
#[derive(Debug)]
pub(crate) struct InitialKeys {
    pub(crate) root: Secret<32>,
    /// Header key of the initiator's first chain.
    pub(crate) initiator_header: Secret<32>,
    /// Header key of the responder's first chain.
    pub(crate) responder_header: Secret<32>,
}

impl Ratchet {
    /// The initiator's state; `prekey` is the responder's signed prekey.
    pub(crate) fn initiator(keys: InitialKeys, prekey: AgreementKey) -> Self {
        Self {
            role: Role::Initiator,
            root: RootKey(keys.root),
            own: None,
            turn: Some(prekey),
            sending: None,
            next_sending_header: HeaderKey(keys.initiator_header),
            receiving: None,
            next_receiving_header: HeaderKey(keys.responder_header),
            retired: Vec::new(),
            pq: Pq::new(),
        }
    }

    /// The responder's state; its signed prekey is its first ratchet key.
    pub(crate) fn responder(keys: InitialKeys, prekey: &AgreementSecret) -> Self {
        Self {
            role: Role::Responder,
            root: RootKey(keys.root),
            own: Some(AgreementSecret::from_secret(&prekey.to_secret())),
            turn: None,
            sending: None,
            next_sending_header: HeaderKey(keys.responder_header),
            receiving: None,
            next_receiving_header: HeaderKey(keys.initiator_header),
            retired: Vec::new(),
            pq: Pq::new(),
        }
    }

    /// Which side of the handshake this is.
    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    /// The last post-quantum epoch mixed into the root.
    pub(crate) const fn pq_epoch(&self) -> u32 {
        self.pq.epoch()
    }

    /// Encrypts a message into the smallest class that fits, with post-quantum records as due.
    pub(crate) fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        transcript: &[u8; 32],
        content: &[u8],
        now: u64,
        rng: &mut R,
    ) -> Result<Vec<u8>, EncryptError> {
        if content.len() > MAX_PLAINTEXT {
            return Err(EncryptError::TooLong);
        }
        self.begin_chain_if_due(Some(now), rng)?;
        self.check_can_send()?;
        self.pq.prepare(self.role, now, rng);
        self.seal(transcript, content, None, rng)
    }

    /// Encrypts the message inside a join request: a length of its own, no records.
    pub(crate) fn encrypt_first<R: CryptoRng + ?Sized>(
        &mut self,
        transcript: &[u8; 32],
        content: &[u8],
        len: usize,
        rng: &mut R,
    ) -> Result<Vec<u8>, EncryptError> {
        if content.len() > len.saturating_sub(FRAME_OVERHEAD + 2) {
            return Err(EncryptError::TooLong);
        }
        self.begin_chain_if_due(None, rng)?;
        self.seal(transcript, content, Some(len), rng)
    }

    fn check_can_send(&self) -> Result<(), EncryptError> {
        let sending = self.sending.as_ref().ok_or(EncryptError::NotReady)?;
        if sending.chain.n == u32::MAX {
            return Err(EncryptError::ChainExhausted);
        }
        Ok(())
    }

    /// The deferred sending half of a ratchet step.
    fn begin_chain_if_due<R: CryptoRng + ?Sized>(
        &mut self,
        now: Option<u64>,
        rng: &mut R,
    ) -> Result<(), EncryptError> {
        let Some(theirs) = self.turn else { return Ok(()) };
        let own = AgreementSecret::random(rng);
        let shared = own.agree(&theirs)?;
        let post_quantum = self.pq.step_sending(now);
        let epoch = self.pq.epoch();
        let step = self.root.step(&shared, post_quantum.as_ref(), epoch);
        let header_key = core::mem::replace(&mut self.next_sending_header, step.next_header);
        self.sending = Some(SendingChain {
            header_key,
            chain: step.chain,
            dh: own.public(),
            previous_len: self.sending.as_ref().map_or(0, |sending| sending.chain.n),
            epoch,
        });
        self.root = step.root;
        self.own = Some(own);
        self.turn = None;
        Ok(())
    }

    /// Seals one frame of `len` bytes, or of the class that fits.
    fn seal<R: CryptoRng + ?Sized>(
        &mut self,
        transcript: &[u8; 32],
        content: &[u8],
        len: Option<usize>,
        rng: &mut R,
    ) -> Result<Vec<u8>, EncryptError> {
        let sending = self.sending.as_mut().ok_or(EncryptError::NotReady)?;
        let next = sending.chain.next().map_err(|_| EncryptError::ChainExhausted)?;
        // A record that would not fit waits for a shorter message.
        let with_record = self
            .pq
            .record()
            .and_then(|record| class_for(content.len(), Some(&record)).map(|len| (record, len)));
        let (record, len) = match (len, with_record) {
            (Some(len), _) => (None, len),
            (None, Some((record, len))) => (Some(record), len),
            (None, None) => (None, class_for(content.len(), None).ok_or(EncryptError::TooLong)?),
        };
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);
        let header = Header {
            dh: sending.dh,
            pn: sending.previous_len,
            n: sending.chain.n,
            epoch: sending.epoch,
            flags: 0,
        };
        let cx = Context { transcript, direction: self.role.direction() };
        let message_key = sending.chain.message_key();
        let frame = Outgoing { header, record, content, len }.seal(
            cx,
            &sending.header_key,
            &message_key,
            &nonce,
        );
        sending.chain = next;
        Ok(frame)
    }

    /// Decrypts a frame whose length the caller has judged.
    pub(crate) fn decrypt(
        &mut self,
        transcript: &[u8; 32],
        frame: &[u8],
        now: u64,
    ) -> Result<Vec<u8>, DecryptError> {
        let frame = Incoming::cut(frame)?;
        let cx = Context { transcript, direction: self.role.peer().direction() };
        let (place, header) = self.locate(&frame, cx).ok_or(DecryptError::UnknownHeader)?;
        if header.flags != 0 {
            return Err(DecryptError::Header);
        }
        let plan = self.plan(&place, &header, now)?;
        let mut body = Zeroizing::new(frame.open_body(cx, plan.key())?);
        let inside = Inside::parse(&body)?;
        let change = self.pq.review(self.role, &inside, plan.mixes())?;
        let content = inside.content;
        self.commit(plan, change, now);
        body.truncate(content.end);
        body.drain(..content.start);
        Ok(core::mem::take(&mut *body))
    }

    /// Makes an accepted frame's changes. Cannot fail.
    fn commit(&mut self, plan: Plan, change: PqChange, now: u64) {
        match plan {
            Plan::Stored { retired: None, n, key: _ } => {
                if let Some(current) = &mut self.receiving {
                    current.view.skipped.remove(n);
                }
            }
            Plan::Stored { retired: Some(i), n, key: _ } => {
                if let Some(chain) = self.retired.get_mut(i) {
                    chain.skipped.remove(n);
                }
            }
            Plan::Forward { skipped, chain, key: _ } => {
                if let Some(current) = &mut self.receiving {
                    current.view.skipped.extend(skipped, now);
                    current.chain = chain;
                }
            }
            Plan::Turn(turn) => self.commit_turn(*turn, now),
        }
        self.pq.apply(change);
        self.bound(now);
    }

    fn commit_turn(&mut self, turn: Turn, now: u64) {
        let header_key = core::mem::replace(&mut self.next_receiving_header, turn.next_header);
        let mut skipped = SkippedKeys::default();
        skipped.extend(turn.skipped, now);
        let view = ChainView { header_key, dh: turn.dh, epoch: turn.epoch, skipped };
        let next = ReceiverChain { view, chain: turn.chain };
        if let Some(mut closed) = self.receiving.replace(next) {
            closed.view.skipped.extend(turn.closing, now);
            self.retired.push(closed.view);
        }
        self.root = turn.root;
        self.turn = Some(turn.dh);
        self.pq.step_receiving(turn.mixed, now);
    }

    /// Forgets what is too old or too much: expired keys, empty chains, the oldest chains and keys.
    fn bound(&mut self, now: u64) {
        for chain in &mut self.retired {
            chain.skipped.expire(now);
        }
        self.retired.retain(|chain| chain.skipped.len() > 0);
        let surplus = self.retired.len().saturating_sub(MAX_RECEIVE_CHAINS - 1);
        self.retired.drain(..surplus);
        if let Some(current) = &mut self.receiving {
            current.view.skipped.expire(now);
        }
        while self.skipped_len() > MAX_SKIPPED_KEYS {
            let oldest = self.retired.iter_mut().find(|chain| chain.skipped.len() > 0);
            let evicted = match (oldest, &mut self.receiving) {
                (Some(chain), _) => chain.skipped.evict(),
                (None, Some(current)) => current.view.skipped.evict(),
                (None, None) => false,
            };
            if !evicted {
                break;
            }
        }
    }

    fn skipped_len(&self) -> usize {
        let current = self.receiving.as_ref().map_or(0, |current| current.view.skipped.len());
        self.retired.iter().map(|chain| chain.skipped.len()).sum::<usize>().saturating_add(current)
    }
}

impl fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            root: _,
            own: _,
            turn,
            sending: _,
            next_sending_header: _,
            receiving: _,
            next_receiving_header: _,
            retired,
            pq,
        } = self;
        f.debug_struct("Ratchet")
            .field("role", role)
            .field("step_due", &turn.is_some())
            .field("retired_chains", &retired.len())
            .field("skipped_keys", &self.skipped_len())
            .field("pq_epoch", &pq.epoch())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
