//! The store on disk: sled 0.34.
//!
//! One multi-tree transaction per commit, and a flush before it returns: sled's own background
//! flush is 500 ms late, which is 500 ms of acknowledged messages. sled flushes with
//! `sync_file_range`, which outlives the process and not the power; the `fdatasync` is ours. The guard
//! tells whether what sled opened is all that was committed.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};

use super::guard::{self, Census, Guard};
use super::{Batch, Order, Row, Store, StoreError, Tree};

/// Bytes of sled's page cache.
const CACHE_BYTES: u64 = 32 << 20;
/// The file that sled keeps its log in.
const FILE: &str = "db";
/// The tree that counts, after the others.
const CENSUS: &str = "census";
/// Its one row.
const CENSUS_KEY: &[u8] = b"census";

/// Trees on disk.
#[derive(Debug)]
pub struct SledStore {
    database: Database,
    /// As of the last commit.
    census: Mutex<Census>,
    guard: Guard,
}

#[derive(Debug)]
struct Database {
    db: sled::Db,
    /// Those of [`Tree::ALL`], then the census.
    trees: Vec<sled::Tree>,
    /// The log itself, for what sled does not do.
    file: File,
}

impl SledStore {
    /// Opens or creates the store in `folder`.
    ///
    /// # Errors
    /// [`StoreError`] when it is in use, damaged, or cannot be read. The files are left alone.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let guard = Guard::enter(folder)?;
        // sled reports some damage by panicking while it recovers; nothing of ours is shared
        // with it at this point.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = Database::open(folder)?;
            let mut census = database.count()?;
            let stored = database.stored_census()?;
            guard.verdict(stored.as_ref(), &census)?;
            census.commits = stored.map_or(0, |stored| stored.commits);
            Ok((database, census))
        }))
        .unwrap_or_else(|_| Err(StoreError::Corrupt("its records contradict each other".into())));
        match opened {
            Ok((database, census)) => {
                guard.settle()?;
                Ok(Self { database, census: Mutex::new(census), guard })
            }
            Err(error) => {
                guard.restore()?;
                Err(error)
            }
        }
    }
}

impl Database {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput)
            .open()
            .map_err(store_error)?;
        let names = Tree::ALL.iter().map(|tree| tree.name()).chain([CENSUS]);
        let trees =
            names.map(|name| db.open_tree(name).map_err(store_error)).collect::<Result<_, _>>()?;
        let file = File::open(folder.join(FILE)).map_err(guard::failed)?;
        Ok(Self { db, trees, file })
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }

    /// Takes the census of what is there, and so reads all of it once.
    fn count(&self) -> Result<Census, StoreError> {
        let mut census = Census::default();
        for tree in Tree::ALL {
            for row in self.tree(tree) {
                let (key, value) = row.map_err(store_error)?;
                census.add(tree, &key, &value);
            }
        }
        Ok(census)
    }

    fn stored_census(&self) -> Result<Option<Census>, StoreError> {
        let row = self.trees[Tree::ALL.len()].get(CENSUS_KEY).map_err(store_error)?;
        let damaged = || StoreError::Corrupt("its census is damaged".to_owned());
        row.map(|row| Census::from_bytes(&row).ok_or_else(damaged)).transpose()
    }
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.database.tree(tree).get(key).map_err(store_error)?;
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
        let rows = self.database.tree(tree).range::<&[u8], _>(from..to);
        let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            row.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(store_error)
        };
        match order {
            Order::Rising => rows.take(limit).map(row).collect(),
            Order::Falling => rows.rev().take(limit).map(row).collect(),
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut last = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        // The closure may run again, so it only borrows what it applies.
        let apply = |trees: &Vec<TransactionalTree>| {
            let mut census = *last;
            census.commits += 1;
            for (tree, key, value) in &batch.writes {
                let rows = &trees[*tree as usize];
                let before = match value {
                    Some(value) => {
                        census.add(*tree, key, value);
                        rows.insert(key.as_slice(), value.as_slice())?
                    }
                    None => rows.remove(key.as_slice())?,
                };
                if let Some(before) = before {
                    census.remove(*tree, key, &before);
                }
            }
            trees[Tree::ALL.len()].insert(CENSUS_KEY, &census.to_bytes()[..])?;
            Ok::<_, ConflictableTransactionError<std::convert::Infallible>>(census)
        };
        let database = &self.database;
        let census = database.trees.as_slice().transaction(apply).map_err(|error| match error {
            TransactionError::Storage(error) => store_error(error),
            TransactionError::Abort(never) => match never {},
        })?;
        database.db.flush().map_err(store_error)?;
        database.file.sync_data().map_err(guard::failed)?;
        self.guard.witness(census.commits)?;
        *last = census;
        Ok(())
    }
}

fn store_error(error: sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Corrupt("its checksums do not match".into()),
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            StoreError::InUse
        }
        sled::Error::Io(error) => guard::failed(error),
        sled::Error::Unsupported(what) => StoreError::Corrupt(what),
        sled::Error::CollectionNotFound(_) => StoreError::Corrupt("a tree is missing".into()),
        sled::Error::ReportableBug(what) => StoreError::Corrupt(what),
    }
}
