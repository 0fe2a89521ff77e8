//! A personal invite, as its inviter's ledger keeps it.
//!
//! 1. Ada mints an [`Invite`]: a signed token for the code, and prekeys that serve it alone.
//! 2. Ben's node asks for the bundle and sends a join request.
//! 3. [`Invite::open`] tries it; the caller makes the session and the Hold frame, and
//!    [`Invite::claim`] decides. The first request that opens wins; the caller commits the
//!    claim before it answers.
//! 4. Ada accepts or rejects. Both are final.
//!
//! # Invariants
//! * One claim per invite, even across restarts: the state is stored with the claim, and the
//!   prekeys that could open another request are gone in the same commit.
//! * The same request gets the same answer; any other gets the same error as for an expired or
//!   unknown invite, and is counted in the ledger.
//! * Bytes that do not open change nothing.
//! * The inviter's clock decides; a relay's time of arrival is believed only into the past.
//!
//! Knows nothing of transports or storage. Spec: `docs/protocol/invite.md` §6.

use crypto::handshake::{Responded, respond};
use crypto::identity::{DeviceCert, Identity};
use crypto::invite::{InviteKind as TokenKind, RelayHint, Token, TokenSpec};
use crypto::prekey::{Bundle, BundleInfo, InvitePrekeys};
use crypto::session::Session;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::Cx;
use crate::contact::ContactCard;
use crate::ids::{AccountId, InviteId};
use crate::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use crate::wire::{Wire, decode, encode};

/// Life of a code on a screen, milliseconds.
pub const IN_PERSON_LIFE: u64 = 10 * MINUTE;
/// Life of a code in a link, milliseconds.
pub const LINK_LIFE: u64 = 24 * HOUR;
/// Longest life that may be asked for, milliseconds.
pub const MAX_LIFE: u64 = 7 * DAY;
/// Shortest life that may be asked for, milliseconds.
pub const MIN_LIFE: u64 = 30 * SECOND;
/// How far clocks may differ when it is judged whether a device certificate is over.
pub const CERT_DOUBT: u64 = DAY;
/// How long after its end a direct request is still taken: the scanner was on the way.
pub const DIRECT_GRACE: u64 = 10 * MINUTE;
/// How long after its end requests that a relay took in time are still honoured.
pub const MAILBOX_GRACE: u64 = 7 * DAY;
/// Most invites that may be outstanding.
pub const MAX_OUTSTANDING: usize = 32;
/// Longest label in bytes.
pub const MAX_LABEL: usize = 128;
/// How long an ended invite stays in the ledger.
pub const LEDGER_LIFE: u64 = 30 * DAY;

/// How a code is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Shown on a screen to somebody present.
    InPerson,
    /// Sent as a link.
    Link,
}

/// Where an invite stands.
///
/// `Active → Claimed → Accepted | Rejected | Withdrawn`; `Active → Revoked | Expired`. All but
/// the first two are final.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waiting to be scanned.
    Active,
    /// Somebody's request was the first; the person decides.
    Claimed(Claim),
    /// The claimant became a contact.
    Accepted(Claim),
    /// The claimant was turned away.
    Rejected(Claim),
    /// The claimant withdrew.
    Withdrawn(Claim),
    /// Taken back by the person.
    Revoked,
    /// Nobody came in time.
    Expired,
}

/// Who claimed an invite, with what, and what they were answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The claimant.
    pub by: AccountId,
    /// SHA-256 of the join request.
    request: [u8; 32],
    /// The Hold frame: the answer to the same request, for ever.
    hold: ByteBuf,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("by", &self.by).finish_non_exhaustive()
    }
}

/// What is needed while an invite can still be claimed, and erased when it cannot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Live {
    token: ByteBuf,
    prekeys: ByteBuf,
    bundle: ByteBuf,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.token.zeroize();
        self.prekeys.zeroize();
    }
}

/// An invite.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Its name in the ledger and on the wire.
    pub id: InviteId,
    /// How it is handed over.
    pub kind: Kind,
    /// The person's own words for it.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being valid.
    pub expires_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// Attempts after somebody had claimed it, or after it had ended.
    pub failed_tries: u32,
    /// The last of them.
    pub last_failed_at: Option<Timestamp>,
    live: Option<Live>,
}

impl Wire for Invite {
    const LIMIT: usize = 32 * 1024;
}

impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            id: _,
            kind,
            label: _,
            created_at: _,
            expires_at,
            state,
            failed_tries,
            last_failed_at: _,
            live: _,
        } = self;
        let state = match state {
            State::Active => "active",
            State::Claimed(_) => "claimed",
            State::Accepted(_) => "accepted",
            State::Rejected(_) => "rejected",
            State::Withdrawn(_) => "withdrawn",
            State::Revoked => "revoked",
            State::Expired => "expired",
        };
        f.debug_struct("Invite")
            .field("kind", kind)
            .field("state", &state)
            .field("expires_at", expires_at)
            .field("failed_tries", failed_tries)
            .finish_non_exhaustive()
    }
}

/// What a joiner says first, inside the handshake.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinPayload {
    /// SHA-256 of the joiner's half of the authentication symbols.
    pub commitment: [u8; 32],
    /// The name they give themselves, and where they can be answered.
    pub card: ContactCard,
}

impl std::fmt::Debug for JoinPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinPayload(..)")
    }
}

impl Wire for JoinPayload {
    const LIMIT: usize = crypto::handshake::MAX_JOIN_PAYLOAD;
}

/// What a mint needs to know.
pub struct MintSpec {
    /// How it is handed over.
    pub kind: Kind,
    /// The person's own words for it, at most [`MAX_LABEL`] bytes.
    pub label: String,
    /// Milliseconds; clamped to [`MIN_LIFE`] and [`MAX_LIFE`]. `None` for the kind's own.
    pub life: Option<u64>,
    /// Where the inviter can be reached.
    pub relays: Vec<RelayHint>,
    /// The name that the bundle carries, if any.
    pub name: Option<String>,
}

impl std::fmt::Debug for MintSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MintSpec").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why an invite could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The token breaks a bound.
    #[error("the invite breaks a bound: {0}")]
    Token(#[from] crypto::invite::MintError),
    /// The bundle breaks a bound.
    #[error("the invite's bundle breaks a bound: {0}")]
    Bundle(#[from] crypto::prekey::BundleBuildError),
    /// The label is longer than [`MAX_LABEL`].
    #[error("the label is too long")]
    LabelTooLong,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Over a connection, now.
    Direct,
    /// From the relay's drop, which says that it took it then.
    Mailbox(Timestamp),
}

/// A request that opened, or was answered before.
#[derive(Debug)]
pub enum Attempt {
    /// The first request that opens.
    New(Box<Opened>),
    /// The same bytes as before: the same answer.
    Repeat(Vec<u8>),
}

/// What a request that opens says.
#[derive(Debug)]
pub struct Opened {
    /// Who asks.
    pub by: AccountId,
    /// What they say.
    pub payload: JoinPayload,
    /// Their device.
    pub cert: DeviceCert,
    /// The session that their request began.
    pub session: Session,
    request: [u8; 32],
}

/// Why a request gets no answer but "gone".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Claimed by another request, or ended. Counted in the ledger.
    #[error("the invite is taken or has ended")]
    Taken,
    /// It does not open, or says nothing that can be understood. Nothing changed.
    #[error("the request does not open")]
    NotOpened,
    /// The inviter's own request.
    #[error("the inviter scanned their own code")]
    Own,
}

impl Invite {
    /// Makes an invite with prekeys of its own. Returns it with its token.
    ///
    /// # Errors
    /// [`MintError`] when `spec` breaks a bound.
    pub fn mint(
        identity: &Identity,
        cert: &DeviceCert,
        spec: MintSpec,
        cx: &mut Cx<'_>,
    ) -> Result<(Self, Token), MintError> {
        if spec.label.len() > MAX_LABEL {
            return Err(MintError::LabelTooLong);
        }
        let own_life = match spec.kind {
            Kind::InPerson => IN_PERSON_LIFE,
            Kind::Link => LINK_LIFE,
        };
        let life = spec.life.unwrap_or(own_life).clamp(MIN_LIFE, MAX_LIFE);
        // The token counts minutes; it may end up to a minute later, never earlier.
        let minutes = cx.now.plus(life).0.div_ceil(MINUTE);
        let token_spec = TokenSpec {
            kind: TokenKind::Contact,
            approval: true,
            expires_minutes: u32::try_from(minutes).unwrap_or(u32::MAX),
            relays: spec.relays,
        };
        let token = Token::mint(identity, token_spec, &mut *cx.rng)?;
        let prekeys = InvitePrekeys::generate(cert, &token, &mut *cx.rng);
        let info = BundleInfo { name: spec.name, preview: Vec::new() };
        let bundle =
            Bundle::sign(identity, cert, &token, &prekeys, info)?.seal(&token, &mut *cx.rng);
        let invite = Self {
            id: InviteId(token.derived().tid),
            kind: spec.kind,
            label: spec.label,
            created_at: cx.now,
            expires_at: cx.now.plus(life),
            state: State::Active,
            failed_tries: 0,
            last_failed_at: None,
            live: Some(Live {
                token: ByteBuf::from(token.as_bytes().to_vec()),
                prekeys: ByteBuf::from(prekeys.export().to_vec()),
                bundle: ByteBuf::from(bundle),
            }),
        };
        Ok((invite, token))
    }

    /// The token, while the invite can be claimed.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        self.live.as_ref().and_then(|live| Token::decode(&live.token).ok())
    }

    /// The sealed bundle, while the invite can be claimed: always the same bytes.
    #[must_use]
    pub fn bundle(&self) -> Option<&[u8]> {
        self.live.as_ref().map(|live| live.bundle.as_slice())
    }

    /// Whether a person may still scan it.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == State::Active && now < self.expires_at
    }

    /// Whether a stranger may still have something to say about it: it can be claimed, or its
    /// claimant may ask again for the answer.
    #[must_use]
    pub fn admits_strangers(&self, now: Timestamp) -> bool {
        now < self.expires_at.plus(DIRECT_GRACE)
            && matches!(self.state, State::Active | State::Claimed(_))
    }

    /// Who claimed it, if anybody did.
    #[must_use]
    pub fn claimant(&self) -> Option<AccountId> {
        match &self.state {
            State::Claimed(claim)
            | State::Accepted(claim)
            | State::Rejected(claim)
            | State::Withdrawn(claim) => Some(claim.by),
            State::Active | State::Revoked | State::Expired => None,
        }
    }

    /// Tries a request. Changes nothing but the ledger's count of failed tries.
    ///
    /// # Errors
    /// [`ClaimError`]; towards the network all of them are one.
    pub fn open(
        &mut self,
        identity: &Identity,
        request: &[u8],
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Attempt, ClaimError> {
        let hash: [u8; 32] = Sha256::digest(request).into();
        match &self.state {
            State::Claimed(claim) | State::Accepted(claim) if claim.request == hash => {
                return Ok(Attempt::Repeat(claim.hold.to_vec()));
            }
            State::Active if self.in_time(arrival, now) => {}
            _ => {
                self.failed_tries = self.failed_tries.saturating_add(1);
                self.last_failed_at = Some(now);
                return Err(ClaimError::Taken);
            }
        }
        let live = self.live.as_ref().ok_or(ClaimError::NotOpened)?;
        let token = Token::decode(&live.token).map_err(|_| ClaimError::NotOpened)?;
        let prekeys = InvitePrekeys::import(&live.prekeys).map_err(|_| ClaimError::NotOpened)?;
        let Responded { peer, cert, payload, session } =
            respond(identity, &token, &prekeys, request).map_err(|_| ClaimError::NotOpened)?;
        // Their clock and ours may differ: a day is no reason to turn anybody away.
        if !cert.is_current(now.minus(CERT_DOUBT).seconds()) {
            return Err(ClaimError::NotOpened);
        }
        if peer == identity.account() {
            return Err(ClaimError::Own);
        }
        let payload: JoinPayload = decode(&payload).map_err(|_| ClaimError::NotOpened)?;
        payload.card.accept(0).map_err(|_| ClaimError::NotOpened)?;
        Ok(Attempt::New(Box::new(Opened {
            by: peer.into(),
            payload,
            cert,
            session,
            request: hash,
        })))
    }

    /// Claims the invite for a request that [`open`](Self::open)ed, with the answer that it
    /// gets from now on. The prekeys are gone.
    pub fn claim(&mut self, by: AccountId, request: [u8; 32], hold: Vec<u8>) {
        self.state = State::Claimed(Claim { by, request, hold: ByteBuf::from(hold) });
        self.live = None;
    }

    /// The person accepted the claimant. Returns whether that was still to be decided.
    pub fn accept(&mut self) -> bool {
        self.decide(State::Accepted)
    }

    /// The person rejected the claimant. Returns whether that was still to be decided.
    pub fn reject(&mut self) -> bool {
        self.decide(State::Rejected)
    }

    /// The claimant withdrew. Returns whether that was still to be decided.
    pub fn withdraw(&mut self) -> bool {
        self.decide(State::Withdrawn)
    }

    /// The person took it back. Returns whether it was still open.
    pub fn revoke(&mut self) -> bool {
        let open = self.state == State::Active;
        if open {
            self.state = State::Revoked;
            self.live = None;
        }
        open
    }

    /// Ends it when nobody can claim it any more. Returns whether that changed it.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let over = self.state == State::Active && now >= self.expires_at.plus(MAILBOX_GRACE);
        if over {
            self.state = State::Expired;
            self.live = None;
        }
        over
    }

    /// Whether the ledger may forget it.
    #[must_use]
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let decided = !matches!(self.state, State::Active | State::Claimed(_));
        decided && now.since(self.expires_at) >= LEDGER_LIFE
    }

    fn in_time(&self, arrival: Arrival, now: Timestamp) -> bool {
        match arrival {
            Arrival::Direct => now < self.expires_at.plus(DIRECT_GRACE),
            // The token ends on a whole minute, and so does the relay's drop.
            Arrival::Mailbox(taken_at) => {
                taken_at.min(now) < self.expires_at.plus(MINUTE)
                    && now < self.expires_at.plus(MAILBOX_GRACE)
            }
        }
    }

    fn decide(&mut self, into: fn(Claim) -> State) -> bool {
        let State::Claimed(claim) = &self.state else { return false };
        self.state = into(claim.clone());
        true
    }
}

impl Opened {
    /// SHA-256 of the request, for [`Invite::claim`].
    #[must_use]
    pub fn request_hash(&self) -> [u8; 32] {
        self.request
    }
}

/// Encodes what a joiner says first.
///
/// # Errors
/// [`crate::wire::EncodeError`] when the card is too long for a join request.
pub fn join_payload(
    commitment: [u8; 32],
    card: ContactCard,
) -> Result<Vec<u8>, crate::wire::EncodeError> {
    encode(&JoinPayload { commitment, card })
}
