//! The backup that a node keeps beside its store, and going on from it when the store is damaged.
//!
//! 1. Once a day, while the node runs, everything that a backup has is written into one file, sealed under the
//!    vault: it opens wherever the store would, without the recovery phrase.
//! 2. When a store does not open, [`recover`] puts it aside, as it is, and makes another from that file. Keys
//!    are renewed with every contact and what was missed comes back, as after any restore.
//!
//! # Invariants
//! * The file is replaced by a whole one or not at all; a store that cannot be read replaces nothing.
//! * A copy leaves [`RESERVE`] free: it never takes the room that the store needs.
//! * Nothing is deleted: the damaged store stays beside the new one.
//! * A recovery that was broken off is begun anew; no node starts meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crypto::{Seed, Vault};
use futures::StreamExt;
use protocol::time::Timestamp;

use super::lock::ProfileLock;
use super::restore::{Backup, RestoreError, Restored, failed, fill, remove, sync};
use super::{StartError, VaultError, vault};
use crate::handle::Node;
use crate::store::{SealedStore, SledStore, StoreError};

/// The file, in the profile's folder.
pub(super) const FILE: &str = "rolling.backup";
/// Where the next one is made. What a copy that was broken off left there goes at the next start.
pub(super) const PART: &str = "rolling.backup.new";
/// How old it becomes before it is written anew.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How much a copy leaves free on its disk, bytes.
const RESERVE: u64 = 256 * 1024 * 1024;
/// Where a recovery is under way.
pub(super) const UNFINISHED: &str = ".recovering";

/// What came of a recovery.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// What was restored.
    pub restored: Restored,
    /// Where the damaged store is now; `None` when there was none.
    pub put_aside: Option<PathBuf>,
}

/// When the copy in `folder` was made, if there is one.
pub(super) fn made_at(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder.join(FILE)).and_then(|file| file.modified()).ok()
}

/// Whether another copy is to be made. A clock that was put back makes it due.
pub(super) fn is_due(folder: &Path) -> bool {
    let age = made_at(folder).and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age >= LIFETIME)
}

/// Why no copy is made: the store would have no room beside it.
#[derive(Debug, thiserror::Error)]
#[error("only {} MiB are free where the profile is, and a copy needs {} MiB; make room", .free >> 20, .needed.div_ceil(1 << 20))]
struct NoRoom {
    free: u64,
    needed: u64,
}

/// Whether a copy of what is in `store` may be made while `free` bytes are.
fn check_room(store: &Path, free: u64) -> anyhow::Result<()> {
    // More than its rows have together: the old ones are in it, too.
    let needed = RESERVE.saturating_add(len(store)?);
    if free < needed {
        return Err(NoRoom { free, needed }.into());
    }
    Ok(())
}

/// Bytes of all files in a folder.
fn len(folder: &Path) -> std::io::Result<u64> {
    fs::read_dir(folder)?.try_fold(0_u64, |sum, entry| {
        let entry = entry?;
        let own =
            if entry.file_type()?.is_dir() { len(&entry.path())? } else { entry.metadata()?.len() };
        Ok(sum.saturating_add(own))
    })
}

/// Bytes that this user may write where `folder` is.
#[cfg(unix)]
fn free(folder: &Path) -> std::io::Result<u64> {
    let room = rustix::fs::statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> std::io::Result<u64> {
    Ok(u64::MAX)
}

/// Makes another copy, and returns whether it did: not before there is a contact, since nothing would be lost.
///
/// # Errors
/// When the store cannot be read or the file not written, or there is no room; the copy before is still there then.
pub(super) async fn make(node: Node, seed: Seed, folder: PathBuf) -> anyhow::Result<bool> {
    if made_at(&folder).is_none() && node.contacts().list().await?.is_empty() {
        return Ok(false);
    }
    let part = folder.join(PART);
    check_room(&folder.join("store"), free(&folder)?)?;
    let made = write(&node, seed, &part).await;
    if made.is_err() {
        let _ = fs::remove_file(&part);
    }
    made?;
    let names = File::open(&folder)?;
    fs::rename(&part, folder.join(FILE))?;
    names.sync_all()?;
    Ok(true)
}

async fn write(node: &Node, seed: Seed, part: &Path) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(part)?;
    let backup = node.backups().make_under(Some(seed)).await?;
    let mut backup = std::pin::pin!(backup);
    while let Some(piece) = backup.next().await {
        file.write_all(&piece?)?;
    }
    Ok(file.sync_all()?)
}

/// Why a store was not recovered. It is where it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The vault does not open.
    #[error("the vault in {} does not open", folder.display())]
    Vault {
        /// The profile's folder.
        folder: PathBuf,
        /// Why.
        source: VaultError,
    },
    /// A passphrase is needed.
    #[error("this profile has a passphrase: give it on standard input")]
    Passphrase,
    /// There is no copy.
    #[error("there is no copy in {}. What is left is a backup of your own: “kith restore” into another profile", .0.display())]
    NoCopy(PathBuf),
    /// There is nothing to recover from.
    #[error(
        "nothing is wrong with the store in {}: every row of it opens. To go back to the copy all the same, \
         give --force",
        .0.display()
    )]
    Whole(PathBuf),
    /// The profile cannot be had: a node runs on it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The copy does not open, or the new store cannot be made.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

/// Puts the store of the profile in `folder` aside, and goes on from the copy that was kept beside it. Not when
/// nothing is wrong with the store, unless `force` says so.
///
/// # Errors
/// [`RecoverError`]; the store is where it was.
pub fn recover(
    folder: &Path,
    passphrase: Option<&str>,
    force: bool,
    now: Timestamp,
) -> Result<Recovered, RecoverError> {
    let in_vault = |source| RecoverError::Vault { folder: folder.to_owned(), source };
    let file = folder.join(FILE);
    if !file.exists() {
        return Err(RecoverError::NoCopy(folder.to_owned()));
    }
    let _lock = ProfileLock::take(folder)?;
    super::restore::finish(folder)?;
    let vault = match (vault::open(folder).map_err(in_vault)?, passphrase) {
        (Some(vault), _) => vault,
        (None, Some(passphrase)) => vault::unlock(folder, passphrase).map_err(in_vault)?,
        (None, None) => return Err(RecoverError::Passphrase),
    };
    let store = folder.join("store");
    // One that was broken off had its reason.
    if !force && !folder.join(UNFINISHED).exists() && is_whole(&store, &vault) {
        return Err(RecoverError::Whole(store));
    }
    Ok(go_on_from_copy(folder, &vault, now)?)
}

/// Puts the store aside and makes another from the copy, for whoever has the profile.
///
/// # Errors
/// [`RestoreError`]; the store is where it was, or this is to be begun anew.
pub(super) fn go_on_from_copy(
    folder: &Path,
    vault: &Vault,
    now: Timestamp,
) -> Result<Recovered, RestoreError> {
    let (file, store) = (folder.join(FILE), folder.join("store"));
    let unfinished = folder.join(UNFINISHED);
    let backup = Backup::open(&file, &vault.backup_seed())?;
    // Of one that was broken off. While there is no store, something stays there: no node must start.
    remove(&unfinished.join("store"))?;
    let made = fill(backup, now, |_| {
        super::private_folder(&unfinished)?;
        let sled = SledStore::open(&unfinished.join("store"))?;
        Ok(SealedStore::new(Arc::new(sled), vault))
    });
    let restored = match made {
        Ok(restored) => restored,
        Err(error) => {
            remove(&unfinished.join("store"))?;
            if store.exists() {
                remove(&unfinished)?;
            }
            return Err(error);
        }
    };
    sync(folder)?;
    let put_aside = store.exists().then(|| folder.join(format!("store.damaged-{}", now.seconds())));
    if let Some(aside) = &put_aside {
        fs::rename(&store, aside).map_err(failed(aside))?;
    }
    fs::rename(unfinished.join("store"), &store).map_err(failed(&store))?;
    sync(folder)?;
    // The next start makes another copy: of this one nothing must begin twice.
    let old = File::options().write(true).open(&file).map_err(failed(&file))?;
    old.set_modified(SystemTime::UNIX_EPOCH).map_err(failed(&file))?;
    remove(&unfinished)?;
    sync(folder)?;
    Ok(Recovered { restored, put_aside })
}

/// Whether a store opens, with every row in it.
fn is_whole(store: &Path, vault: &Vault) -> bool {
    let opened = || {
        let sled = SledStore::open(store)?;
        SealedStore::new(Arc::new(sled), vault).check()
    };
    store.exists() && opened().is_ok()
}

/// From when the copy is that a store which failed like this can be made of; `None` when there is none that opens, or
/// it failed for another reason.
pub(super) fn offers(error: &StoreError, folder: &Path, vault: &Vault) -> Option<Timestamp> {
    match error {
        StoreError::Corrupt(_) | StoreError::Unreadable(_) => {
            Backup::open(&folder.join(FILE), &vault.backup_seed()).ok()?.made_at().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_copy_is_made_only_if_it_leaves_the_store_its_room() {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir(store.path().join("blobs")).unwrap();
        for (name, len) in [("db", 3_000), ("blobs/7", 96)] {
            fs::write(store.path().join(name), vec![1; len]).unwrap();
        }
        let needed = RESERVE + 3_096;
        assert!(check_room(store.path(), needed).is_ok());
        let refused = check_room(store.path(), needed - 1).unwrap_err().to_string();
        assert_eq!(
            refused,
            "only 256 MiB are free where the profile is, and a copy needs 257 MiB; make room"
        );
        assert!(free(store.path()).unwrap() > 0, "the disk of this test has some");
    }
}
