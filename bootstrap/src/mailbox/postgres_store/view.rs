//! What a transaction has read, with what was changed since: pure bookkeeping.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::{Change, Due, Held, Queue, Seen, StoredItem, Usage};

/// What was read, and whether it is to be written.
type Read<K, T> = BTreeMap<K, (Option<T>, bool)>;

#[derive(Debug, Default)]
pub(super) struct View {
    queues: Read<QueueId, Queue>,
    receives: BTreeMap<QueueId, Option<QueueId>>,
    usages: Read<AccountId, Usage>,
    items: BTreeMap<(QueueId, u64), Option<Held>>,
    /// Items that are to be written, or deleted.
    written: BTreeMap<(QueueId, u64), Option<StoredItem>>,
    seen: Read<(QueueId, EnvelopeId), Seen>,
    /// Positions whose deposit is forgotten, whatever it was.
    forgotten: Vec<(QueueId, u64)>,
    /// Entries of the expiry index, and whether they are to be there.
    due: BTreeMap<Due, bool>,
    changed: bool,
}

/// What is to be written: `None` is to be deleted.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) queues: Vec<Queue>,
    pub(super) usages: Vec<(AccountId, Usage)>,
    pub(super) items: Vec<((QueueId, u64), Option<StoredItem>)>,
    pub(super) forgotten: Vec<(QueueId, u64)>,
    pub(super) seen: Vec<((QueueId, EnvelopeId), Option<Seen>)>,
    pub(super) due: BTreeMap<Due, bool>,
}

impl View {
    /// A queue, if it was read: perhaps there is none.
    pub(super) fn queue(&self, receive: QueueId) -> Option<Option<&Queue>> {
        self.queues.get(&receive).map(|(queue, _)| queue.as_ref())
    }

    pub(super) fn read_queue(&mut self, receive: QueueId, queue: Option<Queue>) {
        self.queues.insert(receive, (queue, false));
    }

    pub(super) fn receive_of(&self, send: QueueId) -> Option<Option<QueueId>> {
        self.receives.get(&send).copied()
    }

    pub(super) fn read_send(&mut self, send: QueueId, receive: Option<QueueId>) {
        self.receives.insert(send, receive);
    }

    /// Owners' addresses that depositors' addresses led to.
    pub(super) fn receives(&self) -> BTreeSet<QueueId> {
        self.receives.values().flatten().copied().collect()
    }

    /// Accounts of the queues that were read.
    pub(super) fn accounts(&self) -> BTreeSet<AccountId> {
        let queues = self.queues.values().filter_map(|(queue, _)| queue.as_ref());
        queues.map(|queue| queue.account).collect()
    }

    pub(super) fn usage(&self, account: AccountId) -> Option<Usage> {
        self.usages.get(&account).map(|(usage, _)| usage.unwrap_or_default())
    }

    pub(super) fn read_usage(&mut self, account: AccountId, usage: Usage) {
        self.usages.insert(account, (Some(usage), false));
    }

    /// Accounts that use nothing.
    pub(super) fn unused(&self) -> Vec<AccountId> {
        let nothing = |usage: &Option<Usage>| usage.unwrap_or_default() == Usage::default();
        let unused = self.usages.iter().filter(|(_, (usage, _))| nothing(usage));
        unused.map(|(account, _)| *account).collect()
    }

    pub(super) fn held(&self, receive: QueueId, seq: u64) -> Option<Option<Held>> {
        self.items.get(&(receive, seq)).copied()
    }

    pub(super) fn read_item(&mut self, receive: QueueId, seq: u64, held: Option<Held>) {
        self.items.insert((receive, seq), held);
    }

    pub(super) fn seen(&self, receive: QueueId, envelope: EnvelopeId) -> Option<Option<Seen>> {
        self.seen.get(&(receive, envelope)).map(|(seen, _)| *seen)
    }

    pub(super) fn read_seen(&mut self, receive: QueueId, envelope: EnvelopeId, seen: Option<Seen>) {
        self.seen.insert((receive, envelope), (seen, false));
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// A queue is gone, with everything in it.
    pub(super) fn forget_queue(&mut self, receive: QueueId, send: QueueId) {
        self.queues.insert(receive, (None, false));
        self.receives.insert(send, None);
        self.items.retain(|(of, _), _| *of != receive);
        self.seen.retain(|(of, _), _| *of != receive);
    }

    /// Takes a change that is written with others. The two that are not are the store's own.
    pub(super) fn apply(&mut self, change: &Change) {
        self.changed = true;
        match change {
            Change::PutQueue(queue) => {
                self.receives.insert(queue.send, Some(queue.receive));
                self.queues.insert(queue.receive, (Some(queue.clone()), true));
            }
            Change::PutUsage(account, usage) => {
                self.usages.insert(*account, (Some(*usage), true));
            }
            Change::PutItem { receive, seq, item } => {
                self.items.insert((*receive, *seq), Some(item.held()));
                self.written.insert((*receive, *seq), Some(item.clone()));
            }
            Change::DeleteItem { receive, seq } => {
                self.items.insert((*receive, *seq), None);
                self.written.insert((*receive, *seq), None);
            }
            Change::PutSeen { receive, envelope, seen } => {
                self.seen.insert((*receive, *envelope), (Some(*seen), true));
            }
            Change::DeleteSeen { receive, seq } => {
                for ((of, _), (seen, to_write)) in &mut self.seen {
                    if of == receive && seen.is_some_and(|seen| seen.seq == *seq) {
                        (*seen, *to_write) = (None, true);
                    }
                }
                self.forgotten.push((*receive, *seq));
            }
            Change::PutDue(due) => drop(self.due.insert(*due, true)),
            Change::DeleteDue(due) => drop(self.due.insert(*due, false)),
            Change::DeleteQueue { .. } | Change::PutBundle { .. } => {}
        }
    }

    /// What is to be written; it counts as read from now on.
    pub(super) fn take_changes(&mut self) -> Changes {
        self.changed = false;
        let queues = written(&mut self.queues).into_iter().filter_map(|(_, queue)| queue);
        let usages = written(&mut self.usages).into_iter();
        Changes {
            queues: queues.collect(),
            usages: usages.map(|(account, usage)| (account, usage.unwrap_or_default())).collect(),
            items: std::mem::take(&mut self.written).into_iter().collect(),
            forgotten: std::mem::take(&mut self.forgotten),
            seen: written(&mut self.seen),
            due: std::mem::take(&mut self.due),
        }
    }
}

fn written<K: Ord + Copy, T: Clone>(read: &mut Read<K, T>) -> Vec<(K, Option<T>)> {
    let dirty = read.iter_mut().filter(|(_, (_, to_write))| *to_write);
    dirty
        .map(|(key, (value, to_write))| {
            *to_write = false;
            (*key, value.clone())
        })
        .collect()
}
