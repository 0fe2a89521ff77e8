//! How a command line finds what runs: two files in a folder of its own.
//!
//! `<name>-token` is a bearer token, new at each start; `<name>-address` is where it is good. Whoever
//! can read the first can do what its owner can, so the folder is 0700 and the files are 0600.
//!
//! # Invariants
//! * The files are complete when they appear: written beside and renamed.
//! * They are removed at the end; a token left by a crash is good nowhere.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The files of a server that runs; dropping this removes them.
#[derive(Debug)]
pub struct TokenFiles {
    files: [PathBuf; 2],
}

impl TokenFiles {
    /// Writes both.
    ///
    /// # Errors
    /// When the folder or a file cannot be written.
    pub fn write(folder: &Path, name: &str, token: &str, address: SocketAddr) -> io::Result<Self> {
        private_folder(folder)?;
        let [at, secret] = files(folder, name);
        private_file(&at, format!("http://{address}\n").as_bytes())?;
        private_file(&secret, token.as_bytes())?;
        Ok(Self { files: [at, secret] })
    }
}

impl Drop for TokenFiles {
    fn drop(&mut self) {
        for file in &self.files {
            // Nothing depends on it: the token dies with the process.
            let _ = fs::remove_file(file);
        }
    }
}

/// Where the server of this folder listens, and its token; `None` when none runs.
#[must_use]
pub fn read(folder: &Path, name: &str) -> Option<(String, Zeroizing<String>)> {
    let [at, secret] = files(folder, name);
    let token = Zeroizing::new(fs::read_to_string(secret).ok()?);
    let address = fs::read_to_string(at).ok()?;
    Some((address.trim().to_owned(), Zeroizing::new(token.trim().to_owned())))
}

/// Address and token.
fn files(folder: &Path, name: &str) -> [PathBuf; 2] {
    ["address", "token"].map(|what| folder.join(format!("{name}-{what}")))
}

/// Makes a folder that only its owner can enter.
///
/// # Errors
/// When it cannot be made or narrowed.
pub fn private_folder(folder: &Path) -> io::Result<()> {
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
pub fn private_file(path: &Path, content: &[u8]) -> io::Result<()> {
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

    const AT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7000);

    #[test]
    fn only_the_owner_can_read_the_token_and_it_goes_with_the_server() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("run");
        let files = TokenFiles::write(&folder, "api", "secret", AT).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("api-token")), 0o600);
        let (address, token) = read(&folder, "api").unwrap();
        assert_eq!((address.as_str(), token.as_str()), ("http://127.0.0.1:7000", "secret"));
        assert!(read(&folder, "admin").is_none(), "another server's");
        drop(files);
        assert!(read(&folder, "api").is_none());
    }

    #[test]
    fn a_token_left_by_a_crash_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("api-token"), "old").unwrap();
        fs::write(place.path().join("api-token.new"), "half").unwrap();
        let _files = TokenFiles::write(place.path(), "api", "new", AT).unwrap();
        assert_eq!(read(place.path(), "api").unwrap().1.as_str(), "new");
    }
}
