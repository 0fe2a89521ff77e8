//! The relay's one database, and its failures in words.
//!
//! sled 0.34 is opened once and shared by accounts and mailboxes, a tree each. Its background
//! flush is off: whoever answers for durability flushes first.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// The file in that folder that sled keeps its log in.
const FILE: &str = "db";
/// Folder of the database in the data directory.
const FOLDER: &str = "store";
/// How long sled's threads may hold a database that was closed.
const LETTING_GO: Duration = Duration::from_secs(2);
/// How often it is looked whether they still do.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Page cache in bytes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// An open database that knows its place, for error messages.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) db: sled::Db,
    path: PathBuf,
    /// The log itself, for what sled does not do.
    file: Arc<File>,
}

impl Database {
    /// Opens the database in `data_dir`, or makes it.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FOLDER);
        let config =
            sled::Config::new().path(&path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // sled reports some damage by panicking while it recovers; nothing of ours is shared
        // with it at this point.
        match catch_unwind(AssertUnwindSafe(|| open(&config))) {
            Ok(Ok(db)) => {
                let opened = File::open(path.join(FILE)).map_err(sled::Error::from);
                let file = opened.map_err(|error| in_words(&path, &error))?;
                Ok(Self { db, path, file: Arc::new(file) })
            }
            Ok(Err(error)) => Err(in_words(&path, &error)),
            Err(_) => Err(StoreError::Damaged { path, detail: "recovery failed".into() }),
        }
    }

    pub(crate) fn tree(&self, name: &str) -> Result<sled::Tree, StoreError> {
        self.db.open_tree(name).map_err(|error| self.failed(&error))
    }

    /// Everything written so far outlives the process and the power. sled flushes with
    /// `sync_file_range`, which says nothing of the power; the `fdatasync` is ours.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.db
            .flush()
            .and_then(|_| Ok(self.file.sync_data()?))
            .map_err(|error| self.failed(&error))
    }

    pub(crate) fn failed(&self, error: &sled::Error) -> StoreError {
        in_words(&self.path, error)
    }

    /// A record that does not decode.
    pub(crate) fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), detail: format!("unreadable {what}") }
    }
}

/// Opens the database. Another relay may have it; but the threads of sled's that served one which this
/// process just closed hold it a little longer, and tell nobody when they let go.
fn open(config: &sled::Config) -> sled::Result<sled::Db> {
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && begun.elapsed() < LETTING_GO => {
                thread::sleep(LOOK_AGAIN);
            }
            opened => return opened,
        }
    }
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"))
}

fn in_words(path: &Path, error: &sled::Error) -> StoreError {
    let path = path.to_path_buf();
    match error {
        _ if is_locked(error) => StoreError::Locked { path },
        sled::Error::Io(io) if io.kind() == ErrorKind::StorageFull => StoreError::Full { path },
        sled::Error::Io(io) if io.kind() == ErrorKind::InvalidData => {
            StoreError::Damaged { path, detail: io.to_string() }
        }
        sled::Error::Corruption { .. } | sled::Error::Unsupported(_) => {
            StoreError::Damaged { path, detail: error.to_string() }
        }
        other => StoreError::Failed { path, detail: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_that_the_store_is_locked() {
        let dir = tempfile::tempdir().expect("a directory");
        let _first = Database::open(dir.path()).expect("free");
        let error = Database::open(dir.path()).expect_err("locked");
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }

    #[test]
    fn a_damaged_store_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let database = Database::open(dir.path()).expect("free");
        for n in 0..2_000u32 {
            database.db.insert(n.to_be_bytes(), vec![7; 500]).expect("stored");
        }
        database.db.flush().expect("stored");
        drop(database);
        let file = dir.path().join(FOLDER).join("conf");
        let mut bytes = std::fs::read(&file).expect("there");
        for byte in &mut bytes {
            *byte ^= 0x5a;
        }
        std::fs::write(&file, &bytes).expect("ours");
        let error = Database::open(dir.path()).expect_err("damaged");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert_eq!(std::fs::read(&file).expect("there"), bytes);
    }
}
