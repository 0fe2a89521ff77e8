//! The contract of [`Store`], run on every store.

#![allow(clippy::unwrap_used, reason = "tests")]

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

macro_rules! contract {
    ($name:ident, $store:expr) => {
        mod $name {
            #[test]
            fn reads_what_was_committed() {
                let (_keep, store) = $store;
                super::reads_what_was_committed(&store);
            }
            #[test]
            fn ranges_are_half_open_ordered_and_limited() {
                let (_keep, store) = $store;
                super::ranges_are_half_open_ordered_and_limited(&store);
            }
            #[test]
            fn a_later_write_of_the_same_batch_wins() {
                let (_keep, store) = $store;
                super::a_later_write_of_the_same_batch_wins(&store);
            }
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
