#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::time::MINUTE;
use proptest::prelude::*;

/// A store that does what it is told, and nothing else.
#[derive(Default, Clone, PartialEq, Debug)]
struct Shelf {
    /// What is deposited asks for reserved room.
    reserved: bool,
    queues: BTreeMap<QueueId, Queue>,
    receives: BTreeMap<QueueId, QueueId>,
    usage: BTreeMap<AccountId, Usage>,
    items: BTreeMap<(QueueId, u64), StoredItem>,
    seen: BTreeMap<(QueueId, EnvelopeId), Seen>,
    seen_at: BTreeMap<(QueueId, u64), EnvelopeId>,
    due: BTreeSet<Due>,
    bundles: BTreeMap<QueueId, ByteBuf>,
}

impl Shelf {
    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::PutQueue(queue) => {
                    self.receives.insert(queue.send, queue.receive);
                    self.queues.insert(queue.receive, queue);
                }
                Change::DeleteQueue { receive, send } => {
                    self.queues.remove(&receive);
                    self.receives.remove(&send);
                    self.bundles.remove(&receive);
                    self.items.retain(|(of, _), _| *of != receive);
                    self.seen.retain(|(of, _), _| *of != receive);
                    self.seen_at.retain(|(of, _), _| *of != receive);
                }
                Change::PutBundle { receive, bundle } => {
                    self.bundles.insert(receive, bundle);
                }
                Change::PutUsage(account, usage) => {
                    self.usage.insert(account, usage);
                }
                Change::PutItem { receive, seq, item } => {
                    self.items.insert((receive, seq), item);
                }
                Change::DeleteItem { receive, seq } => {
                    self.items.remove(&(receive, seq));
                }
                Change::PutSeen { receive, envelope, seen } => {
                    self.seen.insert((receive, envelope), seen);
                    self.seen_at.insert((receive, seen.seq), envelope);
                }
                Change::DeleteSeen { receive, seq } => {
                    if let Some(envelope) = self.seen_at.remove(&(receive, seq))
                        && self.seen.get(&(receive, envelope)).is_some_and(|seen| seen.seq == seq)
                    {
                        self.seen.remove(&(receive, envelope));
                    }
                }
                Change::PutDue(due) => {
                    self.due.insert(due);
                }
                Change::DeleteDue(due) => {
                    self.due.remove(&due);
                }
            }
        }
    }

    fn usage(&self, account: AccountId) -> Usage {
        self.usage.get(&account).copied().unwrap_or_default()
    }

    fn open(
        &mut self,
        spec: QueueSpec,
        account: AccountId,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), MailboxRefusal> {
        let by_receive = self.queues.get(&spec.receive);
        let by_send = self.receives.get(&spec.send).and_then(|receive| self.queues.get(receive));
        let opened = open(spec, account, (by_receive, by_send), self.usage(account), limits, now)?;
        if let Opened::New(changes) = opened {
            self.apply(changes);
        }
        Ok(())
    }

    fn deposit(
        &mut self,
        receive: QueueId,
        body: &[u8],
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Seen, DepositRefusal> {
        let queue = self.queues.get(&receive).ok_or(DepositRefusal::Denied)?;
        let envelope = EnvelopeId::of(body);
        let seen = self.seen.get(&(receive, envelope)).copied();
        let offer =
            Offer { envelope, body: body.to_vec().into(), ttl_seconds: 0, reserved: self.reserved };
        let taken = deposit(queue, self.usage(queue.account), seen, offer, limits, now)?;
        self.apply(taken.changes);
        Ok(taken.seen)
    }

    fn acknowledge(&mut self, receive: QueueId, seq: u64) {
        if let Some(queue) = self.queues.get(&receive) {
            let item = self.items.get(&(receive, seq));
            let changes =
                acknowledge(queue, self.usage(queue.account), seq, item.map(StoredItem::held));
            self.apply(changes);
        }
    }

    fn close(&mut self, receive: QueueId) {
        if let Some(queue) = self.queues.get(&receive) {
            let changes = close(queue, self.usage(queue.account));
            self.apply(changes);
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        let due: Vec<_> = self.due.iter().filter(|due| due.at <= now).copied().collect();
        for due in due {
            let queue = self.queues.get(&due.receive);
            let usage = queue.map_or_else(Usage::default, |queue| self.usage(queue.account));
            let (item, seen) = match due.what {
                DueKind::Item(seq) => (self.items.get(&(due.receive, seq)), None),
                DueKind::Seen(_, envelope) => {
                    (None, self.seen.get(&(due.receive, envelope)).copied())
                }
                DueKind::Queue => (None, None),
            };
            let changes = expire(&due, queue, usage, item.map(StoredItem::held), seen);
            self.apply(changes);
        }
    }

    /// The counts are what is really there.
    fn check(&self, limits: &Limits) {
        let mut by_account: BTreeMap<AccountId, Usage> = BTreeMap::new();
        for (receive, queue) in &self.queues {
            let items: Vec<_> =
                self.items.iter().filter(|((of, _), _)| of == receive).map(|(_, i)| i).collect();
            let bytes: usize = items.iter().map(|item| item.body.len()).sum();
            assert_eq!((queue.items as usize, queue.bytes as usize), (items.len(), bytes));
            let (most_items, most_bytes, _) = limits.of(queue.kind);
            assert!(queue.items <= most_items && queue.bytes <= most_bytes);
            let envelopes: BTreeSet<_> = items.iter().map(|item| item.envelope).collect();
            assert_eq!(envelopes.len(), items.len(), "an envelope waits once");
            let usage = by_account.entry(queue.account).or_default();
            usage.queues += 1;
            usage.items += queue.items;
            usage.bytes += queue.bytes;
            let remembered = self.seen.keys().filter(|(of, _)| of == receive).count() as u64;
            assert!(remembered <= MAX_SEEN);
        }
        for (account, usage) in &self.usage {
            assert_eq!(*usage, by_account.get(account).copied().unwrap_or_default());
            assert!(usage.queues <= limits.account_queues && usage.items <= limits.account_items);
        }
    }
}

const ADA: AccountId = AccountId([1; 32]);
const NOW: Timestamp = Timestamp(1_000 * DAY);

fn id(byte: u8) -> QueueId {
    QueueId([byte; 16])
}

fn contact(byte: u8) -> QueueSpec {
    QueueSpec {
        receive: id(byte),
        send: id(byte + 100),
        owner_key: [byte; 32],
        deposit_key: [byte + 100; 32],
        kind: QueueKind::Contact,
    }
}

fn drop_until(byte: u8, closes_at: Timestamp) -> QueueSpec {
    QueueSpec { kind: QueueKind::Drop { closes_at, bundle: vec![1, 2].into() }, ..contact(byte) }
}

fn shelf_with(spec: QueueSpec) -> Shelf {
    let mut shelf = Shelf::default();
    shelf.open(spec, ADA, &Limits::default(), NOW).unwrap();
    shelf
}

#[test]
fn opening_again_with_the_same_keys_changes_nothing_and_with_others_is_refused() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    let before = shelf.clone();
    assert_eq!(shelf.open(contact(1), ADA, &limits, NOW.plus(5)), Ok(()));
    assert_eq!(shelf, before);
    for other in [
        QueueSpec { owner_key: [9; 32], ..contact(1) },
        QueueSpec { deposit_key: [9; 32], ..contact(1) },
        QueueSpec { send: id(50), ..contact(1) },
        QueueSpec { receive: id(50), ..contact(1) },
        drop_until(1, NOW.plus(DAY)),
    ] {
        assert_eq!(shelf.open(other, ADA, &limits, NOW), Err(MailboxRefusal::Taken));
    }
    let eve = AccountId([2; 32]);
    assert_eq!(shelf.open(contact(1), eve, &limits, NOW), Err(MailboxRefusal::Taken));
    shelf.open(contact(2), ADA, &limits, NOW).unwrap();
    let crossed = QueueSpec { send: id(102), ..contact(1) };
    assert_eq!(shelf.open(crossed, ADA, &limits, NOW), Err(MailboxRefusal::Taken));
}

#[test]
fn malformed_queues_are_refused() {
    let mut shelf = Shelf::default();
    let limits = Limits::default();
    let same = QueueSpec { send: id(1), ..contact(1) };
    assert_eq!(shelf.open(same, ADA, &limits, NOW), Err(MailboxRefusal::Malformed));
    let forever = drop_until(1, Timestamp(u64::MAX));
    assert_eq!(shelf.open(forever, ADA, &limits, NOW), Err(MailboxRefusal::Malformed));
    let mut long = drop_until(1, NOW.plus(DAY));
    long.kind =
        QueueKind::Drop { closes_at: NOW.plus(DAY), bundle: vec![0; MAX_BUNDLE + 1].into() };
    assert_eq!(shelf.open(long, ADA, &limits, NOW), Err(MailboxRefusal::Malformed));
}

#[test]
fn an_account_has_so_many_queues_and_gets_them_back() {
    let limits = Limits { account_queues: 2, ..Limits::default() };
    let mut shelf = Shelf::default();
    shelf.open(contact(1), ADA, &limits, NOW).unwrap();
    shelf.open(contact(2), ADA, &limits, NOW).unwrap();
    assert_eq!(shelf.open(contact(3), ADA, &limits, NOW), Err(MailboxRefusal::TooManyQueues));
    shelf.close(id(1));
    assert_eq!(shelf.open(contact(3), ADA, &limits, NOW), Ok(()));
    shelf.check(&limits);
}

#[test]
fn a_repeated_deposit_gets_the_first_receipt_even_after_acknowledgement_until_it_is_forgotten() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    let first = shelf.deposit(id(1), b"frame", &limits, NOW).unwrap();
    assert_eq!(shelf.deposit(id(1), b"frame", &limits, NOW.plus(DAY)), Ok(first));
    assert_eq!(shelf.items.len(), 1);
    shelf.acknowledge(id(1), first.seq);
    assert_eq!(shelf.deposit(id(1), b"frame", &limits, NOW.plus(2 * DAY)), Ok(first));
    assert_eq!(shelf.items.len(), 0);

    let remembered = NOW.plus(limits.default_ttl + REMEMBER);
    shelf.sweep(remembered.minus(1));
    assert_eq!(shelf.deposit(id(1), b"frame", &limits, remembered.minus(1)), Ok(first));
    shelf.sweep(remembered);
    let second = shelf.deposit(id(1), b"frame", &limits, remembered).unwrap();
    assert_eq!(second.seq, first.seq + 1);
    shelf.check(&limits);
}

#[test]
fn a_deposit_that_expired_is_taken_anew_with_a_receipt_of_its_own() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    let first = shelf.deposit(id(1), b"frame", &limits, NOW).unwrap();
    shelf.sweep(first.until.minus(1));
    assert_eq!(shelf.deposit(id(1), b"frame", &limits, first.until.minus(1)), Ok(first));

    shelf.sweep(first.until);
    assert_eq!(shelf.items.len() + shelf.seen.len() + shelf.due.len(), 0);
    let second = shelf.deposit(id(1), b"frame", &limits, first.until).unwrap();
    assert_eq!((second.seq, second.at), (first.seq + 1, first.until));
    assert_eq!(shelf.deposit(id(1), b"frame", &limits, first.until.plus(DAY)), Ok(second));
    assert_eq!(shelf.items.keys().map(|(_, seq)| *seq).collect::<Vec<_>>(), [second.seq]);

    shelf.acknowledge(id(1), second.seq);
    shelf.sweep(second.until);
    assert_eq!(shelf.deposit(id(1), b"frame", &limits, second.until), Ok(second), "it came");
    shelf.check(&limits);
}

#[test]
fn memory_of_deposits_is_bounded_and_forgets_the_oldest() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    for n in 0..=MAX_SEEN {
        let seen = shelf.deposit(id(1), &n.to_be_bytes(), &limits, NOW).unwrap();
        shelf.acknowledge(id(1), seen.seq);
    }
    shelf.check(&limits);
    assert_eq!(shelf.seen.len() as u64, MAX_SEEN);
    let again = shelf.deposit(id(1), &0u64.to_be_bytes(), &limits, NOW).unwrap();
    assert_eq!(again.seq, MAX_SEEN + 2, "the oldest was forgotten");
    let known = shelf.deposit(id(1), &MAX_SEEN.to_be_bytes(), &limits, NOW).unwrap();
    assert_eq!(known.seq, MAX_SEEN + 1, "the newest was not");
}

#[test]
fn a_full_queue_has_room_for_control_messages_and_a_full_account_as_well() {
    let limits = Limits {
        contact_items: 2,
        reserved_items: 2,
        contact_bytes: 20,
        reserved_bytes: 5,
        account_items: 8,
        ..Limits::default()
    };
    let mut shelf = shelf_with(contact(1));
    for byte in 1..=2 {
        shelf.deposit(id(1), &[byte], &limits, NOW).unwrap();
    }
    assert_eq!(shelf.deposit(id(1), &[3], &limits, NOW), Err(DepositRefusal::Full));
    shelf.reserved = true;
    assert_eq!(shelf.deposit(id(1), &[3; 24], &limits, NOW), Err(DepositRefusal::Full), "bytes");
    for byte in 3..=4 {
        shelf.deposit(id(1), &[byte], &limits, NOW).unwrap();
    }
    assert_eq!(shelf.deposit(id(1), &[5], &limits, NOW), Err(DepositRefusal::Full));
    // It counts as any other: what was reserved is room again when it was fetched.
    shelf.acknowledge(id(1), 1);
    shelf.reserved = false;
    assert_eq!(shelf.deposit(id(1), &[5], &limits, NOW), Err(DepositRefusal::Full));
    shelf.reserved = true;
    assert!(shelf.deposit(id(1), &[5], &limits, NOW).is_ok());

    let limits = Limits { account_items: 8, ..Limits::default() };
    let mut shelf = shelf_with(contact(1));
    for byte in 1..=8 {
        shelf.deposit(id(1), &[byte], &limits, NOW).unwrap();
    }
    assert_eq!(shelf.deposit(id(1), &[9], &limits, NOW), Err(DepositRefusal::Full));
    shelf.reserved = true;
    assert!(shelf.deposit(id(1), &[9], &limits, NOW).is_ok());
    assert_eq!(shelf.deposit(id(1), &[10], &limits, NOW), Err(DepositRefusal::Full), "an eighth");
}

#[test]
fn a_drop_has_no_reserved_room() {
    let limits = Limits { drop_items: 1, ..Limits::default() };
    let mut shelf = shelf_with(drop_until(1, NOW.plus(DAY)));
    shelf.deposit(id(1), &[1], &limits, NOW).unwrap();
    shelf.reserved = true;
    assert_eq!(shelf.deposit(id(1), &[2], &limits, NOW), Err(DepositRefusal::Full));
}

#[test]
fn quotas_hold_by_item_by_byte_and_by_account() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    for n in 0..128u32 {
        shelf.deposit(id(1), &n.to_be_bytes(), &limits, NOW).unwrap();
    }
    assert_eq!(shelf.deposit(id(1), b"one more", &limits, NOW), Err(DepositRefusal::Full));
    shelf.acknowledge(id(1), 1);
    assert!(shelf.deposit(id(1), b"one more", &limits, NOW).is_ok());

    let limits = Limits { contact_bytes: 10, account_bytes: 15, ..Limits::default() };
    let mut shelf = shelf_with(contact(1));
    shelf.open(contact(2), ADA, &limits, NOW).unwrap();
    assert!(shelf.deposit(id(1), &[1; 10], &limits, NOW).is_ok());
    assert_eq!(shelf.deposit(id(1), &[2], &limits, NOW), Err(DepositRefusal::Full));
    assert_eq!(shelf.deposit(id(2), &[3; 6], &limits, NOW), Err(DepositRefusal::Full));
    assert!(shelf.deposit(id(2), &[4; 5], &limits, NOW).is_ok());
    shelf.check(&limits);
}

#[test]
fn bodies_are_neither_empty_nor_too_long() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    shelf.open(drop_until(2, NOW.plus(DAY)), ADA, &limits, NOW).unwrap();
    assert_eq!(shelf.deposit(id(1), &[], &limits, NOW), Err(DepositRefusal::TooLarge));
    let long = vec![0; MAX_BODY + 1];
    assert_eq!(shelf.deposit(id(1), &long, &limits, NOW), Err(DepositRefusal::TooLarge));
    assert!(shelf.deposit(id(1), &long[1..], &limits, NOW).is_ok());
    let join = vec![0; 8 * 1024 + 1];
    assert_eq!(shelf.deposit(id(2), &join, &limits, NOW), Err(DepositRefusal::TooLarge));
    assert!(shelf.deposit(id(2), &join[1..], &limits, NOW).is_ok());
}

#[test]
fn a_drop_takes_eight_until_it_closes_and_ends_when_its_owner_had_time() {
    let limits = Limits::default();
    let closes_at = NOW.plus(10 * MINUTE);
    let mut shelf = shelf_with(drop_until(1, closes_at));
    for n in 0..8u8 {
        shelf.deposit(id(1), &[n], &limits, NOW).unwrap();
    }
    assert_eq!(shelf.deposit(id(1), &[8], &limits, NOW), Err(DepositRefusal::Full));
    shelf.acknowledge(id(1), 1);
    assert_eq!(shelf.deposit(id(1), &[8], &limits, closes_at), Err(DepositRefusal::Denied));
    assert!(shelf.deposit(id(1), &[7], &limits, closes_at).is_ok(), "a repetition is answered");
    shelf.sweep(closes_at.plus(DROP_LINGERS).minus(1));
    assert!(shelf.queues.contains_key(&id(1)));
    shelf.sweep(closes_at.plus(DROP_LINGERS));
    assert_eq!(shelf.queues.len() + shelf.bundles.len() + shelf.seen.len(), 0);
    assert_eq!(shelf.usage(ADA), Usage::default());
}

#[test]
fn items_expire_and_acknowledging_twice_or_too_late_changes_nothing() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    let first = shelf.deposit(id(1), b"one", &limits, NOW).unwrap();
    shelf.deposit(id(1), b"two", &limits, NOW.plus(DAY)).unwrap();
    shelf.sweep(first.until);
    assert_eq!(shelf.items.keys().map(|(_, seq)| *seq).collect::<Vec<_>>(), [2]);
    let before = shelf.clone();
    shelf.acknowledge(id(1), first.seq);
    shelf.acknowledge(id(1), 99);
    assert_eq!(shelf, before);
    shelf.acknowledge(id(1), 2);
    let before = shelf.clone();
    shelf.acknowledge(id(1), 2);
    assert_eq!(shelf, before);
    shelf.check(&limits);
}

#[test]
fn keeping_time_has_a_default_and_a_maximum() {
    let limits = Limits::default();
    assert_eq!(limits.keeping_time(0), 14 * DAY);
    assert_eq!(limits.keeping_time(60), MINUTE);
    assert_eq!(limits.keeping_time(u32::MAX), 30 * DAY);
}

#[test]
fn an_old_index_entry_does_not_touch_a_queue_opened_again() {
    let limits = Limits::default();
    let mut shelf = shelf_with(contact(1));
    shelf.deposit(id(1), b"old", &limits, NOW).unwrap();
    shelf.close(id(1));
    shelf.open(contact(1), ADA, &limits, NOW.plus(DAY)).unwrap();
    let young = shelf.deposit(id(1), b"old", &limits, NOW.plus(DAY)).unwrap();
    assert_eq!(young.seq, 1);
    shelf.sweep(NOW.plus(limits.default_ttl));
    assert_eq!(shelf.items.len(), 1, "the younger item has its own time");
    shelf.acknowledge(id(1), young.seq);
    shelf.sweep(NOW.plus(limits.default_ttl + REMEMBER));
    assert_eq!(shelf.seen.len(), 1, "so has the memory of it");
}

#[derive(Debug, Clone)]
enum Step {
    Open(u8, bool),
    Close(u8),
    Deposit(u8, u8, usize),
    Acknowledge(u8, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..5, any::<bool>()).prop_map(|(n, is_drop)| Step::Open(n, is_drop)),
        (0u8..5).prop_map(Step::Close),
        (0u8..5, 0u8..12, 1usize..40).prop_map(|(n, body, len)| Step::Deposit(n, body, len)),
        (0u8..5, 0u64..20).prop_map(|(n, seq)| Step::Acknowledge(n, seq)),
        (0u64..20 * DAY).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn counts_match_reality_and_no_bound_breaks(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let limits = Limits {
            contact_items: 5, contact_bytes: 120, reserved_items: 2, reserved_bytes: 30, drop_items: 2, drop_bytes: 60, drop_body: 30,
            account_items: 8, account_bytes: 200, account_queues: 3, ..Limits::default()
        };
        let mut shelf = Shelf::default();
        let mut now = NOW;
        for step in steps {
            match step {
                Step::Open(n, is_drop) => {
                    let account = AccountId([n % 2; 32]);
                    let spec =
                        if is_drop { drop_until(n, now.plus(DAY)) } else { contact(n) };
                    let _ = shelf.open(spec, account, &limits, now);
                }
                Step::Close(n) => shelf.close(id(n)),
                Step::Deposit(n, body, length) => {
                    let known = shelf.seen.get(&(id(n), EnvelopeId::of(&vec![body; length]))).copied();
                    shelf.reserved = body % 3 == 0;
                    let result = shelf.deposit(id(n), &vec![body; length], &limits, now);
                    if let Some(known) = known {
                        prop_assert_eq!(result, Ok(known));
                    }
                }
                Step::Acknowledge(n, seq) => shelf.acknowledge(id(n), seq),
                Step::Pass(millis) => {
                    now = now.plus(millis);
                    shelf.sweep(now);
                    prop_assert!(shelf.items.values().all(|item| item.until > now));
                }
            }
            shelf.check(&limits.with_reserve(true));
        }
        for n in 0..5 {
            shelf.close(id(n));
        }
        shelf.sweep(now.plus(365 * DAY));
        prop_assert!(shelf.usage.values().all(|usage| *usage == Usage::default()));
        prop_assert_eq!(shelf.items.len() + shelf.seen.len() + shelf.seen_at.len(), 0);
        prop_assert_eq!(shelf.due.len(), 0);
    }
}
