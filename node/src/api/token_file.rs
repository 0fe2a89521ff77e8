//! How the command line finds its node: two files in the profile's runtime folder.
//!
//! `api-token` is a bearer token, new at each start; `api-address` is where it is good. Whoever
//! can read the first can do what the person can, so the folder is 0700 and the files are 0600.
//!
//! # Invariants
//! * The files are complete when they appear: written beside and renamed.
//! * They are removed when the node stops; a token left by a crash is good nowhere.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The bearer token.
const TOKEN: &str = "api-token";
/// The server's address.
const ADDRESS: &str = "api-address";

/// The files of a running node; dropping this removes them.
#[derive(Debug)]
pub(super) struct TokenFiles {
    folder: PathBuf,
}

impl TokenFiles {
    /// Writes both.
    ///
    /// # Errors
    /// When the folder or a file cannot be written.
    pub(super) fn write(folder: &Path, token: &str, port: u16) -> io::Result<Self> {
        private_folder(folder)?;
        private_file(&folder.join(ADDRESS), format!("http://127.0.0.1:{port}\n").as_bytes())?;
        private_file(&folder.join(TOKEN), token.as_bytes())?;
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Drop for TokenFiles {
    fn drop(&mut self) {
        for name in [TOKEN, ADDRESS] {
            // Nothing depends on it: the token dies with the process.
            let _ = fs::remove_file(self.folder.join(name));
        }
    }
}

/// Where a node of this runtime folder listens, and its token; `None` when none runs.
#[must_use]
pub(crate) fn read(folder: &Path) -> Option<(String, Zeroizing<String>)> {
    let token = Zeroizing::new(fs::read_to_string(folder.join(TOKEN)).ok()?);
    let address = fs::read_to_string(folder.join(ADDRESS)).ok()?;
    Some((address.trim().to_owned(), Zeroizing::new(token.trim().to_owned())))
}

/// Makes a folder that only its owner can enter.
///
/// # Errors
/// When it cannot be made or narrowed.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(&beside)?.write_all(content)?;
    fs::rename(&beside, path)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_can_read_the_token_and_it_goes_with_the_node() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("run");
        let files = TokenFiles::write(&folder, "secret", 7000).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(TOKEN)), 0o600);
        let (address, token) = read(&folder).unwrap();
        assert_eq!((address.as_str(), token.as_str()), ("http://127.0.0.1:7000", "secret"));
        drop(files);
        assert!(read(&folder).is_none());
    }

    #[test]
    fn a_token_left_by_a_crash_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(TOKEN), "old").unwrap();
        fs::write(place.path().join("api-token.new"), "half").unwrap();
        let _files = TokenFiles::write(place.path(), "new", 1).unwrap();
        assert_eq!(read(place.path()).unwrap().1.as_str(), "new");
    }
}
