//! The seal of a backup: a stream of chunks under a key of the recovery phrase.
//!
//! ```text
//! file   "KITHBK1\0" 8 ‖ salt 32, random ‖ commit 32 ‖ chunk …           a multiple of 16 chunks
//! chunk  XChaCha20-Poly1305(K, N, 65,536 bytes, ad = salt ‖ commit) ‖ tag 16
//! N      0 × 19 ‖ number u32, from 0 ‖ 1 for the last chunk, else 0
//! K, commit = HKDF(salt, seed, "KITH/1 backup", 32 ‖ 32)
//! ```
//!
//! What follows the content in its last chunks is zeros: whoever reads knows where it ends.
//!
//! # Invariants
//! * A chunk that was altered, moved, repeated or left out is refused, and so is a file that ends early.
//! * The commitment is compared before anything is decrypted: a file opens under one seed alone.
//! * The length of a file tells the content's to a mebibyte.
//!
//! Knows nothing of what is in it. Spec: `docs/protocol/backup.md` §2.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::identity::Seed;
use crate::kdf::{hkdf_fill, label};
use crate::layout::{Reader, Writer};
use crate::secret::Secret;

/// Bytes before the first chunk.
pub const BACKUP_HEADER_LEN: usize = 8 + SALT_LEN + COMMIT_LEN;
/// Bytes of content in a chunk.
pub const BACKUP_CHUNK: usize = 64 * 1024;
/// Bytes of a sealed chunk.
pub const BACKUP_SEALED_CHUNK: usize = BACKUP_CHUNK + TAG_LEN;

const MAGIC: [u8; 8] = *b"KITHBK1\0";
const SALT_LEN: usize = 32;
const COMMIT_LEN: usize = 32;
/// A file has a multiple of so many chunks: 1 MiB.
const CHUNKS_TOGETHER: u32 = 16;

/// Why a backup could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Not a backup.
    #[error("this is no backup of Kith")]
    NotABackup,
    /// It was made under another phrase.
    #[error("this backup belongs to another recovery phrase")]
    WrongPhrase,
    /// A chunk is not what was written there.
    #[error("this backup is damaged")]
    Damaged,
    /// More chunks than a stream may have.
    #[error("this backup is too long")]
    TooLong,
}

struct Stream {
    key: Secret<32>,
    ad: [u8; SALT_LEN + COMMIT_LEN],
    number: u32,
}

impl Stream {
    fn new(seed: &Seed, salt: &[u8; SALT_LEN]) -> (Self, Secret<COMMIT_LEN>) {
        let (mut key, mut commit) = (Secret::zero(), Secret::zero());
        let outputs = &mut [&mut key.bytes_mut()[..], &mut commit.bytes_mut()[..]];
        hkdf_fill(salt, &[seed.secret().expose()], &[label::BACKUP], outputs);
        let mut ad = [0; SALT_LEN + COMMIT_LEN];
        let (head, tail) = ad.split_at_mut(SALT_LEN);
        head.copy_from_slice(salt);
        tail.copy_from_slice(commit.expose());
        (Self { key, ad, number: 0 }, commit)
    }

    fn nonce(&mut self, last: bool) -> Result<[u8; XNONCE_LEN], BackupError> {
        let mut nonce = [0; XNONCE_LEN];
        let (_, tail) = nonce.split_at_mut(XNONCE_LEN - 5);
        let (number, flag) = tail.split_at_mut(4);
        number.copy_from_slice(&self.number.to_be_bytes());
        flag.fill(u8::from(last));
        self.number = self.number.checked_add(1).ok_or(BackupError::TooLong)?;
        Ok(nonce)
    }
}

/// Seals a backup, piece by piece.
pub struct BackupWriter {
    stream: Stream,
    pending: Zeroizing<Vec<u8>>,
}

impl BackupWriter {
    /// Begins a backup of whoever has `seed`. Returns the first bytes of the file as well.
    #[must_use]
    pub fn new<R: CryptoRng + ?Sized>(seed: &Seed, rng: &mut R) -> (Self, Vec<u8>) {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        let (stream, commit) = Stream::new(seed, &salt);
        let mut w = Writer::with_capacity(BACKUP_HEADER_LEN);
        w.bytes(&MAGIC).bytes(&salt).bytes(commit.expose());
        (Self { stream, pending: Zeroizing::new(Vec::new()) }, w.finish())
    }

    /// Takes content, and returns what of the file is complete.
    ///
    /// # Errors
    /// [`BackupError::TooLong`] beyond 2³² chunks.
    pub fn write(&mut self, content: &[u8]) -> Result<Vec<u8>, BackupError> {
        self.pending.extend_from_slice(content);
        let mut sealed = Vec::new();
        // One chunk stays: it may turn out to be the last.
        while self.pending.len() > BACKUP_CHUNK {
            self.seal_chunk(false, &mut sealed)?;
        }
        Ok(sealed)
    }

    /// The rest of the file.
    ///
    /// # Errors
    /// [`BackupError::TooLong`] beyond 2³² chunks.
    pub fn finish(mut self) -> Result<Vec<u8>, BackupError> {
        let mut sealed = Vec::new();
        loop {
            let last = self.stream.number % CHUNKS_TOGETHER == CHUNKS_TOGETHER - 1
                && self.pending.len() <= BACKUP_CHUNK;
            self.seal_chunk(last, &mut sealed)?;
            if last {
                return Ok(sealed);
            }
        }
    }

    fn seal_chunk(&mut self, last: bool, sealed: &mut Vec<u8>) -> Result<(), BackupError> {
        let nonce = self.stream.nonce(last)?;
        let have = self.pending.len().min(BACKUP_CHUNK);
        let mut chunk = Zeroizing::new(Vec::with_capacity(BACKUP_CHUNK));
        chunk.extend(self.pending.drain(..have));
        chunk.resize(BACKUP_CHUNK, 0);
        let tag = aead::xseal(&self.stream.key, &nonce, &self.stream.ad, &mut chunk);
        sealed.extend_from_slice(&chunk);
        sealed.extend_from_slice(&tag);
        Ok(())
    }
}

impl fmt::Debug for BackupWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, pending: _ } = self;
        f.debug_struct("BackupWriter").field("chunks", &stream.number).finish_non_exhaustive()
    }
}

/// Opens a backup, chunk by chunk.
pub struct BackupReader {
    stream: Stream,
}

impl BackupReader {
    /// Reads the first [`BACKUP_HEADER_LEN`] bytes of a file.
    ///
    /// # Errors
    /// [`BackupError::NotABackup`] or [`BackupError::WrongPhrase`].
    pub fn new(seed: &Seed, header: &[u8]) -> Result<Self, BackupError> {
        let mut r = Reader::new(header);
        let magic = r.array().map_err(|_| BackupError::NotABackup)?;
        let salt = r.array().map_err(|_| BackupError::NotABackup)?;
        let commit = r.array().map_err(|_| BackupError::NotABackup)?;
        if magic != MAGIC || r.finish().is_err() {
            return Err(BackupError::NotABackup);
        }
        let (stream, expected) = Stream::new(seed, &salt);
        if !expected.ct_eq(&Secret::from_bytes(commit)) {
            return Err(BackupError::WrongPhrase);
        }
        Ok(Self { stream })
    }

    /// Opens the next chunk of [`BACKUP_SEALED_CHUNK`] bytes; `last` says that the file ends behind it.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] when it is not the chunk that was written here.
    pub fn read(&mut self, sealed: &[u8], last: bool) -> Result<Zeroizing<Vec<u8>>, BackupError> {
        if sealed.len() != BACKUP_SEALED_CHUNK {
            return Err(BackupError::Damaged);
        }
        let nonce = self.stream.nonce(last)?;
        let (body, tag) = sealed.split_last_chunk().ok_or(BackupError::Damaged)?;
        let mut chunk = Zeroizing::new(body.to_vec());
        aead::xopen(&self.stream.key, &nonce, &self.stream.ad, &mut chunk, tag)
            .map_err(|_| BackupError::Damaged)?;
        Ok(chunk)
    }
}

impl fmt::Debug for BackupReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupReader").field("chunks", &self.stream.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use data_encoding::HEXLOWER;

    use super::*;
    use crate::fixtures::TestRng;
    use crate::kdf::sha256;

    fn seed(byte: u8) -> Seed {
        Seed::from_secret(Secret::from_bytes([byte; 32]))
    }

    fn sealed(content: &[u8], piece: usize) -> Vec<u8> {
        let (mut writer, mut file) = BackupWriter::new(&seed(1), &mut TestRng::new("backup"));
        for piece in content.chunks(piece) {
            file.extend(writer.write(piece).unwrap());
        }
        file.extend(writer.finish().unwrap());
        file
    }

    fn open(file: &[u8]) -> Result<Vec<u8>, BackupError> {
        let (header, chunks) = file.split_at_checked(BACKUP_HEADER_LEN).unwrap_or((file, &[]));
        let mut reader = BackupReader::new(&seed(1), header)?;
        let mut content = Vec::new();
        let count = chunks.len().div_ceil(BACKUP_SEALED_CHUNK);
        for (n, chunk) in chunks.chunks(BACKUP_SEALED_CHUNK).enumerate() {
            content.extend(&*reader.read(chunk, n + 1 == count)?);
        }
        Ok(content)
    }

    #[test]
    fn what_is_written_in_any_pieces_is_read_and_padded_to_a_mebibyte() {
        let mib = 16 * BACKUP_CHUNK;
        for len in [0, 1, BACKUP_CHUNK - 1, BACKUP_CHUNK, BACKUP_CHUNK + 1, mib - 1, mib, mib + 1] {
            let content: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let file = sealed(&content, 10_000);
            assert_eq!(file, sealed(&content, usize::MAX));
            let mebibytes = len.div_ceil(mib).max(1);
            assert_eq!(
                file.len(),
                BACKUP_HEADER_LEN + mebibytes * 16 * BACKUP_SEALED_CHUNK,
                "{len}"
            );
            let read = open(&file).unwrap();
            assert_eq!(read[..len], content);
            assert!(read[len..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_file_that_was_cut_joined_swapped_or_altered_is_refused() {
        let file = sealed(&vec![7; 20 * BACKUP_CHUNK], usize::MAX);
        let at = |chunk: usize| BACKUP_HEADER_LEN + chunk * BACKUP_SEALED_CHUNK;
        assert_eq!(open(&file[..at(31)]).unwrap_err(), BackupError::Damaged);
        assert_eq!(open(&file[..at(16)]).unwrap_err(), BackupError::Damaged);
        assert_eq!(open(&file[..file.len() - 1]).unwrap_err(), BackupError::Damaged);
        let longer = [&file[..], &file[at(31)..]].concat();
        assert_eq!(open(&longer).unwrap_err(), BackupError::Damaged);
        let mut swapped = file.clone();
        swapped[at(1)..at(2)].copy_from_slice(&file[at(2)..at(3)]);
        assert_eq!(open(&swapped).unwrap_err(), BackupError::Damaged);
        for byte in [at(0), at(5) + 1000, at(31) + BACKUP_SEALED_CHUNK - 1] {
            let mut altered = file.clone();
            altered[byte] ^= 1;
            assert_eq!(open(&altered).unwrap_err(), BackupError::Damaged);
        }
        let mut salt = file.clone();
        salt[8] ^= 1;
        assert_eq!(open(&salt).unwrap_err(), BackupError::WrongPhrase);
        assert_eq!(open(&file[1..]).unwrap_err(), BackupError::NotABackup);
        assert_eq!(open(b"").unwrap_err(), BackupError::NotABackup);
        assert!(open(&file).is_ok());
    }

    /// Whoever makes a backup of gigabytes must not hold them.
    #[test]
    fn a_chunk_leaves_as_soon_as_another_follows() {
        let (mut writer, _) = BackupWriter::new(&seed(1), &mut TestRng::new("chunks"));
        let sealed = writer.write(&vec![0; 3 * BACKUP_CHUNK]).unwrap();
        assert_eq!(sealed.len(), 2 * BACKUP_SEALED_CHUNK);
        assert_eq!(writer.write(&[0]).unwrap().len(), BACKUP_SEALED_CHUNK);
        assert_eq!(format!("{writer:?}"), "BackupWriter { chunks: 3, .. }");
    }

    #[test]
    fn it_opens_under_its_own_phrase_alone() {
        let file = sealed(b"words", usize::MAX);
        let refused = BackupReader::new(&seed(2), &file[..BACKUP_HEADER_LEN]);
        assert_eq!(refused.unwrap_err(), BackupError::WrongPhrase);
        let reader = BackupReader::new(&seed(1), &file[..BACKUP_HEADER_LEN]).unwrap();
        assert_eq!(format!("{reader:?}"), "BackupReader { chunks: 0, .. }");
    }

    #[test]
    fn the_bytes_of_a_backup_are_frozen() {
        let file = sealed(b"frozen", usize::MAX);
        let frozen = format!(
            "header {}\nfile   {}",
            HEXLOWER.encode(&file[..BACKUP_HEADER_LEN]),
            HEXLOWER.encode(&sha256(&[&file])),
        );
        insta::assert_snapshot!("backup", frozen);
    }
}
