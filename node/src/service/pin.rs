//! Pins: which life of a contact is the one that is talked with.

use protocol::ids::AccountId;
use protocol::pin::Pin;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use crypto::DeviceCert;

use crate::engine::{Ctx, Event};
use crate::store::{Key, StoreError, Tree};

/// A contact's pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRecord {
    /// Whose.
    pub account: AccountId,
    /// What is held.
    pub pin: Pin,
}

impl Wire for PinRecord {
    const LIMIT: usize = 256;
}

/// What is held of a contact's certificate.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>, account: AccountId) -> Result<Pin, StoreError> {
    let record: Option<PinRecord> = ctx.get(&key(ctx, account))?;
    Ok(record.map_or_else(Pin::default, |record| record.pin))
}

/// A handshake with somebody who may become a contact.
pub(super) fn meet(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    cert: &DeviceCert,
) -> Result<(), StoreError> {
    let mut pin = get(ctx, account)?;
    pin.meet(cert);
    put(ctx, &PinRecord { account, pin })
}

/// They are a contact, from now on or again. In another life, no session with the one before stays.
pub(super) fn on_met(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = ctx.now;
    if change(ctx, account, |pin| pin.on_met(now))? {
        ctx.sessions(account)?.keep_latest_meetings();
    }
    Ok(())
}

/// The keys with a contact were renewed. Returns whether it is another life of theirs.
pub(super) fn on_renewed(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    cert: &DeviceCert,
) -> Result<bool, StoreError> {
    let now = ctx.now;
    change(ctx, account, |pin| pin.renew(cert, now))
}

fn change(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    change: impl FnOnce(&mut Pin) -> bool,
) -> Result<bool, StoreError> {
    let before = get(ctx, account)?;
    let mut pin = before.clone();
    let told = change(&mut pin);
    if pin != before {
        put(ctx, &PinRecord { account, pin })?;
    }
    if told {
        tracing::info!(account = %account.short(), "they began anew");
        ctx.emit(Event::ContactChanged(account));
    }
    Ok(told)
}

/// The contact is one no more, or never became one.
pub(super) fn forget(ctx: &mut Ctx<'_>, account: AccountId) {
    let key = key(ctx, account);
    ctx.delete(key);
}

/// Stores one, of a backup as well.
pub(super) fn put(ctx: &mut Ctx<'_>, record: &PinRecord) -> Result<(), StoreError> {
    let key = key(ctx, record.account);
    ctx.put(key, record)
}

fn key(ctx: &Ctx<'_>, account: AccountId) -> Key {
    ctx.key(Tree::Pin, &account.0, &[])
}
