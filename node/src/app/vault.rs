//! The vault's files in a profile's folder.
//!
//! `vault.key` holds the sealed master key. Without a passphrase it is sealed under the random
//! key in `device.key`, which its owner alone can read. The key file itself says which of the two
//! it wants. The device key is written before and removed after the key file that changes that, so a
//! crash between the two leaves nothing that cannot be finished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use tracing::warn;

use crypto::{KdfParams, KeyFileError, KeyFileMode, Secret, Unlock, Vault, VaultLock};
use icu_normalizer::ComposingNormalizerBorrowed;
use zeroize::Zeroizing;

/// Why a vault does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A file cannot be read or written.
    #[error("{file} cannot be read or written")]
    Io {
        /// Which.
        file: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `vault.key` is there and `device.key` is not.
    #[error(
        "device.key is missing. Without it the messages cannot be read; put it back from a copy of this folder"
    )]
    NoDeviceKey,
    /// `device.key` is not 32 bytes.
    #[error("device.key is damaged. Put it back from a copy of this folder")]
    DeviceKey,
    /// `vault.key` is not there.
    #[error("vault.key is missing. Put it back from a copy of this folder")]
    NoKeyFile,
    /// The key file does not open.
    #[error("vault.key does not open")]
    KeyFile(#[from] KeyFileError),
}

const KEY_FILE: &str = "vault.key";
const DEVICE_KEY: &str = "device.key";
/// How long unlocking may take, in milliseconds: a person waits, and so does who guesses.
const UNLOCK_MS: u64 = 700;

/// Opens the vault in `folder`; makes one where there is none. `None` when it wants a passphrase.
///
/// # Errors
/// [`VaultError`]; nothing that was there is changed.
pub(super) fn open(folder: &Path) -> Result<Option<Vault>, VaultError> {
    let device_key = || {
        let bytes = read(folder, DEVICE_KEY)?;
        bytes.map(|bytes| Secret::from_slice(&bytes).ok_or(VaultError::DeviceKey)).transpose()
    };
    let Some(file) = read(folder, KEY_FILE)? else {
        if folder.join("store").exists() {
            // Another key would open nothing of it.
            return Err(VaultError::NoKeyFile);
        }
        return create(folder, device_key()?).map(Some);
    };
    if KeyFileMode::of(&file)? == KeyFileMode::Passphrase {
        return Ok(None);
    }
    let device_key = device_key()?.ok_or(VaultError::NoDeviceKey)?;
    Ok(Some(Vault::open(&file, Unlock::DeviceKey(&device_key))?))
}

/// Opens the vault in `folder` with its passphrase. Takes as long as Argon2id was told to.
///
/// # Errors
/// [`VaultError`]; nothing is changed.
pub(super) fn unlock(folder: &Path, passphrase: &str) -> Result<Vault, VaultError> {
    let file = read(folder, KEY_FILE)?.ok_or(VaultError::NoKeyFile)?;
    let passphrase = normal(passphrase);
    Ok(Vault::open(&file, Unlock::Passphrase(passphrase.as_bytes()))?)
}

/// The passphrase opened the vault: a device key that a crash left
/// behind opens nothing any more but copies of the key file before.
pub(super) fn forget_device_key(folder: &Path) {
    if let Err(error) = remove(folder, DEVICE_KEY) {
        warn!(%error, "the key that opened the vault before is still there");
    }
}

/// Writes the key file of a vault whose generation has changed.
///
/// # Errors
/// [`VaultError::Io`]; the file is then the one before, or this one.
pub(super) fn save(folder: &Path, vault: &Vault) -> Result<(), VaultError> {
    write(folder, KEY_FILE, &vault.key_file(&mut rand::rng()))
}

/// What will open a vault.
pub(super) struct NewLock {
    lock: VaultLock,
    /// Without a passphrase.
    device_key: Option<Secret<32>>,
}

impl NewLock {
    /// A lock for this passphrase, at a cost that fits this machine; without one, for a device key.
    ///
    /// # Errors
    /// [`VaultError::KeyFile`].
    pub(super) fn of(passphrase: Option<&str>) -> Result<Self, VaultError> {
        let mut rng = rand::rng();
        let Some(passphrase) = passphrase else {
            let key = Secret::random(&mut rng);
            let lock = VaultLock::new(Unlock::DeviceKey(&key), KdfParams::default(), &mut rng)?;
            return Ok(Self { lock, device_key: Some(key) });
        };
        let cost = measured_cost()?;
        let passphrase = normal(passphrase);
        let unlock = Unlock::Passphrase(passphrase.as_bytes());
        let lock = match VaultLock::new(unlock, cost, &mut rng) {
            // What the machine could do a moment ago, it cannot now: the floor is strong enough.
            Err(KeyFileError::OutOfMemory) => {
                VaultLock::new(unlock, KdfParams::default(), &mut rng)?
            }
            lock => lock?,
        };
        Ok(Self { lock, device_key: None })
    }

    /// Puts the keys of `vault` behind this lock. The vault that is returned is the one to go on with.
    ///
    /// # Errors
    /// [`VaultError`]; the files are then as they were, if they can be written at all.
    pub(super) fn put_on(self, folder: &Path, vault: &Vault) -> Result<Vault, VaultError> {
        let locked = vault.behind(self.lock);
        let had_device_key = folder.join(DEVICE_KEY).exists();
        let written = match &self.device_key {
            Some(key) => write(folder, DEVICE_KEY, key.expose()),
            None => Ok(()),
        };
        if let Err(error) = written.and_then(|()| save(folder, &locked)) {
            // The file may be the new one all the same: only its name may not be on the disk.
            save(folder, vault)?;
            if !had_device_key {
                remove(folder, DEVICE_KEY)?;
            }
            return Err(error);
        }
        if self.device_key.is_none() {
            forget_device_key(folder);
        }
        Ok(locked)
    }
}

/// A passphrase as it is stretched: the same letters are the same bytes, however they were typed.
fn normal(passphrase: &str) -> Zeroizing<String> {
    Zeroizing::new(ComposingNormalizerBorrowed::new_nfkc().normalize(passphrase).into_owned())
}

/// What Argon2id may cost on this machine, from how long the floor takes now.
fn measured_cost() -> Result<KdfParams, VaultError> {
    let begun = Instant::now();
    VaultLock::new(Unlock::Passphrase(b"measure"), KdfParams::default(), &mut rand::rng())?;
    let floor_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(KdfParams::for_machine(floor_ms, UNLOCK_MS))
}

fn remove(folder: &Path, file: &'static str) -> Result<(), VaultError> {
    match fs::remove_file(folder.join(file)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(VaultError::Io { file, source })
        }
        _ => Ok(()),
    }
}

fn create(folder: &Path, device_key: Option<Secret<32>>) -> Result<Vault, VaultError> {
    let device_key = match device_key {
        Some(device_key) => device_key,
        None => {
            let device_key = Secret::random(&mut rand::rng());
            write(folder, DEVICE_KEY, device_key.expose())?;
            device_key
        }
    };
    let unlock = Unlock::DeviceKey(&device_key);
    let vault = Vault::create(unlock, KdfParams::default(), &mut rand::rng())?;
    save(folder, &vault)?;
    Ok(vault)
}

fn read(folder: &Path, file: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    match fs::read(folder.join(file)) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::Io { file, source }),
    }
}

/// Writes a whole file or none: beside it, flushed, then renamed over it.
fn write(folder: &Path, file: &'static str, bytes: &[u8]) -> Result<(), VaultError> {
    let beside = folder.join(format!("{file}.new"));
    let written = write_beside(folder, &beside, file, bytes);
    if written.is_err() {
        // There are keys in it.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_beside(
    folder: &Path,
    beside: &Path,
    file: &'static str,
    bytes: &[u8],
) -> Result<(), VaultError> {
    let failed = |source| VaultError::Io { file, source };
    // Opened first: what may fail fails before the rename.
    let names = File::open(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(beside).map_err(failed)?;
    written.write_all(bytes).map_err(failed)?;
    written.sync_all().map_err(failed)?;
    fs::rename(beside, folder.join(file)).map_err(failed)?;
    // The rename itself must be on the disk before anything is sealed under the key.
    names.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn seals_alike(one: &Vault, other: &Vault) -> bool {
        let sealed = one.tree_key("t", 0).seal(b"k", b"v", 1, &mut rand::rng());
        other.tree_key("t", 0).open(b"k", &sealed).is_ok()
    }

    #[test]
    fn a_vault_is_the_same_after_a_restart_and_after_a_crash_while_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let first = opened(folder.path());
        assert!(seals_alike(&first, &opened(folder.path())));
        fs::remove_file(folder.path().join(KEY_FILE)).unwrap();
        let device_key = fs::read(folder.path().join(DEVICE_KEY)).unwrap();
        open(folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join(DEVICE_KEY)).unwrap(), device_key);
    }

    #[test]
    fn a_missing_or_damaged_device_key_is_said_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        let device_key = folder.path().join(DEVICE_KEY);
        fs::write(&device_key, [1; 31]).unwrap();
        assert!(matches!(open(folder.path()), Err(VaultError::DeviceKey)));
        fs::remove_file(&device_key).unwrap();
        assert!(matches!(open(folder.path()), Err(VaultError::NoDeviceKey)));
        assert!(!device_key.exists());
    }

    #[test]
    fn the_keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        for file in [KEY_FILE, DEVICE_KEY] {
            let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    fn opened(path: &Path) -> Vault {
        open(path).unwrap().unwrap()
    }

    fn set(path: &Path, vault: &Vault, passphrase: &str) -> Vault {
        NewLock::of(Some(passphrase)).unwrap().put_on(path, vault).unwrap()
    }

    #[test]
    fn a_passphrase_locks_the_vault_is_changed_and_removed_and_the_keys_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let vault = opened(path);
        let locked = set(path, &vault, "beans and peas");
        assert!(!path.join(DEVICE_KEY).exists(), "it would open a copy of the old key file");
        assert!(open(path).unwrap().is_none());
        let wrong = unlock(path, "peas and beans").map(drop).unwrap_err();
        assert!(matches!(wrong, VaultError::KeyFile(KeyFileError::WrongSecret)));
        let unlocked = unlock(path, "beans and peas").unwrap();
        assert!(seals_alike(&vault, &unlocked) && seals_alike(&vault, &locked));
        // Typed with a letter and its accent apart, or as one.
        let locked = set(path, &locked, "caf\u{e9} au lait");
        unlock(path, "beans and peas").map(drop).unwrap_err();
        unlock(path, "cafe\u{301} au lait").unwrap();
        NewLock::of(None).unwrap().put_on(path, &locked).unwrap();
        assert!(seals_alike(&vault, &opened(path)));
    }

    /// Killed after any of the two writes of a change, in the order in which they are made.
    #[test]
    fn a_crash_while_the_passphrase_is_set_or_removed_leaves_a_vault_that_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let vault = opened(path);
        let device_key = fs::read(path.join(DEVICE_KEY)).unwrap();
        set(path, &vault, "beans and peas");
        // The key file was replaced, the device key not removed yet; or a device key was written for the
        // passphrase to be removed, the key file not yet.
        for left in [&device_key[..], &[7; 32]] {
            fs::write(path.join(DEVICE_KEY), left).unwrap();
            assert!(open(path).unwrap().is_none());
            assert!(seals_alike(&vault, &unlock(path, "beans and peas").unwrap()));
            assert!(path.join(DEVICE_KEY).exists(), "it may be another process's work");
        }
        forget_device_key(path);
        assert!(!path.join(DEVICE_KEY).exists());
    }

    #[test]
    fn a_change_that_cannot_be_written_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let vault = opened(path);
        // Nothing can be put beside the key file: a folder has the name.
        fs::create_dir(path.join(format!("{KEY_FILE}.new"))).unwrap();
        let refused = NewLock::of(Some("beans and peas")).unwrap().put_on(path, &vault);
        assert!(matches!(refused.map(drop).unwrap_err(), VaultError::Io { .. }));
        assert!(seals_alike(&vault, &opened(path)));
    }
}
