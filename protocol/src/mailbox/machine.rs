//! The decisions of a mailbox, as functions from records to changes.

use serde_bytes::ByteBuf;

use super::record::{Change, Due, DueKind, Held, Kind, Queue, Seen, StoredItem, Usage};
use super::wire::{DepositRefusal, MAX_BODY, MAX_BUNDLE, MailboxRefusal, QueueKind, QueueSpec};
use crate::ids::{AccountId, EnvelopeId, QueueId};
use crate::time::{DAY, SECOND, Timestamp};

/// How long a deposit that its owner acknowledged is remembered beyond its keeping time,
/// milliseconds.
pub const REMEMBER: u64 = 7 * DAY;
/// Most deposits remembered of one queue; the oldest are forgotten first.
pub const MAX_SEEN: u64 = 4_096;
/// A drop ends this long after it closed, milliseconds: its owner had the longest keeping time
/// to fetch.
pub const DROP_LINGERS: u64 = 30 * DAY;

/// One part in this many of what an account's queues may hold together is kept besides, for control messages.
pub const RESERVED_SHARE: u32 = 8;

/// The numbers of a relay's mailbox, all changeable by its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most waiting items of a contact's queue.
    pub contact_items: u32,
    /// Most waiting bytes of a contact's queue.
    pub contact_bytes: u64,
    /// Items beyond those for which a contact's queue has room for control messages.
    pub reserved_items: u32,
    /// And their bytes.
    pub reserved_bytes: u64,
    /// Most waiting items of an invite's drop.
    pub drop_items: u32,
    /// Most waiting bytes of an invite's drop.
    pub drop_bytes: u64,
    /// Longest body in an invite's drop, bytes.
    pub drop_body: usize,
    /// Most waiting items of an account.
    pub account_items: u32,
    /// Most waiting bytes of an account.
    pub account_bytes: u64,
    /// Most open queues of an account.
    pub account_queues: u32,
    /// Keeping time of a deposit that names none, milliseconds.
    pub default_ttl: u64,
    /// Longest keeping time, milliseconds.
    pub max_ttl: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            contact_items: 128,
            contact_bytes: 4 * 1024 * 1024,
            reserved_items: 16,
            reserved_bytes: 256 * 1024,
            drop_items: 8,
            drop_bytes: 64 * 1024,
            drop_body: 8 * 1024,
            account_items: 10_000,
            account_bytes: 256 * 1024 * 1024,
            account_queues: 1_200,
            default_ttl: 14 * DAY,
            max_ttl: 30 * DAY,
        }
    }
}

impl Limits {
    /// How long a deposit is kept that asks for `ttl_seconds` (0: the default).
    #[must_use]
    pub fn keeping_time(&self, ttl_seconds: u32) -> u64 {
        let wanted = match ttl_seconds {
            0 => self.default_ttl,
            seconds => u64::from(seconds).saturating_mul(SECOND),
        };
        wanted.min(self.max_ttl)
    }

    /// With room for one control message more when that is asked for: a full mailbox must not keep two people from
    /// renewing their keys, or from telling each other where they are.
    fn with_reserve(self, reserved: bool) -> Self {
        if !reserved {
            return self;
        }
        Self {
            contact_items: self.contact_items.saturating_add(self.reserved_items),
            contact_bytes: self.contact_bytes.saturating_add(self.reserved_bytes),
            account_items: self.account_items.saturating_add(self.account_items / RESERVED_SHARE),
            account_bytes: self
                .account_bytes
                .saturating_add(self.account_bytes / u64::from(RESERVED_SHARE)),
            ..self
        }
    }

    fn of(&self, kind: Kind) -> (u32, u64, usize) {
        match kind {
            Kind::Contact => (self.contact_items, self.contact_bytes, MAX_BODY),
            Kind::Drop { .. } => (self.drop_items, self.drop_bytes, self.drop_body),
        }
    }
}

/// The outcome of [`open`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Opened {
    /// It was open with the same keys: nothing changes.
    Already,
    /// It is open once these changes are durable.
    New(Vec<Change>),
}

/// Opens a queue for `account`, or finds it open with the same keys.
///
/// `by_receive` and `by_send` are the queues that have these addresses already.
///
/// # Errors
/// [`MailboxRefusal::Taken`], [`MailboxRefusal::TooManyQueues`], or
/// [`MailboxRefusal::Malformed`]: one address for both sides, a bundle that is too long, a
/// drop that would be open for longer than anything is kept.
pub fn open(
    spec: QueueSpec,
    account: AccountId,
    taken: (Option<&Queue>, Option<&Queue>),
    usage: Usage,
    limits: &Limits,
    now: Timestamp,
) -> Result<Opened, MailboxRefusal> {
    let QueueSpec { receive, send, owner_key, deposit_key, kind } = spec;
    let (kind, bundle) = match kind {
        QueueKind::Contact => (Kind::Contact, None),
        QueueKind::Drop { closes_at, bundle } => (Kind::Drop { closes_at }, Some(bundle)),
    };
    let stays_open =
        matches!(kind, Kind::Drop { closes_at } if closes_at > now.plus(limits.max_ttl));
    let bundle_is_long = bundle.as_ref().is_some_and(|bundle| bundle.len() > MAX_BUNDLE);
    if receive == send || stays_open || bundle_is_long {
        return Err(MailboxRefusal::Malformed);
    }
    match taken {
        (None, None) => {}
        (Some(open), Some(other)) if open == other => {
            let same = open.receive == receive
                && open.send == send
                && open.owner_key == owner_key
                && open.deposit_key == deposit_key
                && open.account == account
                && open.kind == kind;
            return if same { Ok(Opened::Already) } else { Err(MailboxRefusal::Taken) };
        }
        _ => return Err(MailboxRefusal::Taken),
    }
    if usage.queues >= limits.account_queues {
        return Err(MailboxRefusal::TooManyQueues);
    }
    let queue = Queue {
        receive,
        send,
        owner_key,
        deposit_key,
        account,
        kind,
        opened_at: now,
        last_seq: 0,
        forgotten_seq: 0,
        items: 0,
        bytes: 0,
    };
    let mut changes = vec![
        Change::PutQueue(queue),
        Change::PutUsage(account, Usage { queues: usage.queues.saturating_add(1), ..usage }),
    ];
    if let Some(bundle) = bundle {
        changes.push(Change::PutBundle { receive, bundle });
    }
    if let Kind::Drop { closes_at } = kind {
        let at = closes_at.plus(DROP_LINGERS);
        changes.push(Change::PutDue(Due { at, receive, what: DueKind::Queue }));
    }
    Ok(Opened::New(changes))
}

/// A deposit whose proof holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Hash of the body.
    pub envelope: EnvelopeId,
    /// The body.
    pub body: ByteBuf,
    /// Wanted keeping time, seconds; 0 for the default.
    pub ttl_seconds: u32,
    /// Asks for reserved room; a drop has none.
    pub reserved: bool,
}

/// The outcome of [`deposit`]: what the receipt says, and what is to be stored before it is
/// given. Without changes it is a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Deposited {
    /// What is remembered of the deposit.
    pub seen: Seen,
    /// To be stored and flushed; the queue and usage after it are among them.
    pub changes: Vec<Change>,
}

/// Takes a deposit into `queue`, or recognises one that was taken before.
///
/// `seen` is what is remembered of the same envelope in this queue. If the time of that one is
/// over, [`expire`] has to have looked at its item before: it forgets a deposit that was never
/// fetched, and this one is then taken anew.
///
/// # Errors
/// [`DepositRefusal::Denied`] for a closed drop, [`DepositRefusal::TooLarge`],
/// [`DepositRefusal::Full`].
pub fn deposit(
    queue: &Queue,
    usage: Usage,
    seen: Option<Seen>,
    offer: Offer,
    limits: &Limits,
    now: Timestamp,
) -> Result<Deposited, DepositRefusal> {
    if let Some(seen) = seen {
        return Ok(Deposited { seen, changes: Vec::new() });
    }
    if !takes_deposits(queue, now) {
        return Err(DepositRefusal::Denied);
    }
    let Offer { envelope, body, ttl_seconds, reserved } = offer;
    let limits = limits.with_reserve(reserved && queue.kind == Kind::Contact);
    let (most_items, most_bytes, longest) = limits.of(queue.kind);
    if body.is_empty() || body.len() > longest {
        return Err(DepositRefusal::TooLarge);
    }
    let length = body.len() as u64;
    let fits = queue.items < most_items
        && queue.bytes.saturating_add(length) <= most_bytes
        && usage.items < limits.account_items
        && usage.bytes.saturating_add(length) <= limits.account_bytes;
    if !fits {
        return Err(DepositRefusal::Full);
    }

    let until = now.plus(limits.keeping_time(ttl_seconds));
    let seq = queue.last_seq.saturating_add(1);
    let seen = Seen { seq, at: now, until, forget_at: until.plus(REMEMBER) };
    let receive = queue.receive;
    let mut after = queue.clone();
    after.last_seq = seq;
    after.items = after.items.saturating_add(1);
    after.bytes = after.bytes.saturating_add(length);
    let mut changes = Vec::with_capacity(7);
    if seq.saturating_sub(after.forgotten_seq) > MAX_SEEN {
        after.forgotten_seq = after.forgotten_seq.saturating_add(1);
        changes.push(Change::DeleteSeen { receive, seq: after.forgotten_seq });
    }
    let usage = Usage {
        items: usage.items.saturating_add(1),
        bytes: usage.bytes.saturating_add(length),
        ..usage
    };
    changes.extend([
        Change::PutQueue(after),
        Change::PutUsage(queue.account, usage),
        Change::PutItem {
            receive,
            seq,
            item: StoredItem { envelope, deposited_at: now, until, body },
        },
        Change::PutSeen { receive, envelope, seen },
        Change::PutDue(Due { at: until, receive, what: DueKind::Item(seq) }),
        Change::PutDue(Due { at: seen.forget_at, receive, what: DueKind::Seen(seq, envelope) }),
    ]);
    Ok(Deposited { seen, changes })
}

/// Whether anything new may come into a queue: always into a contact's, into a drop until it
/// closes.
#[must_use]
pub fn takes_deposits(queue: &Queue, now: Timestamp) -> bool {
    match queue.kind {
        Kind::Contact => true,
        Kind::Drop { closes_at } => now < closes_at,
    }
}

/// Deletes an item that is durable at its owner. `item` is what the store has at that position:
/// nothing, when it was acknowledged before, and then nothing changes. The deposit stays
/// remembered: its repetition is not to reach the owner again.
#[must_use]
pub fn acknowledge(queue: &Queue, usage: Usage, seq: u64, item: Option<Held>) -> Vec<Change> {
    let Some(Held { length, until, .. }) = item else { return Vec::new() };
    let mut after = queue.clone();
    after.items = after.items.saturating_sub(1);
    after.bytes = after.bytes.saturating_sub(length);
    let usage = Usage {
        items: usage.items.saturating_sub(1),
        bytes: usage.bytes.saturating_sub(length),
        ..usage
    };
    let receive = queue.receive;
    vec![
        Change::PutQueue(after),
        Change::PutUsage(queue.account, usage),
        Change::DeleteItem { receive, seq },
        Change::DeleteDue(Due { at: until, receive, what: DueKind::Item(seq) }),
    ]
}

/// Closes a queue with everything in it.
#[must_use]
pub fn close(queue: &Queue, usage: Usage) -> Vec<Change> {
    let usage = Usage {
        queues: usage.queues.saturating_sub(1),
        items: usage.items.saturating_sub(queue.items),
        bytes: usage.bytes.saturating_sub(queue.bytes),
    };
    vec![
        Change::DeleteQueue { receive: queue.receive, send: queue.send },
        Change::PutUsage(queue.account, usage),
    ]
}

/// What an entry of the expiry index means now that its moment has come.
///
/// `queue` and `item` are what the store has for it; both may be gone. `seen` is what is
/// remembered of the envelope that the entry names, which may have been deposited again since.
#[must_use]
pub fn expire(
    due: &Due,
    queue: Option<&Queue>,
    usage: Usage,
    item: Option<Held>,
    seen: Option<Seen>,
) -> Vec<Change> {
    let mut changes = vec![Change::DeleteDue(*due)];
    let Some(queue) = queue else { return changes };
    match due.what {
        // An address opened again after it was closed may hold a younger item at this place.
        DueKind::Item(seq) => {
            if let Some(item) = item.filter(|item| item.until <= due.at) {
                changes.extend(acknowledge(queue, usage, seq, Some(item)));
                changes.extend(forget(due.receive, seq, item));
            }
        }
        DueKind::Seen(seq, _) => {
            if seen.is_some_and(|seen| seen.seq == seq && seen.forget_at <= due.at) {
                changes.push(Change::DeleteSeen { receive: due.receive, seq });
            }
        }
        DueKind::Queue => {
            let ends = matches!(queue.kind, Kind::Drop { closes_at }
                if closes_at.plus(DROP_LINGERS) <= due.at);
            if ends {
                changes.extend(close(queue, usage));
            }
        }
    }
    changes
}

/// Forgets the deposit of an item that nobody fetched in time: nothing holds it any more, so
/// its receipt must not be repeated.
fn forget(receive: QueueId, seq: u64, item: Held) -> [Change; 2] {
    let (at, what) = (item.until.plus(REMEMBER), DueKind::Seen(seq, item.envelope));
    [Change::DeleteSeen { receive, seq }, Change::DeleteDue(Due { at, receive, what })]
}

#[cfg(test)]
mod tests;
