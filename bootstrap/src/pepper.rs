//! The pepper: what addresses are hashed with. It is nowhere in a store.
//!
//! Relays that share a database have to share it, or each would know everybody by another name: an address would admit
//! an account at each, and a suspension would hold at one of them. The database keeps a word of it ([`Pepper::word`]), so
//! that a relay with another one does not start.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::config::{Config, ConfigError};
use crate::identity::{Derived, RelayIdentity};

/// Least length of the file.
const MIN_BYTES: usize = 32;
/// Longest: nobody means more.
const MAX_BYTES: usize = 4_096;

/// What addresses are hashed with.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Pepper([u8; 32]);

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

impl Pepper {
    /// That of the file that the configuration names, or the one that the identity has.
    ///
    /// # Errors
    /// [`ConfigError`]: the file cannot be read, or is too short to be a secret.
    pub(crate) fn of(config: &Config, identity: &RelayIdentity) -> Result<Self, ConfigError> {
        let file = config.postgres.as_ref().and_then(|postgres| postgres.pepper_file.as_deref());
        match file {
            Some(file) => Self::read(file),
            None => Ok(Self(*identity.derive(Derived::Pepper).expose())),
        }
    }

    fn read(file: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(file).map(Zeroizing::new);
        let bytes =
            bytes.map_err(|source| ConfigError::Unreadable { path: file.into(), source })?;
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
            let why = format!("{} has to have {MIN_BYTES} to {MAX_BYTES} bytes", file.display());
            return Err(ConfigError::Unusable(why.into()));
        }
        Ok(Self(mac(&bytes, b"kith relay shared pepper 1")))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// By which it is known again.
    pub(crate) fn word(&self) -> [u8; 32] {
        mac(&self.0, b"kith relay pepper word 1")
    }
}

fn mac(key: &[u8], label: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(label);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Postgres;

    #[test]
    fn relays_with_one_file_have_one_pepper_and_others_have_their_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("pepper");
        std::fs::write(&file, [7; 40]).expect("written");
        let identity = |name: &str| {
            RelayIdentity::load_or_create(&dir.path().join(name)).expect("an identity")
        };
        let (one, other) = (identity("one"), identity("other"));
        let postgres = Postgres { pepper_file: Some(file.clone()), ..Postgres::default() };
        let shared = Config { postgres: Some(postgres), ..Config::default() };
        let word = |config: &Config, identity| Pepper::of(config, identity).map(|it| it.word());
        assert_eq!(word(&shared, &one).expect("read"), word(&shared, &other).expect("read"));
        let own = Config::default();
        assert_ne!(word(&own, &one).expect("derived"), word(&own, &other).expect("derived"));
        std::fs::write(&file, [7; 31]).expect("written");
        assert!(matches!(word(&shared, &one), Err(ConfigError::Unusable(_))), "no secret");
    }
}
