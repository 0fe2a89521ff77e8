//! Giving a queue up: collecting what is left in it, closing it, forgetting it.

use protocol::ids::QueueId;
use protocol::mailbox::wire::MailboxRefusal;
use protocol::outbox::{Class, LIFE};
use protocol::time::{DAY, HOUR};

use super::items::UNOPENED_GRACE;
use super::{
    Purpose, QueueRecord, Standing, address, again, all, by_receive, collect, key, put, resume,
};
use crate::engine::{Answer, Ctx};
use crate::net::{NetCommand, NetFailure};
use crate::store::StoreError;

/// How long a queue is collected from at least, once another took its place.
const DRAIN: u64 = 7 * DAY;
/// By then a card that its contact did not get is given up: it is not waited for any longer.
const TOLD_BY: u64 = LIFE;
/// A relay that has not handed over anything for so long is gone.
const DRAIN_MAX: u64 = 90 * DAY;
/// How often it is looked whether a queue is done with, after [`DRAIN`].
const LOOK_AGAIN: u64 = HOUR;
/// How long a relay is asked to close a queue. One that has not answered by then is gone.
const CLOSING_MAX: u64 = 90 * DAY;

/// Closes every queue for a purpose: nobody is to deposit for it any more.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn close(ctx: &mut Ctx<'_>, purpose: Purpose) -> Result<(), StoreError> {
    let known = ctx.state.queues.known.iter();
    let theirs: Vec<QueueId> =
        known.filter(|(_, place)| place.purpose == purpose).map(|(receive, _)| *receive).collect();
    for receive in theirs {
        if let Some(record) = by_receive(ctx, receive)?
            && !matches!(record.standing, Standing::Closing(_))
        {
            begin_to_close(ctx, record)?;
        }
    }
    Ok(())
}

/// No relay takes queues of contacts any more; what is on its way into them is still collected.
pub(in crate::service) fn leave_all(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for record in all(ctx)? {
        if matches!(record.purpose, Purpose::Contact(_)) && !record.place().spare {
            leave(ctx, record)?;
        }
    }
    Ok(())
}

/// Another queue takes the place of this one. Until its depositors know that, they use it.
pub(super) fn leave(ctx: &mut Ctx<'_>, mut record: QueueRecord) -> Result<(), StoreError> {
    let attached = record.standing == Standing::Open;
    restand(ctx, &mut record, Standing::Left(ctx.now))?;
    restore(ctx, &record);
    match attached {
        true => Ok(()),
        // The relay may have opened it all the same.
        false => collect(ctx, record.relay.relay),
    }
}

/// Plans when it is looked whether a queue that was left is done with.
pub(super) fn restore(ctx: &mut Ctx<'_>, record: &QueueRecord) {
    if let Standing::Left(since) = record.standing {
        ctx.state.queues.draining.insert(record.receive, since.plus(DRAIN));
    }
}

/// Closes what was left, once its depositors know better and it was collected from.
pub(in crate::service) fn drain(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let draining = ctx.state.queues.draining.iter_mut().filter(|(_, at)| **at <= now);
    let due: Vec<QueueId> = draining
        .map(|(receive, at)| {
            *at = now.plus(LOOK_AGAIN);
            *receive
        })
        .collect();
    for receive in due {
        if let Some(record) = by_receive(ctx, receive)?
            && is_drained(ctx, &record)
        {
            begin_to_close(ctx, record)?;
        }
    }
    Ok(())
}

fn is_drained(ctx: &Ctx<'_>, record: &QueueRecord) -> bool {
    let (Standing::Left(since), Purpose::Contact(account)) = (record.standing, record.purpose)
    else {
        return true;
    };
    let age = ctx.now.since(since);
    let carries_card = |class: Class| matches!(class, Class::Card | Class::Control);
    let lane = ctx.state.lanes.get(&account);
    let told = !lane.is_some_and(|lane| lane.parcels().any(|parcel| carries_card(parcel.class)));
    let collected = ctx.state.queues.collected.get(&record.relay.relay);
    let collected = collected.is_some_and(|at| ctx.now.since(*at) >= UNOPENED_GRACE);
    // What is there is fetched before it is closed, however old: a depositor may rely on it.
    age >= DRAIN_MAX || (age >= DRAIN && collected && (told || age >= TOLD_BY))
}

pub(super) fn begin_to_close(ctx: &mut Ctx<'_>, mut record: QueueRecord) -> Result<(), StoreError> {
    restand(ctx, &mut record, Standing::Closing(ctx.now))?;
    resume(ctx, &record)
}

pub(super) fn ask_to_close(ctx: &mut Ctx<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    let (relay, queue) = (address(ctx, record)?, record.owned());
    ctx.ask(Answer::QueueClosed(record.receive), |ticket| NetCommand::CloseQueue {
        ticket,
        relay,
        queue,
    });
    Ok(())
}

pub(in crate::service) fn on_closed(
    ctx: &mut Ctx<'_>,
    receive: QueueId,
    result: Result<(), NetFailure>,
) -> Result<(), StoreError> {
    let Some(record) = by_receive(ctx, receive)? else { return Ok(()) };
    let Standing::Closing(since) = record.standing else { return Ok(()) };
    // Denied: there is no such queue. But its opening takes another way, and may come later.
    let gone = matches!(result, Ok(()) | Err(NetFailure::Refused(MailboxRefusal::Denied)))
        && !ctx.state.queues.opening.contains(&receive);
    if gone || ctx.now.since(since) >= CLOSING_MAX {
        return forget(ctx, &record);
    }
    again(ctx, receive);
    Ok(())
}

/// Forgets a queue that its relay does not have any more.
pub(super) fn forget(ctx: &mut Ctx<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    let row = key(ctx, record.place(), record.receive);
    ctx.delete(row);
    let queues = &mut ctx.state.queues;
    queues.known.remove(&record.receive);
    queues.retries.remove(&record.receive);
    queues.draining.remove(&record.receive);
    collect(ctx, record.relay.relay)
}

/// Moves a queue on in its life, and its row to where it is then.
pub(super) fn restand(
    ctx: &mut Ctx<'_>,
    record: &mut QueueRecord,
    standing: Standing,
) -> Result<(), StoreError> {
    let row = key(ctx, record.place(), record.receive);
    ctx.delete(row);
    record.standing = standing;
    put(ctx, record)?;
    let queues = &mut ctx.state.queues;
    queues.known.insert(record.receive, record.place());
    queues.retries.remove(&record.receive);
    queues.draining.remove(&record.receive);
    Ok(())
}
