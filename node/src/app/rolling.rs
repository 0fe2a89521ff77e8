//! The backup that a node keeps beside its store, and going on from it when the store is damaged.
//!
//! 1. Once a day, while the node runs, everything that a backup has is written into one file, sealed under the
//!    vault: it opens wherever the store would, without the recovery phrase.
//! 2. When a store does not open, [`recover`] puts it aside, as it is, and makes another from that file. Keys
//!    are renewed with every contact and what was missed comes back, as after any restore.
//!
//! # Invariants
//! * The file is replaced by a whole one or not at all; a store that cannot be read replaces nothing.
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
/// How old it becomes before it is written anew.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
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

/// Makes another copy, and returns whether it did: not before there is a contact, since nothing would be lost.
///
/// # Errors
/// When the store cannot be read or the file not written; the copy before is still there then.
pub(super) async fn make(node: Node, seed: Seed, folder: PathBuf) -> anyhow::Result<bool> {
    if made_at(&folder).is_none() && node.contacts().list().await?.is_empty() {
        return Ok(false);
    }
    let part = folder.join(format!("{FILE}.new"));
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
    let (store, unfinished) = (folder.join("store"), folder.join(UNFINISHED));
    // One that was broken off had its reason.
    if !force && !unfinished.exists() && is_whole(&store, &vault) {
        return Err(RecoverError::Whole(store));
    }
    let backup = Backup::open(&file, &vault.backup_seed())?;
    // Of one that was broken off. While there is no store, something stays there: no node must start.
    remove(&unfinished.join("store"))?;
    let made = fill(backup, now, |_| {
        super::private_folder(&unfinished)?;
        let sled = SledStore::open(&unfinished.join("store"))?;
        Ok(SealedStore::new(Arc::new(sled), &vault))
    });
    let restored = match made {
        Ok(restored) => restored,
        Err(error) => {
            remove(&unfinished.join("store"))?;
            if store.exists() {
                remove(&unfinished)?;
            }
            return Err(error.into());
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

/// What to say about a node that did not start because of its store; `None` when it is not that.
pub(super) fn advice(error: &StartError, folder: &Path) -> Option<String> {
    let StartError::Store { source: StoreError::Corrupt(_) | StoreError::Unreadable(_), .. } =
        error
    else {
        return None;
    };
    let at = made_at(folder)?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = Timestamp(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
    Some(format!(
        "Kith has a copy of everything from {}. “kith recover” puts the damaged store aside and goes on from \
         that copy: keys are renewed by themselves, and contacts send what you missed.",
        crate::api::dto::rfc3339(at)
    ))
}
