//! Restoring a backup in the place of a profile that nobody has used yet: what a first start begins with.

use std::path::PathBuf;

use bytes::Bytes;
use crypto::phrase::Phrase;
use futures::{Stream, StreamExt};
use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::vault::Wish;
use super::{Node, Result};
use crate::api::dto::{self, rfc3339};
use crate::app::{RestoreError, Restored};
use crate::service::{ErrorKind, Refusal, backup};

/// Where a backup waits in the profile's folder while it is received.
pub(crate) const RECEIVING: &str = "restore.upload.part";
/// Where it is once all of it is there.
pub(crate) const RECEIVED: &str = "restore.upload";
/// The longest backup that is taken, in bytes. The command line takes any.
const MAX_RECEIVED: u64 = 8 << 30;

impl super::Restores<'_> {
    /// Takes the file of a backup; one that was taken before is replaced.
    ///
    /// # Errors
    /// [`crate::service::ServiceError`]: the profile is in use, the file is too long, or cannot be kept.
    pub async fn receive<E>(
        &self,
        file: impl Stream<Item = std::result::Result<Bytes, E>>,
    ) -> Result<()> {
        let node = self.0;
        let folder = node.folder()?;
        if !node.is_unused().await? {
            return Err(RestoreRefusal::InUse.into());
        }
        let part = folder.join(RECEIVING);
        let received = receive(&part, file).await;
        if received.is_err() {
            let _ = fs::remove_file(&part).await;
        }
        received?;
        if !node.is_unused().await? {
            let _ = fs::remove_file(&part).await;
            return Err(RestoreRefusal::InUse.into());
        }
        fs::rename(&part, folder.join(RECEIVED)).await.map_err(unwritable)?;
        Ok(())
    }

    /// Restores what was received, with the words that open it. The node goes on as another one.
    ///
    /// # Errors
    /// [`crate::service::ServiceError`]: the words are not those of the backup, the backup is none, or the
    /// profile is in use. Then nothing was changed.
    pub async fn restore(&self, words: &str) -> Result<dto::Restored> {
        let phrase = Phrase::read(words).map_err(|why| RestoreRefusal::Words(why.to_string()))?;
        let (told, restored) = oneshot::channel();
        self.0.vault().ask(Wish::Restore { phrase, told }).await?;
        let restored: Restored =
            restored.await.map_err(|_| crate::service::ServiceError::stopped())?;
        Ok(summary(&restored))
    }
}

/// What came back, for those who asked.
pub(super) fn summary(restored: &Restored) -> dto::Restored {
    dto::Restored {
        made_at: rfc3339(restored.made_at),
        contacts: restored.contacts,
        messages: restored.messages,
    }
}

async fn receive<E>(
    part: &std::path::Path,
    file: impl Stream<Item = std::result::Result<Bytes, E>>,
) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut kept = options.open(part).await.map_err(unwritable)?;
    let mut length = 0_u64;
    let mut file = std::pin::pin!(file);
    while let Some(piece) = file.next().await {
        let piece = piece.map_err(|_| RestoreRefusal::CutOff)?;
        length = length.saturating_add(piece.len() as u64);
        if length > MAX_RECEIVED {
            return Err(RestoreRefusal::TooLong.into());
        }
        kept.write_all(&piece).await.map_err(unwritable)?;
    }
    kept.sync_all().await.map_err(unwritable)?;
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unwritable(error: std::io::Error) -> RestoreRefusal {
    RestoreRefusal::Unwritable(error.to_string())
}

impl Node {
    /// Whether nobody would lose anything if another profile took this one's place.
    async fn is_unused(&self) -> Result<bool> {
        self.view(backup::is_unused).await
    }

    fn folder(&self) -> Result<PathBuf> {
        Ok(self.door.folder().ok_or(RestoreRefusal::InUse)?)
    }
}

/// Why a backup was not restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreRefusal {
    #[error(
        "Somebody has used this profile already, and a backup would take its place. Start another with \
         “kith up --profile NAME”, and restore it there."
    )]
    InUse,
    #[error(
        "This profile has a passphrase, which the restored one would not have. Remove it first, and set one \
         again when everything is back."
    )]
    Passphrase,
    #[error("There is no backup to restore. Choose its file first.")]
    NoFile,
    #[error("These are not the words of a recovery phrase: {0}. Look at the paper again.")]
    Words(String),
    #[error(
        "These are not the words of this backup. Look whether the paper belongs to the account that it was \
         made of."
    )]
    OtherWords,
    #[error(
        "This file cannot be restored: {0}. Choose another one; a backup’s name ends with .backup."
    )]
    NotThis(String),
    #[error(
        "This backup is from {0}, and by this computer’s clock that is still to come. Put the clock right, and \
         try again."
    )]
    Clock(String),
    #[error("The file did not arrive as a whole. Choose it again.")]
    CutOff,
    #[error("This file is longer than {} GiB. Restore it with “kith restore FILE”.", MAX_RECEIVED >> 30)]
    TooLong,
    #[error("The backup could not be kept on this computer: {0}. Make room, and try again.")]
    Unwritable(String),
}

impl From<RestoreError> for RestoreRefusal {
    fn from(error: RestoreError) -> Self {
        use crypto::backup::BackupError;
        match error {
            RestoreError::Backup(BackupError::WrongPhrase) => Self::OtherWords,
            RestoreError::Backup(_) | RestoreError::Row(_) | RestoreError::Incomplete => {
                Self::NotThis(error.to_string())
            }
            RestoreError::Clock(at) => Self::Clock(at),
            error => Self::Unwritable(crate::app::chain(&error)),
        }
    }
}

impl Refusal for RestoreRefusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InUse => "profile_in_use",
            Self::Passphrase => "has_passphrase",
            Self::NoFile => "no_backup",
            Self::Words(_) => "not_a_phrase",
            Self::OtherWords => "wrong_phrase",
            Self::NotThis(_) => "not_a_backup",
            Self::Clock(_) => "clock_is_wrong",
            Self::CutOff => "cut_off",
            Self::TooLong => "backup_too_long",
            Self::Unwritable(_) => "not_restored",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse | Self::Passphrase | Self::NoFile => ErrorKind::Conflict,
            Self::Unwritable(_) => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }
}
