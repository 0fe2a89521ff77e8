//! What every mailbox store has to pass: the same suite on sled, on PostgreSQL and on memory.

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::record::StoredBundle;
use protocol::mailbox::{Change, Due, DueKind, Kind, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;

use super::memory::MemoryStore;
use super::postgres_store::PostgresStore;
use super::sled_store::SledStore;
use super::store::MailboxStore;
use super::subscribers::Allowance;
use crate::postgres::testing;
use crate::siblings::Instance;
use crate::store::Database;

const HERE: QueueId = QueueId([1; 16]);
const NEXT: QueueId = QueueId([2; 16]);
const SEND: QueueId = QueueId([11; 16]);
const ADA: AccountId = AccountId([5; 32]);

fn on_sled(test: fn(&mut dyn MailboxStore)) {
    let dir = tempfile::tempdir().expect("a directory");
    let database = Database::open(dir.path()).expect("free");
    test(&mut SledStore::open(database).expect("open"));
}

fn on_postgres(test: fn(&mut dyn MailboxStore)) {
    test(&mut PostgresStore::open(&testing::database(), Instance::random()).expect("open"));
}

macro_rules! contract {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod sled_keeps_the_contract {
            $(#[test] fn $name() { super::on_sled(super::$name); })*
        }
        mod postgres_keeps_the_contract {
            $(#[test] fn $name() { super::on_postgres(super::$name); })*
        }
        mod memory_keeps_the_contract {
            $(#[test] fn $name() { super::$name(&mut super::MemoryStore::default()); })*
        }
    };
}

contract! {
    what_is_put_is_found;
    items_come_in_order_within_count_and_bytes_and_only_of_their_queue;
    deleting_a_queue_deletes_what_is_in_it_and_nothing_else;
    the_queues_of_an_account_are_found_until_they_are_deleted;
    forgetting_a_position_spares_a_newer_deposit_of_the_same_envelope;
    due_entries_come_in_order_of_time;
    later_changes_of_a_decision_go_over_earlier_ones;
}

fn queue(receive: QueueId, send: QueueId) -> Queue {
    Queue {
        receive,
        send,
        owner_key: [3; 32],
        deposit_key: [4; 32],
        account: ADA,
        kind: Kind::Drop { closes_at: Timestamp(9) },
        opened_at: Timestamp(8),
        last_seq: 7,
        forgotten_seq: 6,
        items: 5,
        bytes: 4,
    }
}

fn item(byte: u8, length: usize) -> StoredItem {
    StoredItem {
        envelope: EnvelopeId([byte; 16]),
        deposited_at: Timestamp(1),
        until: Timestamp(2),
        body: vec![byte; length].into(),
    }
}

fn put_item(receive: QueueId, seq: u64, item: StoredItem) -> Change {
    Change::PutItem { receive, seq, item }
}

fn seen(seq: u64) -> Seen {
    Seen { seq, at: Timestamp(1), until: Timestamp(2), forget_at: Timestamp(3) }
}

fn put_seen(receive: QueueId, envelope: u8, seq: u64) -> Change {
    Change::PutSeen { receive, envelope: EnvelopeId([envelope; 16]), seen: seen(seq) }
}

fn what_is_put_is_found(store: &mut dyn MailboxStore) {
    assert_eq!(store.queue(HERE).expect("read"), None);
    assert_eq!(store.usage(ADA).expect("read"), Usage::default());
    let usage = Usage { queues: 1, items: 2, bytes: 3 };
    store
        .apply(&[
            Change::PutQueue(queue(HERE, SEND)),
            Change::PutBundle { receive: HERE, bundle: vec![1, 2, 3].into() },
            Change::PutUsage(ADA, usage),
            put_item(HERE, 7, item(9, 10)),
            put_seen(HERE, 9, 7),
        ])
        .expect("applied");
    store.flush().expect("flushed");
    assert_eq!(store.queue(HERE).expect("read"), Some(queue(HERE, SEND)));
    assert_eq!(store.receive_of(SEND).expect("read"), Some(HERE));
    assert_eq!(store.receive_of(HERE).expect("read"), None, "addresses are not mixed up");
    assert_eq!(store.bundle(HERE).expect("read"), Some(StoredBundle(vec![1, 2, 3].into())));
    assert_eq!(store.usage(ADA).expect("read"), usage);
    assert_eq!(store.items(allowed(HERE, 0, 9, 99)).expect("read"), [(7, item(9, 10))]);
    assert_eq!(store.held(HERE, 7).expect("read"), Some(item(9, 10).held()));
    assert_eq!(store.held(HERE, 8).expect("read"), None);
    assert_eq!(store.peek(HERE).expect("read"), Some(queue(HERE, SEND)));
    assert_eq!(store.seen(HERE, EnvelopeId([9; 16])).expect("read"), Some(seen(7)));
    store.apply(&[Change::DeleteItem { receive: HERE, seq: 7 }]).expect("applied");
    assert_eq!(store.held(HERE, 7).expect("read"), None);
}

fn items_come_in_order_within_count_and_bytes_and_only_of_their_queue(
    store: &mut dyn MailboxStore,
) {
    let mut changes: Vec<_> =
        [300u64, 2, 1, 255, 256].map(|seq| put_item(HERE, seq, item(seq as u8, 10))).to_vec();
    changes.push(put_item(NEXT, 1, item(1, 10)));
    store.apply(&changes).expect("applied");
    let seqs = |after, max, bytes| -> Vec<u64> {
        let items = store.items(allowed(HERE, after, max, bytes)).expect("read");
        items.into_iter().map(|(seq, _)| seq).collect()
    };
    assert_eq!(seqs(0, 10, 1_000), [1, 2, 255, 256, 300]);
    assert_eq!(seqs(2, 2, 1_000), [255, 256]);
    assert_eq!(seqs(0, 10, 25), [1, 2]);
    assert_eq!(seqs(0, 10, 5), [1], "one item goes out however long");
    assert_eq!(seqs(300, 10, 1_000), [0u64; 0]);
    assert_eq!(seqs(u64::MAX, 10, 1_000), [0u64; 0]);

    let wanted = [(NEXT, 0, 10, 99), (HERE, 2, 2, 99), (HERE, 300, 9, 99), (HERE, 0, 9, 25)];
    let wanted = wanted.map(|(receive, after, max, bytes)| allowed(receive, after, max, bytes));
    let at_once = store.items_of(&wanted).expect("read");
    let one_by_one: Vec<_> = wanted.iter().map(|one| store.items(*one).expect("read")).collect();
    assert_eq!(at_once, one_by_one);
    assert_eq!(at_once.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 0, 2]);
    assert_eq!(store.items_of(&[]).expect("read"), [] as [Vec<_>; 0]);
}

fn allowed(receive: QueueId, after: u64, items: usize, bytes: usize) -> Allowance {
    Allowance { receive, after, items, bytes }
}

fn deleting_a_queue_deletes_what_is_in_it_and_nothing_else(store: &mut dyn MailboxStore) {
    let other_send = QueueId([12; 16]);
    for (receive, send) in [(HERE, SEND), (NEXT, other_send)] {
        store
            .apply(&[
                Change::PutQueue(queue(receive, send)),
                Change::PutBundle { receive, bundle: vec![1].into() },
                put_item(receive, 1, item(1, 1)),
                put_item(receive, 2, item(2, 1)),
                put_seen(receive, 1, 1),
            ])
            .expect("applied");
    }
    store.apply(&[Change::DeleteQueue { receive: HERE, send: SEND }]).expect("applied");
    assert_eq!(store.queue(HERE).expect("read"), None);
    assert_eq!(store.receive_of(SEND).expect("read"), None);
    assert_eq!(store.bundle(HERE).expect("read"), None);
    assert_eq!(store.items(allowed(HERE, 0, 10, 10)).expect("read"), []);
    assert_eq!(store.seen(HERE, EnvelopeId([1; 16])).expect("read"), None);
    assert_eq!(store.receive_of(other_send).expect("read"), Some(NEXT));
    assert_eq!(store.items(allowed(NEXT, 0, 10, 10)).expect("read").len(), 2);
    assert!(store.seen(NEXT, EnvelopeId([1; 16])).expect("read").is_some());
    assert!(store.bundle(NEXT).expect("read").is_some());
}

fn the_queues_of_an_account_are_found_until_they_are_deleted(store: &mut dyn MailboxStore) {
    const BEN: AccountId = AccountId([6; 32]);
    let far = QueueId([3; 16]);
    let of_ben = Queue { account: BEN, ..queue(far, QueueId([13; 16])) };
    let both = [queue(HERE, SEND), queue(NEXT, QueueId([12; 16])), of_ben];
    store.apply(&both.map(Change::PutQueue)).expect("applied");
    assert_eq!(store.queues_of(ADA, 9).expect("read"), [HERE, NEXT]);
    assert_eq!(store.queues_of(ADA, 1).expect("read"), [HERE]);
    assert_eq!(store.queues_of(BEN, 9).expect("read"), [far]);
    store.apply(&[Change::DeleteQueue { receive: HERE, send: SEND }]).expect("applied");
    assert_eq!(store.queues_of(ADA, 9).expect("read"), [NEXT]);
}

fn forgetting_a_position_spares_a_newer_deposit_of_the_same_envelope(store: &mut dyn MailboxStore) {
    store.apply(&[put_seen(HERE, 9, 1), put_seen(HERE, 8, 2)]).expect("applied");
    store.apply(&[put_seen(HERE, 9, 3)]).expect("applied");
    store.apply(&[Change::DeleteSeen { receive: HERE, seq: 1 }]).expect("applied");
    assert_eq!(store.seen(HERE, EnvelopeId([9; 16])).expect("read"), Some(seen(3)));
    store.apply(&[Change::DeleteSeen { receive: HERE, seq: 2 }]).expect("applied");
    assert_eq!(store.seen(HERE, EnvelopeId([8; 16])).expect("read"), None);
    store.apply(&[Change::DeleteSeen { receive: HERE, seq: 99 }]).expect("nothing there");
}

fn due_entries_come_in_order_of_time(store: &mut dyn MailboxStore) {
    let due = |at, receive, what| Due { at: Timestamp(at), receive, what };
    let entries = [
        due(5, HERE, DueKind::Item(1)),
        due(300, HERE, DueKind::Queue),
        due(256, NEXT, DueKind::Seen(2, EnvelopeId([0xff; 16]))),
        due(5, HERE, DueKind::Item(2)),
    ];
    let puts: Vec<_> = entries.iter().map(|due| Change::PutDue(*due)).collect();
    store.apply(&puts).expect("applied");
    assert_eq!(store.due(Timestamp(4), 10).expect("read"), []);
    assert_eq!(store.due(Timestamp(256), 10).expect("read"), [entries[0], entries[3], entries[2]]);
    assert_eq!(store.due(Timestamp(u64::MAX), 2).expect("read").len(), 2);
    store.apply(&[Change::DeleteDue(entries[0])]).expect("applied");
    assert_eq!(store.due(Timestamp(5), 10).expect("read"), [entries[3]]);
}

fn later_changes_of_a_decision_go_over_earlier_ones(store: &mut dyn MailboxStore) {
    store
        .apply(&[
            put_item(HERE, 1, item(1, 1)),
            put_seen(HERE, 1, 1),
            Change::DeleteSeen { receive: HERE, seq: 1 },
            Change::PutQueue(queue(HERE, SEND)),
            Change::DeleteQueue { receive: HERE, send: SEND },
        ])
        .expect("applied");
    assert_eq!(store.items(allowed(HERE, 0, 10, 10)).expect("read"), []);
    assert_eq!(store.seen(HERE, EnvelopeId([1; 16])).expect("read"), None);
    assert_eq!(store.queue(HERE).expect("read"), None);
}

#[test]
fn what_was_flushed_is_there_after_the_store_is_opened_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let database = Database::open(dir.path()).expect("free");
    let mut store = SledStore::open(database).expect("open");
    store.apply(&[put_item(HERE, 1, item(1, 100))]).expect("applied");
    store.flush().expect("flushed");
    drop(store);
    let database = Database::open(dir.path()).expect("free again");
    let store = SledStore::open(database).expect("open");
    assert_eq!(store.items(allowed(HERE, 0, 9, 999)).expect("read"), [(1, item(1, 100))]);
}

#[test]
fn a_store_from_before_the_index_of_accounts_gets_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Database::open(dir.path()).expect("free");
    let tree = open().tree("mailbox").expect("open");
    let key = [b"q".as_slice(), &HERE.0].concat();
    let row = protocol::wire::encode(&queue(HERE, SEND)).expect("encodes");
    tree.insert(key, row).expect("stored");
    drop(tree);
    let store = SledStore::open(open()).expect("open");
    assert_eq!(store.queues_of(ADA, 9).expect("read"), [HERE]);
}
