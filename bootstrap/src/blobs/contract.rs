//! The suite that every store of records passes.

use protocol::blob::{Blob, BlobId, BlobRefusal, Limits, PIECE};
use protocol::ids::AccountId;
use protocol::time::{DAY, Timestamp};

use super::store::BlobStore;
use crate::error::StoreError;

const NOW: Timestamp = Timestamp(100 * DAY);
const ADA: AccountId = AccountId([1; 32]);
const BEN: AccountId = AccountId([2; 32]);

fn limits() -> Limits {
    Limits {
        account_bytes: 10 * PIECE,
        account_blobs: 10,
        relay_bytes: 15 * PIECE,
        ..Limits::default()
    }
}

fn open(
    store: &dyn BlobStore,
    id: u8,
    owner: AccountId,
    bytes: u64,
    now: Timestamp,
) -> Result<Blob, BlobRefusal> {
    let opening = |there, usage| Blob::open(there, owner, (bytes, None), usage, &limits(), now);
    store.open(BlobId([id; 32]), owner, &opening).expect("a store that works")
}

fn of<T>(result: Result<T, StoreError>) -> T {
    result.expect("a store that works")
}

/// A fresh store keeps its word.
pub(crate) fn holds(store: &dyn BlobStore) {
    let [first, second, third] = [1, 2, 3].map(|id| BlobId([id; 32]));
    assert_eq!(of(store.get(first)), None);
    let blob = open(store, 1, ADA, 8 * PIECE + 1, NOW).expect("room");
    assert_eq!(of(store.get(first)), Some(blob.clone()));
    assert_eq!(open(store, 2, ADA, 2 * PIECE, NOW), Err(BlobRefusal::Full));
    assert_eq!(of(store.get(second)), None, "what was refused is nowhere");
    assert!(open(store, 2, ADA, PIECE, NOW).is_ok());
    assert_eq!(open(store, 3, BEN, 6 * PIECE, NOW), Err(BlobRefusal::NoRoom));
    assert_eq!(open(store, 1, BEN, PIECE, NOW), Err(BlobRefusal::Taken));
    assert!(open(store, 3, BEN, 2 * PIECE, NOW).is_ok());

    for piece in [0, 7, 8, 3, 99, 7] {
        assert!(of(store.keep(first, piece, NOW)));
    }
    of(store.lose(first, 3));
    assert!(!of(store.get(first)).expect("there").has(3));
    assert!(of(store.keep(first, 3, NOW)));
    assert!(!of(store.keep(BlobId([9; 32]), 0, NOW)), "there is none");
    let there = of(store.get(first)).expect("there");
    let has: Vec<u32> = (0..9).filter(|piece| there.has(*piece)).collect();
    assert_eq!((has, there.ends_at()), (vec![0, 3, 7, 8], NOW.plus(DAY)));
    assert!(of(store.keep(second, 0, NOW)));
    assert_eq!(of(store.get(second)).expect("there").ends_at(), NOW.plus(7 * DAY), "whole");

    assert!(of(store.over(NOW, None, 9)).is_empty());
    let day = NOW.plus(DAY);
    assert_eq!(of(store.over(day, None, 9)), [first, third], "those that are not whole");
    assert_eq!(of(store.over(day, None, 1)), [first]);
    assert_eq!(of(store.over(day, Some(first), 9)), [third]);
    assert!(!of(store.settle(second, day)));
    // A piece that is lost on the second day does not end the others.
    let second_day = NOW.plus(2 * DAY);
    of(store.lose(second, 0));
    let lost = of(store.get(second)).expect("there");
    assert!(!lost.has(0) && lost.ends_at() == NOW.plus(7 * DAY));
    assert!(of(store.keep(second, 0, second_day)));
    of(store.forget(second));
    assert!(of(store.get(second)).is_some(), "it is not over");
    assert_eq!(open(store, 1, ADA, 8 * PIECE + 1, day), Err(BlobRefusal::Taken), "it is over");
    assert!(!of(store.keep(first, 1, day)), "a piece that comes too late");
    of(store.forget(first));
    assert!(of(store.get(first)).is_some(), "it is not settled");
    assert!(of(store.settle(first, day)) && of(store.settle(third, day)));
    // What is settled stays over, for a clock that is behind as well.
    assert!(!of(store.keep(first, 1, NOW)) && of(store.settle(first, NOW)));
    of(store.forget(first));
    of(store.forget(third));
    assert!(!of(store.settle(first, day)), "gone");
    assert!(of(store.get(first)).is_none() && of(store.get(third)).is_none());

    assert!(!of(store.end(second, BEN)), "not his");
    assert!(of(store.end(second, ADA)));
    assert_eq!(of(store.over(NOW, None, 9)), [second]);
    of(store.forget(second));
    assert!(!of(store.end(second, ADA)), "gone");

    // Room comes back with what is forgotten.
    for id in 10..20 {
        assert!(open(store, id, ADA, PIECE, day).is_ok(), "{id}");
    }
    assert_eq!(open(store, 30, ADA, PIECE, day), Err(BlobRefusal::Full));
    of(store.end_all(ADA));
    assert_eq!(of(store.over(NOW, None, 99)).len(), 10);
    for id in of(store.over(NOW, None, 99)) {
        of(store.forget(id));
    }
    assert!(open(store, 40, ADA, 10 * PIECE, day).is_ok());
    assert!(of(store.keep(BlobId([40; 32]), 5, day)));
}

/// The same store, opened again after [`holds`].
pub(crate) fn is_still_there(store: &dyn BlobStore) {
    let blob = of(store.get(BlobId([40; 32]))).expect("there");
    assert!(blob.has(5) && !blob.has(4) && blob.owner == ADA);
    assert_eq!(open(store, 41, ADA, PIECE, NOW), Err(BlobRefusal::Full), "it is counted");
    assert_eq!(of(store.over(NOW.plus(2 * DAY), None, 9)), [BlobId([40; 32])]);
}

/// How many of `tried` blobs of one piece one account gets room for.
pub(crate) fn opened(store: &dyn BlobStore, of: u8, tried: u8) -> usize {
    (0..tried).filter(|nth| open(store, of * 50 + nth, ADA, PIECE, NOW).is_ok()).count()
}
