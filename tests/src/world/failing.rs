//! A store in memory that fails at a commit of the test's choice, as a disk or a kill does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use node::store::{Batch, MemoryStore, Order, Row, Store, StoreError, Tree};

/// How much of the commit that fails is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// Nothing: the crash came before it.
    Before,
    /// All of it: the crash came before anybody was told.
    After,
}

/// The store.
#[derive(Debug, Default)]
pub(super) struct FailingStore {
    inner: MemoryStore,
    commits: AtomicU64,
    planned: Mutex<Option<(u64, Fails)>>,
    failed: AtomicBool,
}

impl FailingStore {
    /// Commits that were asked for so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Lets the `n`-th commit from now fail.
    pub(super) fn fail_in(&self, n: u64, how: Fails) {
        let planned = Some((self.commits() + n, how));
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = planned;
    }

    /// Whether a commit failed since the last look; another process may open it now.
    pub(super) fn open_again(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }

    /// Whoever goes on after a failed commit believes in what is not on the disk.
    fn still_works(&self) {
        assert!(!self.failed.load(Ordering::Relaxed), "a store that failed was used again");
    }
}

impl Store for FailingStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.still_works();
        self.inner.get(tree, key)
    }

    fn range(
        &self,
        tree: Tree,
        from: &[u8],
        to: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.still_works();
        self.inner.range(tree, from, to, order, limit)
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.still_works();
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, how)) = planned.take_if(|(at, _)| *at == number) else {
            return self.inner.commit(batch);
        };
        if how == Fails::After {
            self.inner.commit(batch)?;
        }
        self.failed.store(true, Ordering::Relaxed);
        Err(StoreError::Io("the power went".into()))
    }
}
