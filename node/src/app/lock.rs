//! One process at a time has a profile: a node that runs, locked or not, a restore, or a recovery.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::{StartError, private_folder};

/// The file whose lock it is. It stays when the lock goes.
const FILE: &str = "profile.lock";

/// That this process has the profile, until it is dropped or the process ends, however it does.
#[derive(Debug)]
pub(super) struct ProfileLock {
    _file: File,
}

impl ProfileLock {
    /// Takes the profile in `folder`, which is made where there is none.
    ///
    /// # Errors
    /// [`StartError::InUse`] when another process has it; [`StartError::Folder`].
    pub(super) fn take(folder: &Path) -> Result<Self, StartError> {
        private_folder(folder)?;
        let failed = |source| StartError::Folder { folder: folder.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(folder.join(FILE)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_profile_is_one_process_s_until_it_lets_go() {
        use std::os::unix::fs::PermissionsExt;
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("profile");
        let lock = ProfileLock::take(&folder).unwrap();
        assert!(matches!(ProfileLock::take(&folder), Err(StartError::InUse { .. })));
        drop(lock);
        ProfileLock::take(&folder).unwrap();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "another user reads nothing of it");
    }
}
