//! What a relay held for us.

use protocol::chat::Route;
use protocol::ids::{AccountId, QueueId, RelayId};
use protocol::mailbox::wire::Item;
use protocol::time::MINUTE;

use super::{Purpose, QueueRecord, Standing, by_receive};
use crate::engine::Ctx;
use crate::service::session::{self, Fate};
use crate::service::{invite, receipt, rekey};
use crate::store::StoreError;

/// An item that does not open stays at the relay for an hour: what it needs may be on its way.
pub(super) const UNOPENED_GRACE: u64 = 60 * MINUTE;

/// Items that a relay held. Returns those that are dealt with.
pub(in crate::service) fn on_items(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
    items: Vec<Item>,
) -> Result<Vec<(QueueId, u64)>, StoreError> {
    let mut durable = Vec::new();
    for item in items {
        let known = by_receive(ctx, item.receive)?;
        // Of a queue that we do not know, nothing was opened: it is not ours to delete.
        let Some(record) = known.filter(|record| record.relay.relay == relay) else { continue };
        if on_item(ctx, &record, &item)? {
            durable.push((item.receive, item.seq));
        }
    }
    Ok(durable)
}

fn on_item(ctx: &mut Ctx<'_>, record: &QueueRecord, item: &Item) -> Result<bool, StoreError> {
    match record.purpose {
        Purpose::Drop(invite) => {
            invite::on_drop_item(ctx, invite, item)?;
            Ok(true)
        }
        Purpose::Contact(account) => {
            let opened = on_contact_item(ctx, account, item)?;
            // What does not open is about to go with its queue.
            Ok(opened || matches!(record.standing, Standing::Closing(_)))
        }
    }
}

fn on_contact_item(ctx: &mut Ctx<'_>, account: AccountId, item: &Item) -> Result<bool, StoreError> {
    let deposited_at = Some(item.deposited_at);
    match session::receive_one(ctx, account, Route::Mailbox, &item.body, deposited_at)? {
        Fate::Durable(received) => {
            if received.wants_receipt {
                receipt::owe(ctx, account, received.envelope);
            }
            Ok(true)
        }
        Fate::Unopened if ctx.now.since(item.deposited_at) >= UNOPENED_GRACE => {
            rekey::on_forgotten(ctx, account)?;
            Ok(true)
        }
        Fate::Past => Ok(true),
        Fate::Unopened | Fate::Needed => Ok(false),
    }
}
