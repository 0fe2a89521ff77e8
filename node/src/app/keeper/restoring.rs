//! Putting a restored profile in the place of one that nobody has used.

use crypto::phrase::Phrase;
use tracing::{info, warn};

use super::tries::KeeperError;
use super::{Keeper, blocking};
use crate::app::restore::{self, Restored};
use crate::app::{StartError, vault};
use crate::engine::{Clock, SystemClock};
use crate::handle::restore::{RECEIVED, RestoreRefusal};
use crate::service::{ServiceError, backup};

impl Keeper {
    /// Everything is made beside the profile first, while that goes on: what cannot be restored changes nothing.
    ///
    /// # Errors
    /// When the node cannot go on: neither with the profile that was there, nor with the restored one.
    pub(super) async fn restore(
        &mut self,
        phrase: Phrase,
    ) -> anyhow::Result<Result<Restored, ServiceError>> {
        let Some(running) = &self.running else { return Ok(Err(KeeperError::IsLocked.into())) };
        if !backup::is_unused_store(&running.store)? {
            return Ok(Err(RestoreRefusal::InUse.into()));
        }
        if self.node.vault().has_passphrase() {
            return Ok(Err(RestoreRefusal::Passphrase.into()));
        }
        let folder = self.config.data_dir.clone();
        let file = folder.join(RECEIVED);
        if !file.exists() {
            return Ok(Err(RestoreRefusal::NoFile.into()));
        }
        let now = SystemClock.now();
        let (into, from) = (folder.clone(), file.clone());
        let made = blocking(move || restore::prepare(&into, &from, &phrase, now)).await;
        let restored = match made {
            Ok(restored) => restored,
            Err(error) => return Ok(Err(RestoreRefusal::from(error).into())),
        };
        // From here on clients wait for what is to come, and nobody can begin to use what was there.
        self.node.end();
        let store = running.store.clone();
        self.close().await?;
        let unused = backup::is_unused_store(&store)?;
        drop(store);
        if unused {
            let into = folder.clone();
            blocking(move || restore::put_in_place(&into)).await?;
            if let Err(error) = std::fs::remove_file(&file) {
                warn!(%error, "the backup that was received is still there");
            }
            self.node.set_has_passphrase(false);
        } else {
            restore::give_up(&folder)?;
        }
        self.open_again().await?;
        if !unused {
            return Ok(Err(RestoreRefusal::InUse.into()));
        }
        info!(contacts = restored.contacts, messages = restored.messages, "a backup was restored");
        Ok(Ok(restored))
    }

    async fn open_again(&mut self) -> Result<(), StartError> {
        let folder = self.config.data_dir.clone();
        let from = folder.clone();
        let opened = blocking(move || vault::open(&from)).await;
        match opened.map_err(|source| StartError::Vault { folder, source })? {
            Some(vault) => self.open(vault).await,
            None => {
                self.node.lock();
                Ok(())
            }
        }
    }
}
