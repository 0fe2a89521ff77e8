//! The mailbox store in memory: for tests, and as the plainest statement of the contract.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::record::StoredBundle;
use protocol::mailbox::{Change, Due, Held, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;

use super::store::{MailboxStore, within};
use super::subscribers::Allowance;
use crate::error::StoreError;

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    queues: BTreeMap<QueueId, Queue>,
    receives: BTreeMap<QueueId, QueueId>,
    bundles: BTreeMap<QueueId, StoredBundle>,
    usage: BTreeMap<AccountId, Usage>,
    items: BTreeMap<(QueueId, u64), StoredItem>,
    seen: BTreeMap<(QueueId, EnvelopeId), Seen>,
    seen_at: BTreeMap<(QueueId, u64), EnvelopeId>,
    due: BTreeSet<Due>,
    /// Flushes so far, for tests of group commit.
    pub(crate) flushes: usize,
    /// The next flush fails.
    pub(crate) broken: Option<StoreError>,
}

impl MailboxStore for MemoryStore {
    fn queue(&self, receive: QueueId) -> Result<Option<Queue>, StoreError> {
        Ok(self.queues.get(&receive).cloned())
    }

    fn receive_of(&self, send: QueueId) -> Result<Option<QueueId>, StoreError> {
        Ok(self.receives.get(&send).copied())
    }

    fn bundle(&self, receive: QueueId) -> Result<Option<StoredBundle>, StoreError> {
        Ok(self.bundles.get(&receive).cloned())
    }

    fn usage(&self, account: AccountId) -> Result<Usage, StoreError> {
        Ok(self.usage.get(&account).copied().unwrap_or_default())
    }

    fn queues_of(&self, account: AccountId, max: usize) -> Result<Vec<QueueId>, StoreError> {
        let own = self.queues.values().filter(|queue| queue.account == account);
        Ok(own.map(|queue| queue.receive).take(max).collect())
    }

    fn held(&self, receive: QueueId, seq: u64) -> Result<Option<Held>, StoreError> {
        Ok(self.items.get(&(receive, seq)).map(StoredItem::held))
    }

    fn items(&self, wanted: Allowance) -> Result<Vec<(u64, StoredItem)>, StoreError> {
        let Allowance { receive, after, items, bytes } = wanted;
        let range = (receive, after.saturating_add(1))..=(receive, u64::MAX);
        let items = self.items.range(range).take(items);
        within(bytes, items.map(|((_, seq), item)| Ok((*seq, item.clone()))))
    }

    fn seen(&self, receive: QueueId, envelope: EnvelopeId) -> Result<Option<Seen>, StoreError> {
        Ok(self.seen.get(&(receive, envelope)).copied())
    }

    fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Due>, StoreError> {
        Ok(self.due.iter().take_while(|due| due.at <= now).take(max).copied().collect())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        for change in changes {
            match change {
                Change::PutQueue(queue) => {
                    self.receives.insert(queue.send, queue.receive);
                    self.queues.insert(queue.receive, queue.clone());
                }
                Change::DeleteQueue { receive, send } => {
                    self.queues.remove(receive);
                    self.receives.remove(send);
                    self.bundles.remove(receive);
                    self.items.retain(|(of, _), _| of != receive);
                    self.seen.retain(|(of, _), _| of != receive);
                    self.seen_at.retain(|(of, _), _| of != receive);
                }
                Change::PutBundle { receive, bundle } => {
                    self.bundles.insert(*receive, StoredBundle(bundle.clone()));
                }
                Change::PutUsage(account, usage) => {
                    self.usage.insert(*account, *usage);
                }
                Change::PutItem { receive, seq, item } => {
                    self.items.insert((*receive, *seq), item.clone());
                }
                Change::DeleteItem { receive, seq } => {
                    self.items.remove(&(*receive, *seq));
                }
                Change::PutSeen { receive, envelope, seen } => {
                    self.seen.insert((*receive, *envelope), *seen);
                    self.seen_at.insert((*receive, seen.seq), *envelope);
                }
                Change::DeleteSeen { receive, seq } => {
                    if let Some(envelope) = self.seen_at.remove(&(*receive, *seq)) {
                        let key = (*receive, envelope);
                        if self.seen.get(&key).is_some_and(|seen| seen.seq == *seq) {
                            self.seen.remove(&key);
                        }
                    }
                }
                Change::PutDue(due) => {
                    self.due.insert(*due);
                }
                Change::DeleteDue(due) => {
                    self.due.remove(due);
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.flushes += 1;
        match &self.broken {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}
