//! Where pieces are: an object each, in a folder.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use protocol::blob::BlobId;

/// Why a piece could not be written, read or removed. Names no blob.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// Anything else that the system says.
    #[error("{0}")]
    Failed(String),
}

/// The pieces of all blobs. Clones share them.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    folder: PathBuf,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.folder.display())
    }
}

impl Objects {
    /// Opens the folder, or makes it: for its owner alone.
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let mut making = std::fs::DirBuilder::new();
        making.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
        making.create(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(std::io::Error::other)?;
        // What is confirmed outlives the power.
        Ok(Self { store: Arc::new(store.with_fsync(true)), folder: folder.to_owned() })
    }

    /// The piece is durable when this returns; one that was there is replaced.
    pub(crate) async fn put(
        &self,
        blob: BlobId,
        piece: u32,
        bytes: Vec<u8>,
    ) -> Result<(), ObjectError> {
        let put = self.store.put(&name(blob, piece), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|error| in_words(&error))
    }

    /// A piece, if there is one.
    pub(crate) async fn get(
        &self,
        blob: BlobId,
        piece: u32,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let got = async { self.store.get(&name(blob, piece)).await?.bytes().await };
        match got.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(in_words(&error)),
        }
    }

    /// Nothing of a blob is there any more, nor what was left of a piece that was being written when the process was killed.
    pub(crate) async fn remove(&self, blob: BlobId) -> Result<(), ObjectError> {
        match tokio::fs::remove_dir_all(self.folder.join(prefix(blob))).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ObjectError::Failed(error.kind().to_string()))
            }
            _ => Ok(()),
        }
    }
}

/// The folder of a blob.
fn prefix(blob: BlobId) -> String {
    let hex = HEXLOWER.encode(&blob.0);
    let (first, _) = hex.split_at(2);
    format!("{first}/{hex}")
}

fn name(blob: BlobId, piece: u32) -> Name {
    Name::from(format!("{}/{piece}", prefix(blob)))
}

/// A failure without the names of files, which are those of blobs.
fn in_words(error: &object_store::Error) -> ObjectError {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ObjectError::Full,
                kind => ObjectError::Failed(kind.to_string()),
            };
        }
        next = error.source();
    }
    ObjectError::Failed("the object store failed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: BlobId = BlobId([0xab; 32]);

    #[tokio::test]
    async fn pieces_are_there_until_they_are_removed_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("blobs");
        let objects = Objects::open(&folder).expect("a folder");
        assert!(objects.get(ID, 0).await.expect("works").is_none());
        objects.put(ID, 0, vec![1; 10]).await.expect("stored");
        objects.put(ID, 0, vec![2; 20]).await.expect("stored again");
        let objects = Objects::open(&folder).expect("a folder");
        assert_eq!(objects.get(ID, 0).await.expect("works"), Some(vec![2; 20]));
        // A piece that was being written when the process was killed.
        let half = folder.join(prefix(ID)).join("1#1");
        std::fs::write(&half, "half").expect("ours");
        assert!(objects.get(ID, 1).await.expect("works").is_none());
        objects.remove(ID).await.expect("removed");
        objects.remove(ID).await.expect("nothing to remove");
        assert!(objects.get(ID, 0).await.expect("works").is_none() && !half.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_failure_names_no_blob() {
        let dir = tempfile::tempdir().expect("a directory");
        let objects = Objects::open(dir.path()).expect("a folder");
        std::fs::write(dir.path().join("ab"), "a file where a folder belongs").expect("ours");
        let error = objects.put(ID, 0, vec![1]).await.expect_err("impossible");
        assert!(!format!("{error} {error:?}").contains("abab"), "{error}");
    }
}
