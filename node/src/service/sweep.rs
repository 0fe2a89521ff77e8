//! The sweeper: what is over ends, what is old goes.

use protocol::ids::EnvelopeId;
use protocol::time::{DAY, MINUTE};

use super::{chat, invite, outbox, queue, rekey, request, session};
use crate::engine::{Ctx, JournalRow, MAX_JOURNAL_AGE, MAX_JOURNAL_EVENTS, journal};
use crate::store::{Key, Order, StoreError, Tree};

/// How often it looks.
const EVERY: u64 = MINUTE;
/// Most rows that one look deletes of one tree: a step must stay short.
const MAX_DELETED: usize = 500;
/// How long an opened envelope is remembered.
const SEEN_LIFE: u64 = 30 * DAY;

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    if ctx.now < ctx.state.sweep_at {
        return Ok(());
    }
    let first = ctx.state.sweep_at == ctx.state.started_at;
    ctx.state.sweep_at = ctx.now.plus(EVERY);
    if first {
        chat::resume_receipts(ctx)?;
        chat::resume(ctx)?;
    }
    invite::expire(ctx)?;
    request::expire(ctx)?;
    outbox::expire(ctx)?;
    queue::drain(ctx)?;
    queue::rotate(ctx)?;
    chat::ask_for_gaps(ctx)?;
    rekey::forget_over(ctx)?;
    prune_journal(ctx)?;
    prune_seen(ctx)
}

fn prune_journal(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let all = (&0u64.to_be_bytes()[..], &u64::MAX.to_be_bytes()[..]);
    let rows: Vec<(Key, JournalRow)> =
        ctx.range((Tree::Journal, &[]), all, Order::Rising, MAX_DELETED)?;
    let (now, last) = (ctx.now, ctx.cursor());
    for (key, row) in rows {
        let old = now.since(row.at) >= MAX_JOURNAL_AGE;
        let many = last.saturating_sub(journal::seq_of(&key)) >= MAX_JOURNAL_EVENTS;
        // The last row stays: its number is where the next start goes on.
        if (old || many) && journal::seq_of(&key) != last {
            ctx.delete(key);
        }
    }
    Ok(())
}

/// Looks at some of the remembered envelopes, beginning at a random one each time.
fn prune_seen(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let start = EnvelopeId::random(ctx.rng);
    let rows: Vec<(Key, session::SeenRow)> = ctx.sample(Tree::Seen, &start.0, MAX_DELETED)?;
    let now = ctx.now;
    for (key, row) in rows {
        if now.since(row.at) >= SEEN_LIFE {
            ctx.delete(key);
        }
    }
    Ok(())
}
