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

use crypto::{KdfParams, KeyFileError, KeyFileMode, Secret, Unlock, Vault};

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
    let key_file = read(folder, KEY_FILE)?;
    if let Some(key_file) = &key_file
        && KeyFileMode::of(key_file)? == KeyFileMode::Passphrase
    {
        // One that a crash left behind: it opens nothing any more.
        remove(folder, DEVICE_KEY)?;
        return Ok(None);
    }
    let device_key = read(folder, DEVICE_KEY)?
        .map(|bytes| Secret::from_slice(&bytes).ok_or(VaultError::DeviceKey))
        .transpose()?;
    match (key_file, device_key) {
        (Some(key_file), Some(device_key)) => {
            Ok(Some(Vault::open(&key_file, Unlock::DeviceKey(&device_key))?))
        }
        (Some(_), None) => Err(VaultError::NoDeviceKey),
        (None, device_key) => create(folder, device_key).map(Some),
    }
}

/// Opens the vault in `folder` with its passphrase. Takes as long as Argon2id was told to.
///
/// # Errors
/// [`VaultError`]; nothing is changed.
pub(super) fn unlock(folder: &Path, passphrase: &str) -> Result<Vault, VaultError> {
    let key_file = read(folder, KEY_FILE)?.ok_or(VaultError::NoKeyFile)?;
    Ok(Vault::open(&key_file, Unlock::Passphrase(passphrase.as_bytes()))?)
}

/// Writes the key file of a vault whose generation has changed.
///
/// # Errors
/// [`VaultError::Io`]; the file is then the one before, or this one.
pub(super) fn save(folder: &Path, vault: &Vault) -> Result<(), VaultError> {
    write(folder, KEY_FILE, &vault.key_file(&mut rand::rng()))
}

/// From now on the vault wants this passphrase, at a cost that fits this machine. `vault` is one of its own,
/// opened for this: when anything fails, the one in use and the files are as they were.
///
/// # Errors
/// [`VaultError`].
pub(super) fn set_passphrase(
    folder: &Path,
    vault: &mut Vault,
    passphrase: &str,
) -> Result<(), VaultError> {
    let cost = measured_cost()?;
    let unlock = Unlock::Passphrase(passphrase.as_bytes());
    match vault.rewrap(unlock, cost, &mut rand::rng()) {
        // What the machine could do a moment ago, it cannot now: the floor is strong enough.
        Err(KeyFileError::OutOfMemory) => {
            vault.rewrap(unlock, KdfParams::default(), &mut rand::rng())?;
        }
        rewrapped => rewrapped?,
    }
    save(folder, vault)?;
    // It opens nothing but copies of the key file before; the next start tries again.
    if let Err(error) = remove(folder, DEVICE_KEY) {
        warn!(%error, "the key that opened the vault before is still there");
    }
    Ok(())
}

/// From now on the vault opens by itself.
///
/// # Errors
/// [`VaultError`]; the files are then as they were.
pub(super) fn remove_passphrase(folder: &Path, vault: &mut Vault) -> Result<(), VaultError> {
    let device_key = Secret::random(&mut rand::rng());
    write(folder, DEVICE_KEY, device_key.expose())?;
    vault.rewrap(Unlock::DeviceKey(&device_key), KdfParams::default(), &mut rand::rng())?;
    save(folder, vault)
}

/// What Argon2id may cost on this machine, from how long the floor takes now.
fn measured_cost() -> Result<KdfParams, VaultError> {
    let begun = Instant::now();
    Vault::create(Unlock::Passphrase(b"measure"), KdfParams::default(), &mut rand::rng())?;
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
    write(folder, KEY_FILE, &vault.key_file(&mut rand::rng()))?;
    Ok(vault)
}

fn read(
    folder: &Path,
    file: &'static str,
) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, VaultError> {
    match fs::read(folder.join(file)) {
        Ok(bytes) => Ok(Some(zeroize::Zeroizing::new(bytes))),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VaultError::Io { file, source }),
    }
}

/// Writes a whole file or none: beside it, flushed, then renamed over it.
fn write(folder: &Path, file: &'static str, bytes: &[u8]) -> Result<(), VaultError> {
    let failed = |source| VaultError::Io { file, source };
    let beside = folder.join(format!("{file}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(&beside).map_err(failed)?;
    written.write_all(bytes).map_err(failed)?;
    written.sync_all().map_err(failed)?;
    fs::rename(&beside, folder.join(file)).map_err(failed)?;
    // The rename itself must be on the disk before anything is sealed under the key.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
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
        let first = open(folder.path()).unwrap().unwrap();
        assert!(seals_alike(&first, &open(folder.path()).unwrap().unwrap()));
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

    #[test]
    fn a_passphrase_locks_the_vault_is_changed_and_removed_and_the_keys_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut vault = open(path).unwrap().unwrap();
        set_passphrase(path, &mut vault, "beans and peas").unwrap();
        assert!(!path.join(DEVICE_KEY).exists(), "it would open a copy of the old key file");
        assert!(open(path).unwrap().is_none());
        let wrong = unlock(path, "peas and beans").unwrap_err();
        assert!(matches!(wrong, VaultError::KeyFile(KeyFileError::WrongSecret)));
        let mut unlocked = unlock(path, "beans and peas").unwrap();
        assert!(seals_alike(&vault, &unlocked));
        set_passphrase(path, &mut unlocked, "another one").unwrap();
        unlock(path, "beans and peas").unwrap_err();
        let mut unlocked = unlock(path, "another one").unwrap();
        remove_passphrase(path, &mut unlocked).unwrap();
        assert!(seals_alike(&vault, &open(path).unwrap().unwrap()));
    }

    /// Killed after any of the two writes of a change, in the order in which they are made.
    #[test]
    fn a_crash_while_the_passphrase_is_set_or_removed_leaves_a_vault_that_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut vault = open(path).unwrap().unwrap();
        let device_key = fs::read(path.join(DEVICE_KEY)).unwrap();
        set_passphrase(path, &mut vault, "beans and peas").unwrap();
        // The key file was replaced, the device key not removed yet.
        fs::write(path.join(DEVICE_KEY), &device_key).unwrap();
        assert!(open(path).unwrap().is_none());
        assert!(!path.join(DEVICE_KEY).exists());
        // A device key was written for the passphrase to be removed, the key file not yet.
        fs::write(path.join(DEVICE_KEY), [7; 32]).unwrap();
        assert!(open(path).unwrap().is_none());
        assert!(seals_alike(&vault, &unlock(path, "beans and peas").unwrap()));
    }
}
