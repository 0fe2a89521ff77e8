//! How items and queues end: acknowledged, expired, erased with their account.

use protocol::ids::QueueId;
use protocol::mailbox::{Due, DueKind, Queue, Usage, machine};
use protocol::time::Timestamp;

use super::Service;
use crate::error::StoreError;
use crate::mailbox::store::{MailboxStore, Wanted};
use crate::mailbox::subscribers::Released;
use crate::mailbox::traffic::Output;

/// Most expiries worked off between two groups, so that deposits do not wait for them.
const MAX_EXPIRIES: usize = 512;
/// Most queues that are closed at once with their account: each may have thousands of rows.
const MAX_ERASED: usize = 8;

impl<S: MailboxStore> Service<S> {
    pub(super) fn delete(&mut self, items: &[(QueueId, u64)]) -> Result<(), StoreError> {
        for (receive, seq) in items {
            let Some(queue) = self.store.queue(*receive)? else { continue };
            let item = self.store.held(*receive, *seq)?;
            let usage = self.store.usage(queue.account)?;
            let changes = machine::acknowledge(&queue, usage, *seq, item);
            if !changes.is_empty() {
                self.parts.metrics.acknowledged.inc();
                self.store.apply(&changes)?;
                self.unflushed = true;
            }
        }
        Ok(())
    }

    /// Closes some queues of the account that is being erased; whoever waits is told when there are none, durably.
    pub(super) fn erase<R>(&mut self, outputs: &mut Vec<Output<R>>) -> Result<(), StoreError> {
        let Some((account, _)) = self.erasing.front() else { return Ok(()) };
        let account = *account;
        let receives = self.store.queues_of(account, MAX_ERASED)?;
        let there_may_be_more = receives.len() == MAX_ERASED;
        self.store.prepare(Wanted { receives: receives.clone(), ..Wanted::default() })?;
        for receive in receives {
            let Some(queue) = self.store.queue(receive)? else { continue };
            let usage = self.store.usage(account)?;
            self.store.apply(&machine::close(&queue, usage))?;
            self.unflushed = true;
            self.release(receive, outputs);
        }
        self.settle()?;
        if !there_may_be_more && let Some((_, done)) = self.erasing.pop_front() {
            // Nobody waits any more when the relay stops.
            let _ = done.send(());
        }
        Ok(())
    }

    /// Ends what is over, so much of it at once.
    pub(super) fn expire<R>(
        &mut self,
        now: Timestamp,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<(), StoreError> {
        let over = self.store.due(now, MAX_EXPIRIES)?;
        self.more_is_over = over.len() == MAX_EXPIRIES;
        let mut wanted = Wanted::default();
        for due in &over {
            wanted.receives.push(due.receive);
            match due.what {
                DueKind::Item(seq) => wanted.items.push((due.receive, seq)),
                DueKind::Seen(_, envelope) => wanted.remembered.push((due.receive, envelope)),
                DueKind::Queue => {}
            }
        }
        self.store.prepare(wanted)?;
        for due in over {
            let queue = self.store.queue(due.receive)?;
            self.sweep(&due, queue.as_ref())?;
            if queue.is_some() && self.store.queue(due.receive)?.is_none() {
                self.release(due.receive, outputs);
            }
        }
        self.settle()
    }

    /// Applies what an entry of the expiry index means for its queue.
    pub(super) fn sweep(&mut self, due: &Due, queue: Option<&Queue>) -> Result<(), StoreError> {
        let usage = match queue {
            Some(queue) => self.store.usage(queue.account)?,
            None => Usage::default(),
        };
        let (item, seen) = match due.what {
            DueKind::Item(seq) => (self.store.held(due.receive, seq)?, None),
            DueKind::Seen(_, envelope) => (None, self.store.seen(due.receive, envelope)?),
            DueKind::Queue => (None, None),
        };
        let changes = machine::expire(due, queue, usage, item, seen);
        self.store.apply(&changes)?;
        self.unflushed = true;
        Ok(())
    }

    pub(super) fn release<R>(&mut self, receive: QueueId, outputs: &mut Vec<Output<R>>) {
        let Released(released) = self.subscribers.detach_queue(receive);
        outputs.extend(released.map(Output::Unpin));
    }
}
