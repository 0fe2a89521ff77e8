//! What goes out to owners: items that are not over, within their credit.

use libp2p::PeerId;
use protocol::ids::QueueId;
use protocol::mailbox::StoredItem;
use protocol::mailbox::wire::Item;
use protocol::time::Timestamp;

use super::Service;
use crate::error::StoreError;
use crate::mailbox::store::MailboxStore;
use crate::mailbox::subscribers::Allowance;
use crate::mailbox::traffic::Output;

/// Most queues that are read at once: each read holds up to a batch of bodies.
const MAX_READS: usize = 64;

impl<S: MailboxStore> Service<S> {
    /// The next items that are not over; none only if the queue has no more of them. Reads on
    /// behind those that are over and not swept yet.
    pub(super) fn live(&self, read: Allowance, now: Timestamp) -> Result<Vec<Item>, StoreError> {
        let mut read = read;
        loop {
            let stored = self.store.items(read)?;
            let Some((last, _)) = stored.last() else { return Ok(Vec::new()) };
            read.after = *last;
            let live = on_the_way(read.receive, stored, now);
            if !live.is_empty() {
                return Ok(live);
            }
        }
    }

    /// Sends subscribers what is there, as far as their credit goes: a batch for each, and again while there is more.
    pub(super) fn push<R>(
        &mut self,
        now: Timestamp,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<(), StoreError> {
        let mut peers = self.subscribers.sendable(now);
        while !peers.is_empty() {
            let mut again = Vec::new();
            for some in peers.chunks(MAX_READS) {
                let allowed =
                    some.iter().filter_map(|peer| Some((*peer, self.subscribers.allowance(peer)?)));
                let (allowed, reads): (Vec<_>, Vec<_>) = allowed.unzip();
                if reads.is_empty() {
                    continue;
                }
                let found = self.store.items_of(&reads)?;
                for ((peer, read), stored) in allowed.into_iter().zip(reads).zip(found) {
                    if self.push_to(peer, read, stored, now, outputs)? {
                        again.push(peer);
                    }
                }
            }
            peers = again;
        }
        Ok(())
    }

    /// Sends what was read for somebody; whether there may be more for them.
    fn push_to<R>(
        &mut self,
        peer: PeerId,
        read: Allowance,
        stored: Vec<(u64, StoredItem)>,
        now: Timestamp,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<bool, StoreError> {
        let last = stored.last().map(|(last, _)| *last).filter(|_| !read.is_all(&stored));
        let mut items = on_the_way(read.receive, stored, now);
        if let Some(after) = last.filter(|_| items.is_empty()) {
            items = self.live(Allowance { after, ..read }, now)?;
        }
        if last.is_none() || items.is_empty() {
            self.subscribers.exhausted(&peer, read.receive);
        }
        if items.is_empty() {
            return Ok(true);
        }
        let Some(ticket) = self.subscribers.sent(&peer, &items) else { return Ok(false) };
        self.parts.metrics.pushed.inc_by(items.len() as u64);
        outputs.push(Output::Push { peer, ticket, items });
        Ok(true)
    }
}

fn on_the_way(receive: QueueId, items: Vec<(u64, StoredItem)>, now: Timestamp) -> Vec<Item> {
    items
        .into_iter()
        .filter(|(_, item)| item.until > now)
        .map(|(seq, item)| Item { receive, seq, deposited_at: item.deposited_at, body: item.body })
        .collect()
}
