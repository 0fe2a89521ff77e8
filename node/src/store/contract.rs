//! The contract of [`Store`], run on every store.

#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn write(tree: Tree, key: &[u8], value: Option<&[u8]>) -> (Tree, Vec<u8>, Option<Vec<u8>>) {
    (tree, key.to_vec(), value.map(<[u8]>::to_vec))
}

fn commit(store: &dyn Store, writes: Vec<(Tree, Vec<u8>, Option<Vec<u8>>)>) {
    store.commit(Batch { writes }).unwrap();
}

fn reads_what_was_committed(store: &dyn Store) {
    commit(
        store,
        vec![write(Tree::Chat, b"a", Some(b"1")), write(Tree::Contact, b"a", Some(b"2"))],
    );
    assert_eq!(store.get(Tree::Chat, b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(store.get(Tree::Contact, b"a").unwrap(), Some(b"2".to_vec()));
    assert_eq!(store.get(Tree::Message, b"a").unwrap(), None);
    commit(store, vec![write(Tree::Chat, b"a", None)]);
    assert_eq!(store.get(Tree::Chat, b"a").unwrap(), None);
}

fn ranges_are_half_open_ordered_and_limited(store: &dyn Store) {
    let rows = (0u8..10).map(|n| write(Tree::Message, &[7, n], Some(&[n]))).collect();
    commit(store, rows);
    let keys = |order, limit| -> Vec<u8> {
        let rows = store.range(Tree::Message, &[7, 2], &[7, 6], order, limit).unwrap();
        rows.into_iter().map(|(key, _)| key[1]).collect()
    };
    assert_eq!(keys(Order::Rising, 10), [2, 3, 4, 5]);
    assert_eq!(keys(Order::Falling, 3), [5, 4, 3]);
    assert!(store.range(Tree::Message, &[9], &[1], Order::Rising, 10).unwrap().is_empty());
}

fn a_later_write_of_the_same_batch_wins(store: &dyn Store) {
    commit(store, vec![write(Tree::Meta, b"k", Some(b"1")), write(Tree::Meta, b"k", Some(b"2"))]);
    assert_eq!(store.get(Tree::Meta, b"k").unwrap(), Some(b"2".to_vec()));
    commit(store, vec![write(Tree::Meta, b"k", Some(b"3")), write(Tree::Meta, b"k", None)]);
    assert_eq!(store.get(Tree::Meta, b"k").unwrap(), None);
}

fn nothing_is_committed_and_nothing_is_asked_for(store: &dyn Store) {
    commit(store, vec![]);
    commit(store, vec![write(Tree::Chat, b"gone", None)]);
    commit(store, vec![write(Tree::Chat, b"a", Some(b"1"))]);
    let read = |from: &[u8], to: &[u8], limit| {
        store.range(Tree::Chat, from, to, Order::Falling, limit).unwrap().len()
    };
    assert_eq!(read(&[], &[0xff], 0), 0);
    assert_eq!(read(b"a", b"a", 10), 0);
    assert_eq!(read(&[], &[0xff], 10), 1);
}

fn keys_and_values_may_be_empty_or_long(store: &dyn Store) {
    let long = vec![7; 2 * recent::MAX_RECORD];
    let key = vec![9; 300];
    commit(
        store,
        vec![
            write(Tree::Chat, b"", Some(b"at no key")),
            write(Tree::Chat, b"nothing", Some(b"")),
            write(Tree::Chat, &key, Some(&long)),
        ],
    );
    assert_eq!(store.get(Tree::Chat, b"").unwrap(), Some(b"at no key".to_vec()));
    assert_eq!(store.get(Tree::Chat, b"nothing").unwrap(), Some(Vec::new()));
    assert_eq!(store.get(Tree::Chat, &key).unwrap(), Some(long));
    assert_eq!(store.get(Tree::Contact, b"").unwrap(), None);
}

fn trees_do_not_run_into_each_other(store: &dyn Store) {
    for tree in Tree::ALL {
        let edges = [&[][..], &[0], &[0xff; 20]];
        commit(store, edges.map(|key| write(tree, key, Some(tree.name().as_bytes()))).into());
    }
    for tree in Tree::ALL {
        let rows = store.range(tree, &[], &[0xff; 21], Order::Rising, 100).unwrap();
        assert_eq!(rows.len(), 3, "{}", tree.name());
        assert!(rows.iter().all(|(_, value)| value == tree.name().as_bytes()));
    }
}

macro_rules! contract {
    ($name:ident, $store:expr) => {
        contract!($name, $store,
            reads_what_was_committed
            ranges_are_half_open_ordered_and_limited
            a_later_write_of_the_same_batch_wins
            nothing_is_committed_and_nothing_is_asked_for
            keys_and_values_may_be_empty_or_long
            trees_do_not_run_into_each_other
        );
    };
    ($name:ident, $store:expr, $($case:ident)*) => {
        mod $name {
            $(#[test]
            fn $case() {
                let (_keep, store) = $store;
                super::$case(&store);
            })*
        }
    };
}

fn on_disk() -> (tempfile::TempDir, SledStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    (folder, store)
}

contract!(memory, ((), crate::store::MemoryStore::default()));
contract!(sled, super::on_disk());

#[test]
fn what_was_committed_is_there_after_a_reopen() {
    let (folder, store) = on_disk();
    commit(&store, vec![write(Tree::Chat, b"a", Some(b"1"))]);
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.get(Tree::Chat, b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_second_open_is_refused_in_words() {
    let (folder, _store) = on_disk();
    let second = SledStore::open(folder.path());
    assert!(matches!(second, Err(StoreError::InUse)), "{second:?}");
}

/// What may happen to a store, as a model knows it too.
#[derive(Clone, Debug)]
enum Act {
    /// Rows of a tree, each with the length of its value; `None` deletes.
    Commit(Vec<(usize, u8, Option<usize>)>),
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // A long one does not fit into a record.
    let length = prop_oneof![20 => 0usize..300, 1 => Just(recent::MAX_RECORD)];
    let write = (0usize..3, any::<u8>(), option::weighted(0.7, length));
    let commit = vec(write, 1..20).prop_map(Act::Commit);
    vec(prop_oneof![8 => commit, 1 => Just(Act::Reopen)], 1..40)
}

/// How many cases: as many as `PROPTEST_CASES` asks for. Each commits to a real disk.
fn cases() -> u32 {
    // proptest's own reading of it; 256 is what it says when nobody asks.
    match ProptestConfig::default().cases {
        256 => 24,
        asked => asked,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..Default::default() })]

    #[test]
    fn any_history_reads_as_it_does_in_memory(acts in acts()) {
        let (folder, mut store) = on_disk();
        let model = MemoryStore::default();
        for (n, act) in acts.into_iter().enumerate() {
            let Act::Commit(rows) = act else {
                drop(store);
                store = SledStore::open(folder.path()).unwrap();
                continue;
            };
            let writes = |rows: &[(usize, u8, Option<usize>)]| {
                let value = |length: usize| vec![u8::try_from(n % 256).unwrap(); length];
                let write = |&(tree, key, length): &(usize, u8, Option<usize>)| {
                    (Tree::ALL[tree], vec![key], length.map(value))
                };
                rows.iter().map(write).collect()
            };
            commit(&store, writes(&rows));
            commit(&model, writes(&rows));
            for tree in &Tree::ALL[..4] {
                for order in [Order::Rising, Order::Falling] {
                    let read = |store: &dyn Store, limit| {
                        store.range(*tree, &[20], &[240], order, limit).unwrap()
                    };
                    prop_assert_eq!(read(&store, 500), read(&model, 500));
                    prop_assert_eq!(read(&store, 3), read(&model, 3));
                }
                prop_assert_eq!(store.get(*tree, &[7]).unwrap(), model.get(*tree, &[7]).unwrap());
            }
        }
    }
}

#[test]
fn many_commits_are_folded_into_their_rows_and_none_is_lost() {
    let (folder, store) = on_disk();
    let commits = 2 * recent::MAX_RECORDS + 10;
    let value = |n: usize| n.to_be_bytes().to_vec();
    for n in 0..commits {
        let counter = write(Tree::Meta, b"n", Some(&value(n)));
        commit(&store, vec![counter, write(Tree::Journal, &value(n), Some(b"row"))]);
    }
    drop(store);
    let store = SledStore::open(folder.path()).unwrap();
    assert_eq!(store.get(Tree::Meta, b"n").unwrap(), Some(value(commits - 1)));
    let rows = store.range(Tree::Journal, &[], &[0xff; 9], Order::Rising, 10_000).unwrap();
    assert_eq!(rows.len(), commits);
}

#[test]
fn a_log_that_was_cut_is_refused_and_left_as_it_is() {
    for folds in [false, true] {
        let (folder, store) = on_disk();
        let commits = if folds { recent::MAX_RECORDS + 30 } else { 60 };
        for n in 0..commits {
            commit(&store, vec![write(Tree::Message, &n.to_be_bytes(), Some(&[7; 400]))]);
        }
        drop(store);
        let file = folder.path().join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() / 2);
        std::fs::write(&file, &bytes).unwrap();
        let opened = SledStore::open(folder.path());
        assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{opened:?}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}
