//! A new queue for each contact now and then: what has leaked of an old right to deposit is worth nothing for long, and
//! a relay that watches a queue loses it.
//!
//! One contact at a time has its turn, so that each has one within [`ROTATION`] and nothing happens in bursts.

use protocol::ids::AccountId;
use protocol::time::{DAY, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use super::{Place, Purpose, QueueRecord, Standing, all, current, leaving};
use crate::engine::Ctx;
use crate::service::{contact, registration};
use crate::store::{StoreError, Tree};

/// In this time every contact has its turn.
const ROTATION: u64 = 30 * DAY;
/// While so many queues are left and not closed yet, nobody has: a relay counts them as well.
const MAX_LEFT: usize = 100;

/// Whose turn it was, and when that was.
#[derive(Debug, Serialize, Deserialize)]
struct RotationRow {
    last: AccountId,
    at: Timestamp,
}

impl Wire for RotationRow {
    const LIMIT: usize = 64;
}

/// Replaces the queue of whose turn it is.
pub(in crate::service) fn rotate(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Meta, b"rotation", &[]);
    let row: Option<RotationRow> = ctx.get(&key)?;
    let known = &ctx.state.queues.known;
    let left = known.values().filter(|place| place.past).count();
    let is_contacts = |place: &&Place| !place.past && matches!(place.purpose, Purpose::Contact(_));
    let pause = ROTATION / known.values().filter(is_contacts).count().max(1) as u64;
    // A time that is to come was written with another clock.
    let early = |row: &RotationRow| row.at <= ctx.now && ctx.now < row.at.plus(pause);
    if row.as_ref().is_some_and(early) {
        return Ok(());
    }
    let turns = turns(ctx)?;
    let Some(first) = turns.first() else { return Ok(()) };
    let mut last = AccountId([0; 32]);
    if let Some(row) = row {
        last = row.last;
        if left < MAX_LEFT {
            last = *turns.iter().find(|account| **account > row.last).unwrap_or(first);
            replace(ctx, last)?;
        }
    }
    ctx.put(key, &RotationRow { last, at: ctx.now })
}

/// The contacts with a queue that could be replaced, in their order.
fn turns(ctx: &Ctx<'_>) -> Result<Vec<AccountId>, StoreError> {
    let Some(home) = registration::home(ctx)? else { return Ok(Vec::new()) };
    let mut turns = Vec::new();
    for record in all(ctx)? {
        if let QueueRecord { purpose: Purpose::Contact(account), standing: Standing::Open, .. } =
            &record
            && record.relay.relay == home.relay
            && contact::get(ctx, *account)?.is_some()
        {
            turns.push(*account);
        }
    }
    turns.sort_unstable();
    Ok(turns)
}

fn replace(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    if let Some(record) = current(ctx, Purpose::Contact(account))? {
        leaving::leave(ctx, record)?;
        // The card says where the new one is.
        contact::send_card(ctx, account)?;
    }
    Ok(())
}
