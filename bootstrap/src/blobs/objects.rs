//! Where pieces are: an object each, in a folder or in a bucket.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use protocol::blob::BlobId;

use super::bucket;
use crate::blocking::blocking;
use crate::config::{ConfigError, S3};

/// Bytes of the disk that files leave alone: the relay's store may be on it, and everything else of the machine.
pub(crate) const RESERVE: u64 = 1 << 30;

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
    place: Place,
}

#[derive(Clone)]
enum Place {
    Folder {
        folder: PathBuf,
        /// Bytes of the disk that files leave alone.
        reserve: u64,
    },
    /// It has no folders, and as much room as is paid for.
    Bucket,
}

/// How long anything at a bucket may take, with everything that is repeated: nodes wait twenty seconds.
const PATIENCE: Duration = Duration::from_secs(18);

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Folder { folder, .. } => write!(f, "Objects({})", folder.display()),
            Place::Bucket => f.write_str("Objects(a bucket)"),
        }
    }
}

impl Objects {
    /// Opens the folder, or makes it: for its owner alone.
    pub(crate) fn open(folder: &Path, reserve: u64) -> std::io::Result<Self> {
        let mut making = std::fs::DirBuilder::new();
        making.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
        making.create(folder)?;
        for first in 0..=u8::MAX {
            making.create(folder.join(HEXLOWER.encode(&[first])))?;
        }
        // Theirs are the names in them, and each of them is a name in the one above.
        for above in folder.ancestors().take(2).filter(|above| !above.as_os_str().is_empty()) {
            synced(above)?;
        }
        let store = LocalFileSystem::new_with_prefix(folder).map_err(std::io::Error::other)?;
        // What is confirmed outlives the power.
        let place = Place::Folder { folder: folder.to_owned(), reserve };
        Ok(Self { store: Arc::new(store.with_fsync(true)), place })
    }

    /// Those in a bucket. One that does not answer now may later.
    ///
    /// # Errors
    /// [`ConfigError`]: it cannot work like this.
    pub(crate) async fn in_bucket(config: &S3) -> Result<Self, ConfigError> {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        let store = bucket::open(config)?;
        let unusable = |error: &object_store::Error| {
            let why = format!("blobs.s3: {} cannot be used: {error}", config.bucket);
            Err(ConfigError::Unusable(why.into()))
        };
        // Whether there is a bucket is told by a list alone, and whether the key is right by anything else.
        let asked = async {
            match store.head(&Name::from("kith")).await {
                Ok(_) | Err(NotFound { .. }) => Ok(store.list(None).try_next().await.err()),
                Err(refused @ (PermissionDenied { .. } | Unauthenticated { .. })) => {
                    Ok(Some(refused))
                }
                Err(error) => Err(error),
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(error))) => return unusable(&error),
            Ok(Err(error)) => tracing::error!(%error, "the bucket for files does not answer"),
            Err(_) => tracing::error!("the bucket for files does not answer"),
        }
        Ok(Self { store, place: Place::Bucket })
    }

    /// Whether the disk has so many bytes, and the reserve for everybody else who writes to it.
    pub(crate) async fn has_room(&self, bytes: u64) -> Result<bool, ObjectError> {
        let Place::Folder { folder, reserve } = self.place.clone() else { return Ok(true) };
        on_disk(move || {
            let disk = rustix::fs::statvfs(&folder)?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            Ok(free >= bytes.saturating_add(reserve))
        })
        .await
    }

    /// A place for the pieces of a blob, that is still there after a power cut: pieces that come at once need not wait for each other.
    pub(crate) async fn prepare(&self, blob: BlobId) -> Result<(), ObjectError> {
        let Place::Folder { folder, .. } = &self.place else { return Ok(()) };
        let place = folder.join(prefix(blob));
        on_disk(move || {
            std::fs::create_dir_all(&place)?;
            place.parent().map_or(Ok(()), synced)
        })
        .await
    }

    /// Whether a piece of that length is there.
    pub(crate) async fn has(
        &self,
        blob: BlobId,
        piece: u32,
        bytes: u64,
    ) -> Result<bool, ObjectError> {
        let head = within(self.store.head(&name(blob, piece))).await?;
        Ok(head.is_some_and(|found| found.size == bytes))
    }

    /// A piece is not there any more.
    pub(crate) async fn remove_piece(&self, blob: BlobId, piece: u32) -> Result<(), ObjectError> {
        within(self.store.delete(&name(blob, piece))).await?;
        let Place::Folder { folder, .. } = &self.place else { return Ok(()) };
        // The folder too, if it was the last one: what is left of it is looked for at a start.
        let place = folder.join(prefix(blob));
        on_disk(move || {
            let _ = std::fs::remove_dir(place);
            Ok(())
        })
        .await
    }

    /// Blobs of which something is there that was not touched for so long.
    pub(crate) async fn untouched(&self, since: Duration) -> Result<Vec<BlobId>, ObjectError> {
        let Place::Folder { folder, .. } = self.place.clone() else {
            return self.untouched_in_bucket(since).await;
        };
        on_disk(move || {
            let mut found = Vec::new();
            for first in std::fs::read_dir(&folder)? {
                let first = first?;
                // Others than ours may be there: what a disk of its own brings with it.
                if !first.file_name().to_str().is_some_and(|name| is_hex(name, 1)) {
                    continue;
                }
                for place in std::fs::read_dir(first.path())? {
                    let place = place?;
                    let name = place.file_name();
                    let name = name.to_str().and_then(|name| HEXLOWER.decode(name.as_bytes()).ok());
                    let Some(Ok(id)) = name.map(<[u8; 32]>::try_from) else {
                        continue;
                    };
                    // It may go meanwhile.
                    let Ok(touched) = place.metadata().and_then(|about| about.modified()) else {
                        continue;
                    };
                    if touched.elapsed().is_ok_and(|for_long| for_long >= since) {
                        found.push(BlobId(id));
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    async fn untouched_in_bucket(&self, since: Duration) -> Result<Vec<BlobId>, ObjectError> {
        let mut touched: BTreeMap<BlobId, SystemTime> = BTreeMap::new();
        let mut all = self.store.list(None);
        // A page at a time has the time that anything has.
        while let Some(object) = within(all.try_next()).await?.flatten() {
            let mut parts = object.location.parts();
            let id = parts.nth(1).and_then(|name| HEXLOWER.decode(name.as_ref().as_bytes()).ok());
            let Some(Ok(id)) = id.map(<[u8; 32]>::try_from) else { continue };
            let at = SystemTime::from(object.last_modified);
            let last = touched.entry(BlobId(id)).or_insert(at);
            *last = at.max(*last);
        }
        let is_over = |at: &SystemTime| at.elapsed().is_ok_and(|for_long| for_long >= since);
        Ok(touched.into_iter().filter(|(_, at)| is_over(at)).map(|(blob, _)| blob).collect())
    }

    /// The piece is durable when this returns; one that was there is replaced.
    pub(crate) async fn put(
        &self,
        blob: BlobId,
        piece: u32,
        bytes: Vec<u8>,
    ) -> Result<(), ObjectError> {
        let put = within(self.store.put(&name(blob, piece), PutPayload::from(bytes))).await?;
        put.map(drop).ok_or_else(|| ObjectError::Failed("there is no bucket".into()))
    }

    /// A piece, if there is one.
    pub(crate) async fn get(
        &self,
        blob: BlobId,
        piece: u32,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let got = within(async { self.store.get(&name(blob, piece)).await?.bytes().await });
        Ok(got.await?.map(Vec::from))
    }

    /// Nothing of a blob is there any more, nor what was left of a piece that was being written when the process was killed.
    pub(crate) async fn remove(&self, blob: BlobId) -> Result<(), ObjectError> {
        let Place::Folder { folder, .. } = &self.place else {
            return self.remove_from_bucket(blob).await;
        };
        let place = folder.join(prefix(blob));
        on_disk(move || match std::fs::remove_dir_all(&place) {
            Ok(()) => place.parent().map_or(Ok(()), synced),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }
}

impl Objects {
    async fn remove_from_bucket(&self, blob: BlobId) -> Result<(), ObjectError> {
        let place = Name::from(prefix(blob));
        let all = within(self.store.list(Some(&place)).try_collect::<Vec<_>>()).await?;
        for object in all.unwrap_or_default() {
            within(self.store.delete(&object.location)).await?;
        }
        Ok(())
    }
}

/// What came of a request; `None`: what it is about is not there.
async fn within<T>(
    asked: impl Future<Output = object_store::Result<T>>,
) -> Result<Option<T>, ObjectError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
        Ok(Err(error)) => Err(in_words(&error)),
        Err(_) => Err(ObjectError::Failed("the object store does not answer".into())),
    }
}

/// Whether a name is so many bytes in lower-case hexadecimal.
fn is_hex(name: &str, bytes: usize) -> bool {
    HEXLOWER.decode(name.as_bytes()).is_ok_and(|decoded| decoded.len() == bytes)
}

/// What is in a folder outlives the power.
fn synced(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ObjectError> {
    blocking(work).await.map_err(|error| in_words_of(error.kind()))
}

fn in_words_of(kind: ErrorKind) -> ObjectError {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ObjectError::Full,
        kind => ObjectError::Failed(kind.to_string()),
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
            return in_words_of(io.kind());
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
        let objects = Objects::open(&folder, 0).expect("a folder");
        assert!(objects.get(ID, 0).await.expect("works").is_none());
        objects.put(ID, 0, vec![1; 10]).await.expect("stored");
        objects.put(ID, 0, vec![2; 20]).await.expect("stored again");
        let objects = Objects::open(&folder, 0).expect("a folder");
        assert_eq!(objects.get(ID, 0).await.expect("works"), Some(vec![2; 20]));
        // A piece that was being written when the process was killed.
        let half = folder.join(prefix(ID)).join("1#1");
        std::fs::write(&half, "half").expect("ours");
        assert!(objects.get(ID, 1).await.expect("works").is_none());
        assert!(objects.has(ID, 0, 20).await.expect("works"));
        assert!(!objects.has(ID, 0, 10).await.expect("works"), "of another length");
        assert_eq!(objects.untouched(Duration::ZERO).await.expect("works"), [ID]);
        // What a disk of its own brings with it.
        std::fs::write(folder.join("lost+found"), "").expect("ours");
        assert_eq!(objects.untouched(Duration::ZERO).await.expect("works"), [ID]);
        assert!(objects.has_room(1).await.expect("works"));
        let all = Objects::open(&folder, u64::MAX).expect("a folder");
        assert!(!all.has_room(1).await.expect("works"), "the reserve");
        assert!(objects.untouched(Duration::from_secs(60)).await.expect("works").is_empty());
        objects.remove_piece(ID, 0).await.expect("removed");
        assert!(!objects.has(ID, 0, 20).await.expect("works"));
        objects.remove(ID).await.expect("removed");
        objects.remove(ID).await.expect("nothing to remove");
        assert!(objects.get(ID, 0).await.expect("works").is_none() && !half.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_failure_names_no_blob() {
        let dir = tempfile::tempdir().expect("a directory");
        let objects = Objects::open(dir.path(), 0).expect("a folder");
        let place = dir.path().join("ab");
        std::fs::remove_dir(&place).expect("empty");
        std::fs::write(&place, "a file where a folder belongs").expect("ours");
        let error = objects.put(ID, 0, vec![1]).await.expect_err("impossible");
        assert!(!format!("{error} {error:?}").contains("abab"), "{error}");
    }
}
