//! The store on disk: sled 0.34.
//!
//! All trees are in one tree of sled's, told apart by the first byte of a row's key.
//!
//! 1. A commit is one row, the record of its changes, and a flush before it returns. Reads look
//!    through what the records say ([`Recent`]) before they look into the rows.
//! 2. When many records wait, or a commit is too large for one, one batch of sled's folds them into
//!    the rows: changed rows, the census, and the records' own deletion, all or nothing.
//! 3. Opening counts the rows, compares with the census of the last fold, and reads the records since.
//!
//! sled's own background flush is 500 ms late, which is 500 ms of acknowledged messages. sled flushes
//! with `sync_file_range`, which outlives the process and not the power; the `fdatasync` is ours. The
//! guard tells whether what sled opened is all that was committed.
//!
//! # Invariants
//! * Records have the numbers of their commits, from the one after the last fold, without a gap.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use protocol::wire::{decode, encode};

use super::guard::{self, Census, Guard};
use super::recent::{self, Changes, Recent, Record};
use super::{Batch, Order, Row, Store, StoreError, Tree};

/// Bytes of sled's page cache.
const CACHE_BYTES: u64 = 32 << 20;
/// The file that sled keeps its log in.
const FILE: &str = "db";
/// How long sled's threads may hold a store that was closed.
const LETTING_GO: Duration = Duration::from_secs(2);
/// How often it is looked whether they still do.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// The tree of sled's that has all of ours.
const ROWS: &str = "rows";
/// Before the numbers of commits in the keys of their records; no tree of ours has this number.
const RECORD: u8 = 0xfe;
/// The row that counts the others; no tree of ours has this number.
const CENSUS_KEY: &[u8] = &[0xff];

/// Trees on disk.
#[derive(Debug)]
pub struct SledStore {
    database: Database,
    latest: RwLock<Latest>,
    guard: Guard,
}

/// What the last commits left.
#[derive(Debug, Default)]
struct Latest {
    /// Commits.
    number: u64,
    /// As of the last fold.
    census: Census,
    /// Since the last fold.
    recent: Recent,
}

struct Database {
    db: sled::Db,
    rows: sled::Tree,
    /// The log itself, for what sled does not do.
    file: File,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // sled's own goes through every row.
        f.write_str("Database(..)")
    }
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
            let latest = database.latest()?;
            let counted = database.count()?;
            guard.verdict(&latest.census, &counted, latest.number)?;
            Ok((database, latest))
        }))
        .unwrap_or_else(|_| Err(StoreError::Corrupt("its records contradict each other".into())));
        match opened {
            Ok((database, latest)) => {
                guard.settle()?;
                Ok(Self { database, latest: RwLock::new(latest), guard })
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
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let begun = Instant::now();
        // The guard's lock is ours, so sled's can only be held by what a store that this process
        // just closed has left on sled's own threads; they tell nobody when they let go.
        let db = loop {
            match config.open().map_err(store_error) {
                Err(StoreError::InUse) if begun.elapsed() < LETTING_GO => thread::sleep(LOOK_AGAIN),
                opened => break opened?,
            }
        };
        let rows = db.open_tree(ROWS).map_err(store_error)?;
        let file = File::open(folder.join(FILE)).map_err(guard::failed)?;
        Ok(Self { db, rows, file })
    }

    /// Takes the census of the rows, and so reads all of them once.
    fn count(&self) -> Result<Census, StoreError> {
        let mut census = Census::default();
        for row in self.rows.range(..[RECORD]) {
            let (key, value) = row.map_err(store_error)?;
            census.add(&key, &value);
        }
        Ok(census)
    }

    /// The last fold, and the records since.
    fn latest(&self) -> Result<Latest, StoreError> {
        let damaged = |what: &str| StoreError::Corrupt(format!("its {what} are damaged"));
        let census = match self.rows.get(CENSUS_KEY).map_err(store_error)? {
            Some(row) => Census::from_bytes(&row).ok_or_else(|| damaged("counts"))?,
            None => Census::default(),
        };
        let mut latest = Latest { number: census.commits, census, recent: Recent::default() };
        for row in self.rows.range([RECORD].as_slice()..CENSUS_KEY) {
            let (key, value) = row.map_err(store_error)?;
            latest.number += 1;
            if *key != record_key(latest.number) {
                return Err(damaged("latest changes"));
            }
            let record: Record = decode(&value).map_err(|_| damaged("latest changes"))?;
            latest.recent.add(record.into_changes());
        }
        Ok(latest)
    }

    /// Puts changes into their rows, and deletes the records of the commits up to `number`.
    fn fold(
        &self,
        changes: Changes,
        mut census: Census,
        number: u64,
    ) -> Result<Census, StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            let before = self.rows.get(&key).map_err(store_error)?;
            if let Some(before) = &before {
                census.remove(&key, before);
            }
            match value {
                Some(value) => {
                    census.add(&key, &value);
                    batch.insert(key, value);
                }
                None if before.is_some() => batch.remove(key),
                // Written and deleted since the last fold: it never had a row.
                None => {}
            }
        }
        for folded in census.commits + 1..number {
            batch.remove(&record_key(folded)[..]);
        }
        census.commits = number;
        batch.insert(CENSUS_KEY, &census.to_bytes()[..]);
        self.rows.apply_batch(batch).map_err(store_error)?;
        Ok(census)
    }

    fn record(&self, number: u64, record: &Record) -> Result<(), StoreError> {
        let row = encode(record).map_err(|_| StoreError::Unreadable("record"))?;
        self.rows.insert(record_key(number), row).map_err(store_error)?;
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(store_error)?;
        reached(Point::Flushed);
        self.file.sync_data().map_err(guard::failed)?;
        reached(Point::Synced);
        Ok(())
    }
}

/// How far a commit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// sled has it.
    Written,
    /// sled has flushed it: it outlives the process.
    Flushed,
    /// It outlives the power.
    Synced,
    /// The guard knows of it.
    Witnessed,
}

/// Where a test looks at the disk.
#[cfg(not(test))]
fn reached(_: Point) {}
#[cfg(test)]
use super::power_cut::reached;

fn record_key(number: u64) -> [u8; 9] {
    let mut key = [RECORD; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a row among those of all trees.
fn stored_key(tree: Tree, key: &[u8]) -> Vec<u8> {
    [&[tree as u8], key].concat()
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let key = stored_key(tree, key);
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = latest.recent.get(&key) {
            return Ok(changed.map(<[u8]>::to_vec));
        }
        let value = self.database.rows.get(key).map_err(store_error)?;
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
        let range = stored_key(tree, from)..stored_key(tree, to);
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let rows = self.database.rows.range(range.clone());
        let row = |row: sled::Result<(sled::IVec, sled::IVec)>| {
            row.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(store_error)
        };
        let merged = match order {
            Order::Rising => latest.recent.over(rows.map(row), range, order, limit),
            Order::Falling => latest.recent.over(rows.rev().map(row), range, order, limit),
        }?;
        Ok(merged.into_iter().map(|(key, value)| (key[1..].to_vec(), value)).collect())
    }

    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        // Of two writes of one row the later counts.
        let changes: Changes = batch
            .writes
            .into_iter()
            .map(|(tree, key, value)| (stored_key(tree, &key), value))
            .collect();
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        let number = latest.number + 1;
        if latest.recent.has_room(recent::size(&changes)) {
            self.database.record(number, &Record::of(&changes))?;
            latest.recent.add(changes);
        } else {
            let mut all = latest.recent.take();
            all.extend(changes);
            latest.census = self.database.fold(all, latest.census, number)?;
        }
        latest.number = number;
        reached(Point::Written);
        self.database.flush()?;
        self.guard.witness(number)?;
        reached(Point::Witnessed);
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
