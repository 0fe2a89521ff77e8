//! The sessions with one account: which one seals, and which one opens.
//!
//! Usually there is one. There are two when both people scanned each other's code at the same
//! time (glare), or when one of them lost the first and they met again or re-keyed. All stay able to
//! open; the one that seals is the one that the other side proved last to have: its join request came
//! on it, or a frame of theirs opened with it. A session that was [replaced](Sessions::renew) only
//! opens: what still comes on it was sealed before one of the two lost it.
//!
//! # Invariants
//! * A frame that no session opens changes nothing, to the byte.
//! * At most [`MAX_SESSIONS`]; the one that opened nothing for longest goes first.
//! * What was proved last comes first, wherever the clock was put.
//!
//! Spec: `docs/protocol/session.md`.

use crypto::DecryptError;
use crypto::session::Session;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::Cx;
use crate::envelope::{Envelope, EnvelopeError};
use crate::time::{DAY, MINUTE, Timestamp};
use crate::wire::{EncodeError, Wire, decode, encode};

#[cfg(test)]
mod tests;

/// Most sessions kept with one account.
pub const MAX_SESSIONS: usize = 4;
/// Sessions that were made within this time of each other crossed.
pub const CROSSING: u64 = 10 * MINUTE;
/// How long a session that only opens is kept after it last opened something. One that was replaced: after it last
/// did before that.
pub const RECEIVE_ONLY_LIFE: u64 = 30 * DAY;

/// The sessions with one account.
#[derive(Debug, Default)]
pub struct Sessions {
    live: Vec<Live>,
}

#[derive(Debug)]
struct Live {
    session: Session,
    last_opened: Timestamp,
    made_at: Timestamp,
    kind: Kind,
}

/// How a session came about, and what has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// The two met.
    Met,
    /// It took the place of one that was lost.
    Renewed,
    /// Either, and it was replaced since.
    Replaced,
}

/// How sessions are stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    live: Vec<StoredSession>,
}

#[derive(Serialize, Deserialize)]
struct StoredSession {
    session: ByteBuf,
    last_opened: Timestamp,
    made_at: Timestamp,
    kind: Kind,
}

/// How they were stored in schema 1.
#[derive(Serialize, Deserialize)]
struct StoredBefore {
    live: Vec<(ByteBuf, Timestamp)>,
}

impl Wire for Stored {
    const LIMIT: usize = MAX_SESSIONS * (crypto::session::MAX_SESSION_LEN + 64);
}

impl Wire for StoredBefore {
    const LIMIT: usize = MAX_SESSIONS * (crypto::session::MAX_SESSION_LEN + 32);
}

/// Why an envelope could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// There is no session with this account.
    #[error("no session")]
    NoSession,
    /// The envelope breaks a bound.
    #[error("the envelope breaks a bound")]
    Envelope(#[from] EncodeError),
    /// The ratchet refused.
    #[error("the session could not seal: {0}")]
    Ratchet(#[from] crypto::EncryptError),
}

/// Why a frame could not be opened. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No session with this account opens it.
    #[error("no session opens it")]
    NotOpened,
    /// It is of a session with this account, and breaks that session's rules: its author's state is
    /// not what it was.
    #[error("its author broke the session: {0}")]
    Fault(DecryptError),
    /// A session opened it, and what is inside is not an envelope. It is consumed.
    #[error("what is inside is no envelope: {0}")]
    Envelope(EnvelopeError),
}

/// Why stored sessions could not be read.
#[derive(Debug, thiserror::Error)]
#[error("stored sessions are not readable")]
pub struct RestoreError;

impl Sessions {
    /// Adds a session that a meeting made.
    pub fn add(&mut self, session: Session, now: Timestamp) {
        self.insert(session, Kind::Met, now);
    }

    /// Adds the session of an offer of theirs that was answered: it takes the place of those that were lost.
    /// One that was made a moment ago may have crossed it, and stays.
    pub fn renew(&mut self, session: Session, now: Timestamp) {
        self.replace(now.minus(CROSSING).plus(1), now);
        self.insert(session, Kind::Renewed, now);
    }

    /// Adds the session of an offer that was made here at `offered_at`, now that it is answered. One that was made
    /// since has crossed it, however late the answer is, and stays: where both offered and both answered, each
    /// would otherwise seal on the session that the other replaced.
    pub fn renew_as_offered(&mut self, session: Session, offered_at: Timestamp, now: Timestamp) {
        self.replace(offered_at, now);
        self.insert(session, Kind::Renewed, now);
    }

    /// Those made before `since`, or by a clock that was ahead, only open from now on.
    fn replace(&mut self, since: Timestamp, now: Timestamp) {
        for live in &mut self.live {
            if live.made_at < since || live.made_at > now {
                live.kind = Kind::Replaced;
            }
        }
    }

    /// Adds the first session with another life of the other side. Those with the life that is over are gone:
    /// whoever has its keys is not believed any more.
    pub fn begin_anew(&mut self, session: Session, now: Timestamp) {
        self.live.clear();
        self.insert(session, Kind::Renewed, now);
    }

    /// The other side met us again in another life: what was made before that meeting is gone. Of meetings that
    /// crossed, both are of that life.
    pub fn keep_latest_meetings(&mut self) {
        let latest = self.live.iter().map(|live| live.made_at).max().unwrap_or_default();
        self.live.retain(|live| live.kind == Kind::Met && latest.since(live.made_at) < CROSSING);
    }

    fn insert(&mut self, session: Session, kind: Kind, now: Timestamp) {
        while self.live.len() >= MAX_SESSIONS {
            let oldest = self.live.iter().enumerate().min_by_key(|(_, live)| live.last_opened);
            if let Some((index, _)) = oldest {
                self.live.remove(index);
            }
        }
        let last_opened = self.next_stamp(now);
        self.live.push(Live { session, last_opened, made_at: now, kind });
        self.order();
    }

    /// Later than that of every other. What a clock stamped that was ahead counts as of now, in its order.
    fn next_stamp(&mut self, now: Timestamp) -> Timestamp {
        let mut stamps: Vec<&mut Timestamp> =
            self.live.iter_mut().map(|live| &mut live.last_opened).collect();
        stamps.sort_by_key(|stamp| std::cmp::Reverse(**stamp));
        let mut ceiling = now;
        for stamp in stamps {
            *stamp = (*stamp).min(ceiling);
            ceiling = stamp.minus(1);
        }
        let latest = self.live.iter().map(|live| live.last_opened).max();
        latest.map_or(now, |latest| now.max(latest.plus(1)))
    }

    /// Forgets the session that a withdrawn or rejected handshake made.
    pub fn remove(&mut self, id: [u8; 16]) {
        self.live.retain(|live| live.session.id() != id);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// All of them, the one that seals first.
    pub fn all(&self) -> impl Iterator<Item = &Session> {
        self.live.iter().map(|live| &live.session)
    }

    /// Those that a meeting made, the oldest first.
    #[must_use]
    pub fn met(&self) -> Vec<&Session> {
        let mut met: Vec<&Live> = self.live.iter().filter(|live| live.kind == Kind::Met).collect();
        met.sort_by_key(|live| live.made_at);
        met.into_iter().map(|live| &live.session).collect()
    }

    /// The session that seals: the one that the other side proved last to have.
    #[must_use]
    pub fn sealing(&self) -> Option<&Session> {
        self.live.first().map(|live| &live.session)
    }

    /// The session with this id.
    #[must_use]
    pub fn get(&self, id: [u8; 16]) -> Option<&Session> {
        self.all().find(|session| session.id() == id)
    }

    /// Seals `envelope` on the sealing session. The caller stores the new state *and* the frame
    /// before it sends.
    ///
    /// # Errors
    /// [`SealError`]; nothing changed.
    pub fn seal(&mut self, envelope: &Envelope, cx: &mut Cx<'_>) -> Result<Vec<u8>, SealError> {
        let live = self.live.first_mut().ok_or(SealError::NoSession)?;
        Self::seal_on(live, envelope, cx)
    }

    /// Seals on one session: the handshake's frames belong to the session that they confirm.
    ///
    /// # Errors
    /// [`SealError`]; nothing changed.
    pub fn seal_with(
        &mut self,
        id: [u8; 16],
        envelope: &Envelope,
        cx: &mut Cx<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let live = self
            .live
            .iter_mut()
            .find(|live| live.session.id() == id)
            .ok_or(SealError::NoSession)?;
        Self::seal_on(live, envelope, cx)
    }

    fn seal_on(
        live: &mut Live,
        envelope: &Envelope,
        cx: &mut Cx<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let plaintext = zeroize::Zeroizing::new(envelope.to_bytes()?);
        Ok(live.session.encrypt(&plaintext, cx.now.seconds(), cx.rng)?)
    }

    /// Opens a frame, and says which session opened it.
    ///
    /// # Errors
    /// [`OpenError::NotOpened`] and [`OpenError::Fault`] change nothing. [`OpenError::Envelope`] has
    /// consumed the frame's key: the frame will never say anything else.
    pub fn open(
        &mut self,
        frame: &[u8],
        now: Timestamp,
    ) -> Result<([u8; 16], Envelope), OpenError> {
        let mut refused = OpenError::NotOpened;
        for index in 0..self.live.len() {
            let live = &mut self.live[index];
            let plaintext = match live.session.decrypt(frame, now.seconds()) {
                Ok(plaintext) => plaintext,
                Err(error) => {
                    if error.is_peer_fault() {
                        refused = OpenError::Fault(error);
                    }
                    continue;
                }
            };
            let id = live.session.id();
            if live.kind != Kind::Replaced {
                let stamp = self.next_stamp(now);
                self.live[index].last_opened = stamp;
            }
            let plaintext = zeroize::Zeroizing::new(plaintext);
            let envelope = Envelope::from_bytes(&plaintext).map_err(OpenError::Envelope);
            self.order();
            self.prune(now);
            return envelope.map(|envelope| (id, envelope));
        }
        Err(refused)
    }

    /// The sealing session first.
    fn order(&mut self) {
        self.live.sort_by_key(|live| {
            (live.kind == Kind::Replaced, std::cmp::Reverse(live.last_opened), live.session.id())
        });
    }

    /// Opens an ephemeral. Returns its name, for the replay cache, and its content.
    #[must_use]
    pub fn open_ephemeral(&self, sealed: &[u8], now: Timestamp) -> Option<([u8; 16], Vec<u8>)> {
        self.live
            .iter()
            .find_map(|live| live.session.open_ephemeral(sealed, now.seconds()).ok())
            .map(|opened| (opened.id, opened.content))
    }

    /// Forgets sessions that have only been kept to open, and have not for a long time.
    pub fn prune(&mut self, now: Timestamp) {
        let sealing = self.sealing().map(Session::id);
        self.live.retain(|live| {
            Some(live.session.id()) == sealing || now.since(live.last_opened) < RECEIVE_ONLY_LIFE
        });
    }

    /// For the store.
    ///
    /// # Errors
    /// [`EncodeError`] if they exceed their bound, which their own limits prevent.
    pub fn to_bytes(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, EncodeError> {
        let live = self
            .live
            .iter()
            .map(|live| StoredSession {
                session: ByteBuf::from(live.session.export().to_vec()),
                last_opened: live.last_opened,
                made_at: live.made_at,
                kind: live.kind,
            })
            .collect();
        let mut stored = Stored { live };
        let bytes = encode(&stored);
        for live in &mut stored.live {
            zeroize::Zeroize::zeroize(&mut *live.session);
        }
        bytes.map(zeroize::Zeroizing::new)
    }

    /// From the store.
    ///
    /// # Errors
    /// [`RestoreError`] when the bytes are not what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RestoreError> {
        let stored: Stored = decode(bytes).map_err(|_| RestoreError)?;
        let restore = |stored: StoredSession| {
            let StoredSession { session, last_opened, made_at, kind } = stored;
            Ok(Live { session: import(session)?, last_opened, made_at, kind })
        };
        Ok(Self { live: stored.live.into_iter().map(restore).collect::<Result<_, _>>()? })
    }

    /// From a store of schema 1, which knew only sessions of meetings.
    ///
    /// # Errors
    /// [`RestoreError`] when the bytes are none of that schema.
    pub fn from_bytes_of_schema_1(bytes: &[u8]) -> Result<Self, RestoreError> {
        let stored: StoredBefore = decode(bytes).map_err(|_| RestoreError)?;
        let restore = |(session, last_opened)| {
            let session = import(session)?;
            Ok(Live { session, last_opened, made_at: last_opened, kind: Kind::Met })
        };
        Ok(Self { live: stored.live.into_iter().map(restore).collect::<Result<_, _>>()? })
    }
}

fn import(bytes: ByteBuf) -> Result<Session, RestoreError> {
    let bytes = zeroize::Zeroizing::new(bytes.into_vec());
    Session::import(&bytes).map_err(|_| RestoreError)
}
