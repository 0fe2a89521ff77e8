//! A store that lives as long as the process: simulations and tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Order, Row, Store, StoreError, Tree};

type Place = (Tree, Vec<u8>);
type Rows = BTreeMap<Place, Vec<u8>>;

/// Trees in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    trees: Mutex<Trees>,
}

#[derive(Debug, Default)]
struct Trees {
    rows: Rows,
    /// What each write since the last flush replaced, in their order.
    replaced: Vec<(Place, Option<Vec<u8>>)>,
}

impl MemoryStore {
    /// Undoes what was applied since the last flush, as a crash of the machine does.
    pub fn crash(&self) {
        let mut trees = self.trees();
        while let Some((key, before)) = trees.replaced.pop() {
            match before {
                Some(before) => trees.rows.insert(key, before),
                None => trees.rows.remove(&key),
            };
        }
    }

    fn trees(&self) -> MutexGuard<'_, Trees> {
        // A panic while holding the lock left whole values behind: every write is one insert.
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.trees().rows.get(&(tree, key.to_vec())).cloned())
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
        let rows = trees.rows.range((tree, from.to_vec())..(tree, to.to_vec()));
        let row = |((_, key), value): (&(Tree, Vec<u8>), &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Rising => rows.take(limit).map(row).collect(),
            Order::Falling => rows.rev().take(limit).map(row).collect(),
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut trees = self.trees();
        for (tree, key, value) in batch.writes {
            let key = (tree, key);
            let before = match value {
                Some(value) => trees.rows.insert(key.clone(), value),
                None => trees.rows.remove(&key),
            };
            trees.replaced.push((key, before));
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.trees().replaced.clear();
        Ok(())
    }
}
