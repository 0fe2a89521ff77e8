//! What a relay stores of its mailboxes, and the changes a decision makes to it.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::wire::{MAX_BODY, MAX_BUNDLE};
use crate::ids::{AccountId, EnvelopeId, QueueId};
use crate::time::Timestamp;
use crate::wire::Wire;

/// What a stored queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Frames of one contact.
    Contact,
    /// Join requests for one invite.
    Drop {
        /// Nothing is taken from this moment on.
        closes_at: Timestamp,
    },
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The owner's address.
    pub receive: QueueId,
    /// The depositors' address.
    pub send: QueueId,
    /// Ed25519 key of the owner.
    pub owner_key: [u8; 32],
    /// Ed25519 key of depositors.
    pub deposit_key: [u8; 32],
    /// Whose quota it uses.
    pub account: AccountId,
    /// What it is for.
    pub kind: Kind,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Position that the last item got; the first item gets 1.
    pub last_seq: u64,
    /// Position up to which deposits are no longer remembered.
    pub forgotten_seq: u64,
    /// Waiting items.
    pub items: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// What an account's queues hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Open queues.
    pub queues: u32,
    /// Waiting items.
    pub items: u32,
    /// Their bytes.
    pub bytes: u64,
}

/// A deposit that was taken, remembered beyond its item if the owner acknowledged that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its position.
    pub seq: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// Until when it is kept.
    pub until: Timestamp,
    /// When the relay forgets having seen it.
    pub forget_at: Timestamp,
}

/// A waiting item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredItem {
    /// Hash of the body.
    pub envelope: EnvelopeId,
    /// When it was taken.
    pub deposited_at: Timestamp,
    /// Until when it is kept.
    pub until: Timestamp,
    /// The bytes as deposited.
    pub body: ByteBuf,
}

/// What is to be known of a waiting item to end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Hash of the body.
    pub envelope: EnvelopeId,
    /// Until when it is kept.
    pub until: Timestamp,
    /// Bytes of the body.
    pub length: u64,
}

impl StoredItem {
    /// What is to be known of it to end it.
    #[must_use]
    pub fn held(&self) -> Held {
        Held { envelope: self.envelope, until: self.until, length: self.body.len() as u64 }
    }
}

/// What is to be looked at when a moment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DueKind {
    /// The item at this position expires.
    Item(u64),
    /// The deposit at this position is forgotten.
    Seen(u64, EnvelopeId),
    /// The queue itself ends: a drop long after it closed.
    Queue,
}

/// An entry of the expiry index, ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// Of which queue, by its owner's address.
    pub receive: QueueId,
    /// What.
    pub what: DueKind,
}

/// One step of a decision. A store applies all steps of a decision, in order, as one.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Keep this queue under its `receive`, and `receive` under its `send`.
    PutQueue(Queue),
    /// Forget a queue with its items, bundle and everything seen in it. Index entries may stay;
    /// they lead nowhere.
    DeleteQueue {
        /// The owner's address.
        receive: QueueId,
        /// The depositors' address.
        send: QueueId,
    },
    /// Keep a drop's bundle.
    PutBundle {
        /// The owner's address.
        receive: QueueId,
        /// At most [`MAX_BUNDLE`] bytes.
        bundle: ByteBuf,
    },
    /// Keep what an account uses.
    PutUsage(AccountId, Usage),
    /// Keep an item.
    PutItem {
        /// The owner's address.
        receive: QueueId,
        /// Its position.
        seq: u64,
        /// The item.
        item: StoredItem,
    },
    /// Forget an item.
    DeleteItem {
        /// The owner's address.
        receive: QueueId,
        /// Its position.
        seq: u64,
    },
    /// Remember a deposit by envelope, and its envelope by position.
    PutSeen {
        /// The owner's address.
        receive: QueueId,
        /// What was deposited.
        envelope: EnvelopeId,
        /// What is remembered of it.
        seen: Seen,
    },
    /// Forget the deposit that got this position, if it is remembered.
    DeleteSeen {
        /// The owner's address.
        receive: QueueId,
        /// Its position.
        seq: u64,
    },
    /// Add to the expiry index.
    PutDue(Due),
    /// Take from the expiry index.
    DeleteDue(Due),
}

impl Wire for Queue {
    const LIMIT: usize = 512;
}

impl Wire for Usage {
    const LIMIT: usize = 64;
}

impl Wire for Seen {
    const LIMIT: usize = 64;
}

impl Wire for StoredItem {
    const LIMIT: usize = MAX_BODY + 128;
}

/// A bundle as stored: bytes under a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBundle(pub ByteBuf);

impl Wire for StoredBundle {
    const LIMIT: usize = MAX_BUNDLE + 16;
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PutQueue(queue) => write!(f, "PutQueue({:?})", queue.receive),
            Self::DeleteQueue { receive, .. } => write!(f, "DeleteQueue({receive:?})"),
            Self::PutBundle { receive, .. } => write!(f, "PutBundle({receive:?})"),
            Self::PutUsage(account, usage) => write!(f, "PutUsage({account:?}, {usage:?})"),
            Self::PutItem { receive, seq, .. } => write!(f, "PutItem({receive:?}, {seq})"),
            Self::DeleteItem { receive, seq } => write!(f, "DeleteItem({receive:?}, {seq})"),
            Self::PutSeen { receive, seen, .. } => write!(f, "PutSeen({receive:?}, {})", seen.seq),
            Self::DeleteSeen { receive, seq } => write!(f, "DeleteSeen({receive:?}, {seq})"),
            Self::PutDue(due) => write!(f, "PutDue({due:?})"),
            Self::DeleteDue(due) => write!(f, "DeleteDue({due:?})"),
        }
    }
}
