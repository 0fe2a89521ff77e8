//! A backup becomes a profile, in a folder where there is none.
//!
//! 1. [`prepare`] makes all of it in a folder of its own inside.
//! 2. [`put_in_place`] gives that its final name, and brings the parts to their places. A crash before the name
//!    leaves what was there; a crash after it is made good by whoever comes next, a restore or a node that starts.
//!
//! # Invariants
//! * What is in a profile goes only once everything that takes its place is on the disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::Seed;
use crypto::backup::{BACKUP_HEADER_LEN, BACKUP_SEALED_CHUNK, BackupError, BackupReader};
use crypto::phrase::Phrase;
use protocol::time::{DAY, Timestamp};

use crate::api::dto::rfc3339;
use crate::engine::{Engine, Input, MAX_BATCH, Settings};
use crate::service::backup::{self, Row, Rows, UnknownRow};
use crate::service::identity::{self, MeRecord};
use crate::service::life;
use crate::store::{SealedStore, SledStore, StoreError};

use crate::handle::restore::{RECEIVED, RECEIVING};

use super::lock::ProfileLock;
use super::{StartError, VaultError, private_folder, rolling, vault};

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
    /// It is of a time that has not come yet.
    #[error(
        "this backup is from {0}, and this computer’s clock says that this is still to come. Put the clock right, \
         and try again"
    )]
    Clock(String),
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

/// Where a restore is under way.
const UNFINISHED: &str = ".restoring";
/// Where all that was restored is, until the last of it has come to its place.
const WHOLE: &str = ".restored";
/// What a profile has.
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
    // First: of a file that is no backup of this person's, nothing is made.
    Backup::open(file, &phrase.seed())?;
    let _lock = ProfileLock::take(folder)?;
    finish(folder)?;
    if has_profile(folder) {
        return Err(RestoreError::NotEmpty(folder.to_owned()));
    }
    let restored = prepare(folder, file, phrase, now)?;
    put_in_place(folder)?;
    Ok(restored)
}

/// Whether there is a profile in `folder`. A device key alone is of one that was never made.
fn has_profile(folder: &Path) -> bool {
    ["store", "vault.key"].iter().any(|part| folder.join(part).exists())
}

/// Makes the profile of a backup inside `folder`, beside what is there. [`put_in_place`] does that. The caller
/// has the profile.
///
/// # Errors
/// [`RestoreError`]; nothing is changed.
pub(super) fn prepare(
    folder: &Path,
    file: &Path,
    phrase: &Phrase,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let seed = phrase.seed();
    let backup = Backup::open(file, &seed)?;
    let unfinished = folder.join(UNFINISHED);
    remove(&unfinished)?;
    let restored = restore_into(&unfinished, backup, &seed, now);
    if restored.is_err() {
        // Half of it is of no use, and has keys in it.
        remove(&unfinished)?;
        return restored;
    }
    sync(&unfinished)?;
    sync(folder)?;
    restored
}

/// Puts what [`prepare`] made in the place of what is there. From the first name that changes on, a crash is made
/// good by [`tidy`].
///
/// # Errors
/// [`RestoreError::Folder`].
pub(super) fn put_in_place(folder: &Path) -> Result<(), RestoreError> {
    let whole = folder.join(WHOLE);
    std::fs::rename(folder.join(UNFINISHED), &whole).map_err(failed(&whole))?;
    sync(folder)?;
    finish(folder)
}

/// Puts what was restored as a whole in the place of what is there; nothing when there is no such thing.
///
/// # Errors
/// [`RestoreError::Folder`]; the next try goes on.
pub(super) fn finish(folder: &Path) -> Result<(), RestoreError> {
    let whole = folder.join(WHOLE);
    if !whole.exists() {
        return Ok(());
    }
    for part in PARTS {
        let (from, to) = (whole.join(part), folder.join(part));
        if from.exists() {
            remove(&to)?;
            std::fs::rename(&from, &to).map_err(failed(&to))?;
        }
    }
    // A copy that was kept beside the store before opens under no key that is still there.
    remove(&folder.join(rolling::FILE))?;
    sync(folder)?;
    remove(&whole)?;
    sync(folder)
}

/// Forgets what [`prepare`] made.
///
/// # Errors
/// [`RestoreError::Folder`].
pub(super) fn give_up(folder: &Path) -> Result<(), RestoreError> {
    remove(&folder.join(UNFINISHED))
}

/// What a node does before it starts: a restore that was whole is finished, one that was not is forgotten where
/// there is a profile beside it.
///
/// # Errors
/// [`StartError::Unfinished`] when there is none: a node would make a new account.
pub(super) fn tidy(folder: &Path) -> Result<(), StartError> {
    let unfinished = folder.join(UNFINISHED);
    let tidied = finish(folder).and_then(|()| match has_profile(folder) {
        true => [RECEIVED, RECEIVING, UNFINISHED, rolling::PART]
            .iter()
            .try_for_each(|left| remove(&folder.join(left))),
        false => Ok(()),
    });
    match tidied {
        Err(RestoreError::Folder { folder, source }) => Err(StartError::Folder { folder, source }),
        _ if unfinished.exists() => {
            Err(StartError::Unfinished { folder: folder.to_owned(), command: "kith restore" })
        }
        _ => Ok(()),
    }
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
        let vault =
            opened.map_err(|source| StartError::Vault { folder: folder.to_owned(), source })?;
        Ok(SealedStore::new(Arc::new(SledStore::open(&folder.join("store"))?), &vault))
    })
}

/// Puts a backup into a store, which `store` makes for its account: what a restore does, wherever the two are.
///
/// # Errors
/// [`RestoreError`]; the store is of no use then.
pub fn fill(
    mut backup: Backup,
    now: Timestamp,
    store: impl FnOnce(&MeRecord) -> Result<SealedStore, RestoreError>,
) -> Result<Restored, RestoreError> {
    let mut first = backup.next()?.into_iter().flatten();
    let (Some(Row::Start { generation, at }), Some(Row::Me(me))) = (first.next(), first.next())
    else {
        return Err(RestoreError::Incomplete);
    };
    if at > now.plus(DAY) {
        return Err(RestoreError::Clock(rfc3339(at)));
    }
    let generation = life::next(generation, (me.created_at, at), now);
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
    let finish = Input::Command(Box::new(move |ctx| life::begin(ctx, generation)));
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

/// A backup, read as it is opened.
pub struct Backup {
    file: Box<dyn Read>,
    reader: BackupReader,
    rows: Rows,
    left: u64,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Backup {
    pub(super) fn open(path: &Path, seed: &Seed) -> Result<Self, RestoreError> {
        let file = File::open(path).map_err(RestoreError::Read)?;
        let length = file.metadata().map_err(RestoreError::Read)?.len();
        Self::new(Box::new(file), length, seed)
    }

    /// A backup of so many bytes.
    ///
    /// # Errors
    /// [`RestoreError`] when it is none, or another seed's.
    pub fn new(mut file: Box<dyn Read>, length: u64, seed: &Seed) -> Result<Self, RestoreError> {
        let header_len = u64::try_from(BACKUP_HEADER_LEN).unwrap_or(u64::MAX);
        let mut header = Vec::with_capacity(BACKUP_HEADER_LEN);
        file.by_ref().take(header_len).read_to_end(&mut header).map_err(RestoreError::Read)?;
        let reader = BackupReader::new(seed, &header)?;
        Ok(Self { file, reader, rows: Rows::default(), left: length.saturating_sub(header_len) })
    }

    /// When it was made.
    pub(super) fn made_at(mut self) -> Result<Timestamp, RestoreError> {
        match self.next()?.into_iter().flatten().next() {
            Some(Row::Start { at, .. }) => Ok(at),
            _ => Err(RestoreError::Incomplete),
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn write(folder: &Path, content: &str) {
        std::fs::create_dir_all(folder.join("store")).unwrap();
        for file in ["store/db", "device.key", "vault.key"] {
            std::fs::write(folder.join(file), content).unwrap();
        }
    }

    fn read(folder: &Path) -> Vec<String> {
        let files = ["store/db", "device.key", "vault.key"];
        files.map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).into()
    }

    /// Killed after so many of the six changes that bring three parts to their places.
    #[test]
    fn a_crash_on_the_way_to_its_place_is_made_good_at_the_next_start() {
        for changes in 0..=6 {
            let outside = tempfile::tempdir().unwrap();
            let (folder, whole) = (outside.path(), outside.path().join(WHOLE));
            write(folder, "before");
            write(&whole, "restored");
            std::fs::write(whole.join("profile.lock"), "").unwrap();
            for change in 0..changes {
                let part = PARTS[change / 2];
                match change % 2 {
                    0 => remove(&folder.join(part)).unwrap(),
                    _ => std::fs::rename(whole.join(part), folder.join(part)).unwrap(),
                }
            }
            tidy(folder).unwrap();
            assert_eq!(read(folder), ["restored"; 3], "{changes} changes");
            assert!(!whole.exists());
        }
    }

    #[test]
    fn half_of_a_restore_is_forgotten_beside_a_profile_and_stops_a_start_where_there_is_none() {
        let outside = tempfile::tempdir().unwrap();
        let (folder, half) = (outside.path(), outside.path().join(UNFINISHED));
        std::fs::create_dir(&half).unwrap();
        let refused = tidy(folder).unwrap_err();
        assert!(matches!(refused, StartError::Unfinished { command: "kith restore", .. }));
        assert!(half.exists());
        write(folder, "before");
        for left in [RECEIVED, rolling::PART] {
            std::fs::write(folder.join(left), "a backup").unwrap();
        }
        tidy(folder).unwrap();
        assert!([RECEIVED, rolling::PART].iter().all(|left| !folder.join(left).exists()));
        assert!(!half.exists());
        assert_eq!(read(folder), ["before"; 3]);
    }
}
