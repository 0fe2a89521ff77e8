//! The store on disk: sled 0.34.
//!
//! All trees are in one tree of sled's, told apart by the first byte of a row's key: a commit is one
//! batch of sled's, and a flush before it returns. sled's own background flush is 500 ms late, which
//! is 500 ms of acknowledged messages. sled flushes with `sync_file_range`, which outlives the process
//! and not the power; the `fdatasync` is ours. The guard tells whether what sled opened is all that
//! was committed.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::guard::{self, Census, Guard};
use super::{Batch, Order, Row, Store, StoreError, Tree};

/// Bytes of sled's page cache.
const CACHE_BYTES: u64 = 32 << 20;
/// The file that sled keeps its log in.
const FILE: &str = "db";
/// The tree of sled's that has all of ours.
const ROWS: &str = "rows";
/// The row that counts the others; no tree of ours has this number.
const CENSUS_KEY: &[u8] = &[0xff];

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
    rows: sled::Tree,
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
        let rows = db.open_tree(ROWS).map_err(store_error)?;
        let file = File::open(folder.join(FILE)).map_err(guard::failed)?;
        Ok(Self { db, rows, file })
    }

    /// Takes the census of what is there, and so reads all of it once.
    fn count(&self) -> Result<Census, StoreError> {
        let mut census = Census::default();
        for row in self.rows.range(..CENSUS_KEY) {
            let (key, value) = row.map_err(store_error)?;
            census.add(&key, &value);
        }
        Ok(census)
    }

    fn stored_census(&self) -> Result<Option<Census>, StoreError> {
        let row = self.rows.get(CENSUS_KEY).map_err(store_error)?;
        let damaged = || StoreError::Corrupt("its census is damaged".to_owned());
        row.map(|row| Census::from_bytes(&row).ok_or_else(damaged)).transpose()
    }
}

/// The key of a row among those of all trees.
fn stored_key(tree: Tree, key: &[u8]) -> Vec<u8> {
    [&[tree as u8], key].concat()
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.database.rows.get(stored_key(tree, key)).map_err(store_error)?;
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
        let rows = self.database.rows.range(stored_key(tree, from)..stored_key(tree, to));
        let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            row.map(|(key, value)| (key[1..].to_vec(), value.to_vec())).map_err(store_error)
        };
        match order {
            Order::Rising => rows.take(limit).map(row).collect(),
            Order::Falling => rows.rev().take(limit).map(row).collect(),
        }
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut last = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        let database = &self.database;
        let mut census = *last;
        census.commits += 1;
        // Of two writes of one row the later counts.
        let writes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = batch
            .writes
            .into_iter()
            .map(|(tree, key, value)| (stored_key(tree, &key), value))
            .collect();
        let mut changes = sled::Batch::default();
        for (key, value) in writes {
            if let Some(before) = database.rows.get(&key).map_err(store_error)? {
                census.remove(&key, &before);
            }
            match value {
                Some(value) => {
                    census.add(&key, &value);
                    changes.insert(key, value);
                }
                None => changes.remove(key),
            }
        }
        changes.insert(CENSUS_KEY, &census.to_bytes()[..]);
        database.rows.apply_batch(changes).map_err(store_error)?;
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
