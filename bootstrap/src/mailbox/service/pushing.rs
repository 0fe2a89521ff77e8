//! What goes out to owners: items that are not over, within their credit.

use protocol::ids::QueueId;
use protocol::mailbox::StoredItem;
use protocol::mailbox::wire::Item;
use protocol::time::Timestamp;

use super::Service;
use crate::error::StoreError;
use crate::mailbox::store::MailboxStore;
use crate::mailbox::subscribers::Allowance;
use crate::mailbox::traffic::Output;

impl<S: MailboxStore> Service<S> {
    /// The next items that are not over; none only if the queue has no more of them. Reads on
    /// behind those that are over and not swept yet.
    pub(super) fn live(&self, read: Allowance, now: Timestamp) -> Result<Vec<Item>, StoreError> {
        let Allowance { receive, mut after, items, bytes } = read;
        loop {
            let stored = self.store.items(receive, after, items, bytes)?;
            let Some((last, _)) = stored.last() else { return Ok(Vec::new()) };
            after = *last;
            let live = on_the_way(receive, stored, now);
            if !live.is_empty() {
                return Ok(live);
            }
        }
    }

    /// Sends subscribers what is there, as far as their credit goes.
    pub(super) fn push<R>(
        &mut self,
        now: Timestamp,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<(), StoreError> {
        for peer in self.subscribers.sendable(now) {
            while let Some(next) = self.subscribers.allowance(&peer) {
                let items = self.live(next, now)?;
                if items.is_empty() {
                    self.subscribers.exhausted(&peer, next.receive);
                    continue;
                }
                let Some(ticket) = self.subscribers.sent(&peer, &items) else { break };
                self.parts.metrics.pushed.inc_by(items.len() as u64);
                outputs.push(Output::Push { peer, ticket, items });
            }
        }
        Ok(())
    }
}

fn on_the_way(receive: QueueId, items: Vec<(u64, StoredItem)>, now: Timestamp) -> Vec<Item> {
    items
        .into_iter()
        .filter(|(_, item)| item.until > now)
        .map(|(seq, item)| Item { receive, seq, deposited_at: item.deposited_at, body: item.body })
        .collect()
}
