//! Conversations and messages, with the ledger of each.

use protocol::chat::{self as machine, DeliveryState, Failure, Position, Route};
use protocol::ids::AccountId;
use protocol::outbox::{Class, Waiting};
use protocol::time::Timestamp;

use crate::api::dto::{self, DeliveryPath, WhyCode, rfc3339};
use crate::engine::{Ctx, Failure as Refused};
use crate::service::{chat as service, contact, registration, rekey};
use crate::store::{Order, StoreError};

use super::{day, relay_name, symbol_seed};

/// Most characters of a message in the list of conversations.
const PREVIEW: usize = 140;
/// What stands for a message of a kind that this build does not know.
const UNSUPPORTED: &str = "This message needs a newer Kith. Update to read it.";

pub(crate) fn chat(ctx: &Ctx<'_>, chat: &machine::Chat) -> Result<dto::Chat, StoreError> {
    let last = match chat.last {
        Some(position) => service::at(ctx, chat.id, position)?,
        None => None,
    };
    let first_unread = match chat.unread {
        0 => None,
        _ => service::page(ctx, chat.id, (chat.read_up_to, Position::LAST), Order::Rising, 50)?
            .into_iter()
            .find(|message| message.author == machine::Author::Them),
    };
    Ok(dto::Chat {
        id: chat.id.to_string(),
        contact_id: chat.them.to_string(),
        name: name(ctx, chat.them)?,
        symbol_seed: symbol_seed(chat.them),
        last_message: last.as_ref().map(last_message),
        unread: chat.unread,
        first_unread_id: first_unread.map(|message| message.id.to_string()),
        draft: chat.draft.clone(),
        last_activity: rfc3339(chat.last_activity),
    })
}

pub(crate) fn all(ctx: &Ctx<'_>) -> Result<Vec<dto::Chat>, StoreError> {
    let mut chats = service::all(ctx)?;
    chats.sort_by_key(|chat| (std::cmp::Reverse(chat.last_activity), chat.id));
    chats.iter().map(|one| chat(ctx, one)).collect()
}

pub(crate) fn message(ctx: &Ctx<'_>, message: &machine::Message) -> dto::Message {
    dto::Message {
        id: message.id.to_string(),
        chat_id: message.chat.to_string(),
        author: author(message.author),
        text: words(message),
        sent_at: rfc3339(message.at),
        received_at: match message.author {
            machine::Author::Me => None,
            machine::Author::Them => Some(rfc3339(message.received_at)),
        },
        position: position(message.position),
        client_key: message.client_key.clone(),
        delivery: message.delivery.as_ref().map(|delivery| ledger(ctx, message, delivery)),
        recovered: message.recovered,
    }
}

/// A page of a conversation, rising; `before` and `after` are positions of messages.
pub(crate) fn page(
    ctx: &Ctx<'_>,
    chat: &machine::Chat,
    (before, after): (Option<Position>, Option<Position>),
    limit: usize,
) -> Result<dto::MessagePage, Refused> {
    let limit = limit.clamp(1, service::MAX_PAGE);
    let span = (after.unwrap_or(Position::FIRST), before.unwrap_or(Position::LAST));
    // With a lower bound alone, a page goes on from there; else it ends at the upper one.
    let order = match (before, after) {
        (None, Some(_)) => Order::Rising,
        _ => Order::Falling,
    };
    let mut messages = service::page(ctx, chat.id, span, order, limit)?;
    if order == Order::Falling {
        messages.reverse();
    }
    let ends = (messages.first().map(|m| m.position), messages.last().map(|m| m.position));
    let exists = |span| -> Result<bool, StoreError> {
        Ok(!service::page(ctx, chat.id, span, Order::Rising, 1)?.is_empty())
    };
    let (has_before, has_after) = match ends {
        (Some(first), Some(last)) => {
            (exists((Position::FIRST, first))?, exists((last, Position::LAST))?)
        }
        _ => (false, false),
    };
    let next = match order {
        Order::Falling if has_before => ends.0,
        Order::Rising if has_after => ends.1,
        _ => None,
    };
    Ok(dto::MessagePage {
        items: messages.iter().map(|one| message(ctx, one)).collect(),
        next_cursor: next.map(position),
        has_before,
        has_after,
    })
}

fn position(position: Position) -> String {
    data_encoding::HEXLOWER.encode(&position.0)
}

fn last_message(message: &machine::Message) -> dto::LastMessage {
    dto::LastMessage {
        id: message.id.to_string(),
        author: author(message.author),
        text: words(message).chars().take(PREVIEW).collect(),
        sent_at: rfc3339(message.at),
        delivery_state: message.delivery.as_ref().map(|delivery| state(delivery.state())),
    }
}

fn words(message: &machine::Message) -> String {
    message.text.clone().unwrap_or_else(|| UNSUPPORTED.to_owned())
}

fn author(author: machine::Author) -> dto::Author {
    match author {
        machine::Author::Me => dto::Author::Me,
        machine::Author::Them => dto::Author::Them,
    }
}

fn state(state: DeliveryState) -> dto::DeliveryState {
    match state {
        DeliveryState::Failed => dto::DeliveryState::Failed,
        DeliveryState::Queued => dto::DeliveryState::Queued,
        DeliveryState::Custody => dto::DeliveryState::Custody,
        DeliveryState::Delivered => dto::DeliveryState::Delivered,
        DeliveryState::Read => dto::DeliveryState::Read,
    }
}

fn path(route: Route) -> DeliveryPath {
    match route {
        Route::Lan => DeliveryPath::Lan,
        Route::Direct => DeliveryPath::Direct,
        Route::HolePunched => DeliveryPath::HolePunched,
        Route::Relayed => DeliveryPath::Relayed,
        Route::Mailbox => DeliveryPath::Mailbox,
    }
}

/// The evidence in the order of its strength.
fn ledger(
    ctx: &Ctx<'_>,
    message: &machine::Message,
    delivery: &machine::Delivery,
) -> dto::Delivery {
    let step = |state, at| dto::DeliveryStep {
        state,
        at: rfc3339(at),
        path: None,
        relay: None,
        until: None,
    };
    let mut steps = vec![step(dto::DeliveryState::Queued, delivery.queued_at)];
    if let Some(custody) = &delivery.custody {
        steps.push(dto::DeliveryStep {
            path: Some(DeliveryPath::Mailbox),
            relay: Some(relay_name(custody.relay)),
            until: Some(rfc3339(custody.until)),
            ..step(dto::DeliveryState::Custody, custody.at)
        });
    }
    if let Some(delivered) = &delivery.delivered {
        steps.push(dto::DeliveryStep {
            path: delivered.route.map(path),
            ..step(dto::DeliveryState::Delivered, delivered.at)
        });
    }
    if let Some(at) = delivery.read_at {
        steps.push(step(dto::DeliveryState::Read, at));
    }
    if let (Some((at, _)), DeliveryState::Failed) = (delivery.failed, delivery.state()) {
        steps.push(step(dto::DeliveryState::Failed, at));
    }
    let at = steps.last().map_or_else(|| rfc3339(delivery.queued_at), |last| last.at.clone());
    dto::Delivery { state: state(delivery.state()), at, steps, why: why(ctx, message, delivery) }
}

/// Why it has not arrived yet, in a sentence.
fn why(
    ctx: &Ctx<'_>,
    message: &machine::Message,
    delivery: &machine::Delivery,
) -> Option<dto::Why> {
    if matches!(delivery.state(), DeliveryState::Delivered | DeliveryState::Read) {
        return None;
    }
    let chat = service::get(ctx, message.chat).ok()??;
    let name = name(ctx, chat.them).ok()?;
    let told = |code, text: String, next: Option<Timestamp>| {
        Some(dto::Why { code, text, next_try_at: next.map(rfc3339) })
    };
    match delivery.state() {
        DeliveryState::Delivered | DeliveryState::Read => None,
        DeliveryState::Custody => {
            let until = delivery.custody.as_ref().map(|custody| day(custody.until))?;
            let text = format!(
                "{name}’s computer is away. A relay holds this, sealed, until {until}, and hands \
                 it over when {name} is back. You can close Kith."
            );
            told(WhyCode::InCustody, text, None)
        }
        DeliveryState::Failed => {
            let (code, text) = failed(delivery.failed.map(|(_, why)| why)?, &name);
            told(code, text, None)
        }
        DeliveryState::Queued => {
            let lane = ctx.state.lanes.get(&chat.them)?;
            let class = Class::Message(message.id);
            let Some(parcel) = lane.parcels().find(|parcel| parcel.class == class) else {
                let awaited = rekey::is_awaited(ctx, chat.them).ok()?;
                let text = format!(
                    "This computer lost the keys between you and {name}. {name}’s computer has to \
                     answer once; then this goes out by itself."
                );
                return awaited.then(|| told(WhyCode::SessionBroken, text, None)).flatten();
            };
            let order = parcel.order;
            let (waiting, next) = lane.why(order, ctx.now);
            let (code, text) = queued(ctx, waiting, &name, chat.them);
            told(code, text, next)
        }
    }
}

fn failed(why: Failure, name: &str) -> (WhyCode, String) {
    match why {
        Failure::Expired => (
            WhyCode::ContactOffline,
            format!("{name} was away for too long. Try again when you know they are back."),
        ),
        Failure::ContactGone => (
            WhyCode::ContactGone,
            format!("You are not connected with {name} any more. Connect again with a new code."),
        ),
        Failure::SessionBroken => (
            WhyCode::SessionBroken,
            format!(
                "{name}’s computer could not open what yours sealed. The two renew the keys between you by \
                 themselves; try again."
            ),
        ),
    }
}

fn queued(ctx: &Ctx<'_>, waiting: Waiting, name: &str, them: AccountId) -> (WhyCode, String) {
    match waiting {
        Waiting::Sending => (WhyCode::Sealing, "Sealed, and on its way.".to_owned()),
        Waiting::Custody => (WhyCode::InCustody, format!("A relay holds it for {name}.")),
        Waiting::NotOpened => (
            WhyCode::SessionBroken,
            format!("{name}’s computer answered, but could not open this. Kith tries again."),
        ),
        Waiting::MailboxFailed => (
            WhyCode::RelayUnreachable,
            format!(
                "{name}’s computer is away and the relay that would keep this for them does not \
                 take it. Kith keeps trying; leave this computer on."
            ),
        ),
        Waiting::MailboxFull => (
            WhyCode::MailboxFull,
            format!(
                "{name} has been away for so long that their mailbox is full. This goes out as soon as \
                 they are back; leave this computer on."
            ),
        ),
        Waiting::NoMailbox => {
            let registered = registration::home(ctx).ok().flatten().is_some();
            let code = if registered { WhyCode::NoRelay } else { WhyCode::NotRegistered };
            let met = contact::get(ctx, them).ok().flatten().is_some();
            let text = match met {
                true => format!(
                    "{name}’s computer is away and no relay keeps messages for {name}. This goes \
                     out when both of you are online; leave this computer on."
                ),
                false => format!("{name} has not answered yet."),
            };
            (code, text)
        }
    }
}

fn name(ctx: &Ctx<'_>, account: AccountId) -> Result<String, StoreError> {
    let record = contact::get(ctx, account)?;
    Ok(record.map_or_else(|| account.short(), |record| record.shown_name()))
}
