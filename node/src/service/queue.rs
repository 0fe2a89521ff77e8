//! Mailbox queues that this node owns: one per contact, and a drop per invite.
//!
//! ```text
//! Opening ──▶ Open ──another took its place───▶ Left ──collected──▶ Closing ──▶ (forgotten)
//!    │         ▲│                                                      ▲
//!    └─────────┼┴──────────── contact removed, invite over ────────────┤
//!          Succeeding ─────────── the relay has no room for it ────────┘
//! ```
//!
//! 1. A queue is opened at the relay that admits us, and again when that relay lost it.
//! 2. Everything is collected from every relay that has a queue of ours.
//! 3. A queue that is not needed any more is closed, and remembered until its relay said so.
//!
//! # Invariants
//! * Nothing is acknowledged of a queue that we do not know: what cannot be opened here and now
//!   is not ours to delete.
//! * A relay is forgotten only when no queue of ours is there.
//!
//! Spec: `docs/protocol/mailbox.md` §9.

mod items;
mod leaving;
mod rotation;

use crypto::{Secret, SigningKey};
use protocol::contact::{DepositCapability, RelayHome};
use protocol::ids::{AccountId, InviteId, QueueId, RelayId};
use protocol::mailbox::wire::{MailboxRefusal, QueueKind, QueueSpec};
use protocol::time::{MINUTE, SECOND, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use zeroize::Zeroize;

pub(super) use items::on_items;
pub use leaving::close;
pub(super) use leaving::{drain, leave_all, on_closed};
pub(super) use rotation::rotate;

use super::registration;
use crate::engine::{Answer, Ctx};
use crate::net::{NetCommand, NetFailure, OwnedQueue};
use crate::store::{StoreError, Tree};

/// Most queues that one node has in use.
pub const MAX_QUEUES: usize = 1_200;
/// Most queues that one node remembers, with those that it gives up.
const MAX_REMEMBERED: usize = 4 * MAX_QUEUES;
/// First wait after a queue could not be opened or closed; doubles up to [`RETRY_MAX`].
const RETRY_MIN: u64 = 2 * SECOND;
/// Longest wait before a queue is tried again.
const RETRY_MAX: u64 = 10 * MINUTE;

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Purpose {
    /// Frames of one contact, or of somebody whose request is pending.
    Contact(AccountId),
    /// Join requests for one invite.
    Drop(InviteId),
}

/// Where a queue is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// The relay has not said yet that it is open.
    Opening,
    /// The relay said that it is open.
    Open,
    /// Another one took its place, at this time; what comes to it is still collected.
    Left(Timestamp),
    /// To be closed since this time; the relay has not said yet that it is.
    Closing(Timestamp),
    /// To take the place of the one that is in use, when the relay has said that it is open.
    Succeeding,
}

/// What a queue is for, and whether it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is for.
    pub purpose: Purpose,
    /// Given up, or not in use yet: it may be one of several for its purpose.
    pub spare: bool,
}

/// A queue of ours.
#[derive(Clone, Serialize, Deserialize)]
pub struct QueueRecord {
    /// What it is for.
    pub purpose: Purpose,
    /// Which relay keeps it.
    pub relay: RelayHome,
    /// Our address of it.
    pub receive: QueueId,
    /// The depositors' address.
    pub send: QueueId,
    owner_key: [u8; 32],
    deposit_key: [u8; 32],
    /// Drops only: when it closes, and the bundle that is kept beside it.
    drop: Option<(Timestamp, ByteBuf)>,
    /// Where it is in its life.
    pub standing: Standing,
}

impl Wire for QueueRecord {
    const LIMIT: usize = 8 * 1024;
}

impl Drop for QueueRecord {
    fn drop(&mut self) {
        self.owner_key.zeroize();
        self.deposit_key.zeroize();
    }
}

impl std::fmt::Debug for QueueRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueRecord")
            .field("purpose", &self.purpose)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl QueueRecord {
    fn place(&self) -> Place {
        let in_use = matches!(self.standing, Standing::Opening | Standing::Open);
        Place { purpose: self.purpose, spare: !in_use }
    }

    fn owned(&self) -> OwnedQueue {
        OwnedQueue { receive: self.receive, key: Secret::from_bytes(self.owner_key) }
    }

    fn spec(&self) -> QueueSpec {
        let public = |seed: &[u8; 32]| {
            *SigningKey::from_seed(&Secret::from_bytes(*seed)).verifying_key().as_bytes()
        };
        QueueSpec {
            receive: self.receive,
            send: self.send,
            owner_key: public(&self.owner_key),
            deposit_key: public(&self.deposit_key),
            kind: match &self.drop {
                None => QueueKind::Contact,
                Some((closes_at, bundle)) => {
                    QueueKind::Drop { closes_at: *closes_at, bundle: bundle.clone() }
                }
            },
        }
    }
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let records = all(ctx)?;
    let mut relays: Vec<RelayId> = records.iter().map(|record| record.relay.relay).collect();
    relays.extend(registration::relay(ctx)?.map(|home| home.relay));
    for record in &records {
        ctx.state.queues.known.insert(record.receive, record.place());
        leaving::restore(ctx, record);
        resume(ctx, record)?;
    }
    relays.sort_unstable();
    relays.dedup();
    relays.into_iter().try_for_each(|relay| collect(ctx, relay))
}

/// The right to deposit that `account` gets; opens the queue behind it where there is none.
/// `None` without a registration: there is no relay to keep anything for us.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn capability_for(
    ctx: &mut Ctx<'_>,
    account: AccountId,
) -> Result<Option<DepositCapability>, StoreError> {
    let Some(relay) = registration::relay(ctx)? else { return Ok(None) };
    let purpose = Purpose::Contact(account);
    let record = match current(ctx, purpose)? {
        Some(record) if record.relay.relay == relay.relay => record,
        elsewhere => {
            if registration::home(ctx)?.is_none() {
                return Ok(None);
            }
            if let Some(record) = elsewhere {
                leaving::leave(ctx, record)?;
            }
            if !has_room(ctx) {
                return Ok(None);
            }
            let deposit_key = Secret::<32>::random(ctx.rng);
            let send = QueueId::random(ctx.rng);
            create(ctx, purpose, relay.clone(), (send, deposit_key), None)?
        }
    };
    Ok(Some(DepositCapability {
        home: relay,
        send: record.send,
        key: ByteArray::new(record.deposit_key),
    }))
}

/// Opens the drop of an invite: `send` and `key` are derived from its token.
///
/// # Errors
/// [`StoreError`] when the store cannot be written.
pub fn open_drop(
    ctx: &mut Ctx<'_>,
    invite: InviteId,
    address: (QueueId, Secret<32>),
    closes_at: Timestamp,
    bundle: &[u8],
) -> Result<(), StoreError> {
    let Some(relay) = registration::home(ctx)? else { return Ok(()) };
    let bundle = Some((closes_at, ByteBuf::from(bundle.to_vec())));
    create(ctx, Purpose::Drop(invite), relay, address, bundle).map(drop)
}

pub(super) fn on_opened(
    ctx: &mut Ctx<'_>,
    receive: QueueId,
    result: Result<(), NetFailure>,
) -> Result<(), StoreError> {
    ctx.state.queues.opening.remove(&receive);
    let Some(mut record) = by_receive(ctx, receive)? else { return Ok(()) };
    match (record.standing, result) {
        (Standing::Opening, Ok(())) => {
            record.standing = Standing::Open;
            put(ctx, &record)?;
            ctx.state.queues.retries.remove(&receive);
            collect(ctx, record.relay.relay)
        }
        (Standing::Opening, Err(NetFailure::Refused(MailboxRefusal::NotAdmitted))) => {
            // Tried again when the relay admits us anew.
            ctx.state.queues.retries.remove(&receive);
            registration::on_not_admitted(ctx, record.relay.relay)
        }
        (Standing::Opening, Err(NetFailure::Refused(MailboxRefusal::Taken))) => {
            ctx.state.queues.retries.remove(&receive);
            Ok(())
        }
        (Standing::Opening, Err(_)) => {
            again(ctx, receive);
            Ok(())
        }
        (Standing::Succeeding, result) => rotation::on_opened(ctx, record, result),
        // It was asked to close meanwhile, which may have come too early.
        (Standing::Closing(_), _) => resume(ctx, &record),
        (Standing::Open | Standing::Left(_), _) => Ok(()),
    }
}

/// A relay that does not know a queue any more lost it, or never got it: open it again, if it
/// is still wanted.
pub(super) fn on_subscribed(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
    missing: &[QueueId],
) -> Result<(), StoreError> {
    let now = ctx.now;
    ctx.state.queues.collected.entry(relay).or_insert(now);
    for receive in missing {
        let record = by_receive(ctx, *receive)?;
        let Some(mut record) = record.filter(|record| record.relay.relay == relay) else {
            continue;
        };
        if record.place().spare {
            leaving::forget(ctx, &record)?;
            continue;
        }
        record.standing = Standing::Opening;
        put(ctx, &record)?;
        open(ctx, &record)?;
    }
    Ok(())
}

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let retries = ctx.state.queues.retries.iter_mut();
    let due: Vec<QueueId> = retries
        .filter(|(_, (_, at))| *at <= now)
        .map(|(receive, (_, at))| {
            // No deadline while the answer is awaited.
            *at = now.plus(RETRY_MAX);
            *receive
        })
        .collect();
    for receive in due {
        if let Some(record) = by_receive(ctx, receive)? {
            resume(ctx, &record)?;
        }
    }
    Ok(())
}

/// A relay is there, or took us in: what it has not answered is asked again.
pub(super) fn on_reached(ctx: &mut Ctx<'_>, relay: RelayId) -> Result<(), StoreError> {
    for record in all(ctx)?.iter().filter(|record| record.relay.relay == relay) {
        resume(ctx, record)?;
    }
    collect(ctx, relay)
}

/// Subscribes to everything that we have at a relay; forgets a relay that has nothing of ours
/// and is not our own.
pub(super) fn collect(ctx: &mut Ctx<'_>, relay: RelayId) -> Result<(), StoreError> {
    let mut records = all(ctx)?;
    records.retain(|record| record.relay.relay == relay);
    let home = registration::relay(ctx)?.filter(|home| home.relay == relay);
    let Some(home) = home.or_else(|| records.first().map(|record| record.relay.clone())) else {
        ctx.state.queues.collected.remove(&relay);
        ctx.net(NetCommand::ForgetRelay(relay));
        return Ok(());
    };
    let unopened = [Standing::Opening, Standing::Succeeding];
    let there = records.iter().filter(|record| !unopened.contains(&record.standing));
    let queues = there.map(QueueRecord::owned).collect();
    ctx.net(NetCommand::Subscribe { relay: home, queues });
    Ok(())
}

fn create(
    ctx: &mut Ctx<'_>,
    purpose: Purpose,
    relay: RelayHome,
    (send, deposit_key): (QueueId, Secret<32>),
    drop: Option<(Timestamp, ByteBuf)>,
) -> Result<QueueRecord, StoreError> {
    let standing = Standing::Opening;
    begin(ctx, purpose, relay, (send, deposit_key), (drop, standing))
}

fn begin(
    ctx: &mut Ctx<'_>,
    purpose: Purpose,
    relay: RelayHome,
    (send, deposit_key): (QueueId, Secret<32>),
    (drop, standing): (Option<(Timestamp, ByteBuf)>, Standing),
) -> Result<QueueRecord, StoreError> {
    let record = QueueRecord {
        purpose,
        relay,
        receive: QueueId::random(ctx.rng),
        send,
        owner_key: *Secret::<32>::random(ctx.rng).expose(),
        deposit_key: *deposit_key.expose(),
        drop,
        standing,
    };
    put(ctx, &record)?;
    ctx.state.queues.known.insert(record.receive, record.place());
    open(ctx, &record)?;
    Ok(record)
}

/// Asks the relay for what it has not done yet.
fn resume(ctx: &mut Ctx<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    match record.standing {
        Standing::Opening | Standing::Succeeding => open(ctx, record),
        Standing::Closing(_) => leaving::ask_to_close(ctx, record),
        Standing::Open | Standing::Left(_) => Ok(()),
    }
}

fn open(ctx: &mut Ctx<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    let Some(credential) = registration::credential(ctx, record.relay.relay)? else {
        ctx.state.queues.retries.remove(&record.receive);
        return Ok(());
    };
    let (relay, queue) = (address(ctx, record)?, record.spec());
    ctx.state.queues.opening.insert(record.receive);
    ctx.ask(Answer::QueueOpened(record.receive), |ticket| NetCommand::OpenQueue {
        ticket,
        relay,
        credential: credential.into(),
        queue,
    });
    Ok(())
}

/// Plans the next try of what failed.
fn again(ctx: &mut Ctx<'_>, receive: QueueId) {
    let failures = ctx.state.queues.retries.get(&receive).map_or(0, |(n, _)| *n) + 1;
    let ceiling = RETRY_MIN.saturating_mul(1 << failures.min(12)).min(RETRY_MAX);
    let wait = RETRY_MIN / 2 + ctx.rng.next_u64() % ceiling;
    ctx.state.queues.retries.insert(receive, (failures, ctx.now.plus(wait)));
}

/// Where a queue's relay is: our own may have other addresses than when the queue was made.
fn address(ctx: &Ctx<'_>, record: &QueueRecord) -> Result<RelayHome, StoreError> {
    let home = registration::relay(ctx)?.filter(|home| home.relay == record.relay.relay);
    Ok(home.unwrap_or_else(|| record.relay.clone()))
}

fn has_room(ctx: &Ctx<'_>) -> bool {
    let known = &ctx.state.queues.known;
    known.len() < MAX_REMEMBERED && known.values().filter(|place| !place.spare).count() < MAX_QUEUES
}

/// A queue in use is kept under its purpose; another one, under its own address.
fn key(ctx: &Ctx<'_>, place: Place, receive: QueueId) -> crate::store::Key {
    let (id, order): (&[u8], &[u8]) = match &place.purpose {
        _ if place.spare => (&receive.0, b"past"),
        Purpose::Contact(account) => (&account.0, b"contact"),
        Purpose::Drop(invite) => (&invite.0, b"drop"),
    };
    ctx.key(Tree::Queue, id, order)
}

fn put(ctx: &mut Ctx<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    let key = key(ctx, record.place(), record.receive);
    ctx.put(key, record)
}

/// Puts a queue of a backup back. The drop of an invite is closed: its code is void.
pub(super) fn restore(ctx: &mut Ctx<'_>, mut record: QueueRecord) -> Result<(), StoreError> {
    let given_up = matches!(record.standing, Standing::Left(_) | Standing::Closing(_));
    if !given_up && matches!(record.purpose, Purpose::Drop(_)) {
        record.standing = Standing::Closing(ctx.now);
    }
    put(ctx, &record)
}

fn current(ctx: &Ctx<'_>, purpose: Purpose) -> Result<Option<QueueRecord>, StoreError> {
    ctx.get(&key(ctx, Place { purpose, spare: false }, QueueId([0; 16])))
}

fn by_receive(ctx: &Ctx<'_>, receive: QueueId) -> Result<Option<QueueRecord>, StoreError> {
    match ctx.state.queues.known.get(&receive) {
        Some(place) => ctx.get(&key(ctx, *place, receive)),
        None => Ok(None),
    }
}

fn all(ctx: &Ctx<'_>) -> Result<Vec<QueueRecord>, StoreError> {
    let rows = ctx.all(Tree::Queue, MAX_REMEMBERED)?;
    Ok(rows.into_iter().map(|(_, record)| record).collect())
}
