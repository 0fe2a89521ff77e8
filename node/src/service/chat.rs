//! Conversations: writing and receiving; [`reading`] has the rest.

mod gap;
mod missing;
mod reading;

use protocol::chat::{
    Author, Chat, Claimed, Delivery, DeliveryState, MAX_CLIENT_KEY, MAX_DRAFT, Message, Position,
};
use protocol::envelope::{Content, Envelope, MAX_TEXT, Text};
use protocol::ids::{AccountId, ChatId, MessageId};
use protocol::outbox::Class;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::gap::Gap;
pub(super) use self::gap::on_time as ask_for_gaps;
pub(super) use self::missing::{
    add_unsent, ask, ask_again, begin, begin_anew, on_given_up, on_missing, on_renewed, on_resent,
    on_time, on_yours, put_behind, resume,
};
pub use self::reading::read;
pub(super) use self::reading::{
    last_read, on_delivered, on_read, resume_receipts, tell_read_again,
};
use super::error::{ErrorKind, NotFound, Refusal};
use super::{contact, outbox, rekey, session};
use crate::api::dto::EventBody;
use crate::engine::{Ctx, Event, Failure};
use crate::store::{Order, StoreError, Tree};

/// Most messages that one page has.
pub const MAX_PAGE: usize = 200;

/// Why a conversation was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// Nothing to send.
    #[error("There is nothing to send: write something first.")]
    EmptyText,
    /// Longer than [`MAX_TEXT`].
    #[error("That is too long for one message: {} KiB at most. Send it in parts.", MAX_TEXT / 1024)]
    TextTooLong,
    /// Longer than [`MAX_DRAFT`].
    #[error("That draft is too long to keep: {} KiB at most.", MAX_DRAFT / 1024)]
    DraftTooLong,
    /// Longer than [`MAX_CLIENT_KEY`].
    #[error("The Idempotency-Key is too long: {MAX_CLIENT_KEY} bytes at most.")]
    ClientKeyTooLong,
    /// The same key with other words.
    #[error("That Idempotency-Key was used for another message.")]
    ClientKeyReused,
    /// The contact was removed.
    #[error("You are not connected with this person any more. Connect again with a new code.")]
    NoContact,
    /// It has arrived.
    #[error("This message has arrived; there is nothing to retry.")]
    NotFailed,
}

impl Refusal for ChatError {
    fn code(&self) -> &'static str {
        match self {
            Self::EmptyText => "empty_text",
            Self::TextTooLong => "text_too_long",
            Self::DraftTooLong => "draft_too_long",
            Self::ClientKeyTooLong => "idempotency_key_too_long",
            Self::ClientKeyReused => "idempotency_conflict",
            Self::NoContact => "no_contact",
            Self::NotFailed => "not_failed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::ClientKeyReused | Self::NoContact | Self::NotFailed => ErrorKind::Conflict,
            _ => ErrorKind::Invalid,
        }
    }
}

/// Where a message is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    chat: ChatId,
    position: Position,
}

impl Wire for Place {
    const LIMIT: usize = 64;
}

/// A conversation.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>, chat: ChatId) -> Result<Option<Chat>, StoreError> {
    ctx.get(&ctx.key(Tree::Chat, &chat.0, &[]))
}

/// A conversation, or the refusal that there is none.
///
/// # Errors
/// [`Failure`] when there is none.
pub fn expect(ctx: &Ctx<'_>, chat: ChatId) -> Result<Chat, Failure> {
    Ok(get(ctx, chat)?.ok_or(NotFound("conversation"))?)
}

/// Stores a conversation.
///
/// # Errors
/// [`StoreError`] when it exceeds its bound.
pub fn put(ctx: &mut Ctx<'_>, chat: &Chat) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Chat, &chat.id.0, &[]);
    ctx.put(key, chat)
}

/// All conversations.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn all(ctx: &Ctx<'_>) -> Result<Vec<Chat>, StoreError> {
    let rows = ctx.all(Tree::Chat, contact::MAX_CONTACTS)?;
    Ok(rows.into_iter().map(|(_, chat)| chat).collect())
}

/// A message.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn message(ctx: &Ctx<'_>, id: MessageId) -> Result<Option<Message>, StoreError> {
    let Some(place) = ctx.get::<Place>(&ctx.key(Tree::MessageIndex, &id.0, &[]))? else {
        return Ok(None);
    };
    at(ctx, place.chat, place.position)
}

/// The message at a position.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn at(ctx: &Ctx<'_>, chat: ChatId, position: Position) -> Result<Option<Message>, StoreError> {
    ctx.get(&ctx.key(Tree::Message, &chat.0, &position.0))
}

/// Messages in `(after, before)`, nearest to the end that `order` begins at.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn page(
    ctx: &Ctx<'_>,
    chat: ChatId,
    (after, before): (Position, Position),
    order: Order,
    limit: usize,
) -> Result<Vec<Message>, StoreError> {
    // One byte more than a position: strictly after it, and before everything that follows.
    let from = [&after.0[..], &[0]].concat();
    let rows = ctx.range((Tree::Message, &chat.0), (&from, &before.0), order, limit)?;
    Ok(rows.into_iter().map(|(_, message)| message).collect())
}

/// Writes a message: it is durable when this step is.
///
/// # Errors
/// [`Failure`] when it cannot be sent as it is.
pub fn send(
    ctx: &mut Ctx<'_>,
    chat: ChatId,
    text: String,
    client_key: Option<String>,
) -> Result<Message, Failure> {
    if text.trim().is_empty() {
        return Err(ChatError::EmptyText.into());
    }
    if text.len() > MAX_TEXT {
        return Err(ChatError::TextTooLong.into());
    }
    if client_key.as_ref().is_some_and(|key| key.len() > MAX_CLIENT_KEY) {
        return Err(ChatError::ClientKeyTooLong.into());
    }
    let mut conversation = expect(ctx, chat)?;
    if let Some(key) = &client_key
        && let Some(sent) = sent_with(ctx, chat, key)?
    {
        return match sent.text.as_ref() == Some(&text) {
            true => Ok(sent),
            false => Err(ChatError::ClientKeyReused.into()),
        };
    }
    let account = conversation.them;
    if contact::get(ctx, account)?.is_none() {
        return Err(ChatError::NoContact.into());
    }
    let id = MessageId::random(ctx.rng);
    let message = conversation.compose(id, text.clone(), client_key, ctx.now);
    // Without a session it waits for the next, and is sealed then.
    if !rekey::is_awaited(ctx, account)? {
        let outgoing = outgoing(&message, text);
        session::send(ctx, account, outgoing, Class::Message(id))?;
    }
    put(ctx, &conversation)?;
    add_message(ctx, &message)?;
    if let Some(key) = &message.client_key {
        let key = client_row(ctx, chat, key);
        ctx.put(key, &Place { chat, position: message.position })?;
    }
    ctx.state.typing.remove(&account);
    ctx.emit(Event::MessageAdded(id));
    ctx.emit(Event::ChatChanged(chat));
    Ok(message)
}

/// Words of theirs, or something of theirs that this build does not know.
pub(super) fn on_text(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    envelope: &Envelope,
    text: Option<String>,
) -> Result<(), StoreError> {
    let chat = ChatId::of_pair(ctx.account.id, account);
    let index = ctx.key(Tree::MessageIndex, &envelope.message.0, &[]);
    if envelope.chat != chat || ctx.has(&index)? {
        return Ok(());
    }
    let Some(mut conversation) = get(ctx, chat)? else { return Ok(()) };
    let claimed = Claimed {
        message: envelope.message,
        seq: envelope.seq,
        lamport: envelope.lamport,
        at: envelope.at,
    };
    let message = match conversation.receive(claimed, text, ctx.now) {
        Ok(message) => message,
        Err(error) => {
            tracing::debug!(account = %account.short(), %error, "a message has no place");
            return Ok(());
        }
    };
    if message.position <= conversation.read_up_to {
        reading::reopen(ctx, &mut conversation, message.position)?;
    }
    put(ctx, &conversation)?;
    gap::note(ctx, &conversation);
    add_message(ctx, &message)?;
    if let Some(seen) = ctx.state.seen.get_mut(&account) {
        seen.on_message();
    }
    ctx.emit(Event::MessageAdded(message.id));
    ctx.emit(Event::ChatChanged(chat));
    Ok(())
}

/// Keeps what is being written.
///
/// # Errors
/// [`Failure`] when it is too long, or there is no such conversation.
pub fn draft(ctx: &mut Ctx<'_>, chat: ChatId, text: String) -> Result<(), Failure> {
    if text.len() > MAX_DRAFT {
        return Err(ChatError::DraftTooLong.into());
    }
    let mut conversation = expect(ctx, chat)?;
    if conversation.draft != text {
        conversation.draft = text;
        put(ctx, &conversation)?;
        ctx.emit(Event::ChatChanged(chat));
    }
    Ok(())
}

/// Tries a message again now. One that failed is sealed anew, under the same id; for one that
/// waits, every wait ends.
///
/// # Errors
/// [`Failure`] when it has arrived.
pub fn retry(ctx: &mut Ctx<'_>, id: MessageId) -> Result<Message, Failure> {
    let mut failed = message(ctx, id)?.ok_or(NotFound("message"))?;
    let now = ctx.now;
    let state = failed.delivery.as_ref().map(Delivery::state);
    if let Some(DeliveryState::Queued | DeliveryState::Custody) = state {
        let them = expect(ctx, failed.chat)?.them;
        outbox::try_now(ctx, them);
        return Ok(failed);
    }
    let retried = failed.delivery.as_mut().is_some_and(|delivery| delivery.on_retry(now));
    let (true, Some(text)) = (retried, failed.text.clone()) else {
        return Err(ChatError::NotFailed.into());
    };
    let conversation = expect(ctx, failed.chat)?;
    if contact::get(ctx, conversation.them)?.is_none() {
        return Err(ChatError::NoContact.into());
    }
    let outgoing = outgoing(&failed, text);
    session::send(ctx, conversation.them, outgoing, Class::Message(id))?;
    put_message(ctx, &failed)?;
    ctx.emit(Event::MessageChanged(id));
    Ok(failed)
}

/// Seals a message that waits on the session that is there now, under the same id.
pub(super) fn seal_again(ctx: &mut Ctx<'_>, id: MessageId) -> Result<(), StoreError> {
    let Some(waiting) = message(ctx, id)? else { return Ok(()) };
    let (Some(text), Some(conversation)) = (waiting.text.clone(), get(ctx, waiting.chat)?) else {
        return Ok(());
    };
    let sealed =
        session::send_again(ctx, conversation.them, outgoing(&waiting, text), Class::Message(id));
    match sealed {
        Err(Failure::Store(error)) => Err(error),
        Ok(()) => {
            let now = ctx.now;
            with_delivery(ctx, id, |delivery| delivery.on_sealed_anew() | delivery.on_retry(now))
        }
        Err(Failure::Refused(_)) => {
            let now = ctx.now;
            with_delivery(ctx, id, |delivery| {
                delivery.on_failed(now, protocol::chat::Failure::SessionBroken)
            })
        }
    }
}

/// Deletes a message here. One that nobody has signed for is not sent any more.
///
/// # Errors
/// [`Failure`] when there is no such message.
pub fn remove(ctx: &mut Ctx<'_>, id: MessageId) -> Result<(), Failure> {
    let removed = message(ctx, id)?.ok_or(NotFound("message"))?;
    let mut conversation = expect(ctx, removed.chat)?;
    outbox::forget(ctx, conversation.them, id);
    let row = ctx.key(Tree::Message, &removed.chat.0, &removed.position.0);
    ctx.delete(row);
    // The index stays, as the memory that this id was here: a duplicate must not bring it back.
    if removed.author == Author::Them && removed.position > conversation.read_up_to {
        conversation.unread = conversation.unread.saturating_sub(1);
    }
    if conversation.last == Some(removed.position) {
        let before = (Position::FIRST, removed.position);
        let last = page(ctx, removed.chat, before, Order::Falling, 1)?;
        conversation.last = last.first().map(|message| message.position);
    }
    put(ctx, &conversation)?;
    ctx.emit(Event::MessageRemoved(id, removed.chat));
    ctx.emit(Event::ChatChanged(removed.chat));
    Ok(())
}

/// Adds evidence to a message's ledger; `change` says whether it is news.
pub(super) fn with_delivery(
    ctx: &mut Ctx<'_>,
    id: MessageId,
    change: impl FnOnce(&mut Delivery) -> bool,
) -> Result<(), StoreError> {
    let Some(mut found) = message(ctx, id)? else { return Ok(()) };
    let Some(delivery) = found.delivery.as_mut() else { return Ok(()) };
    if !change(delivery) {
        return Ok(());
    }
    put_message(ctx, &found)?;
    ctx.emit(Event::MessageChanged(id));
    let conversation = get(ctx, found.chat)?;
    if conversation.is_some_and(|chat| chat.last == Some(found.position)) {
        ctx.emit(Event::ChatChanged(found.chat));
    }
    Ok(())
}

/// Tells tabs how a message looks now, though nothing of it that is stored has changed.
pub(super) fn tell_message(ctx: &mut Ctx<'_>, id: MessageId) -> Result<(), StoreError> {
    if let Some(found) = message(ctx, id)? {
        let told = crate::view::message(ctx, &found);
        ctx.emit_volatile(EventBody::MessageChanged(told));
    }
    Ok(())
}

/// The position just behind `position`, to make a range that includes it.
fn after(position: Position) -> Position {
    let mut next = position;
    for byte in next.0.iter_mut().rev() {
        let (value, carried) = byte.overflowing_add(1);
        *byte = value;
        if !carried {
            break;
        }
    }
    next
}

/// The position just before `position`.
fn before(position: Position) -> Position {
    let mut previous = position;
    for byte in previous.0.iter_mut().rev() {
        let (value, borrowed) = byte.overflowing_sub(1);
        *byte = value;
        if !borrowed {
            break;
        }
    }
    previous
}

fn outgoing(message: &Message, text: String) -> session::Outgoing {
    session::Outgoing {
        message: Some(message.id),
        seq: message.seq,
        lamport: Chat::lamport_of(message.position),
        at: Some(message.at),
        content: Content::Text(Text { text }),
    }
}

/// Stores a message as it is now; [`add_message`] made it be found by its id.
fn put_message(ctx: &mut Ctx<'_>, message: &Message) -> Result<(), StoreError> {
    let row = ctx.key(Tree::Message, &message.chat.0, &message.position.0);
    ctx.put(row, message)
}

/// Puts a message of a backup back.
pub(super) fn restore(ctx: &mut Ctx<'_>, message: &Message) -> Result<(), StoreError> {
    add_message(ctx, message)?;
    // The conversation was read before its last messages.
    if let Some(mut conversation) = get(ctx, message.chat)? {
        conversation.on_restored(message);
        put(ctx, &conversation)?;
    }
    match &message.client_key {
        Some(key) => {
            let row = client_row(ctx, message.chat, key);
            ctx.put(row, &Place { chat: message.chat, position: message.position })
        }
        None => Ok(()),
    }
}

fn add_message(ctx: &mut Ctx<'_>, message: &Message) -> Result<(), StoreError> {
    put_message(ctx, message)?;
    let index = ctx.key(Tree::MessageIndex, &message.id.0, &[]);
    ctx.put(index, &Place { chat: message.chat, position: message.position })
}

fn sent_with(ctx: &Ctx<'_>, chat: ChatId, client_key: &str) -> Result<Option<Message>, StoreError> {
    match ctx.get::<Place>(&client_row(ctx, chat, client_key))? {
        Some(place) => at(ctx, place.chat, place.position),
        None => Ok(None),
    }
}

fn client_row(ctx: &Ctx<'_>, chat: ChatId, client_key: &str) -> crate::store::Key {
    let name = Sha256::new()
        .chain_update(b"client key\0")
        .chain_update(chat.0)
        .chain_update(client_key.as_bytes())
        .finalize();
    ctx.key(Tree::MessageIndex, &name, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_after_is_the_next_one() {
        let mut position = Position::FIRST;
        position.0[Position::LEN - 1] = 0xff;
        let next = after(position);
        assert_eq!(next.0[Position::LEN - 2..], [1, 0]);
        assert!(next > position);
        assert_eq!(before(next), position);
    }
}
