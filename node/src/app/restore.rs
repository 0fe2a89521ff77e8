//! A backup becomes a profile, in a folder where there is none.
//!
//! Everything is made in a folder of its own inside, and comes to its place when all of it is there. A
//! node does not start while that folder is there: a restore that was broken off is begun anew.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::Seed;
use crypto::backup::{BACKUP_HEADER_LEN, BACKUP_SEALED_CHUNK, BackupError, BackupReader};
use crypto::phrase::Phrase;
use protocol::time::Timestamp;

use crate::engine::{Engine, Input, MAX_BATCH, Settings};
use crate::service::backup::{self, Row, Rows, UnknownRow};
use crate::service::identity::{self, MeRecord};
use crate::store::{SealedStore, SledStore, StoreError};

use super::{StartError, VaultError, private_folder, vault};

/// Why a backup was not restored. The folder is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error("the backup cannot be read")]
    Read(#[source] io::Error),
    /// It is damaged, none, or another person's.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// It has rows that this release does not know.
    #[error(transparent)]
    Row(#[from] UnknownRow),
    /// It ends before its last row.
    #[error("this backup is not complete")]
    Incomplete,
    /// The folder has a profile in it.
    #[error(
        "there is a profile in {} already. A backup is restored where there is none: choose another with \
         --profile or --data-dir",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// The new folder cannot be made.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A folder cannot be moved or removed.
    #[error("cannot use the folder {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made.
    pub made_at: Timestamp,
    /// How many contacts there are.
    pub contacts: u64,
    /// How many messages.
    pub messages: u64,
}

/// Where a restore is under way: a node does not start beside it.
pub(super) const UNFINISHED: &str = ".restoring";
/// What a profile has, in the order in which it comes to its place. Without the last it is none.
const PARTS: [&str; 3] = ["store", "device.key", "vault.key"];

/// Restores `file` into `folder`, where there is no profile yet.
///
/// # Errors
/// [`RestoreError`]; no profile is left in `folder`.
pub fn restore(
    folder: &Path,
    file: &Path,
    phrase: &Phrase,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let seed = phrase.seed();
    let backup = Backup::open(file, &seed)?;
    let unfinished = folder.join(UNFINISHED);
    if unfinished.exists() {
        // One that was broken off: what it put into its place already is of no use without the rest.
        PARTS.iter().try_for_each(|part| remove(&folder.join(part)))?;
        remove(&unfinished)?;
    }
    if PARTS.iter().any(|part| folder.join(part).exists()) {
        return Err(RestoreError::NotEmpty(folder.to_owned()));
    }
    private_folder(folder)?;
    let restored = restore_into(&unfinished, backup, &seed, now);
    if restored.is_err() {
        // Half of it is of no use, and has keys in it.
        remove(&unfinished)?;
        return restored;
    }
    sync(folder)?;
    for part in PARTS {
        let to = folder.join(part);
        std::fs::rename(unfinished.join(part), &to).map_err(failed(&to))?;
    }
    sync(folder)?;
    remove(&unfinished)?;
    sync(folder)?;
    restored
}

pub(super) fn failed(folder: &Path) -> impl Fn(io::Error) -> RestoreError {
    let folder = folder.to_owned();
    move |source| RestoreError::Folder { folder: folder.clone(), source }
}

pub(super) fn remove(path: &Path) -> Result<(), RestoreError> {
    let removed = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Brings the names in a folder to the disk.
pub(super) fn sync(folder: &Path) -> Result<(), RestoreError> {
    File::open(folder).and_then(|open| open.sync_all()).map_err(failed(folder))
}

fn restore_into(
    folder: &Path,
    backup: Backup,
    seed: &Seed,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    fill(backup, now, |me| {
        if !backup::belongs(me, seed) {
            return Err(BackupError::WrongPhrase.into());
        }
        private_folder(folder)?;
        let locked = || VaultError::KeyFile(crypto::KeyFileError::WrongMode);
        let opened = vault::open(folder).and_then(|opened| opened.ok_or_else(locked));
        let vault::Opened { vault, .. } =
            opened.map_err(|source| StartError::Vault { folder: folder.to_owned(), source })?;
        Ok(SealedStore::new(Arc::new(SledStore::open(&folder.join("store"))?), &vault))
    })
}

/// Puts a backup into a store, which `store` makes for its account.
pub(super) fn fill(
    mut backup: Backup,
    now: Timestamp,
    store: impl FnOnce(&MeRecord) -> Result<SealedStore, RestoreError>,
) -> Result<Restored, RestoreError> {
    let mut first = backup.next()?.into_iter().flatten();
    let (Some(Row::Start { generation, at }), Some(Row::Me(me))) = (first.next(), first.next())
    else {
        return Err(RestoreError::Incomplete);
    };
    let generation = backup::next_generation(generation, now);
    let mut restored = Restored { made_at: at, ..Restored::default() };
    let mut engine = new_engine(store(&me)?, &me, now)?;
    let mut waiting: Vec<Row> = first.collect();
    loop {
        for row in &waiting {
            restored.contacts += u64::from(matches!(row, Row::Contact(..)));
            restored.messages += u64::from(matches!(row, Row::Message(_)));
        }
        put(&mut engine, waiting, generation, now)?;
        match backup.next()? {
            Some(rows) => waiting = rows,
            None if backup.rows.ended() => break,
            None => return Err(RestoreError::Incomplete),
        }
    }
    let finish = Input::Command(Box::new(move |ctx| backup::finish(ctx, generation)));
    engine.step([finish], now, &mut rand::rng())?;
    engine.stop(&mut rand::rng())?;
    Ok(restored)
}

/// An engine on a new store that has nothing but the account. What it would do on the network is not
/// done: it never starts there.
fn new_engine(store: SealedStore, me: &MeRecord, now: Timestamp) -> Result<Engine, RestoreError> {
    identity::restore(&store, me, &mut rand::rng())?;
    let (engine, _) = Engine::start(store, Settings::default(), now, &mut rand::rng())?;
    Ok(engine)
}

fn put(
    engine: &mut Engine,
    rows: Vec<Row>,
    generation: u64,
    now: Timestamp,
) -> Result<(), RestoreError> {
    let mut rows = rows
        .into_iter()
        .map(|row| Input::Command(Box::new(move |ctx| backup::apply(ctx, row, generation))));
    loop {
        let batch: Vec<Input> = rows.by_ref().take(MAX_BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        engine.step(batch, now, &mut rand::rng())?;
    }
}

/// A backup's file, read as it is opened.
pub(super) struct Backup {
    file: File,
    reader: BackupReader,
    rows: Rows,
    left: u64,
}

impl Backup {
    pub(super) fn open(path: &Path, seed: &Seed) -> Result<Self, RestoreError> {
        let mut file = File::open(path).map_err(RestoreError::Read)?;
        let length = file.metadata().map_err(RestoreError::Read)?.len();
        let header_len = u64::try_from(BACKUP_HEADER_LEN).unwrap_or(u64::MAX);
        let mut header = Vec::with_capacity(BACKUP_HEADER_LEN);
        file.by_ref().take(header_len).read_to_end(&mut header).map_err(RestoreError::Read)?;
        let reader = BackupReader::new(seed, &header)?;
        Ok(Self { file, reader, rows: Rows::default(), left: length.saturating_sub(header_len) })
    }

    /// The rows of the next chunk; `None` behind the last.
    fn next(&mut self) -> Result<Option<Vec<Row>>, RestoreError> {
        if self.left == 0 {
            return Ok(None);
        }
        let chunk = u64::try_from(BACKUP_SEALED_CHUNK).unwrap_or(u64::MAX);
        let mut sealed = Vec::with_capacity(BACKUP_SEALED_CHUNK);
        self.file.by_ref().take(chunk).read_to_end(&mut sealed).map_err(RestoreError::Read)?;
        self.left = self.left.saturating_sub(chunk);
        let content = self.reader.read(&sealed, self.left == 0)?;
        Ok(Some(self.rows.push(&content)?))
    }
}
