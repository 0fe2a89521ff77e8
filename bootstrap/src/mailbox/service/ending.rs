//! How items and queues end: acknowledged, expired, erased with their account.

use protocol::ids::{AccountId, QueueId};
use protocol::mailbox::{Due, DueKind, Queue, Usage, machine};
use protocol::time::Timestamp;

use super::{MAX_GROUP, Service};
use crate::error::StoreError;
use crate::mailbox::store::{MailboxStore, Wanted};
use crate::mailbox::subscribers::Released;
use crate::mailbox::traffic::Output;

/// Most expiries worked off between two groups, so that deposits do not wait for them.
const MAX_EXPIRIES: usize = 512;

impl<S: MailboxStore> Service<S> {
    pub(super) fn delete(&mut self, items: &[(QueueId, u64)]) -> Result<(), StoreError> {
        for (receive, seq) in items {
            let Some(queue) = self.store.queue(*receive)? else { continue };
            let item = self.store.item(*receive, *seq)?;
            let usage = self.store.usage(queue.account)?;
            let changes = machine::acknowledge(&queue, usage, *seq, item.as_ref());
            if !changes.is_empty() {
                self.parts.metrics.acknowledged.inc();
                self.store.apply(&changes)?;
                self.unflushed = true;
            }
        }
        Ok(())
    }

    /// Closes all queues of an account.
    pub(super) fn erase<R>(
        &mut self,
        account: AccountId,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<(), StoreError> {
        loop {
            let receives = self.store.queues_of(account, MAX_GROUP)?;
            self.store.prepare(Wanted { receives: receives.clone(), ..Wanted::default() })?;
            for receive in &receives {
                let Some(queue) = self.store.queue(*receive)? else { continue };
                let usage = self.store.usage(account)?;
                self.store.apply(&machine::close(&queue, usage))?;
                self.unflushed = true;
                self.release(*receive, outputs);
            }
            if receives.len() < MAX_GROUP {
                return Ok(());
            }
        }
    }

    pub(super) fn expire<R>(
        &mut self,
        now: Timestamp,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<(), StoreError> {
        let over = self.store.due(now, MAX_EXPIRIES)?;
        let receives = over.iter().map(|due| due.receive).collect();
        self.store.prepare(Wanted { receives, ..Wanted::default() })?;
        for due in over {
            let queue = self.store.queue(due.receive)?;
            self.sweep(&due, queue.as_ref())?;
            if queue.is_some() && self.store.queue(due.receive)?.is_none() {
                self.release(due.receive, outputs);
            }
        }
        Ok(())
    }

    /// Applies what an entry of the expiry index means for its queue.
    pub(super) fn sweep(&mut self, due: &Due, queue: Option<&Queue>) -> Result<(), StoreError> {
        let usage = match queue {
            Some(queue) => self.store.usage(queue.account)?,
            None => Usage::default(),
        };
        let (item, seen) = match due.what {
            DueKind::Item(seq) => (self.store.item(due.receive, seq)?, None),
            DueKind::Seen(_, envelope) => (None, self.store.seen(due.receive, envelope)?),
            DueKind::Queue => (None, None),
        };
        let changes = machine::expire(due, queue, usage, item.as_ref(), seen);
        self.store.apply(&changes)?;
        self.unflushed = true;
        Ok(())
    }

    pub(super) fn release<R>(&mut self, receive: QueueId, outputs: &mut Vec<Output<R>>) {
        let Released(released) = self.subscribers.detach_queue(receive);
        outputs.extend(released.map(Output::Unpin));
    }
}
