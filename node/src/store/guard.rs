//! What tells a damaged database from a whole one, and keeps the damaged one as it is.
//!
//! sled ends its log at the first record that it cannot read, goes on with what came before, and
//! says nothing: acknowledged messages, even the account, would be gone without a word. So:
//!
//! 1. Every commit has a number, and every fold sums up all rows in its own batch: the census.
//! 2. When it is flushed, its number goes into the file `witness` beside the database. That write
//!    is not flushed: after a power cut the witness is behind, which says less and never too much.
//! 3. To open, the files are copied to `before`; sled opens them; the census is taken anew and
//!    compared. What is not whole is put back from `before`, and not opened.
//!
//! # Invariants
//! * `before` is complete when it has its name, and gone before the first commit.
//! * One process at a time is between the two: it holds `lock`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StoreError;

const LOCK: &str = "lock";
const WITNESS: &str = "witness";
const BEFORE: &str = "before";
const BEFORE_UNFINISHED: &str = "before.new";

/// How many commits were folded into the rows, and what they left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Commits.
    pub(super) commits: u64,
    /// The sum of all rows' fingerprints, in any order.
    rows: u128,
}

impl Census {
    /// Bytes of a stored census: commits and sum, little-endian.
    const LEN: usize = 8 + 16;

    /// A row came.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_add(fingerprint(key, value));
    }

    /// A row went.
    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(fingerprint(key, value));
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.commits.to_le_bytes());
        bytes[8..].copy_from_slice(&self.rows.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (commits, rows) = bytes.split_first_chunk()?;
        let commits = u64::from_le_bytes(*commits);
        Some(Self { commits, rows: u128::from_le_bytes(rows.try_into().ok()?) })
    }
}

/// A row in 16 bytes. It guards against accidents: forgery is what the seals are for.
fn fingerprint(key: &[u8], value: &[u8]) -> u128 {
    let digest = Sha256::new()
        .chain_update((key.len() as u64).to_le_bytes())
        .chain_update(key)
        .chain_update(value)
        .finalize();
    digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Watches over the files of one store.
#[derive(Debug)]
pub(super) struct Guard {
    folder: PathBuf,
    witness: File,
    /// Held for as long as the store is open.
    _lock: File,
}

impl Guard {
    /// Takes the folder, and copies what is in it to `before`.
    pub(super) fn enter(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(failed)?;
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(folder.join(name))
        };
        let lock = open(LOCK).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse,
            TryLockError::Error(error) => failed(error),
        })?;
        // One that is there was left by a crash between the copy and the verdict: it is older
        // than anything that sled did since, and still what was found.
        if !folder.join(BEFORE).is_dir()
            && let Err(error) = keep(folder)
        {
            // Half a copy is of no use, and takes room that may be what is missing.
            let _ = fs::remove_dir_all(folder.join(BEFORE_UNFINISHED));
            return Err(failed(error));
        }
        let witness = open(WITNESS).map_err(failed)?;
        let guard = Self { folder: folder.to_owned(), witness, _lock: lock };
        if guard.witnessed()? == 0 {
            // From here on its length never changes: a power cut leaves an older number, and no hole.
            guard.witness(0)?;
            guard.witness.sync_all().map_err(failed)?;
        }
        Ok(guard)
    }

    /// Whether the rows that are there, `counted`, are what the last fold left, `stored`, and the
    /// last commit, number `last`, is not older than the witness.
    pub(super) fn verdict(
        &self,
        stored: &Census,
        counted: &Census,
        last: u64,
    ) -> Result<(), StoreError> {
        let witnessed = self.witnessed()?;
        if last == 0 && witnessed > 0 {
            return Err(StoreError::Corrupt("all that was written is missing".to_owned()));
        }
        if last < witnessed {
            let missing = witnessed - last;
            let why = format!("the last {missing} of {witnessed} changes are missing");
            return Err(StoreError::Corrupt(why));
        }
        if stored.rows != counted.rows {
            let why = "its rows are not those that the last change left";
            return Err(StoreError::Corrupt(why.to_owned()));
        }
        Ok(())
    }

    /// The store is whole: `before` is not needed any more.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        let (before, gone) = (self.folder.join(BEFORE), self.folder.join(BEFORE_UNFINISHED));
        fs::rename(before, &gone).map_err(failed)?;
        // On the disk before the first commit: it must not come back beside newer data.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        fs::remove_dir_all(gone).map_err(failed)
    }

    /// Puts everything back as it was found. The database must be closed.
    pub(super) fn restore(self) -> Result<(), StoreError> {
        let before = self.folder.join(BEFORE);
        let put_back = || {
            clear(&self.folder, &[LOCK, BEFORE])?;
            for entry in fs::read_dir(&before)? {
                let entry = entry?;
                fs::rename(entry.path(), self.folder.join(entry.file_name()))?;
            }
            fs::remove_dir(&before)
        };
        put_back().map_err(failed)
    }

    /// Commit number `commits` is on the disk.
    pub(super) fn witness(&self, commits: u64) -> Result<(), StoreError> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&commits.to_le_bytes());
        bytes[8..].copy_from_slice(&(!commits).to_le_bytes());
        let mut file = &self.witness;
        file.rewind().and_then(|()| file.write_all(&bytes)).map_err(failed)
    }

    fn witnessed(&self) -> Result<u64, StoreError> {
        let damaged = || StoreError::Corrupt(format!("the file {WITNESS} is damaged"));
        let mut bytes = Vec::new();
        let mut file = &self.witness;
        file.rewind().and_then(|()| file.take(17).read_to_end(&mut bytes)).map_err(failed)?;
        // Nothing in it, or nothing but its length: the power went before it was first written.
        if bytes.is_empty() || bytes == [0; 16] {
            return Ok(0);
        }
        let (count, check) = bytes.split_at_checked(8).ok_or_else(damaged)?;
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
        let count = number(count).ok_or_else(damaged)?;
        if number(check) == Some(!count) { Ok(count) } else { Err(damaged()) }
    }
}

/// Copies the folder into itself, as `before`.
fn keep(folder: &Path) -> io::Result<()> {
    let unfinished = folder.join(BEFORE_UNFINISHED);
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let found = names(folder)?;
    fs::create_dir(&unfinished)?;
    for name in found {
        copy(&folder.join(&name), &unfinished.join(&name))?;
    }
    fs::rename(unfinished, folder.join(BEFORE))
}

/// What is in the folder and was not put there by the guard's own work.
fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != LOCK {
            names.push(name);
        }
    }
    Ok(names)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn clear(folder: &Path, except: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if except.iter().any(|kept| name == *kept) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// A failure of the file system, in the store's words.
#[allow(clippy::needless_pass_by_value, reason = "an argument of map_err")]
pub(super) fn failed(error: io::Error) -> StoreError {
    use io::ErrorKind as Kind;
    match error.kind() {
        // A quota and a limit on a file's size are a full disk to whoever meets them.
        Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => StoreError::DiskFull,
        kind => StoreError::Io(kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn census(rows: &[(&[u8], &[u8])]) -> Census {
        let mut census = Census { commits: 7, ..Census::default() };
        rows.iter().for_each(|(key, value)| census.add(key, value));
        census
    }

    #[test]
    fn a_census_depends_on_the_rows_and_not_on_their_order_or_history() {
        let (one, two) = ((&b"a"[..], &b"1"[..]), (&b"b"[..], &b"2"[..]));
        assert_eq!(census(&[one, two]), census(&[two, one]));
        let mut replaced = census(&[one, (b"b", b"1")]);
        replaced.remove(b"b", b"1");
        assert_ne!(replaced, census(&[one, two]));
        replaced.add(b"b", b"2");
        assert_eq!(replaced, census(&[one, two]));
        assert_ne!(census(&[(b"ab", b"c")]), census(&[(b"a", b"bc")]));
        assert_eq!(Census::from_bytes(&replaced.to_bytes()), Some(replaced));
        assert_eq!(Census::from_bytes(&replaced.to_bytes()[1..]), None);
    }

    #[test]
    fn a_witness_that_knows_of_later_commits_or_is_damaged_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let guard = Guard::enter(folder.path()).unwrap();
        let (none, some) = (census(&[]), census(&[(b"a", b"1")]));
        assert!(guard.verdict(&none, &none, 0).is_ok());
        guard.witness(7).unwrap();
        assert!(guard.verdict(&none, &none, 7).is_ok());
        assert!(guard.verdict(&none, &none, 0).is_err());
        guard.witness(8).unwrap();
        assert!(guard.verdict(&none, &none, 7).is_err());
        guard.witness(6).unwrap();
        assert!(guard.verdict(&none, &none, 7).is_ok(), "a power cut leaves it behind");
        assert!(guard.verdict(&none, &some, 7).is_err());
        fs::write(folder.path().join(WITNESS), [1; 16]).unwrap();
        assert!(guard.verdict(&none, &none, 7).is_err());
    }

    #[test]
    fn what_is_restored_is_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::create_dir(file("blobs")).unwrap();
        fs::write(file("blobs/1"), "one").unwrap();
        fs::write(file("db"), "found").unwrap();
        let guard = Guard::enter(folder.path()).unwrap();
        assert!(matches!(Guard::enter(folder.path()), Err(StoreError::InUse)));
        fs::write(file("db"), "truncated").unwrap();
        fs::write(file("snap.1"), "new").unwrap();
        fs::remove_file(file("blobs/1")).unwrap();
        guard.restore().unwrap();
        assert_eq!(fs::read(file("db")).unwrap(), b"found");
        assert_eq!(fs::read(file("blobs/1")).unwrap(), b"one");
        assert!(!file("snap.1").exists() && !file(BEFORE).exists());
    }

    #[test]
    fn a_crash_before_the_verdict_keeps_the_first_copy() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("db"), "found").unwrap();
        drop(Guard::enter(folder.path()).unwrap());
        fs::write(folder.path().join("db"), "half recovered").unwrap();
        Guard::enter(folder.path()).unwrap().restore().unwrap();
        assert_eq!(fs::read(folder.path().join("db")).unwrap(), b"found");
        Guard::enter(folder.path()).unwrap().settle().unwrap();
        assert!(!folder.path().join(BEFORE).exists());
        assert!(!folder.path().join(BEFORE_UNFINISHED).exists());
    }
}
