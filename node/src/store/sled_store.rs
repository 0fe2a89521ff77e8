//! The store on disk: sled 0.34.
//!
//! One multi-tree transaction per commit, and a flush before it returns: sled's own background
//! flush is 500 ms late, which is 500 ms of acknowledged messages.

use std::path::Path;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};

use super::{Batch, Order, Row, Store, StoreError, Tree};

/// Bytes of sled's page cache.
const CACHE_BYTES: u64 = 32 << 20;

/// Trees on disk.
#[derive(Debug)]
pub struct SledStore {
    db: sled::Db,
    trees: Vec<sled::Tree>,
}

impl SledStore {
    /// Opens or creates the store in `folder`.
    ///
    /// # Errors
    /// [`StoreError`] when it is in use, damaged, or cannot be read. The files are left alone.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput)
            .open()
            .map_err(store_error)?;
        let trees = Tree::ALL
            .iter()
            .map(|tree| db.open_tree(tree.name()).map_err(store_error))
            .collect::<Result<_, _>>()?;
        Ok(Self { db, trees })
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.tree(tree).get(key).map_err(store_error)?;
        Ok(value.map(|value| value.to_vec()))
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
        let rows = self.tree(tree).range::<&[u8], _>(from..to);
        let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            row.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(store_error)
        };
        match order {
            Order::Rising => rows.take(limit).map(row).collect(),
            Order::Falling => rows.rev().take(limit).map(row).collect(),
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        // The closure may run again, so it only borrows what it applies.
        let apply = |trees: &Vec<TransactionalTree>| {
            for (tree, key, value) in &batch.writes {
                let tree = &trees[*tree as usize];
                match value {
                    Some(value) => tree.insert(key.as_slice(), value.as_slice())?,
                    None => tree.remove(key.as_slice())?,
                };
            }
            Ok::<(), ConflictableTransactionError<std::convert::Infallible>>(())
        };
        self.trees.as_slice().transaction(apply).map_err(|error| match error {
            TransactionError::Storage(error) => store_error(error),
            TransactionError::Abort(never) => match never {},
        })?;
        self.db.flush().map_err(store_error)?;
        Ok(())
    }
}

fn store_error(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Corrupt("its checksums do not match".into()),
        sled::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            StoreError::DiskFull
        }
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::InUse
        }
        sled::Error::Io(error) => StoreError::Io(error.kind().to_string()),
        sled::Error::Unsupported(what) => StoreError::Corrupt(what),
        sled::Error::CollectionNotFound(_) => StoreError::Corrupt("a tree is missing".into()),
        sled::Error::ReportableBug(what) => StoreError::Corrupt(what),
    }
}
