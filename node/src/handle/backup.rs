//! Backups, as clients hold them.

use bytes::Bytes;
use crypto::Seed;
use crypto::backup::{BackupError, BackupWriter};
use crypto::phrase::Phrase;
use futures::Stream;

use super::{Node, Result};
use crate::api::dto;
use crate::service::backup::{self, Cursor};
use crate::service::{ErrorKind, Refusal, ServiceError, identity};
use crate::store::StoreError;

/// The rest of a backup that is being made.
struct Making {
    node: Node,
    writer: BackupWriter,
    next: Option<Cursor>,
}

impl super::Backups<'_> {
    /// The recovery phrase.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn phrase(&self) -> Result<dto::RecoveryPhrase> {
        self.0
            .view(|ctx| {
                let phrase = Phrase::of(&identity::me(ctx)?.seed());
                Ok(dto::RecoveryPhrase { words: phrase.words().map(str::to_owned).collect() })
            })
            .await
    }

    /// Contacts of a restored node that have not answered yet.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn unanswered(&self) -> Result<Vec<String>> {
        self.0
            .view(|ctx| {
                let accounts = backup::unanswered(ctx)?;
                Ok(accounts.iter().map(ToString::to_string).collect())
            })
            .await
    }

    /// A backup, as it is made: read some rows, seal them, pass them on. The node goes on meanwhile.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped; in the stream as well.
    pub async fn make(&self) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        self.make_under(None).await
    }

    /// The same under another seed than the recovery phrase's.
    pub(crate) async fn make_under(
        &self,
        seed: Option<Seed>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
        let node = self.0.clone();
        let (writer, first, cursor) = node
            .call(move |ctx| Ok(backup::begin(ctx, seed.as_ref())))
            .await?
            .map_err(Unreadable)?;
        let making = Making { node, writer, next: Some(cursor) };
        let rest = futures::stream::try_unfold(Some(making), |making| async move {
            match making {
                Some(making) => making.step().await.map(Some),
                None => Ok(None),
            }
        });
        let first = futures::stream::once(async move { Ok(Bytes::from(first)) });
        Ok(futures::StreamExt::chain(first, rest))
    }
}

impl Making {
    async fn step(mut self) -> Result<(Bytes, Option<Self>)> {
        let Some(cursor) = self.next.take() else {
            let rest = self.writer.finish().map_err(too_long)?;
            return Ok((Bytes::from(rest), None));
        };
        // A row that nobody has needed yet may be damaged: that ends the backup, not the node.
        let page = self.node.call(move |ctx| Ok(backup::page(ctx, &cursor))).await?;
        let (rows, next) = page.map_err(Unreadable)?;
        let sealed = self.writer.write(&rows).map_err(too_long)?;
        self.next = next;
        Ok((Bytes::from(sealed), Some(self)))
    }
}

/// Something that a backup has to have cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("The backup could not be made: {0}. Nothing was changed.")]
struct Unreadable(StoreError);

impl Refusal for Unreadable {
    fn code(&self) -> &'static str {
        "backup_unreadable"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// Two hundred terabytes: no store of this node's is so large.
fn too_long(_: BackupError) -> ServiceError {
    ServiceError::stopped()
}
