//! The vault, as clients hold it.

use super::{Result, Vault};
use crate::service::{ErrorKind, Refusal};

impl Vault<'_> {
    /// Whether the vault is locked. A running engine has an open vault.
    #[must_use]
    pub fn locked(&self) -> bool {
        false
    }

    /// Opens the vault with a passphrase.
    ///
    /// # Errors
    /// [`ServiceError`](crate::service::ServiceError): this profile has no passphrase, or the
    /// node has stopped.
    pub async fn unlock(&self, _passphrase: zeroize::Zeroizing<String>) -> Result<()> {
        self.0.call(|_| Err(NoPassphrase.into())).await
    }

    /// Locks the vault.
    ///
    /// # Errors
    /// [`ServiceError`](crate::service::ServiceError): without a passphrase it could not be
    /// opened again.
    pub async fn lock(&self) -> Result<()> {
        self.0.call(|_| Err(NoPassphrase.into())).await
    }
}

/// The profile has no passphrase.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("This profile has no passphrase, so there is nothing to lock or unlock.")]
struct NoPassphrase;

impl Refusal for NoPassphrase {
    fn code(&self) -> &'static str {
        "no_passphrase"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}
