//! A store that does not open although the vault does: the node waits, and goes on from the copy beside the
//! store when the person says so.

use crypto::Vault;
use tracing::{error, info};

use super::tries::KeeperError;
use super::{Keeper, blocking};
use crate::app::restore::Restored;
use crate::app::{StartError, chain, rolling};
use crate::engine::{Clock, SystemClock};
use crate::handle::vault::Damage;
use crate::service::{ErrorKind, Refusal, ServiceError};

/// Why the node did not go on from the copy.
#[derive(Debug, thiserror::Error)]
enum RecoverRefusal {
    #[error("Your messages open as they are. There is nothing to recover.")]
    Whole,
    #[error(
        "Kith could not go on from its copy: {0}. Nothing of the damaged files was deleted. Try again, or restore a \
         backup of your own into another profile with “kith restore”."
    )]
    NotRecovered(String),
}

impl Refusal for RecoverRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Whole => "store_is_whole",
            Self::NotRecovered(_) => "not_recovered",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Whole => ErrorKind::Conflict,
            Self::NotRecovered(_) => ErrorKind::Internal,
        }
    }
}

impl Keeper {
    /// Keeps the vault of a store that does not open, if there is a copy to go on from.
    pub(super) fn wait_if_damaged(&mut self, error: &StartError, vault: Vault) {
        let StartError::Store { source, .. } = error else { return };
        let Some(copy_from) = rolling::offers(source, &self.config.data_dir, &vault) else {
            return;
        };
        error!(error = %chain(error), "the store does not open; it waits for whether to go on from the copy");
        self.damaged = Some(vault);
        self.node.damaged(Damage { why: source.to_string(), copy_from });
    }

    /// Puts the store aside, and goes on from the copy.
    ///
    /// # Errors
    /// When the node cannot go on with what was made of the copy.
    pub(super) async fn recover(&mut self) -> anyhow::Result<Result<Restored, ServiceError>> {
        if self.is_locked() {
            return Ok(Err(KeeperError::IsLocked.into()));
        }
        let Some(vault) = self.damaged.take() else { return Ok(Err(RecoverRefusal::Whole.into())) };
        let (folder, now) = (self.config.data_dir.clone(), SystemClock.now());
        let (recovered, vault) =
            blocking(move || (rolling::go_on_from_copy(&folder, &vault, now), vault)).await;
        let recovered = match recovered {
            Ok(recovered) => recovered.restored,
            Err(error) => {
                self.damaged = Some(vault);
                return Ok(Err(RecoverRefusal::NotRecovered(chain(&error)).into()));
            }
        };
        self.open(vault).await?;
        info!(contacts = recovered.contacts, messages = recovered.messages, "on from the copy");
        Ok(Ok(recovered))
    }
}
