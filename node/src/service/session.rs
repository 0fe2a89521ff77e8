//! Sealing and opening: between an envelope and the frames that travel.

use protocol::chat::Route;
use protocol::envelope::{Content, Envelope};
use protocol::ids::{AccountId, ChatId, EnvelopeId, MessageId};
use protocol::outbox::{Class, MAX_PARCELS, Parcel};
use protocol::session::{OpenError, SealError, Sessions};
use protocol::time::Timestamp;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use super::error::{ErrorKind, Refusal};
use super::rekey::{self, Outcome};
use super::{chat, contact, receipt, request};
use crate::engine::{Ctx, Failure};
use crate::store::{StoreError, Tree};

/// What is put into an envelope, besides what every envelope has.
#[derive(Debug)]
pub struct Outgoing {
    /// Its name.
    pub message: Option<MessageId>,
    /// Its author's sequence number; 0 for what is no part of the conversation.
    pub seq: u64,
    /// Its Lamport time.
    pub lamport: u64,
    /// When it was written; `None` for now.
    pub at: Option<Timestamp>,
    /// What it says.
    pub content: Content,
}

impl Outgoing {
    /// Something that is no part of a conversation's sequence.
    #[must_use]
    pub fn detached(content: Content) -> Self {
        Self { message: None, seq: 0, lamport: 0, at: None, content }
    }
}

/// Why something could not be sealed for a contact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The lane is full.
    #[error("Too much is waiting for this contact. It goes on once their node has been reached.")]
    LaneFull,
    /// The session would not seal it.
    #[error(
        "Kith could not seal this for them ({0}). Your computers renew the keys between you by themselves; try again in a minute."
    )]
    Seal(SealError),
}

impl Refusal for SendError {
    fn code(&self) -> &'static str {
        match self {
            Self::LaneFull => "outbox_full",
            Self::Seal(_) => "session_broken",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}

/// A frame that is durable here.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Its name.
    pub envelope: EnvelopeId,
    /// Whether its author waits for a receipt.
    pub wants_receipt: bool,
}

/// When an envelope was opened, so that it is never opened twice.
#[derive(Debug, Serialize, Deserialize)]
pub struct SeenRow {
    /// When.
    pub at: Timestamp,
    /// Whether its author waits for a receipt.
    wants_receipt: bool,
}

impl Wire for SeenRow {
    const LIMIT: usize = 32;
}

/// The session that opened a frame, and what it says.
type Opened = Result<([u8; 16], Envelope), OpenError>;

/// Seals an envelope and queues it. The frame is stored, and is what every attempt sends.
///
/// # Errors
/// [`Failure`] when there is no session, no room, or no store.
pub fn send(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    outgoing: Outgoing,
    class: Class,
) -> Result<(), Failure> {
    send_on(ctx, account, None, outgoing, class)
}

/// The same on one particular session: the handshake's frames confirm the session they are of.
///
/// # Errors
/// [`Failure`] when there is no session, no room, or no store.
pub fn send_on(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    session: Option<[u8; 16]>,
    outgoing: Outgoing,
    class: Class,
) -> Result<(), Failure> {
    if ctx.state.lanes.get(&account).is_some_and(|lane| lane.len() >= MAX_PARCELS) {
        return Err(SendError::LaneFull.into());
    }
    let frame = seal(ctx, account, session, outgoing)?;
    queue_frame(ctx, account, frame, class)?;
    Ok(())
}

/// Seals anew what was in the lane before, however full it is.
///
/// # Errors
/// [`Failure`] when there is no session or no store.
pub(super) fn send_again(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    outgoing: Outgoing,
    class: Class,
) -> Result<(), Failure> {
    let frame = seal(ctx, account, None, outgoing)?;
    Ok(queue_frame(ctx, account, frame, class)?)
}

/// Sends something that nobody asked for, if it can be sent at all.
///
/// # Errors
/// [`StoreError`] when the store cannot be written.
pub fn send_unasked(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    content: Content,
    class: Class,
) -> Result<(), StoreError> {
    match send(ctx, account, Outgoing::detached(content), class) {
        Err(Failure::Store(error)) => Err(error),
        Err(Failure::Refused(refusal)) => {
            tracing::debug!(account = %account.short(), code = refusal.code(), "not sent");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Seals an envelope without queueing it.
///
/// # Errors
/// [`Failure`] when there is no session or no store.
pub fn seal(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    session: Option<[u8; 16]>,
    outgoing: Outgoing,
) -> Result<Vec<u8>, Failure> {
    let envelope = Envelope {
        message: outgoing.message.unwrap_or_else(|| MessageId::random(ctx.rng)),
        chat: ChatId::of_pair(ctx.account.id, account),
        seq: outgoing.seq,
        lamport: outgoing.lamport,
        at: outgoing.at.unwrap_or(ctx.now),
        expiry_seconds: 0,
        content: outgoing.content,
    };
    let (sessions, mut cx) = ctx.sessions_cx(account)?;
    let sealed = match session {
        Some(id) => sessions.seal_with(id, &envelope, &mut cx),
        None => sessions.seal(&envelope, &mut cx),
    };
    Ok(sealed.map_err(SendError::Seal)?)
}

/// What became of a frame that arrived.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It is, or was before, dealt with.
    Durable(Received),
    /// It did not open, and changed nothing.
    Unopened,
    /// The same, and it will be needed: nobody may forget it.
    Needed,
    /// The same, and it never will be needed.
    Past,
}

/// Opens frames that came straight from `account`, and does what they say. Returns those that are, or
/// were before, dealt with.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn receive<'f>(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    route: Route,
    frames: impl IntoIterator<Item = &'f [u8]>,
) -> Result<Vec<Received>, StoreError> {
    let mut received = Vec::new();
    for frame in frames {
        if let Fate::Durable(durable) = receive_one(ctx, account, route, frame, None)? {
            received.push(durable);
        }
    }
    Ok(received)
}

/// Opens one frame; `deposited_at` is when a relay took it, by its clock.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn receive_one(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    route: Route,
    frame: &[u8],
    deposited_at: Option<Timestamp>,
) -> Result<Fate, StoreError> {
    let envelope = EnvelopeId::of(frame);
    // By account as well: a frame that was carried off by another contact proves nothing.
    let seen_key = ctx.key(Tree::Seen, &[&account.0[..], &envelope.0].concat(), &[]);
    if let Some(seen) = ctx.get::<SeenRow>(&seen_key)? {
        return Ok(Fate::Durable(Received { envelope, wants_receipt: seen.wants_receipt }));
    }
    let at = ctx.now;
    let wants_receipt = match open(ctx, account, frame)? {
        Err(refused @ (OpenError::NotOpened | OpenError::Fault(_))) => {
            tracing::debug!(account = %account.short(), "a frame did not open: {refused}");
            if contact::get(ctx, account)?.is_none() {
                return Ok(Fate::Unopened);
            }
            let fault = matches!(refused, OpenError::Fault(_));
            match rekey::on_unopened(ctx, account, frame, (fault, deposited_at))? {
                Outcome::Taken => true,
                Outcome::Left => return Ok(Fate::Unopened),
                Outcome::Kept => return Ok(Fate::Needed),
                Outcome::Past => return Ok(Fate::Past),
            }
        }
        // It opened and says nothing we understand; it never will.
        Err(_) => true,
        Ok((session, opened)) => {
            rekey::on_opened(ctx, account, envelope);
            let wants_receipt = opened.content.wants_receipt();
            dispatch(ctx, account, session, route, opened)?;
            wants_receipt
        }
    };
    ctx.put(seen_key, &SeenRow { at, wants_receipt })?;
    Ok(Fate::Durable(Received { envelope, wants_receipt }))
}

/// Opens one frame. Until somebody is a contact, only the handshake is legal; but what else they
/// say may have overtaken their acceptance on another way. It is left unopened, and so kept by
/// its author, who tries again.
fn open(ctx: &mut Ctx<'_>, account: AccountId, frame: &[u8]) -> Result<Opened, StoreError> {
    let now = ctx.now;
    if contact::get(ctx, account)?.is_some() {
        return Ok(ctx.sessions(account)?.open(frame, now));
    }
    let unreadable = || StoreError::Unreadable(Tree::Session.name());
    let before = ctx.sessions(account)?.to_bytes().map_err(|_| unreadable())?;
    let opened = ctx.sessions(account)?.open(frame, now);
    if opened.as_ref().is_ok_and(|(_, envelope)| !envelope.content.is_handshake()) {
        *ctx.sessions(account)? = Sessions::from_bytes(&before).map_err(|_| unreadable())?;
        return Ok(Err(OpenError::NotOpened));
    }
    Ok(opened)
}

fn dispatch(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    session: [u8; 16],
    route: Route,
    envelope: Envelope,
) -> Result<(), StoreError> {
    if envelope.content.is_handshake() {
        return request::on_content(ctx, account, session, envelope.content);
    }
    match envelope.content {
        Content::Text(ref text) => {
            let text = text.text.clone();
            chat::on_text(ctx, account, &envelope, Some(text))
        }
        Content::Unsupported(_) if envelope.seq > 0 => chat::on_text(ctx, account, &envelope, None),
        Content::Delivered(receipt) => receipt::on_delivered(ctx, account, &receipt, None),
        Content::Read(read) => chat::on_read(ctx, account, &read),
        Content::Card(card) => contact::on_card(ctx, account, card),
        Content::Missing(missing) => chat::on_missing(ctx, account, missing),
        Content::Resent(resent) => chat::on_resent(ctx, account, resent),
        Content::Yours(ref text) => chat::on_yours(ctx, account, &envelope, &text.text),
        _ => {
            tracing::debug!(account = %account.short(), ?route, "content without effect");
            Ok(())
        }
    }
}

/// Queues a frame that is sealed already.
pub(super) fn queue_frame(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    frame: Vec<u8>,
    class: Class,
) -> Result<(), StoreError> {
    if !ctx.state.lanes.contains_key(&account) {
        contact::restore_lane(ctx, account, false)?;
    }
    let Some(lane) = ctx.state.lanes.get(&account) else { return Ok(()) };
    let order = lane.next_order().max(ctx.state.next_order);
    ctx.state.next_order = order + 1;
    let parcel = Parcel {
        order,
        envelope: EnvelopeId::of(&frame),
        size: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        class,
        sealed_at: ctx.now,
        custody_until: None,
    };
    super::outbox::put(ctx, account, &parcel, frame)?;
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        lane.push(parcel);
    }
    Ok(())
}
