//! What one side lost, and the other sends again.

use protocol::chat::{
    Author, Behind, Chat, Claimed, DeliveryState, Failure as GivenUp, Message, Missing, Owed,
    Position, Resent,
};
use protocol::envelope::{Content, Envelope, Text};
use protocol::ids::{AccountId, ChatId, MessageId};
use protocol::outbox::{Class, Lane, MAX_PARCELS};
use protocol::time::{DAY, HOUR};

use super::{add_message, all, gap, get, message, outgoing, page, put, seal_again};
use crate::engine::{Ctx, Event, Failure};
use crate::service::session::{self, Outgoing};
use crate::store::{Key, Order, StoreError, Tree};

/// How often one contact may ask in a day: each question may cost the whole conversation.
const MAX_ASKED_A_DAY: usize = 10;
/// Messages that one step looks at: a step must stay short.
const A_STEP: usize = 50;
/// Messages that are looked through at a time for what was never sent.
const UNSENT_LOOKED_AT: usize = 1_000;
/// Between two such steps others have their turn, milliseconds.
const PAUSE: u64 = 10;
/// How long a full lane is given, milliseconds.
const BUSY_PAUSE: u64 = 5_000;
/// What was sealed within this time may still be on its way, milliseconds.
const ON_ITS_WAY: u64 = HOUR;
/// Parcels in a lane beyond which nothing is sent again until some have gone.
const LANE_BUSY: usize = MAX_PARCELS / 4;

/// A session was renewed: asks for what may have been lost. `waiting` is what they cannot have.
pub(in crate::service) fn ask(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    waiting: &[MessageId],
) -> Result<(), StoreError> {
    let Some(mut conversation) = of(ctx, account)? else { return Ok(()) };
    let mut first = None;
    for id in waiting {
        let seq = message(ctx, *id)?.map(|message| message.seq);
        first = first.into_iter().chain(seq).min();
    }
    let missing = conversation.ask(first, behind(ctx, conversation.id)?, ctx.now);
    put(ctx, &conversation)?;
    put_behind(ctx, &Behind { chat: conversation.id, mine: missing.mine })?;
    gap::note(ctx, &conversation);
    session::send_unasked(ctx, account, Content::Missing(missing), Class::Control)
}

/// A session was renewed: what the lane had for them is gone, and what they asked is answered from the beginning. Not
/// what a life of theirs that is over had asked: the new one asks by itself, and must hear of no other end.
pub(in crate::service) fn on_renewed(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    anew: bool,
) -> Result<(), StoreError> {
    let Some(mut conversation) = of(ctx, account)? else { return Ok(()) };
    let Some(owed) = conversation.gaps.owed.take() else { return Ok(()) };
    if !anew {
        conversation.gaps.owed = Some(Owed::new(owed.missing));
        ctx.state.owing.insert(account, ctx.now);
    }
    put(ctx, &conversation)
}

/// Something of mine for them was given up, because they cannot open it if `refused`. It may have been a question, which
/// is then not repeated soon, or an answer, which has a hole.
pub(in crate::service) fn on_given_up(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    refused: bool,
) -> Result<(), StoreError> {
    if refused {
        gap::postpone(ctx, account);
    }
    let Some(mut conversation) = of(ctx, account)? else { return Ok(()) };
    let Some(owed) = &mut conversation.gaps.owed else { return Ok(()) };
    owed.broken = true;
    put(ctx, &conversation)
}

/// A conversation with somebody who was met. This life may have forgotten that there was one before.
pub(in crate::service) fn begin(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    generation: u64,
) -> Result<(), StoreError> {
    let mut conversation = Chat::new(ctx.account.id, account, ctx.now);
    conversation.number_from(generation);
    put(ctx, &conversation)?;
    match generation {
        0 => Ok(()),
        _ => put_behind(ctx, &Behind { chat: conversation.id, mine: 0 }),
    }
}

/// Adds messages of mine that nobody has and that do not wait in the lane: written without a session,
/// or given up because theirs was lost. Looks at the newest ones.
pub(in crate::service) fn add_unsent(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    waiting: &mut Vec<MessageId>,
) -> Result<(), StoreError> {
    let Some(conversation) = of(ctx, account)? else { return Ok(()) };
    let mut unsent = Vec::new();
    let mut before = Position::LAST;
    loop {
        let span = (Position::FIRST, before);
        let page = page(ctx, conversation.id, span, Order::Falling, UNSENT_LOOKED_AT)?;
        let found = unsent.len();
        unsent.extend(page.iter().filter(|message| is_unsent(message)).map(|message| message.id));
        match page.last() {
            // Where nothing waits any more, nothing older does.
            Some(last) if unsent.len() > found && unsent.len() < MAX_PARCELS => {
                before = last.position;
            }
            _ => break,
        }
    }
    unsent.reverse();
    // In the order of the conversation, whatever was in the lane.
    let known = std::mem::take(waiting);
    waiting.extend(known.iter().filter(|id| !unsent.contains(id)));
    waiting.extend(unsent);
    Ok(())
}

/// Whether nobody has a message of mine, and nobody is given it either.
fn is_unsent(message: &Message) -> bool {
    message.delivery.as_ref().is_some_and(|delivery| match delivery.failed {
        Some((_, why)) => why == GivenUp::SessionBroken,
        None => delivery.state() <= DeliveryState::Custody,
    })
}

/// They are here: an answer that is overdue is asked for again.
pub(in crate::service) fn ask_again(
    ctx: &mut Ctx<'_>,
    account: AccountId,
) -> Result<(), StoreError> {
    match of(ctx, account)? {
        Some(conversation) if conversation.asks_again(ctx.now) => ask(ctx, account, &[]),
        _ => Ok(()),
    }
}

/// Goes on with what was asked before the node stopped, on either side.
pub(in crate::service) fn resume(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for conversation in all(ctx)? {
        if conversation.gaps.owed.is_some() {
            ctx.state.owing.insert(conversation.them, ctx.now);
        }
        if conversation.asks_again(ctx.now) {
            ask(ctx, conversation.them, &[])?;
        }
    }
    gap::resume(ctx)
}

/// They ask, for the first time or again.
pub(in crate::service) fn on_missing(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    missing: Missing,
) -> Result<(), StoreError> {
    let Some(mut conversation) = of(ctx, account)? else { return Ok(()) };
    let now = ctx.now;
    let asked = ctx.state.asked_by.entry(account).or_default();
    asked.retain(|at| *at <= now && now.since(*at) < DAY);
    if asked.len() >= MAX_ASKED_A_DAY {
        return Ok(());
    }
    asked.push(now);
    conversation.gaps.owed = Some(match conversation.gaps.owed.take() {
        Some(owed) => owed.asked_again(missing),
        None => Owed::new(missing),
    });
    put(ctx, &conversation)?;
    ctx.state.owing.insert(account, ctx.now);
    Ok(())
}

/// They sent all that they had.
pub(in crate::service) fn on_resent(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    resent: Resent,
) -> Result<(), StoreError> {
    let Some(mut conversation) = of(ctx, account)? else { return Ok(()) };
    match conversation.gaps.asked {
        Some(_) => {
            conversation.on_resent(resent);
            let key = behind_key(ctx, conversation.id);
            ctx.delete(key);
        }
        None => conversation.on_gap_resent(resent),
    }
    gap::note(ctx, &conversation);
    put(ctx, &conversation)
}

/// A conversation of a backup.
pub(in crate::service) fn begin_anew(
    ctx: &mut Ctx<'_>,
    mut conversation: Chat,
    generation: u64,
) -> Result<(), StoreError> {
    let behind = conversation.begin_anew(generation);
    put(ctx, &conversation)?;
    put_behind(ctx, &behind)
}

/// What was still out when a backup was made, is.
pub(in crate::service) fn put_behind(ctx: &mut Ctx<'_>, behind: &Behind) -> Result<(), StoreError> {
    let key = behind_key(ctx, behind.chat);
    ctx.put(key, behind)
}

fn behind(ctx: &Ctx<'_>, chat: ChatId) -> Result<Option<Behind>, StoreError> {
    ctx.get(&behind_key(ctx, chat))
}

fn behind_key(ctx: &Ctx<'_>, chat: ChatId) -> Key {
    ctx.key(Tree::Behind, &chat.0, &[])
}

/// Words of mine, as they have them.
pub(in crate::service) fn on_yours(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    envelope: &Envelope,
    text: &str,
) -> Result<(), StoreError> {
    let Some(mut conversation) = of(ctx, account)? else { return Ok(()) };
    let index = ctx.key(Tree::MessageIndex, &envelope.message.0, &[]);
    if envelope.chat != conversation.id || ctx.has(&index)? {
        return Ok(());
    }
    let claimed = Claimed {
        message: envelope.message,
        seq: envelope.seq,
        lamport: envelope.lamport,
        at: envelope.at,
    };
    let Some(recovered) = conversation.recover(claimed, text.to_owned(), ctx.now) else {
        return Ok(());
    };
    put(ctx, &conversation)?;
    add_message(ctx, &recovered)?;
    ctx.emit(Event::MessageAdded(recovered.id));
    ctx.emit(Event::ChatChanged(conversation.id));
    Ok(())
}

/// Sends some of what is owed again.
pub(in crate::service) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    // One that a clock put into the future counts as due.
    let owing = ctx.state.owing.iter().filter(|(_, at)| **at <= now || **at > now.plus(HOUR));
    let owing: Vec<AccountId> = owing.map(|(account, _)| *account).collect();
    owing.into_iter().try_for_each(|account| send_some(ctx, account))
}

fn send_some(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let busy = ctx.state.lanes.get(&account).is_some_and(|lane| lane.len() > LANE_BUSY);
    ctx.state.owing.insert(account, ctx.now.plus(if busy { BUSY_PAUSE } else { PAUSE }));
    if busy {
        return Ok(());
    }
    let Some(mut conversation) = of(ctx, account)? else {
        ctx.state.owing.remove(&account);
        return Ok(());
    };
    let Some(mut owed) = conversation.gaps.owed.take() else {
        ctx.state.owing.remove(&account);
        return Ok(());
    };
    if owed.is_done() {
        return say_all(ctx, conversation, &owed);
    }
    let span = (Position::FIRST, owed.before);
    let page = page(ctx, conversation.id, span, Order::Falling, A_STEP)?;
    let last_page = page.len() < A_STEP;
    for message in page {
        if owed.is_done() {
            break;
        }
        if owed.look(message.position, message.seq, message.author == Author::Me) {
            send_again(ctx, account, &message)?;
        }
    }
    if last_page || owed.is_done() {
        owed = owed.all_looked_at();
    }
    conversation.gaps.owed = Some(owed);
    put(ctx, &conversation)
}

/// Everything was looked at: says so when they have signed for the words of theirs that it sent. It ends the question,
/// and must not overtake what it speaks of on another way.
fn say_all(ctx: &mut Ctx<'_>, mut conversation: Chat, owed: &Owed) -> Result<(), StoreError> {
    let account = conversation.them;
    let lane = ctx.state.lanes.get(&account);
    if lane.is_some_and(|lane| lane.parcels().any(|parcel| parcel.class == Class::Control)) {
        ctx.state.owing.insert(account, ctx.now.plus(BUSY_PAUSE));
        return Ok(());
    }
    ctx.state.owing.remove(&account);
    // Otherwise they ask again.
    if !owed.broken {
        let all = Resent { mine: conversation.my_seq, yours: conversation.their_highest_seq };
        session::send_unasked(ctx, account, Content::Resent(all), Class::Control)?;
    }
    conversation.gaps.owed = None;
    put(ctx, &conversation)
}

fn send_again(ctx: &mut Ctx<'_>, account: AccountId, message: &Message) -> Result<(), StoreError> {
    let Some(text) = message.text.clone() else { return Ok(()) };
    let state = message.delivery.as_ref().map(protocol::chat::Delivery::state);
    let (outgoing, class) = match state {
        // An older copy of theirs could not open it.
        Some(DeliveryState::Failed) if is_unsent(message) => return seal_again(ctx, message.id),
        Some(DeliveryState::Custody) => return seal_beside(ctx, account, message, text),
        // It is in the lane, or was given up: not lost with them.
        Some(state) if state < DeliveryState::Delivered => return Ok(()),
        Some(_) => (outgoing(message, text), Class::Message(message.id)),
        None => {
            let yours = Outgoing {
                message: Some(message.id),
                seq: message.seq,
                lamport: Chat::lamport_of(message.position),
                at: Some(message.at),
                content: Content::Yours(Text { text }),
            };
            (yours, Class::Control)
        }
    };
    match session::send(ctx, account, outgoing, class) {
        Err(Failure::Store(error)) => Err(error),
        _ => Ok(()),
    }
}

/// A relay took it, and may have given it to an older copy of theirs: it is sealed once more. What the relay said stays
/// said, and what it has may still come. Not while what was sealed lately may be on its way, and not a third time.
fn seal_beside(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    message: &Message,
    text: String,
) -> Result<(), StoreError> {
    let class = Class::Message(message.id);
    let parcels = ctx.state.lanes.get(&account).into_iter().flat_map(Lane::parcels);
    let sealed: Vec<_> =
        parcels.filter(|parcel| parcel.class == class).map(|parcel| parcel.sealed_at).collect();
    let due = match sealed[..] {
        [] => true,
        [sealed_at] => ctx.now.since(sealed_at) >= ON_ITS_WAY,
        _ => false,
    };
    match due.then(|| session::send_again(ctx, account, outgoing(message, text), class)) {
        Some(Err(Failure::Store(error))) => Err(error),
        // What was refused waits where it is.
        _ => Ok(()),
    }
}

fn of(ctx: &Ctx<'_>, account: AccountId) -> Result<Option<Chat>, StoreError> {
    get(ctx, ChatId::of_pair(ctx.account.id, account))
}
