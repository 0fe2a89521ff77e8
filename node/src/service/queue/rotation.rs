//! A new queue for each contact now and then: what has leaked of an old right to deposit is worth nothing for long, and
//! a relay that watches a queue loses it.
//!
//! 1. One contact at a time has its turn, so that each has one within [`ROTATION`] and nothing happens in bursts.
//! 2. Another queue is opened beside the one in use.
//! 3. When the relay has said that it is open, it takes its place, and a card tells the contact.
//!
//! # Invariants
//! * The queue that a contact knows stays open until another one is.

use crypto::Secret;
use protocol::ids::{AccountId, QueueId};
use protocol::outbox::MAX_PARCELS;
use protocol::time::{DAY, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use super::{Purpose, QueueRecord, Standing, all, begin, collect, current, leaving};
use crate::engine::Ctx;
use crate::net::NetFailure;
use crate::service::{contact, registration, rekey};
use crate::store::{StoreError, Tree};

/// In this time every contact has its turn.
const ROTATION: u64 = 30 * DAY;
/// So many turns that were missed are made up for.
const MISSED: u64 = 8;
/// While so many queues are left at the relay and not closed yet, nobody has: it counts them as well.
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

/// Opens another queue for whose turn it is.
pub(in crate::service) fn rotate(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Meta, b"rotation", &[]);
    let row: Option<RotationRow> = ctx.get(&key)?;
    let places = ctx.state.queues.known.values();
    let in_use = places.filter(|place| !place.spare);
    let contacts = in_use.filter(|place| matches!(place.purpose, Purpose::Contact(_))).count();
    let pause = ROTATION / contacts.max(1) as u64;
    // A time that is to come was written with another clock.
    let early = |row: &RotationRow| row.at <= ctx.now && ctx.now < row.at.plus(pause);
    if row.as_ref().is_some_and(early) {
        return Ok(());
    }
    let (turns, left) = turns(ctx)?;
    let Some(first) = turns.first() else { return Ok(()) };
    let Some(RotationRow { mut last, at }) = row else {
        return ctx.put(key, &RotationRow { last: AccountId([0; 32]), at: ctx.now });
    };
    if left < MAX_LEFT {
        last = *turns.iter().find(|account| **account > last).unwrap_or(first);
        let relay = current(ctx, Purpose::Contact(last))?.map(|record| record.relay.clone());
        if let Some(relay) = relay {
            let address = (QueueId::random(ctx.rng), Secret::<32>::random(ctx.rng));
            begin(ctx, Purpose::Contact(last), relay, address, (None, Standing::Succeeding))?;
        }
    }
    let missed = ctx.now.minus(pause.saturating_mul(MISSED));
    let at = if at > ctx.now { ctx.now } else { at.plus(pause).max(missed) };
    ctx.put(key, &RotationRow { last, at })
}

/// The contacts who could be told of another queue, in their order; and how many are left at our relay.
fn turns(ctx: &Ctx<'_>) -> Result<(Vec<AccountId>, usize), StoreError> {
    let Some(home) = registration::home(ctx)? else { return Ok((Vec::new(), 0)) };
    let (mut turns, mut left) = (Vec::new(), 0);
    for record in all(ctx)?.iter().filter(|record| record.relay.relay == home.relay) {
        match (record.purpose, record.standing) {
            (Purpose::Contact(account), Standing::Open) if may_be_told(ctx, account)? => {
                turns.push(account);
            }
            (_, Standing::Left(_) | Standing::Succeeding) => left += 1,
            _ => {}
        }
    }
    turns.sort_unstable();
    Ok((turns, left))
}

/// Whether a card would be sent: there are keys to seal it with, and room for it.
fn may_be_told(ctx: &Ctx<'_>, account: AccountId) -> Result<bool, StoreError> {
    let lane = ctx.state.lanes.get(&account);
    let has_room = lane.is_some_and(|lane| lane.len() < MAX_PARCELS / 2);
    Ok(has_room && contact::get(ctx, account)?.is_some() && !rekey::is_awaited(ctx, account)?)
}

/// The relay answered for one that is to take another's place.
pub(super) fn on_opened(
    ctx: &mut Ctx<'_>,
    mut record: QueueRecord,
    result: Result<(), NetFailure>,
) -> Result<(), StoreError> {
    let Purpose::Contact(account) = record.purpose else { return Ok(()) };
    let in_use = current(ctx, record.purpose)?;
    let at_home = registration::home(ctx)?.is_some_and(|home| home.relay == record.relay.relay);
    let replaced = in_use.filter(|in_use| {
        result.is_ok()
            && at_home
            && in_use.standing == Standing::Open
            && in_use.relay.relay == record.relay.relay
    });
    let Some(replaced) = replaced.filter(|_| may_be_told(ctx, account).unwrap_or_default()) else {
        // The one that the contact knows stays; whether this one is open is not known for sure.
        return leaving::begin_to_close(ctx, record);
    };
    leaving::leave(ctx, replaced)?;
    leaving::restand(ctx, &mut record, Standing::Open)?;
    collect(ctx, record.relay.relay)?;
    // The card says where it is.
    contact::send_card(ctx, account)
}
