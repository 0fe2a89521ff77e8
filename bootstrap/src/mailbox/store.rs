//! What a mailbox store has to do.

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::record::StoredBundle;
use protocol::mailbox::{Change, Due, Held, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;

use super::subscribers::Allowance;
use crate::error::StoreError;

/// What a group of requests will look at.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Addresses that are to be opened, of either side.
    pub(crate) opened: Vec<QueueId>,
    /// Queues by their owners' addresses.
    pub(crate) receives: Vec<QueueId>,
    /// Queues by their depositors' addresses.
    pub(crate) sends: Vec<QueueId>,
    /// What these use.
    pub(crate) accounts: Vec<AccountId>,
    /// What is remembered of deposits, by the depositors' addresses.
    pub(crate) deposits: Vec<(QueueId, EnvelopeId)>,
    /// What is remembered of envelopes, by the owners' addresses.
    pub(crate) remembered: Vec<(QueueId, EnvelopeId)>,
    /// Items by their positions.
    pub(crate) items: Vec<(QueueId, u64)>,
}

/// Items from the first on, as many as have room in `max_bytes` of body, but never none because the first is longer.
pub(crate) fn within(
    max_bytes: usize,
    items: impl Iterator<Item = Result<(u64, StoredItem), StoreError>>,
) -> Result<Vec<(u64, StoredItem)>, StoreError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for item in items {
        let (seq, item) = item?;
        bytes += item.body.len();
        if bytes > max_bytes && !found.is_empty() {
            break;
        }
        found.push((seq, item));
    }
    Ok(found)
}

/// Keeps what the machine tells it to, and finds it again. It decides nothing.
///
/// Reads see every applied change at once; a change is durable after the next
/// [`flush`](Self::flush). Implementations pass the suite in `contract.rs`.
pub(crate) trait MailboxStore: Send + 'static {
    /// Reads at once what decisions will look at, and keeps others from changing it until the next
    /// [`flush`](Self::flush) or [`rest`](Self::rest). Nothing depends on it but speed, and that processes which share a
    /// store never wait for each other in a circle: between two of those, all of it is asked for at once.
    fn prepare(&mut self, _wanted: Wanted) -> Result<(), StoreError> {
        Ok(())
    }
    /// Whether preparing does anything: what it takes costs a little.
    fn prepares(&self) -> bool {
        false
    }
    /// Whether this address may be opened now: it was asked for when preparing, where that is needed.
    fn may_open(&self, _receive: QueueId) -> bool {
        true
    }
    /// The queue with this owner's address, to be looked at and not to be changed.
    fn peek(&self, receive: QueueId) -> Result<Option<Queue>, StoreError> {
        self.queue(receive)
    }
    /// Tells processes that share the store that something was stored in these queues.
    fn announce(&mut self, _queues: &[QueueId]) -> Result<(), StoreError> {
        Ok(())
    }
    /// Nothing more is decided for now: others may.
    fn rest(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// The queue with this owner's address.
    fn queue(&self, receive: QueueId) -> Result<Option<Queue>, StoreError>;
    /// The owner's address of the queue with this depositors' address.
    fn receive_of(&self, send: QueueId) -> Result<Option<QueueId>, StoreError>;
    /// The bundle beside a drop.
    fn bundle(&self, receive: QueueId) -> Result<Option<StoredBundle>, StoreError>;
    /// What an account uses; nothing when it is unknown.
    fn usage(&self, account: AccountId) -> Result<Usage, StoreError>;
    /// Queues of an account, by their owner's addresses, at most `max`.
    fn queues_of(&self, account: AccountId, max: usize) -> Result<Vec<QueueId>, StoreError>;
    /// What is to be known of the item at a position to end it.
    fn held(&self, receive: QueueId, seq: u64) -> Result<Option<Held>, StoreError>;
    /// Items after a position, in order: at most as many, and together of at most as many bytes of body, as are wanted,
    /// but never none because the first is longer.
    fn items(&self, wanted: Allowance) -> Result<Vec<(u64, StoredItem)>, StoreError>;
    /// The same for several queues: at once, where asking costs more than reading.
    fn items_of(&self, wanted: &[Allowance]) -> Result<Vec<Vec<(u64, StoredItem)>>, StoreError> {
        wanted.iter().map(|wanted| self.items(*wanted)).collect()
    }
    /// What is remembered of an envelope.
    fn seen(&self, receive: QueueId, envelope: EnvelopeId) -> Result<Option<Seen>, StoreError>;
    /// Entries of the expiry index up to and at `now`, in order, at most `max`.
    fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Due>, StoreError>;
    /// Applies one decision, all of it or nothing, in order.
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError>;
    /// Makes everything applied durable.
    fn flush(&mut self) -> Result<(), StoreError>;
}
