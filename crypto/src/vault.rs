//! At rest: the key file and the keys of the store's trees.
//!
//! 1. [`Vault::create`] draws a master key; [`Vault::key_file`] seals it under a key from the
//!    person's passphrase (Argon2id) or, without one, from a device key that lies beside it.
//! 2. [`Vault::open`] reads the key file back.
//! 3. [`Vault::tree_key`] gives one [`TreeKey`] per tree; it seals values under the tree, the key
//!    and the schema, so records cannot be swapped.
//! 4. [`Vault::rotate_generation`] and [`Vault::forget_previous_generation`] let the shell erase
//!    what a log-structured store still keeps in old segments: keys of erasable trees exist in
//!    the key file alone.
//!
//! ```text
//! key file  "KITHKEY\0" 8 ‖ ver 1 ‖ mode 1 ‖ m KiB u32 ‖ t u32 ‖ p u32 ‖ salt 16 ‖ commit 32
//!           ‖ N 24 ‖ XChaCha20-Poly1305(KEK, DMK 32 ‖ generation u32 ‖ GK 32 ‖ previous GK 32,
//!                                       ad = everything before N) ‖ tag 16
//! value     schema u16 ‖ N 24 ‖ ciphertext ‖ tag 16
//! ```
//!
//! # Invariants
//! * Stored Argon2 parameters below the floor or above the cap are refused before any memory is
//!   taken, so a swapped file neither weakens nor exhausts.
//! * The commitment is compared in constant time before anything is decrypted.
//!
//! Knows nothing of files, trees' contents or the store's engine. Whole-database rollback is not
//! detected here.

mod tree;

use core::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::identity::Seed;
use crate::kdf::{hkdf, hkdf_fill, label};
use crate::layout::{LayoutError, Reader, Writer};
use crate::secret::Secret;

pub use self::tree::{DecodedTreeValue, TREE_VALUE_OVERHEAD, TreeKey, TreeOpenError};

/// Bytes of a key file.
pub const KEY_FILE_LEN: usize = HEADER_LEN + XNONCE_LEN + PAYLOAD_LEN + TAG_LEN;
/// Least memory of Argon2id, in KiB: 64 MiB.
pub const MIN_MEMORY_KIB: u32 = 64 * 1024;
/// Most memory of Argon2id, in KiB: 1 GiB.
pub const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Least passes of Argon2id.
pub const MIN_PASSES: u32 = 3;
/// Most passes of Argon2id.
pub const MAX_PASSES: u32 = 64;
/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE: usize = 1024;

const MAGIC: [u8; 8] = *b"KITHKEY\0";
const KEY_FILE_VERSION: u8 = 1;
const MODE_PASSPHRASE: u8 = 1;
const MODE_DEVICE_KEY: u8 = 2;
const SALT_LEN: usize = 16;
const COMMIT_LEN: usize = 32;
const HEADER_LEN: usize = 8 + 1 + 1 + 12 + SALT_LEN + COMMIT_LEN;
const PAYLOAD_LEN: usize = 32 + 4 + 32 + 32;

/// What unlocks a key file.
#[derive(Clone, Copy)]
pub enum Unlock<'a> {
    /// A passphrase, stretched with Argon2id.
    Passphrase(&'a [u8]),
    /// No passphrase: a random key that the shell keeps in a file only its user can read.
    DeviceKey(&'a Secret<32>),
}

impl fmt::Debug for Unlock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passphrase(_) => "Passphrase(..)",
            Self::DeviceKey(_) => "DeviceKey(..)",
        })
    }
}

impl Unlock<'_> {
    const fn mode(&self) -> u8 {
        match self {
            Self::Passphrase(_) => MODE_PASSPHRASE,
            Self::DeviceKey(_) => MODE_DEVICE_KEY,
        }
    }
}

/// What a key file wants before it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFileMode {
    /// The person's passphrase.
    Passphrase,
    /// The device key that lies beside it.
    DeviceKey,
}

impl KeyFileMode {
    /// Reads what a key file wants. Nothing is authenticated before it opens.
    ///
    /// # Errors
    /// [`KeyFileError::NotAKeyFile`] or [`KeyFileError::UnknownVersion`].
    pub fn of(key_file: &[u8]) -> Result<Self, KeyFileError> {
        let mut r = Reader::new(key_file);
        if r.array().map_err(|_| KeyFileError::NotAKeyFile)? != MAGIC {
            return Err(KeyFileError::NotAKeyFile);
        }
        match (r.u8()?, r.u8()?) {
            (KEY_FILE_VERSION, MODE_PASSPHRASE) => Ok(Self::Passphrase),
            (KEY_FILE_VERSION, MODE_DEVICE_KEY) => Ok(Self::DeviceKey),
            _ => Err(KeyFileError::UnknownVersion),
        }
    }
}

/// Cost of Argon2id (one lane). Ignored for a device key, which needs no stretching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfParams {
    memory_kib: u32,
    passes: u32,
}

impl Default for KdfParams {
    fn default() -> Self {
        Self { memory_kib: MIN_MEMORY_KIB, passes: MIN_PASSES }
    }
}

impl KdfParams {
    /// Checks a cost against floor and cap.
    ///
    /// # Errors
    /// [`KeyFileError::Params`] outside [`MIN_MEMORY_KIB`]..=[`MAX_MEMORY_KIB`] or
    /// [`MIN_PASSES`]..=[`MAX_PASSES`].
    pub const fn new(memory_kib: u32, passes: u32) -> Result<Self, KeyFileError> {
        if memory_kib < MIN_MEMORY_KIB
            || memory_kib > MAX_MEMORY_KIB
            || passes < MIN_PASSES
            || passes > MAX_PASSES
        {
            return Err(KeyFileError::Params);
        }
        Ok(Self { memory_kib, passes })
    }

    /// The cost at which this machine takes about `target_ms`, given that the floor took it `floor_ms`: first
    /// more memory, up to four times the floor's (256 MiB: a machine that can spare that today has to be able
    /// to at every start), then more passes, up to the cap. Time grows with either.
    #[must_use]
    pub fn for_machine(floor_ms: u64, target_ms: u64) -> Self {
        let most = u64::from(MAX_PASSES).saturating_mul(4);
        let times = target_ms.checked_div(floor_ms).unwrap_or(most).clamp(1, most);
        let memory = times.min(4);
        let passes = times.checked_div(memory).unwrap_or(1).saturating_mul(u64::from(MIN_PASSES));
        Self {
            memory_kib: MIN_MEMORY_KIB.saturating_mul(u32::try_from(memory).unwrap_or(1)),
            passes: u32::try_from(passes).unwrap_or(MAX_PASSES).min(MAX_PASSES),
        }
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(&self) -> u32 {
        self.passes
    }
}

/// Why a key file could not be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// Not a key file.
    #[error("not a key file")]
    NotAKeyFile,
    /// A version or mode this release does not know.
    #[error("unknown key file version")]
    UnknownVersion,
    /// The bytes do not have the layout.
    #[error("key file: {0}")]
    Layout(#[from] LayoutError),
    /// Argon2 parameters below the floor or above the cap.
    #[error("key file has unacceptable parameters")]
    Params,
    /// It wants a passphrase and got a device key, or the other way round.
    #[error("key file is locked in another way")]
    WrongMode,
    /// The passphrase is empty or longer than [`MAX_PASSPHRASE`].
    #[error("passphrase is empty or too long")]
    Passphrase,
    /// Wrong passphrase or device key.
    #[error("wrong passphrase or device key")]
    WrongSecret,
    /// The right secret, but the file was altered.
    #[error("key file was altered")]
    Altered,
    /// Not enough memory for Argon2id.
    #[error("not enough memory to stretch the passphrase")]
    OutOfMemory,
}

/// The key of the previous generation is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the previous generation was not forgotten yet")]
pub struct StillNeeded;

/// The part of a key file that says how to get at its key, and that key.
pub struct VaultLock {
    header: [u8; HEADER_LEN],
    kek: Secret<32>,
}

impl VaultLock {
    /// Makes a lock that nothing is behind yet. This is what takes as long as Argon2id does.
    ///
    /// # Errors
    /// [`KeyFileError::Passphrase`] or [`KeyFileError::OutOfMemory`].
    pub fn new<R: CryptoRng + ?Sized>(
        unlock: Unlock<'_>,
        params: KdfParams,
        rng: &mut R,
    ) -> Result<Self, KeyFileError> {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        let (kek, commit) = derive(unlock, params, &salt)?;
        let mut w = Writer::with_capacity(HEADER_LEN);
        w.bytes(&MAGIC).u8(KEY_FILE_VERSION).u8(unlock.mode());
        match unlock {
            Unlock::Passphrase(_) => w.u32(params.memory_kib).u32(params.passes).u32(1),
            Unlock::DeviceKey(_) => w.u32(0).u32(0).u32(0),
        };
        w.bytes(&salt).bytes(commit.expose());
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(w.as_slice());
        Ok(Self { header, kek })
    }

    fn open(header: [u8; HEADER_LEN], unlock: Unlock<'_>) -> Result<Self, KeyFileError> {
        let mut r = Reader::new(&header);
        if r.array()? != MAGIC {
            return Err(KeyFileError::NotAKeyFile);
        }
        if r.u8()? != KEY_FILE_VERSION {
            return Err(KeyFileError::UnknownVersion);
        }
        let mode = r.u8()?;
        let (memory_kib, passes, lanes) = (r.u32()?, r.u32()?, r.u32()?);
        let salt = r.array()?;
        let commit = Secret::<COMMIT_LEN>::from_bytes(r.array()?);
        r.finish()?;
        let params = match mode {
            MODE_PASSPHRASE if lanes == 1 => KdfParams::new(memory_kib, passes)?,
            MODE_DEVICE_KEY if (memory_kib, passes, lanes) == (0, 0, 0) => KdfParams::default(),
            MODE_PASSPHRASE | MODE_DEVICE_KEY => return Err(KeyFileError::Params),
            _ => return Err(KeyFileError::UnknownVersion),
        };
        if mode != unlock.mode() {
            return Err(KeyFileError::WrongMode);
        }
        let (kek, expected) = derive(unlock, params, &salt)?;
        if !expected.ct_eq(&commit) {
            return Err(KeyFileError::WrongSecret);
        }
        Ok(Self { header, kek })
    }
}

impl fmt::Debug for VaultLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header: _, kek: _ } = self;
        f.write_str("VaultLock(..)")
    }
}

/// KEK and commitment.
fn derive(
    unlock: Unlock<'_>,
    params: KdfParams,
    salt: &[u8; SALT_LEN],
) -> Result<(Secret<32>, Secret<COMMIT_LEN>), KeyFileError> {
    let stretched = match unlock {
        Unlock::Passphrase(passphrase) => {
            if passphrase.is_empty() || passphrase.len() > MAX_PASSPHRASE {
                return Err(KeyFileError::Passphrase);
            }
            let params = Params::new(params.memory_kib, params.passes, 1, Some(32))
                .map_err(|_| KeyFileError::Params)?;
            stretch(passphrase, salt, params)?
        }
        Unlock::DeviceKey(key) => key.duplicate(),
    };
    let mode = [unlock.mode()];
    let (mut kek, mut commit) = (Secret::zero(), Secret::zero());
    let ikm: &[&[u8]] = &[stretched.expose()];
    hkdf_fill(salt, ikm, &[label::KEK, &mode], &mut [kek.bytes_mut()]);
    hkdf_fill(salt, ikm, &[label::KEK_COMMIT, &mode], &mut [commit.bytes_mut()]);
    Ok((kek, commit))
}

/// Argon2id, version 0x13 (RFC 9106). What it worked in is wiped: whoever reads it could skip the
/// work.
fn stretch(passphrase: &[u8], salt: &[u8], params: Params) -> Result<Secret<32>, KeyFileError> {
    let mut memory = Zeroizing::new(Vec::new());
    let blocks = params.block_count();
    memory.try_reserve_exact(blocks).map_err(|_| KeyFileError::OutOfMemory)?;
    memory.resize(blocks, Block::new());
    let mut stretched = Secret::zero();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(
            passphrase,
            salt,
            stretched.bytes_mut(),
            memory.as_mut_slice(),
        )
        .map_err(|_| KeyFileError::OutOfMemory)?;
    Ok(stretched)
}

/// The unlocked master key.
pub struct Vault {
    lock: VaultLock,
    dmk: Secret<32>,
    generation: u32,
    current: Secret<32>,
    /// Zero bytes if there is none.
    previous: Secret<32>,
}

impl Vault {
    /// Draws a new master key, locked by `unlock`.
    ///
    /// # Errors
    /// [`KeyFileError::Passphrase`] or [`KeyFileError::OutOfMemory`].
    pub fn create<R: CryptoRng + ?Sized>(
        unlock: Unlock<'_>,
        params: KdfParams,
        rng: &mut R,
    ) -> Result<Self, KeyFileError> {
        Ok(Self {
            lock: VaultLock::new(unlock, params, rng)?,
            dmk: Secret::random(rng),
            generation: 0,
            current: Secret::random(rng),
            previous: Secret::zero(),
        })
    }

    /// Unlocks a key file.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn open(key_file: &[u8], unlock: Unlock<'_>) -> Result<Self, KeyFileError> {
        let mut r = Reader::new(key_file);
        let header = r.array().map_err(|_| KeyFileError::NotAKeyFile)?;
        let nonce = r.array()?;
        let mut payload = Zeroizing::new(r.array::<PAYLOAD_LEN>()?);
        let tag = r.array()?;
        r.finish()?;
        let lock = VaultLock::open(header, unlock)?;
        aead::xopen(&lock.kek, &nonce, &lock.header, &mut *payload, &tag)
            .map_err(|_| KeyFileError::Altered)?;
        let mut r = Reader::new(&*payload);
        let dmk = Secret::from_bytes(r.array()?);
        let generation = r.u32()?;
        let (current, previous) = (Secret::from_bytes(r.array()?), Secret::from_bytes(r.array()?));
        r.finish()?;
        Ok(Self { lock, dmk, generation, current, previous })
    }

    /// The same keys behind another lock.
    ///
    /// The shell writes its [`Vault::key_file`] by atomic replacement, and goes on with it once that is done.
    #[must_use]
    pub fn behind(&self, lock: VaultLock) -> Self {
        Self {
            lock,
            dmk: self.dmk.duplicate(),
            generation: self.generation,
            current: self.current.duplicate(),
            previous: self.previous.duplicate(),
        }
    }

    /// The key file to write: [`KEY_FILE_LEN`] bytes, different every time.
    #[must_use]
    pub fn key_file<R: CryptoRng + ?Sized>(&self, rng: &mut R) -> Vec<u8> {
        let mut nonce = [0; XNONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut payload = Writer::with_capacity(PAYLOAD_LEN);
        payload
            .bytes(self.dmk.expose())
            .u32(self.generation)
            .bytes(self.current.expose())
            .bytes(self.previous.expose());
        let mut payload = Zeroizing::new(payload.finish());
        let tag = aead::xseal(&self.lock.kek, &nonce, &self.lock.header, &mut payload);
        let mut w = Writer::with_capacity(KEY_FILE_LEN);
        w.bytes(&self.lock.header).bytes(&nonce).bytes(&payload).bytes(&tag);
        w.finish()
    }

    /// What seals the backup that a node keeps beside its store: it opens wherever this vault does, without
    /// the recovery phrase.
    #[must_use]
    pub fn backup_seed(&self) -> Seed {
        Seed::from_secret(hkdf(b"", &[self.dmk.expose()], &[label::ROLLING_BACKUP]))
    }

    /// The key of a lasting tree. `generation` lets the shell rotate a tree by re-encryption; it
    /// can be derived again at any time.
    #[must_use]
    pub fn tree_key(&self, name: &str, generation: u32) -> TreeKey {
        self.derive_tree(&self.dmk, label::TREE, name, generation)
    }

    /// The key of an erasable tree in the current generation.
    #[must_use]
    pub fn erasable_tree_key(&self, name: &str) -> TreeKey {
        self.derive_tree(&self.current, label::ERASABLE_TREE, name, self.generation)
    }

    /// The key of an erasable tree in the previous generation, while that is still known.
    #[must_use]
    pub fn previous_erasable_tree_key(&self, name: &str) -> Option<TreeKey> {
        if !self.has_previous_generation() {
            return None;
        }
        let generation = self.generation.wrapping_sub(1);
        Some(self.derive_tree(&self.previous, label::ERASABLE_TREE, name, generation))
    }

    /// The number of the current generation.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Begins a generation: the shell writes the key file, re-encrypts every erasable tree from
    /// the previous key to the current one, and then calls
    /// [`Vault::forget_previous_generation`] and writes the key file again.
    ///
    /// # Errors
    /// [`StillNeeded`] while the previous generation's key is there: rows may be sealed under it.
    pub fn rotate_generation<R: CryptoRng + ?Sized>(
        &mut self,
        rng: &mut R,
    ) -> Result<(), StillNeeded> {
        if self.has_previous_generation() {
            return Err(StillNeeded);
        }
        let next = Secret::random(rng);
        self.previous = core::mem::replace(&mut self.current, next);
        self.generation = self.generation.wrapping_add(1);
        Ok(())
    }

    /// Whether a generation was begun and the one before it is not forgotten.
    #[must_use]
    pub fn has_previous_generation(&self) -> bool {
        !self.previous.ct_eq(&Secret::zero())
    }

    /// Goes back to the previous generation: its key file could not be written. What was sealed under the
    /// current one in between is lost, so nothing must have been. Without a previous one, nothing happens.
    pub fn undo_generation(&mut self) {
        if self.has_previous_generation() {
            self.current = core::mem::replace(&mut self.previous, Secret::zero());
            self.generation = self.generation.wrapping_sub(1);
        }
    }

    /// Erases the previous generation's key; what it sealed is gone once the key file is replaced.
    pub fn forget_previous_generation(&mut self) {
        self.previous = Secret::zero();
    }

    fn derive_tree(&self, from: &Secret<32>, label: &[u8], name: &str, generation: u32) -> TreeKey {
        TreeKey::derive(from, &self.dmk, label, (name, generation))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lock: _, dmk: _, generation, current: _, previous: _ } = self;
        f.debug_struct("Vault").field("generation", generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
