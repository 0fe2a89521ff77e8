//! Mailbox queues that this node owns: one per contact, and a drop per invite.

use crypto::{Secret, SigningKey};
use protocol::contact::{DepositCapability, RelayHome};
use protocol::ids::{AccountId, InviteId, QueueId, RelayId};
use protocol::mailbox::wire::{Item, QueueKind, QueueSpec};
use protocol::time::{MINUTE, SECOND, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use zeroize::Zeroize;

use super::{invite, receipt, registration, session};
use crate::engine::{Answer, Ctx};
use crate::net::{NetCommand, NetFailure, OwnedQueue};
use crate::store::{StoreError, Tree};

/// Most queues that one node owns.
pub const MAX_QUEUES: usize = 1_200;
/// First wait after a queue could not be opened; doubles up to [`RETRY_MAX`].
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

impl Purpose {
    fn row(&self) -> (&[u8], &'static [u8]) {
        match self {
            Self::Contact(account) => (&account.0, b"contact"),
            Self::Drop(invite) => (&invite.0, b"drop"),
        }
    }
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
    /// Whether the relay said that it is open.
    pub open: bool,
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
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl QueueRecord {
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
    for record in &records {
        ctx.state.queues.insert(record.receive, record.purpose);
    }
    for record in records.iter().filter(|record| !record.open) {
        open(ctx, record)?;
    }
    subscribe(ctx)
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
    let Some(relay) = registration::home(ctx)? else { return Ok(None) };
    let purpose = Purpose::Contact(account);
    let record = match get(ctx, purpose)? {
        Some(record) if record.relay.relay == relay.relay => record,
        _ => {
            if ctx.state.queues.len() >= MAX_QUEUES {
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

/// Closes a queue and forgets it.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn close(ctx: &mut Ctx<'_>, purpose: Purpose) -> Result<(), StoreError> {
    let Some(record) = get(ctx, purpose)? else { return Ok(()) };
    let key = key(ctx, purpose);
    ctx.delete(key);
    ctx.state.queues.remove(&record.receive);
    ctx.state.queue_retries.remove(&record.receive);
    let (relay, queue) = (record.relay.clone(), record.owned());
    ctx.ask(Answer::QueueClosed(record.receive), |ticket| NetCommand::CloseQueue {
        ticket,
        relay,
        queue,
    });
    subscribe(ctx)
}

pub(super) fn on_opened(
    ctx: &mut Ctx<'_>,
    receive: QueueId,
    result: Result<(), NetFailure>,
) -> Result<(), StoreError> {
    let Some(mut record) = by_receive(ctx, receive)? else { return Ok(()) };
    match result {
        Ok(()) => {
            record.open = true;
            let key = key(ctx, record.purpose);
            ctx.put(key, &record)?;
            ctx.state.queue_retries.remove(&receive);
            subscribe(ctx)
        }
        Err(_) => {
            let failures = ctx.state.queue_retries.get(&receive).map_or(0, |(n, _)| *n) + 1;
            let ceiling = RETRY_MIN.saturating_mul(1 << failures.min(12)).min(RETRY_MAX);
            let wait = RETRY_MIN / 2 + ctx.rng.next_u64() % ceiling;
            ctx.state.queue_retries.insert(receive, (failures, ctx.now.plus(wait)));
            Ok(())
        }
    }
}

/// A relay that does not know a queue any more lost it, or never got it: open it again.
pub(super) fn on_subscribed(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
    missing: &[QueueId],
) -> Result<(), StoreError> {
    for receive in missing {
        let Some(mut record) = by_receive(ctx, *receive)? else { continue };
        if record.relay.relay == relay {
            record.open = false;
            let key = key(ctx, record.purpose);
            ctx.put(key, &record)?;
            open(ctx, &record)?;
        }
    }
    Ok(())
}

/// Items that a relay held. Returns those that are dealt with.
pub(super) fn on_items(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
    items: Vec<Item>,
) -> Result<Vec<(QueueId, u64)>, StoreError> {
    let mut durable = Vec::new();
    for item in items {
        let known = by_receive(ctx, item.receive)?;
        let dealt_with = match known.filter(|record| record.relay.relay == relay) {
            // Not ours any more: the relay may forget it.
            None => true,
            Some(record) => match record.purpose {
                Purpose::Drop(invite) => {
                    invite::on_drop_item(ctx, invite, &item)?;
                    true
                }
                Purpose::Contact(account) => on_contact_item(ctx, account, &item)?,
            },
        };
        if dealt_with {
            durable.push((item.receive, item.seq));
        }
    }
    Ok(durable)
}

/// An item that does not open stays at the relay for an hour: what it needs may be on its way.
const UNOPENED_GRACE: u64 = 60 * MINUTE;

fn on_contact_item(ctx: &mut Ctx<'_>, account: AccountId, item: &Item) -> Result<bool, StoreError> {
    let route = protocol::chat::Route::Mailbox;
    let received = session::receive(ctx, account, route, [item.body.as_slice()])?;
    let Some(received) = received.first() else {
        return Ok(ctx.now.since(item.deposited_at) >= UNOPENED_GRACE);
    };
    if received.wants_receipt {
        receipt::owe(ctx, account, received.envelope);
    }
    Ok(true)
}

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let due: Vec<QueueId> = ctx
        .state
        .queue_retries
        .iter()
        .filter(|(_, (_, at))| *at <= ctx.now)
        .map(|(receive, _)| *receive)
        .collect();
    for receive in due {
        // No deadline while the answer is awaited.
        if let Some(retry) = ctx.state.queue_retries.get_mut(&receive) {
            retry.1 = ctx.now.plus(RETRY_MAX);
        }
        if let Some(record) = by_receive(ctx, receive)? {
            open(ctx, &record)?;
        }
    }
    Ok(())
}

/// A relay took us in: everything that is not open yet is opened there.
pub(super) fn on_admitted(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for record in all(ctx)?.iter().filter(|record| !record.open) {
        open(ctx, record)?;
    }
    subscribe(ctx)
}

fn create(
    ctx: &mut Ctx<'_>,
    purpose: Purpose,
    relay: RelayHome,
    (send, deposit_key): (QueueId, Secret<32>),
    drop: Option<(Timestamp, ByteBuf)>,
) -> Result<QueueRecord, StoreError> {
    let record = QueueRecord {
        purpose,
        relay,
        receive: QueueId::random(ctx.rng),
        send,
        owner_key: *Secret::<32>::random(ctx.rng).expose(),
        deposit_key: *deposit_key.expose(),
        drop,
        open: false,
    };
    let key = key(ctx, purpose);
    ctx.put(key, &record)?;
    ctx.state.queues.insert(record.receive, purpose);
    open(ctx, &record)?;
    Ok(record)
}

fn open(ctx: &mut Ctx<'_>, record: &QueueRecord) -> Result<(), StoreError> {
    let Some(credential) = registration::credential(ctx, record.relay.relay)? else {
        return Ok(());
    };
    let (relay, queue) = (record.relay.clone(), record.spec());
    ctx.ask(Answer::QueueOpened(record.receive), |ticket| NetCommand::OpenQueue {
        ticket,
        relay,
        credential: credential.into(),
        queue,
    });
    Ok(())
}

fn subscribe(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let Some(relay) = registration::home(ctx)? else { return Ok(()) };
    let queues = all(ctx)?
        .iter()
        .filter(|record| record.open && record.relay.relay == relay.relay)
        .map(QueueRecord::owned)
        .collect();
    ctx.net(NetCommand::Subscribe { relay, queues });
    Ok(())
}

fn key(ctx: &Ctx<'_>, purpose: Purpose) -> crate::store::Key {
    let (id, order) = purpose.row();
    ctx.key(Tree::Queue, id, order)
}

fn get(ctx: &Ctx<'_>, purpose: Purpose) -> Result<Option<QueueRecord>, StoreError> {
    ctx.get(&key(ctx, purpose))
}

fn by_receive(ctx: &Ctx<'_>, receive: QueueId) -> Result<Option<QueueRecord>, StoreError> {
    match ctx.state.queues.get(&receive) {
        Some(purpose) => get(ctx, *purpose),
        None => Ok(None),
    }
}

fn all(ctx: &Ctx<'_>) -> Result<Vec<QueueRecord>, StoreError> {
    let rows = ctx.all(Tree::Queue, MAX_QUEUES)?;
    Ok(rows.into_iter().map(|(_, record)| record).collect())
}
