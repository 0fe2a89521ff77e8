//! The relay's one secret: 32 bytes in a file that only its user may read.
//!
//! The seed is the relay's Ed25519 identity (its libp2p key and the key that signs custody),
//! and everything else that is secret is derived from it by label: losing or copying the file
//! is losing or copying the relay, so it is the one file to keep in a safe place.
//!
//! Where several processes are one relay, all of them have its seed in a second file, and what is in the first is
//! a process's libp2p key only: two hosts with one peer id break circuits, and whoever is connected to one is not found
//! by way of the other.
//!
//! # Invariants
//! * The file is created once, complete and flushed, or not at all; it is never overwritten.
//! * A file that others may read, or of another length, stops the relay.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crypto::identity::SigningKey;
use crypto::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use protocol::ids::RelayId;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::peer;

/// Name of the file in the data directory.
pub const FILE: &str = "identity";

/// What a derived secret is for: the label under the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Derived {
    /// Signs admission credentials.
    Credential,
    /// Hashes codes.
    Otp,
    /// Hashes identifiers.
    Pepper,
    /// Makes passwords of calls.
    Turn,
}

impl Derived {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Credential => b"kith relay credential 1",
            Self::Otp => b"kith relay otp 1",
            Self::Pepper => b"kith relay pepper 1",
            Self::Turn => b"kith relay turn 1",
        }
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read or made.
    #[error("cannot use the identity file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than its owner may read it.
    #[error("the identity file {path} can be read by others; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It is not 32 bytes.
    #[error("the identity file {path} is damaged (not 32 bytes); restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A relay with its secret, and one of its processes.
pub struct RelayIdentity {
    seed: Secret<32>,
    process: Secret<32>,
}

impl std::fmt::Debug for RelayIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RelayIdentity({:?})", self.relay_id())
    }
}

impl RelayIdentity {
    /// The identity that a configuration names: the file in its folder, made if it is missing, and the one that the
    /// processes of a relay share.
    ///
    /// # Errors
    /// [`IdentityError`]; a file that exists is then as it was.
    pub fn of(config: &Config) -> Result<Self, IdentityError> {
        let own = Self::load_or_create(&config.data_dir)?;
        let shared = config.postgres.as_ref().and_then(|postgres| postgres.service_file.as_deref());
        let Some(path) = shared else { return Ok(own) };
        let file =
            File::open(path).map_err(|source| IdentityError::File { path: path.into(), source })?;
        Ok(Self { seed: read(file, path)?, process: own.process })
    }

    /// Reads the identity in `data_dir`, or makes one, of a relay that is one process.
    ///
    /// # Errors
    /// [`IdentityError`]; a file that exists is then as it was.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, IdentityError> {
        let path = data_dir.join(FILE);
        let failed = |source| IdentityError::File { path: path.clone(), source };
        let seed = match File::open(&path) {
            Ok(file) => read(file, &path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(data_dir).map_err(failed)?;
                let seed = Secret::random(&mut rand::rng());
                create(data_dir, &path, &seed).map_err(failed)?;
                seed
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { process: Secret::from_bytes(*seed.expose()), seed })
    }

    /// The relay's name in the protocol: its public key.
    #[must_use]
    pub fn relay_id(&self) -> RelayId {
        RelayId(*self.signing_key().verifying_key().as_bytes())
    }

    /// The key of this process for libp2p: the same, where a relay is one process.
    #[must_use]
    pub fn keypair(&self) -> Keypair {
        // libp2p wipes the slice that it is given.
        let mut seed = Zeroizing::new(*self.process.expose());
        Keypair::ed25519_from_bytes(seed.as_mut_slice()).expect("32 bytes are an Ed25519 seed")
    }

    /// The public half of [`Self::keypair`].
    #[must_use]
    pub fn process_key(&self) -> [u8; 32] {
        *SigningKey::from_seed(&self.process).verifying_key().as_bytes()
    }

    /// An address of this process as people are given it: with the process, and with the relay where that is another.
    #[must_use]
    pub fn addressed(&self, address: Multiaddr) -> Multiaddr {
        let process = self.keypair().public().to_peer_id();
        let here = address.with(Protocol::P2p(process));
        match peer::of_ed25519(&self.relay_id().0) {
            Some(relay) if relay != process => here.with(Protocol::P2p(relay)),
            _ => here,
        }
    }

    /// The relay's key for custody receipts.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_seed(&self.seed)
    }

    pub(crate) fn derive(&self, what: Derived) -> Secret<32> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.seed.expose())
            .expect("HMAC takes keys of any length");
        mac.update(what.label());
        Secret::from_bytes(mac.finalize().into_bytes().into())
    }
}

fn read(mut file: File, path: &Path) -> Result<Secret<32>, IdentityError> {
    let failed = |source| IdentityError::File { path: path.into(), source };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: path.into() });
        }
    }
    // One byte more than wanted, so that a longer file shows.
    let mut bytes = Zeroizing::new([0u8; 33]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]).map_err(failed)? {
            0 => break,
            read => length += read,
        }
    }
    Secret::from_slice(&bytes[..length]).ok_or_else(|| IdentityError::Damaged { path: path.into() })
}

fn create(data_dir: &Path, path: &Path, seed: &Secret<32>) -> std::io::Result<()> {
    let temporary = data_dir.join(format!("{FILE}.new"));
    // What a crash left here was never the identity.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    file.write_all(seed.expose())?;
    file.sync_all()?;
    // A hard link, unlike a rename, never replaces an identity that another process made.
    fs::hard_link(&temporary, path)?;
    fs::remove_file(&temporary)?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Postgres;

    #[test]
    fn an_identity_is_made_once_and_read_ever_after() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("deep/er");
        let made = RelayIdentity::load_or_create(&data).expect("made");
        let read = RelayIdentity::load_or_create(&data).expect("read");
        assert_eq!(made.relay_id(), read.relay_id());
        assert_eq!(
            crate::peer::relay_of(&made.keypair().public().to_peer_id()),
            Some(made.relay_id()),
            "libp2p and custody use one key"
        );
        assert!(!made.derive(Derived::Otp).ct_eq(&made.derive(Derived::Pepper)));
    }

    #[test]
    fn processes_with_one_file_are_one_relay_and_have_a_key_each() {
        let dir = tempfile::tempdir().expect("a directory");
        let service = dir.path().join("service");
        let process = |name: &str, shared: bool| {
            let service_file = shared.then(|| service.clone());
            let postgres = Some(Postgres { service_file, ..Postgres::default() });
            RelayIdentity::of(&Config {
                data_dir: dir.path().join(name),
                postgres,
                ..Config::default()
            })
        };
        assert!(matches!(process("one", true), Err(IdentityError::File { .. })), "none is made");
        let alone = process("one", false).expect("made");
        // The second process joins the first: what it was is the relay.
        fs::copy(dir.path().join("one").join(FILE), &service).expect("copied");
        let (one, other) =
            (process("one", true).expect("read"), process("other", true).expect("read"));
        assert_eq!([one.relay_id(), other.relay_id()], [alone.relay_id(); 2]);
        assert!(one.derive(Derived::Pepper).ct_eq(&other.derive(Derived::Pepper)));
        let at: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        assert_eq!(one.addressed(at.clone()), alone.addressed(at.clone()), "as people know it");
        let (process, relay) = peer::named_in(&other.addressed(at)).expect("both");
        assert_eq!(process, other.keypair().public().to_peer_id());
        assert_eq!(relay, alone.relay_id());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused_and_left_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        RelayIdentity::load_or_create(dir.path()).expect("made");
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        let before = fs::read(&path).expect("readable");
        let error = RelayIdentity::load_or_create(dir.path()).expect_err("exposed");
        assert!(matches!(error, IdentityError::Exposed { .. }), "{error}");
        assert_eq!(fs::read(&path).expect("readable"), before);
    }

    #[test]
    fn a_file_of_another_length_is_refused_and_left_alone() {
        for length in [0, 31, 33, 100] {
            let dir = tempfile::tempdir().expect("a directory");
            RelayIdentity::load_or_create(dir.path()).expect("made");
            let path = dir.path().join(FILE);
            let mut file = OpenOptions::new().write(true).truncate(true).open(&path).expect("ours");
            file.write_all(&vec![7; length]).expect("ours");
            let error = RelayIdentity::load_or_create(dir.path()).expect_err("damaged");
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert_eq!(fs::read(&path).expect("readable").len(), length);
        }
    }
}
