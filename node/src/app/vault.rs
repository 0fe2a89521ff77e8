//! The vault's files in a profile's folder.
//!
//! `vault.key` holds the sealed master key. Without a passphrase it is sealed under the random
//! key in `device.key`, which its owner alone can read. The device key is written first, so a
//! crash between the two leaves nothing that cannot be finished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crypto::{KdfParams, KeyFileError, Secret, Unlock, Vault};

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
    /// The key file does not open.
    #[error("vault.key does not open")]
    KeyFile(#[from] KeyFileError),
}

const KEY_FILE: &str = "vault.key";
const DEVICE_KEY: &str = "device.key";

/// Opens the vault in `folder`; makes one where there is none.
///
/// # Errors
/// [`VaultError`]; nothing that was there is changed.
pub(super) fn open(folder: &Path) -> Result<Vault, VaultError> {
    let device_key = read(folder, DEVICE_KEY)?
        .map(|bytes| Secret::from_slice(&bytes).ok_or(VaultError::DeviceKey))
        .transpose()?;
    match (read(folder, KEY_FILE)?, device_key) {
        (Some(key_file), Some(device_key)) => {
            Ok(Vault::open(&key_file, Unlock::DeviceKey(&device_key))?)
        }
        (Some(_), None) => Err(VaultError::NoDeviceKey),
        (None, device_key) => create(folder, device_key),
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
        let first = open(folder.path()).unwrap();
        assert!(seals_alike(&first, &open(folder.path()).unwrap()));
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
}
