//! Who is attached to which queue, and how much they may be sent.
//!
//! 1. An owner attaches; its connection's key becomes the queue's subscriber, and whoever was
//!    that before is so no more.
//! 2. What is stored makes the queue `ready`. While the subscriber has credit, its ready queues
//!    take turns, each with one batch under a ticket.
//! 3. The answer to a batch returns the credit. A queue of which it left something open pauses
//!    for [`RETRY`], and is then sent from there again. The others go on meanwhile.
//!
//! # Invariants
//! * A queue has one subscriber at most.
//! * A subscriber has at most [`CREDIT_ITEMS`] and [`CREDIT_BYTES`] unanswered.
//! * A queue is never ready and paused at once.
//!
//! Pure bookkeeping: it neither reads the store nor sends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use libp2p::PeerId;
use protocol::ids::QueueId;
use protocol::mailbox::StoredItem;
use protocol::mailbox::wire::{Item, MAX_BATCH_BYTES, MAX_BODY, MAX_ITEMS};
use protocol::time::{SECOND, Timestamp};

/// Most unanswered items of one subscriber.
pub(crate) const CREDIT_ITEMS: usize = 64;
/// Most unanswered bytes of one subscriber.
pub(crate) const CREDIT_BYTES: usize = 256 * 1024;
/// Milliseconds until something unacknowledged is pushed again.
pub(crate) const RETRY: u64 = 5 * SECOND;
/// Most queues that one connection may attach: those of a full account, and then some.
pub(crate) const MAX_QUEUES: usize = 2_048;

/// Names one pushed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(u64);

/// Where the next batch for somebody may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) receive: QueueId,
    pub(crate) after: u64,
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

impl Allowance {
    /// Whether this is all that the queue has from there on: as many more would have been read.
    pub(crate) fn is_all(&self, read: &[(u64, StoredItem)]) -> bool {
        let bytes: usize = read.iter().map(|(_, item)| item.body.len()).sum();
        read.len() < self.items && bytes + MAX_BODY <= self.bytes
    }
}

#[derive(Debug, Default)]
struct Subscriber {
    queues: BTreeMap<QueueId, Place>,
    /// Queues that may hold something not yet pushed.
    ready: BTreeSet<QueueId>,
    /// Queues that wait to be pushed again, by when.
    paused: BTreeSet<(Timestamp, QueueId)>,
    /// The queue that had the last turn.
    served: Option<QueueId>,
    in_flight: BTreeMap<Ticket, InFlight>,
    items: usize,
    bytes: usize,
}

/// How far an attached queue has come.
#[derive(Debug, Default)]
struct Place {
    /// Position up to which it was pushed.
    pushed: u64,
    /// When its pause ends, while it has one.
    paused: Option<Timestamp>,
}

#[derive(Debug)]
struct InFlight {
    items: Vec<(QueueId, u64)>,
    bytes: usize,
}

/// All subscriptions of a relay.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    of_queue: HashMap<QueueId, PeerId>,
    peers: HashMap<PeerId, Subscriber>,
    /// Peers with something ready or paused, so that the rest costs nothing.
    pending: BTreeSet<PeerId>,
    last_ticket: u64,
}

/// Somebody who lost their last queue, and need not be kept connected any longer.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Released(pub(crate) Option<PeerId>);

impl Subscribers {
    /// Makes `peer` the subscriber of a queue from its beginning; `None` when it has too many.
    pub(crate) fn attach(&mut self, peer: PeerId, receive: QueueId) -> Option<Released> {
        let subscriber = self.peers.entry(peer).or_default();
        if subscriber.queues.len() >= MAX_QUEUES && !subscriber.queues.contains_key(&receive) {
            return None;
        }
        subscriber.remove(receive);
        subscriber.queues.insert(receive, Place::default());
        subscriber.ready.insert(receive);
        self.pending.insert(peer);
        match self.of_queue.insert(receive, peer) {
            Some(before) if before != peer => Some(self.take_from(before, receive)),
            _ => Some(Released(None)),
        }
    }

    /// The queue is gone.
    pub(crate) fn detach_queue(&mut self, receive: QueueId) -> Released {
        match self.of_queue.remove(&receive) {
            Some(peer) => self.take_from(peer, receive),
            None => Released(None),
        }
    }

    /// The connection is gone.
    pub(crate) fn detach_peer(&mut self, peer: &PeerId) {
        self.pending.remove(peer);
        for receive in self.peers.remove(peer).unwrap_or_default().queues.into_keys() {
            if self.of_queue.get(&receive) == Some(peer) {
                self.of_queue.remove(&receive);
            }
        }
    }

    pub(crate) fn is_attached(&self, peer: &PeerId, receive: QueueId) -> bool {
        self.of_queue.get(&receive) == Some(peer)
    }

    /// Something was stored in a queue.
    pub(crate) fn stored(&mut self, receive: QueueId) {
        if let Some(peer) = self.of_queue.get(&receive)
            && let Some(subscriber) = self.peers.get_mut(peer)
            && subscriber.queues.get(&receive).is_some_and(|place| place.paused.is_none())
        {
            subscriber.ready.insert(receive);
            self.pending.insert(*peer);
        }
    }

    /// What of this is in a batch that was sent.
    pub(crate) fn in_flight(
        &self,
        peer: &PeerId,
        ticket: Ticket,
        acknowledged: &[(QueueId, u64)],
    ) -> Vec<(QueueId, u64)> {
        let batch = self.peers.get(peer).and_then(|subscriber| subscriber.in_flight.get(&ticket));
        let Some(batch) = batch else { return Vec::new() };
        batch.items.iter().filter(|item| acknowledged.contains(item)).copied().collect()
    }

    /// Peers that may be sent something now. Ends the pauses that are over.
    pub(crate) fn sendable(&mut self, now: Timestamp) -> Vec<PeerId> {
        let Self { peers, pending, .. } = self;
        let may = |peer: &&PeerId| {
            peers.get_mut(*peer).is_some_and(|subscriber| {
                subscriber.wake(now);
                !subscriber.ready.is_empty() && subscriber.has_credit()
            })
        };
        pending.iter().filter(may).copied().collect()
    }

    /// What may be read for `peer` next; `None` when nothing is ready or credit is used up.
    pub(crate) fn allowance(&self, peer: &PeerId) -> Option<Allowance> {
        let subscriber = self.peers.get(peer)?;
        let receive = subscriber.turn()?;
        let after = subscriber.queues.get(&receive)?.pushed;
        subscriber.has_credit().then(|| Allowance {
            receive,
            after,
            items: (CREDIT_ITEMS - subscriber.items).min(MAX_ITEMS),
            bytes: (CREDIT_BYTES - subscriber.bytes).min(MAX_BATCH_BYTES),
        })
    }

    /// A queue has nothing beyond what was pushed.
    pub(crate) fn exhausted(&mut self, peer: &PeerId, receive: QueueId) {
        if let Some(subscriber) = self.peers.get_mut(peer) {
            subscriber.ready.remove(&receive);
            if subscriber.is_idle() {
                self.pending.remove(peer);
            }
        }
    }

    /// These items, all read by one [`Allowance`], go out; it is the next queue's turn.
    pub(crate) fn sent(&mut self, peer: &PeerId, items: &[Item]) -> Option<Ticket> {
        let subscriber = self.peers.get_mut(peer)?;
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        let bytes = items.iter().map(|item| item.body.len()).sum();
        for item in items {
            subscriber.served = Some(item.receive);
            if let Some(place) = subscriber.queues.get_mut(&item.receive) {
                place.pushed = place.pushed.max(item.seq);
            }
        }
        let items: Vec<_> = items.iter().map(|item| (item.receive, item.seq)).collect();
        subscriber.items += items.len();
        subscriber.bytes += bytes;
        subscriber.in_flight.insert(ticket, InFlight { items, bytes });
        Some(ticket)
    }

    /// The answer to a batch, or its failure (nothing acknowledged). Returns what is to be
    /// deleted: only what was in the batch.
    pub(crate) fn answered(
        &mut self,
        peer: &PeerId,
        ticket: Ticket,
        acknowledged: &[(QueueId, u64)],
        now: Timestamp,
    ) -> Vec<(QueueId, u64)> {
        let Some(subscriber) = self.peers.get_mut(peer) else { return Vec::new() };
        let Some(batch) = subscriber.in_flight.remove(&ticket) else { return Vec::new() };
        subscriber.items -= batch.items.len();
        subscriber.bytes -= batch.bytes;
        let acknowledged: BTreeSet<_> = acknowledged.iter().copied().collect();
        let (done, open): (Vec<_>, Vec<_>) =
            batch.items.into_iter().partition(|item| acknowledged.contains(item));
        for (receive, seq) in &open {
            if let Some(place) = subscriber.queues.get_mut(receive) {
                place.pushed = place.pushed.min(seq.saturating_sub(1));
                subscriber.pause(*receive, now.plus(RETRY));
            }
        }
        if !subscriber.is_idle() {
            self.pending.insert(*peer);
        }
        done
    }

    fn take_from(&mut self, peer: PeerId, receive: QueueId) -> Released {
        let Some(subscriber) = self.peers.get_mut(&peer) else { return Released(None) };
        subscriber.remove(receive);
        if subscriber.is_idle() {
            self.pending.remove(&peer);
        }
        if subscriber.queues.is_empty() {
            self.peers.remove(&peer);
            return Released(Some(peer));
        }
        Released(None)
    }
}

impl Subscriber {
    fn has_credit(&self) -> bool {
        // Room for the longest body, since a batch is never empty.
        self.items < CREDIT_ITEMS && self.bytes + MAX_BODY <= CREDIT_BYTES
    }

    /// Whether there is nothing to push, now or after a pause.
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.paused.is_empty()
    }

    /// The ready queue whose turn it is: the one after the last, or the first again.
    fn turn(&self) -> Option<QueueId> {
        let after = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        self.ready.range((after, Bound::Unbounded)).next().or_else(|| self.ready.first()).copied()
    }

    /// Keeps a queue back until then.
    fn pause(&mut self, receive: QueueId, until: Timestamp) {
        let Some(place) = self.queues.get_mut(&receive) else { return };
        if let Some(earlier) = place.paused.replace(until) {
            self.paused.remove(&(earlier, receive));
        }
        self.paused.insert((until, receive));
        self.ready.remove(&receive);
    }

    /// Ends the pauses that are over.
    fn wake(&mut self, now: Timestamp) {
        while let Some((until, receive)) = self.paused.first().copied()
            && until <= now
        {
            self.paused.remove(&(until, receive));
            if let Some(place) = self.queues.get_mut(&receive) {
                place.paused = None;
                self.ready.insert(receive);
            }
        }
    }

    fn remove(&mut self, receive: QueueId) {
        let place = self.queues.remove(&receive);
        if let Some(until) = place.and_then(|place| place.paused) {
            self.paused.remove(&(until, receive));
        }
        self.ready.remove(&receive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: QueueId = QueueId([1; 16]);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn items(seqs: std::ops::RangeInclusive<u64>, length: usize) -> Vec<Item> {
        items_of(QUEUE, seqs, length)
    }

    fn items_of(receive: QueueId, seqs: std::ops::RangeInclusive<u64>, length: usize) -> Vec<Item> {
        let body = vec![0; length];
        seqs.map(|seq| Item { receive, seq, deposited_at: NOW, body: body.clone().into() })
            .collect()
    }

    fn attached() -> (Subscribers, PeerId) {
        let (mut all, peer) = (Subscribers::default(), PeerId::random());
        assert_eq!(all.attach(peer, QUEUE), Some(Released(None)));
        (all, peer)
    }

    #[test]
    fn credit_bounds_what_is_unanswered_and_comes_back() {
        let (mut all, peer) = attached();
        let ticket = all.sent(&peer, &items(1..=60, 10)).expect("attached");
        assert_eq!(all.allowance(&peer).map(|next| (next.after, next.items)), Some((60, 4)));
        let last = all.sent(&peer, &items(61..=64, 10)).expect("attached");
        assert_eq!(all.allowance(&peer), None);
        assert_eq!(all.sendable(NOW), []);
        let done: Vec<_> = (1..=60).map(|seq| (QUEUE, seq)).collect();
        assert_eq!(all.answered(&peer, ticket, &done, NOW).len(), 60);
        assert_eq!(all.allowance(&peer).map(|next| (next.after, next.items)), Some((64, 60)));
        all.answered(&peer, last, &[(QUEUE, 61), (QUEUE, 62), (QUEUE, 63), (QUEUE, 64)], NOW);
        assert_eq!(all.sendable(NOW), [peer]);
    }

    #[test]
    fn credit_is_also_bytes() {
        let (mut all, peer) = attached();
        all.sent(&peer, &items(1..=8, 32 * 1024)).expect("attached");
        assert_eq!(all.allowance(&peer), None);
    }

    #[test]
    fn what_was_not_acknowledged_goes_out_again_but_not_at_once() {
        let (mut all, peer) = attached();
        let ticket = all.sent(&peer, &items(1..=3, 10)).expect("attached");
        all.exhausted(&peer, QUEUE);
        assert_eq!(all.sendable(NOW), []);
        let foreign = [(QUEUE, 1), (QUEUE, 9), (QueueId([7; 16]), 2)];
        assert_eq!(all.answered(&peer, ticket, &foreign, NOW), [(QUEUE, 1)]);
        assert_eq!(all.sendable(NOW), []);
        assert_eq!(all.sendable(NOW.plus(RETRY)), [peer]);
        assert_eq!(all.allowance(&peer).map(|next| next.after), Some(1));
        assert_eq!(all.answered(&peer, ticket, &[(QUEUE, 2)], NOW), [], "a ticket is good once");
    }

    #[test]
    fn queues_take_turns() {
        let (mut all, peer) = attached();
        let [second, third] = [2, 3].map(|byte| QueueId([byte; 16]));
        for receive in [second, third] {
            assert_eq!(all.attach(peer, receive), Some(Released(None)));
        }
        for (receive, after) in [(QUEUE, 0), (second, 0), (third, 0), (QUEUE, 1), (second, 1)] {
            let next = all.allowance(&peer).map(|next| (next.receive, next.after));
            assert_eq!(next, Some((receive, after)));
            let seq = after + 1;
            all.sent(&peer, &items_of(receive, seq..=seq, 10)).expect("attached");
        }
        all.exhausted(&peer, third);
        assert_eq!(all.allowance(&peer).map(|next| next.receive), Some(QUEUE), "one has no more");
    }

    #[test]
    fn what_one_queue_leaves_open_holds_up_no_other() {
        let (mut all, peer) = attached();
        let other = QueueId([2; 16]);
        assert_eq!(all.attach(peer, other), Some(Released(None)));
        let ticket = all.sent(&peer, &items(1..=64, 10)).expect("attached");
        assert_eq!(all.allowance(&peer), None, "credit is the subscriber's");
        assert_eq!(all.answered(&peer, ticket, &[], NOW), []);

        all.stored(QUEUE);
        assert_eq!(all.sendable(NOW), [peer]);
        assert_eq!(all.allowance(&peer).map(|next| next.receive), Some(other));
        all.exhausted(&peer, other);
        assert_eq!(all.allowance(&peer), None, "the first one pauses, also for what is new");
        assert_eq!(all.sendable(NOW.plus(RETRY - 1)), []);
        assert_eq!(all.sendable(NOW.plus(RETRY)), [peer]);
        let next = all.allowance(&peer).map(|next| (next.receive, next.after));
        assert_eq!(next, Some((QUEUE, 0)));
    }

    #[test]
    fn a_pause_ends_with_its_queue_and_with_a_new_attach() {
        let (mut all, peer) = attached();
        let ticket = all.sent(&peer, &items(1..=1, 10)).expect("attached");
        all.answered(&peer, ticket, &[], NOW);
        assert_eq!(all.attach(peer, QUEUE), Some(Released(None)));
        assert_eq!(all.sendable(NOW), [peer]);
        let ticket = all.sent(&peer, &items(1..=1, 10)).expect("attached");
        all.answered(&peer, ticket, &[], NOW);
        assert_eq!(all.detach_queue(QUEUE), Released(Some(peer)));
        assert_eq!(all.sendable(NOW.plus(RETRY)), []);
        assert!(all.peers.is_empty() && all.pending.is_empty());
    }

    #[test]
    fn a_second_attach_ends_the_first() {
        let (mut all, first) = attached();
        let second = PeerId::random();
        assert_eq!(all.attach(second, QUEUE), Some(Released(Some(first))));
        assert!(!all.is_attached(&first, QUEUE));
        assert!(all.is_attached(&second, QUEUE));
        all.detach_peer(&first);
        assert!(all.is_attached(&second, QUEUE), "the first's end does not touch the second");
        all.detach_peer(&second);
        assert!(all.of_queue.is_empty() && all.peers.is_empty() && all.pending.is_empty());
    }

    #[test]
    fn attaching_again_starts_from_the_beginning() {
        let (mut all, peer) = attached();
        all.sent(&peer, &items(1..=3, 10)).expect("attached");
        assert_eq!(all.attach(peer, QUEUE), Some(Released(None)));
        assert_eq!(all.allowance(&peer).map(|next| next.after), Some(0));
    }
}
