//! Presence and typing: said to connected contacts, and forgotten.

use protocol::contact::ContactCard;
use protocol::ids::AccountId;
use protocol::presence::{Ephemeral, RENEWAL, TYPING_LEASE};
use protocol::wire::envelope::EnvelopeRequest;
use protocol::wire::{decode, encode};
use serde_bytes::ByteBuf;

use super::contact;
use crate::api::dto::EventBody;
use crate::engine::{Answer, Ctx};
use crate::net::NetCommand;
use crate::store::StoreError;

/// A tab has, or has lost, the focus.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn focus(ctx: &mut Ctx<'_>, tab: u64, focused: bool) -> Result<(), StoreError> {
    let now = ctx.now;
    ctx.state.focus.set(tab, focused, now);
    Ok(())
}

/// The person writes to a contact, or has stopped.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn typing(ctx: &mut Ctx<'_>, account: AccountId, typing: bool) -> Result<(), StoreError> {
    let until = ctx.now.plus(TYPING_LEASE);
    let changed = match typing {
        true => {
            ctx.state.typing.insert(account, until);
            true
        }
        false => ctx.state.typing.remove(&account).is_some(),
    };
    if changed { tell(ctx, account) } else { Ok(()) }
}

/// A contact connected: they learn whether somebody is here.
pub(super) fn greet(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    if ctx.state.focus.is_here(ctx.now) { tell(ctx, account) } else { Ok(()) }
}

/// What a contact says of themselves.
pub(super) fn on_ephemeral(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    sealed: &[u8],
) -> Result<(), StoreError> {
    if contact::get(ctx, account)?.is_none() {
        return Ok(());
    }
    let now = ctx.now;
    let Some((id, content)) = ctx.sessions(account)?.open_ephemeral(sealed, now) else {
        return Ok(());
    };
    let Ok(heard) = decode::<Ephemeral>(&content) else { return Ok(()) };
    let seen = ctx.state.seen.entry(account).or_default();
    if seen.on_ephemeral(id, heard, now) {
        told(ctx, account);
    }
    Ok(())
}

pub(super) fn on_disconnected(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let Some(seen) = ctx.state.seen.get_mut(&account) else { return Ok(()) };
    seen.on_disconnected();
    let last_seen = seen.last_seen();
    told(ctx, account);
    remember(ctx, account, last_seen)
}

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let lapsed: Vec<AccountId> =
        ctx.state.typing.iter().filter(|(_, until)| **until <= now).map(|(who, _)| *who).collect();
    for account in lapsed {
        ctx.state.typing.remove(&account);
    }
    decay(ctx);
    let here = ctx.state.focus.is_here(now);
    let due = ctx.state.told.at.is_none_or(|at| now.since(at) >= RENEWAL);
    if here != ctx.state.told.here || (here && due) {
        ctx.state.told.here = here;
        ctx.state.told.at = Some(now);
        if here {
            look_for_contacts(ctx)?;
        }
        let connected: Vec<AccountId> = ctx.state.paths.keys().copied().collect();
        for account in connected {
            tell(ctx, account)?;
        }
    }
    Ok(())
}

/// Tells tabs about contacts whose lease has run out since they were last told.
fn decay(ctx: &mut Ctx<'_>) {
    let now = ctx.now;
    let lapsed: Vec<AccountId> = ctx
        .state
        .seen
        .iter_mut()
        .filter_map(|(account, seen)| seen.lapse(now).then_some(*account))
        .collect();
    for account in lapsed {
        told(ctx, account);
    }
}

/// Somebody is here: contacts that are not connected are looked for. The network spaces out
/// attempts at those that do not answer.
fn look_for_contacts(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for record in contact::all(ctx)? {
        if !ctx.state.paths.contains_key(&record.account) {
            ctx.net(NetCommand::Connect(record.account));
        }
    }
    Ok(())
}

fn told(ctx: &mut Ctx<'_>, account: AccountId) {
    let presence = crate::view::presence(ctx, account);
    ctx.emit_volatile(EventBody::Presence(presence));
}

fn tell(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let shares = |card: &ContactCard| card.shares_presence;
    let mutual = contact::get(ctx, account)?.is_some_and(|record| shares(&record.card));
    if !mutual || !ctx.state.paths.contains_key(&account) {
        return Ok(());
    }
    let now = ctx.now;
    let said = Ephemeral {
        here: ctx.state.focus.is_here(now),
        typing: ctx.state.typing.get(&account).is_some_and(|until| now < *until),
    };
    let Ok(content) = encode(&said) else { return Ok(()) };
    let (sessions, cx) = ctx.sessions_cx(account)?;
    let Some(session) = sessions.sealing() else { return Ok(()) };
    let Ok(sealed) = session.seal_ephemeral(&content, cx.now.seconds(), cx.rng) else {
        return Ok(());
    };
    let request = EnvelopeRequest::Ephemeral { sealed: ByteBuf::from(sealed) };
    ctx.ask(Answer::Ephemeral, |ticket| NetCommand::Envelope { ticket, to: account, request });
    Ok(())
}

fn remember(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    last_seen: Option<protocol::time::Timestamp>,
) -> Result<(), StoreError> {
    let Some(mut record) = contact::get(ctx, account)? else { return Ok(()) };
    if last_seen.is_some() && record.last_seen != last_seen {
        record.last_seen = last_seen;
        contact::put(ctx, &record)?;
    }
    Ok(())
}
