//! Receipts: what we sign for, and what others signed for.

use protocol::chat::{Delivered, Route};
use protocol::envelope::{Content, ReadUpTo, shown_time};
use protocol::ids::{AccountId, EnvelopeId, MessageId};
use protocol::outbox::Class;
use protocol::receipt::{DeliveryReceipt, MAX_ENVELOPES};

use super::{chat, contact, outbox, session};
use crate::engine::Ctx;
use crate::store::StoreError;

/// How long reading is gathered before it is told.
pub const READ_DELAY: u64 = 400;

/// Signs for frames that this step makes durable. It is sent after the commit.
#[must_use]
pub fn sign(ctx: &Ctx<'_>, sender: AccountId, envelopes: Vec<EnvelopeId>) -> DeliveryReceipt {
    DeliveryReceipt::sign(&ctx.account.identity, sender, envelopes, ctx.now)
}

/// A frame came through a mailbox: its author is owed a receipt.
pub(super) fn owe(ctx: &mut Ctx<'_>, account: AccountId, envelope: EnvelopeId) {
    ctx.state.receipts_due.entry(account).or_default().push(envelope);
}

/// They signed for frames of ours.
pub(super) fn on_delivered(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    receipt: &DeliveryReceipt,
    route: Option<Route>,
) -> Result<(), StoreError> {
    if receipt.verify(account, ctx.account.id).is_err() {
        tracing::debug!(account = %account.short(), "a receipt that proves nothing");
        return Ok(());
    }
    let at = shown_time(receipt.at, ctx.now);
    let Some(lane) = ctx.state.lanes.get_mut(&account) else { return Ok(()) };
    let parcels = lane.on_delivered(&receipt.envelopes);
    outbox::delete(ctx, account, &parcels);
    for parcel in &parcels {
        if let Class::Message(message) = parcel.class {
            // Without a direct answer the receipt itself came through the mailbox.
            let route = route.or(parcel.custody_until.map(|_| Route::Mailbox));
            let delivered = Delivered { at, route };
            chat::on_delivered(ctx, message, delivered)?;
        }
    }
    Ok(())
}

/// The person read up to a message: their contact is told in a moment.
pub(super) fn owe_read(ctx: &mut Ctx<'_>, account: AccountId) {
    let due = ctx.now.plus(READ_DELAY);
    ctx.state.reads_due.entry(account).or_insert(due);
}

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for (account, envelopes) in std::mem::take(&mut ctx.state.receipts_due) {
        if contact::get(ctx, account)?.is_none() {
            continue;
        }
        for envelopes in envelopes.chunks(MAX_ENVELOPES) {
            let receipt = sign(ctx, account, envelopes.to_vec());
            send(ctx, account, Content::Delivered(receipt))?;
        }
    }
    let now = ctx.now;
    let due: Vec<AccountId> =
        ctx.state.reads_due.iter().filter(|(_, at)| **at <= now).map(|(who, _)| *who).collect();
    for account in due {
        ctx.state.reads_due.remove(&account);
        if let Some(message) = chat::last_read(ctx, account)? {
            send_read(ctx, account, message)?;
        }
    }
    Ok(())
}

fn send_read(ctx: &mut Ctx<'_>, account: AccountId, message: MessageId) -> Result<(), StoreError> {
    let read = ReadUpTo { message, at: ctx.now };
    send(ctx, account, Content::Read(read))
}

fn send(ctx: &mut Ctx<'_>, account: AccountId, content: Content) -> Result<(), StoreError> {
    let outgoing = session::Outgoing::detached(content);
    match session::send(ctx, account, outgoing, Class::Receipt) {
        Err(crate::engine::Failure::Store(error)) => Err(error),
        _ => Ok(()),
    }
}
