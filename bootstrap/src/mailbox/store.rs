//! What a mailbox store has to do.

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::record::StoredBundle;
use protocol::mailbox::{Change, Due, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;

use crate::error::StoreError;

/// Keeps what the machine tells it to, and finds it again. It decides nothing.
///
/// Reads see every applied change at once; a change is durable after the next
/// [`flush`](Self::flush). Implementations pass the suite in `contract.rs`.
pub(crate) trait MailboxStore: Send + 'static {
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
    /// The item at a position.
    fn item(&self, receive: QueueId, seq: u64) -> Result<Option<StoredItem>, StoreError>;
    /// Items after a position, in order: at most `max`, together at most `max_bytes` of body,
    /// but never none because the first is longer.
    fn items(
        &self,
        receive: QueueId,
        after: u64,
        max: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, StoredItem)>, StoreError>;
    /// What is remembered of an envelope.
    fn seen(&self, receive: QueueId, envelope: EnvelopeId) -> Result<Option<Seen>, StoreError>;
    /// Entries of the expiry index up to and at `now`, in order, at most `max`.
    fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Due>, StoreError>;
    /// Applies one decision, all of it or nothing, in order.
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError>;
    /// Makes everything applied durable.
    fn flush(&mut self) -> Result<(), StoreError>;
}
