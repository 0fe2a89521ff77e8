//! Reading: what this person saw, and what they say they saw.

use protocol::chat::{Author, Chat, Delivered, Message, Position};
use protocol::envelope::{ReadUpTo, shown_time};
use protocol::ids::{AccountId, ChatId, MessageId};

use super::{MAX_PAGE, after, all, at, before, expect, get, message, page, put, with_delivery};
use crate::engine::{Ctx, Event, Failure};
use crate::service::error::NotFound;
use crate::service::receipt;
use crate::store::{Order, StoreError};

/// Most messages that one reading can mark.
const MAX_MARKED: usize = 10_000;

/// The person saw messages up to this one.
///
/// # Errors
/// [`Failure`] when there is no such message in this conversation.
pub fn read(ctx: &mut Ctx<'_>, chat: ChatId, up_to: MessageId) -> Result<(), Failure> {
    let mut conversation = expect(ctx, chat)?;
    let target =
        message(ctx, up_to)?.filter(|message| message.chat == chat).ok_or(NotFound("message"))?;
    let span = (conversation.read_up_to, after(target.position));
    let newly: Vec<Message> = page(ctx, chat, span, Order::Rising, MAX_MARKED)?
        .into_iter()
        .filter(|message| message.author == Author::Them)
        .collect();
    let count = u32::try_from(newly.len()).unwrap_or(u32::MAX);
    if !conversation.read(target.position, count) {
        return Ok(());
    }
    put(ctx, &conversation)?;
    if count > 0 {
        receipt::owe_read(ctx, conversation.them);
    }
    ctx.emit(Event::ChatChanged(chat));
    Ok(())
}

/// A message came late, before what was read already: it and what follows are unread again, or
/// no reading would ever reach it, and its author never learn of one. It is not stored yet.
pub(super) fn reopen(ctx: &Ctx<'_>, chat: &mut Chat, late: Position) -> Result<(), StoreError> {
    chat.read_up_to = before(late);
    chat.told_read_up_to = chat.told_read_up_to.min(chat.read_up_to);
    let follow = page(ctx, chat.id, (late, Position::LAST), Order::Rising, MAX_MARKED)?;
    let theirs = follow.iter().filter(|message| message.author == Author::Them).count();
    chat.unread = u32::try_from(theirs).unwrap_or(u32::MAX).saturating_add(1);
    Ok(())
}

/// The last message of theirs that was read and that they were not told about; from now on
/// they count as told.
pub(in crate::service) fn last_read(
    ctx: &mut Ctx<'_>,
    account: AccountId,
) -> Result<Option<MessageId>, StoreError> {
    let chat = ChatId::of_pair(ctx.account.id, account);
    let Some(mut conversation) = get(ctx, chat)? else { return Ok(None) };
    let span = (conversation.told_read_up_to, after(conversation.read_up_to));
    let last = page(ctx, chat, span, Order::Falling, MAX_MARKED)?
        .into_iter()
        .find(|message| message.author == Author::Them);
    conversation.told_read_up_to = conversation.read_up_to;
    put(ctx, &conversation)?;
    Ok(last.map(|message| message.id))
}

/// What they were told may have been lost: the last message of theirs that was read is told again.
pub(in crate::service) fn tell_read_again(
    ctx: &mut Ctx<'_>,
    account: AccountId,
) -> Result<(), StoreError> {
    let chat = ChatId::of_pair(ctx.account.id, account);
    let Some(mut conversation) = get(ctx, chat)? else { return Ok(()) };
    let read = (Position::FIRST, after(conversation.read_up_to));
    let last = page(ctx, chat, read, Order::Falling, MAX_PAGE)?
        .into_iter()
        .find(|message| message.author == Author::Them);
    if let Some(last) = last {
        conversation.told_read_up_to = conversation.told_read_up_to.min(before(last.position));
        put(ctx, &conversation)?;
        receipt::owe_read(ctx, account);
    }
    Ok(())
}

/// They read messages of ours.
pub(in crate::service) fn on_read(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    read: &ReadUpTo,
) -> Result<(), StoreError> {
    let chat = ChatId::of_pair(ctx.account.id, account);
    let Some(mut conversation) = get(ctx, chat)? else { return Ok(()) };
    // Only a message of our own, in this conversation, can have been read by them.
    let target = message(ctx, read.message)?
        .filter(|message| message.chat == chat && message.author == Author::Me);
    let Some(target) = target else { return Ok(()) };
    let end = after(target.position);
    let marked = match conversation.they_read(target.position) {
        Some(from) => page(ctx, chat, (from, end), Order::Rising, MAX_MARKED)?,
        // Said again: a message came to them late, and by now they have read that as well.
        None if target.position == conversation.they_read_up_to => {
            page(ctx, chat, (Position::FIRST, end), Order::Falling, MAX_PAGE)?
        }
        None => return Ok(()),
    };
    let at = shown_time(read.at, ctx.now);
    put(ctx, &conversation)?;
    for message in marked.into_iter().filter(|message| message.author == Author::Me) {
        // One before it that they have not signed for may never have reached them.
        let proven = message.id == target.id;
        with_delivery(ctx, message.id, |delivery| {
            (proven || delivery.delivered.is_some()) && delivery.on_read(at)
        })?;
    }
    ctx.emit(Event::ChatChanged(chat));
    Ok(())
}

/// They signed for a message of ours. What they had when they read a later one, they have read:
/// the two receipts may come on different ways.
pub(in crate::service) fn on_delivered(
    ctx: &mut Ctx<'_>,
    id: MessageId,
    delivered: Delivered,
) -> Result<(), StoreError> {
    let Some(found) = message(ctx, id)? else { return Ok(()) };
    let last_read = match get(ctx, found.chat)? {
        Some(chat) if chat.they_read_up_to > found.position => {
            at(ctx, chat.id, chat.they_read_up_to)?
        }
        _ => None,
    };
    let read_at = last_read.and_then(|last| last.delivery).and_then(|delivery| delivery.read_at);
    let read_at = read_at.filter(|&read_at| delivered.at <= read_at);
    with_delivery(ctx, id, |delivery| {
        let news = delivery.on_delivered(delivered);
        read_at.is_some_and(|at| delivery.on_read(at)) || news
    })
}

/// Conversations whose reading was not told before the node stopped.
pub(in crate::service) fn resume_receipts(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for chat in all(ctx)? {
        if chat.read_up_to > chat.told_read_up_to {
            receipt::owe_read(ctx, chat.them);
        }
    }
    Ok(())
}
