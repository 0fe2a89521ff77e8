//! A store that lives as long as the process: simulations and tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Order, Row, Store, StoreError, Tree};

type Trees = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

/// Trees in memory.
#[derive(Default)]
pub struct MemoryStore {
    trees: Mutex<Trees>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryStore(..)")
    }
}

impl MemoryStore {
    fn trees(&self) -> MutexGuard<'_, Trees> {
        // A panic while holding the lock left whole values behind: every write is one insert.
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.trees().get(&(tree, key.to_vec())).cloned())
    }

    fn range(
        &self,
        tree: Tree,
        from: &[u8],
        to: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let trees = self.trees();
        let rows = trees.range((tree, from.to_vec())..(tree, to.to_vec()));
        let row = |((_, key), value): (&(Tree, Vec<u8>), &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Rising => rows.take(limit).map(row).collect(),
            Order::Falling => rows.rev().take(limit).map(row).collect(),
        })
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut trees = self.trees();
        for (tree, key, value) in batch.writes {
            match value {
                Some(value) => trees.insert((tree, key), value),
                None => trees.remove(&(tree, key)),
            };
        }
        Ok(())
    }
}
