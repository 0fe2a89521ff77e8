//! The outbox: stored frames, and the lanes that say when each goes where.

use crypto::Secret;
use protocol::chat::{Custody, Failure as GivenUp};
use protocol::ids::{AccountId, EnvelopeId, MessageId, RelayId};
use protocol::mailbox::proof::custody_holds;
use protocol::mailbox::wire::{CustodyReceipt, DepositRefusal};
use protocol::outbox::{Action, CUSTODY_MARGIN, Class, DepositEnd, Hopeless, Parcel, TTL_SECONDS};
use protocol::wire::Wire;
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{chat, contact, receipt, request};
use crate::engine::{Answer, Ctx};
use crate::net::{NetCommand, NetFailure, Path, SealedDeposit};
use crate::store::{StoreError, Tree};

/// A sealed frame as it is stored.
#[derive(Serialize, Deserialize)]
struct FrameRow {
    frame: ByteBuf,
}

impl Wire for FrameRow {
    const LIMIT: usize = crypto::MAX_FRAME + 64;
}

/// Stores a parcel and its frame.
///
/// # Errors
/// [`StoreError`] when they exceed their bounds.
pub fn put(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    parcel: &Parcel,
    frame: Vec<u8>,
) -> Result<(), StoreError> {
    let order = parcel.order.to_be_bytes();
    let parcel_key = ctx.key(Tree::Outbox, &account.0, &order);
    ctx.put(parcel_key, parcel)?;
    let frame_key = ctx.key(Tree::Frame, &account.0, &order);
    ctx.put(frame_key, &FrameRow { frame: ByteBuf::from(frame) })
}

/// Does whatever the lanes want done now.
///
/// # Errors
/// [`StoreError`] when frames cannot be read.
pub fn pump(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let mut actions = Vec::new();
    for (account, lane) in &mut ctx.state.lanes {
        while let Some(action) = lane.next_action(now) {
            actions.push((*account, action));
        }
    }
    for (account, action) in actions {
        match action {
            Action::Connect => ctx.net(NetCommand::Connect(account)),
            Action::Deliver(orders) => deliver(ctx, account, orders)?,
            Action::Deposit(orders) => deposit(ctx, account, orders, false)?,
            Action::DepositReserved(orders) => deposit(ctx, account, orders, true)?,
        }
    }
    Ok(())
}

/// A direct batch was answered, or not.
pub(super) fn on_sent(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    orders: &[u64],
    result: Result<(Path, EnvelopeResponse), NetFailure>,
) -> Result<(), StoreError> {
    let answered = match result {
        Ok((path, EnvelopeResponse::Durable { receipt })) => {
            receipt::on_delivered(ctx, account, &receipt, Some(super::route(path)))?;
            true
        }
        Ok((_, EnvelopeResponse::Refused)) => true,
        Ok(_) | Err(_) => false,
    };
    let now = ctx.now;
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        let mut cx = protocol::Cx { now, rng: ctx.rng };
        match answered {
            true => lane.on_deliver_answered(orders, &mut cx),
            false => lane.on_deliver_failed(orders, &mut cx),
        }
    }
    if answered { Ok(()) } else { explain(ctx, account) }
}

/// A deposit was answered, or not.
pub(super) fn on_deposited(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    relay: RelayId,
    (orders, reserved): (&[u64], bool),
    result: Result<Vec<Result<CustodyReceipt, DepositRefusal>>, NetFailure>,
) -> Result<(), StoreError> {
    let (mut taken, mut full) = (false, false);
    for (order, result) in orders.iter().zip(result.unwrap_or_default()) {
        let receipt = match result {
            Ok(receipt) => receipt,
            Err(refusal) => {
                full |= refusal == DepositRefusal::Full;
                continue;
            }
        };
        if custody_holds(&receipt, relay) {
            // A relay repeats its receipt for what was fetched from it long ago: one that is
            // about to run out quiets nothing, and must not be asked for at once.
            let lasts = ctx.now < receipt.until.minus(CUSTODY_MARGIN);
            taken |= on_custody(ctx, account, *order, &receipt)? && lasts;
        }
    }
    let end = match (taken, full) {
        (true, _) => DepositEnd::Taken,
        (false, true) => DepositEnd::Full,
        (false, false) => DepositEnd::Failed,
    };
    deposit_ended(ctx, account, (orders, reserved), end);
    if taken { Ok(()) } else { explain(ctx, account) }
}

/// Takes parcels out of the store.
pub(super) fn delete(ctx: &mut Ctx<'_>, account: AccountId, parcels: &[Parcel]) {
    for parcel in parcels {
        let order = parcel.order.to_be_bytes();
        for tree in [Tree::Outbox, Tree::Frame] {
            let key = ctx.key(tree, &account.0, &order);
            ctx.delete(key);
        }
    }
}

/// The person asked to try now.
pub(super) fn try_now(ctx: &mut Ctx<'_>, account: AccountId) {
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        lane.try_now();
        ctx.net(NetCommand::Connect(account));
    }
}

/// A newer card is about to be queued: older ones that nobody has yet are not sent any more.
pub(super) fn supersede_cards(ctx: &mut Ctx<'_>, account: AccountId) {
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        let parcels = lane.supersede_cards();
        delete(ctx, account, &parcels);
    }
}

/// Whether a frame waits for an account.
pub(super) fn has(ctx: &Ctx<'_>, account: AccountId, envelope: EnvelopeId) -> bool {
    let lane = ctx.state.lanes.get(&account);
    lane.is_some_and(|lane| lane.parcels().any(|parcel| parcel.envelope == envelope))
}

/// Takes out everything that waits for an account, but for one frame: it is to be sealed anew. The lane
/// is to be restored.
pub(super) fn clear(ctx: &mut Ctx<'_>, account: AccountId, but: Option<EnvelopeId>) -> Vec<Parcel> {
    let Some(lane) = ctx.state.lanes.remove(&account) else { return Vec::new() };
    // An answer that is on its way names none of those that follow.
    ctx.state.next_order = ctx.state.next_order.max(lane.next_order());
    let cleared = lane.parcels().filter(|parcel| Some(parcel.envelope) != but);
    let parcels: Vec<Parcel> = cleared.cloned().collect();
    delete(ctx, account, &parcels);
    parcels
}

/// A first session with somebody: what still waits for them belongs to sessions that are gone.
/// They could only refuse it, and hold up what follows.
pub(super) fn start_over(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    contact::restore_lane(ctx, account, false)?;
    clear(ctx, account, None);
    contact::restore_lane(ctx, account, false)
}

/// A contact is gone: what waits for them is given up.
pub(super) fn drop_lane(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let Some(lane) = ctx.state.lanes.remove(&account) else { return Ok(()) };
    let parcels: Vec<Parcel> = lane.parcels().cloned().collect();
    give_up(ctx, account, &parcels, GivenUp::ContactGone)
}

/// Gives up what was tried for too long.
pub(super) fn expire(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let accounts: Vec<AccountId> = ctx.state.lanes.keys().copied().collect();
    for account in accounts {
        let Some(lane) = ctx.state.lanes.get_mut(&account) else { continue };
        for (parcel, why) in lane.give_up(now) {
            let why = match why {
                Hopeless::TooOld => GivenUp::Expired,
                Hopeless::NeverOpened => GivenUp::SessionBroken,
            };
            give_up(ctx, account, &[parcel], why)?;
        }
    }
    Ok(())
}

/// Takes back a message that nobody has signed for.
pub(super) fn forget(ctx: &mut Ctx<'_>, account: AccountId, message: MessageId) {
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        let parcels = lane.forget(message);
        delete(ctx, account, &parcels);
    }
}

/// Tells tabs that the reason why something waits may have changed.
pub(super) fn explain(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    /// Only the newest waiting messages are on any screen.
    const SHOWN: usize = 20;
    let Some(lane) = ctx.state.lanes.get(&account) else { return Ok(()) };
    let parcels: Vec<Parcel> = lane.parcels().cloned().collect();
    for parcel in parcels.iter().rev().take(SHOWN) {
        if let Class::Message(message) = parcel.class {
            chat::tell_message(ctx, message)?;
        }
    }
    Ok(())
}

fn deliver(ctx: &mut Ctx<'_>, account: AccountId, orders: Vec<u64>) -> Result<(), StoreError> {
    let frames = frames(ctx, account, &orders)?.into_iter().map(ByteBuf::from).collect();
    let request = EnvelopeRequest::Deliver { frames };
    ctx.ask(Answer::Envelope(account, orders), |ticket| NetCommand::Envelope {
        ticket,
        to: account,
        request,
    });
    Ok(())
}

fn deposit_ended(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    (orders, reserved): (&[u64], bool),
    end: DepositEnd,
) {
    let mut cx = protocol::Cx { now: ctx.now, rng: ctx.rng };
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        match reserved {
            true => lane.on_reserved_ended(orders, end, &mut cx),
            false => lane.on_deposit_ended(orders, end, &mut cx),
        }
    }
}

fn deposit(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    orders: Vec<u64>,
    reserved: bool,
) -> Result<(), StoreError> {
    let card = match contact::get(ctx, account)? {
        Some(record) => Some(record.card),
        None => request::card(ctx, account)?,
    };
    let Some(mailbox) = card.as_ref().and_then(|card| card.mailboxes.first()) else {
        if let Some(lane) = ctx.state.lanes.get_mut(&account) {
            lane.set_mailbox(false);
        }
        deposit_ended(ctx, account, (&orders, reserved), DepositEnd::Failed);
        return Ok(());
    };
    let class = |order: &u64| {
        let lane = ctx.state.lanes.get(&account)?;
        lane.parcels().find(|parcel| parcel.order == *order).map(|parcel| parcel.class)
    };
    let ttls = orders.iter().map(|order| class(order).map_or(TTL_SECONDS, Class::ttl_seconds));
    let deposits = frames(ctx, account, &orders)?
        .into_iter()
        .zip(ttls)
        .map(|(body, ttl_seconds)| SealedDeposit {
            send: mailbox.send,
            key: Secret::from_bytes(mailbox.key.into_array()),
            ttl_seconds,
            reserved,
            body,
        })
        .collect();
    let relay = contact::told_home(ctx, &mailbox.home)?;
    let answer = Answer::Deposit(account, relay.relay, (orders, reserved));
    ctx.ask(answer, |ticket| NetCommand::Deposit { ticket, relay, deposits });
    Ok(())
}

fn frames(ctx: &Ctx<'_>, account: AccountId, orders: &[u64]) -> Result<Vec<Vec<u8>>, StoreError> {
    orders
        .iter()
        .map(|order| {
            let key = ctx.key(Tree::Frame, &account.0, &order.to_be_bytes());
            let row: FrameRow = ctx.get(&key)?.ok_or(StoreError::Unreadable("frame"))?;
            Ok(row.frame.into_vec())
        })
        .collect()
}

fn on_custody(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    order: u64,
    receipt: &CustodyReceipt,
) -> Result<bool, StoreError> {
    let Some(lane) = ctx.state.lanes.get_mut(&account) else { return Ok(false) };
    let named =
        lane.parcels().any(|parcel| (parcel.order, parcel.envelope) == (order, receipt.envelope));
    if !named {
        return Ok(false);
    }
    let Some((parcel, done)) = lane.on_custody(order, receipt.until) else { return Ok(false) };
    if done {
        delete(ctx, account, &[parcel]);
        return Ok(true);
    }
    let key = ctx.key(Tree::Outbox, &account.0, &order.to_be_bytes());
    ctx.put(key, &parcel)?;
    if let Class::Message(message) = parcel.class {
        let custody = Custody { relay: receipt.relay, at: receipt.at, until: receipt.until };
        chat::with_delivery(ctx, message, |delivery| delivery.on_custody(custody))?;
    }
    Ok(true)
}

fn give_up(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    parcels: &[Parcel],
    why: GivenUp,
) -> Result<(), StoreError> {
    let now = ctx.now;
    delete(ctx, account, parcels);
    for parcel in parcels {
        if let Class::Message(message) = parcel.class {
            chat::with_delivery(ctx, message, |delivery| delivery.on_failed(now, why))?;
        }
    }
    if parcels.iter().any(|each| each.class == Class::Control) {
        chat::on_given_up(ctx, account, why == GivenUp::SessionBroken)?;
    }
    Ok(())
}
