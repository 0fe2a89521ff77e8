//! Records of blobs in sled: tree `blobs`, id to [`Blob`]. What they come to is counted in memory.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::blob::{Blob, BlobId, BlobRefusal, Usage};
use protocol::ids::AccountId;
use protocol::time::Timestamp;
use protocol::wire;

use super::store::{BlobStore, Opening};
use crate::error::StoreError;
use crate::store::Database;

const BLOBS: &str = "blobs";

pub(crate) struct SledBlobs {
    database: Database,
    tree: sled::Tree,
    counted: Mutex<Counted>,
}

/// What the tree holds. Changed with it, under one lock.
#[derive(Default)]
struct Counted {
    all: Usage,
    of: HashMap<AccountId, Owned>,
    ends: BTreeSet<(Timestamp, BlobId)>,
}

#[derive(Default)]
struct Owned {
    usage: Usage,
    blobs: BTreeSet<BlobId>,
}

impl fmt::Debug for SledBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledBlobs").field("all", &self.counted().all).finish_non_exhaustive()
    }
}

impl SledBlobs {
    pub(crate) fn open(database: Database) -> Result<Self, StoreError> {
        let tree = database.tree(BLOBS)?;
        let mut counted = Counted::default();
        for entry in &tree {
            let (key, bytes) = entry.map_err(|error| database.failed(&error))?;
            let id = key.as_ref().try_into().map_err(|_| database.damaged("blob"))?;
            let blob: Blob = wire::decode(&bytes).map_err(|_| database.damaged("blob"))?;
            counted.count(BlobId(id), &blob);
        }
        Ok(Self { database, tree, counted: Mutex::new(counted) })
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a record in the place of another one, or of none; not yet durable.
    fn put(
        &self,
        counted: &mut Counted,
        id: BlobId,
        (before, after): (Option<&Blob>, &Blob),
    ) -> Result<(), StoreError> {
        let bytes = wire::encode(after).map_err(|_| self.database.damaged("blob"))?;
        self.tree.insert(id.0, bytes).map_err(|error| self.database.failed(&error))?;
        if let Some(before) = before {
            counted.uncount(id, before);
        }
        counted.count(id, after);
        Ok(())
    }

    /// Changes a record, if there is one; what the change says of it. Durable if it says so.
    fn change(
        &self,
        id: BlobId,
        change: impl FnOnce(&mut Blob) -> bool,
    ) -> Result<bool, StoreError> {
        let mut counted = self.counted();
        let Some(before) = self.get(id)? else { return Ok(false) };
        let mut after = before.clone();
        let said = change(&mut after);
        if after != before {
            self.put(&mut counted, id, (Some(&before), &after))?;
        }
        drop(counted);
        if said {
            self.database.flush()?;
        }
        Ok(said)
    }
}

impl BlobStore for SledBlobs {
    fn get(&self, blob: BlobId) -> Result<Option<Blob>, StoreError> {
        let bytes = self.tree.get(blob.0).map_err(|error| self.database.failed(&error))?;
        bytes
            .map(|bytes| wire::decode(&bytes).map_err(|_| self.database.damaged("blob")))
            .transpose()
    }

    fn open(
        &self,
        blob: BlobId,
        owner: AccountId,
        opening: Opening<'_>,
    ) -> Result<Result<Blob, BlobRefusal>, StoreError> {
        let mut counted = self.counted();
        let before = self.get(blob)?;
        let own = counted.of.get(&owner).map(|owned| owned.usage).unwrap_or_default();
        let after = match opening(before.clone(), (own, counted.all)) {
            Ok(after) => after,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if before.as_ref() != Some(&after) {
            self.put(&mut counted, blob, (before.as_ref(), &after))?;
        }
        drop(counted);
        self.database.flush()?;
        Ok(Ok(after))
    }

    fn keep(&self, blob: BlobId, piece: u32, now: Timestamp) -> Result<bool, StoreError> {
        self.change(blob, |there| {
            let kept = now < there.ends_at();
            if kept {
                there.keep(piece);
            }
            kept
        })
    }

    fn lose(&self, blob: BlobId, piece: u32) -> Result<(), StoreError> {
        self.change(blob, |there| {
            there.lose(piece);
            true
        })
        .map(drop)
    }

    fn over(
        &self,
        now: Timestamp,
        after: Option<BlobId>,
        most: usize,
    ) -> Result<Vec<BlobId>, StoreError> {
        let counted = self.counted();
        let over = counted.ends.iter().take_while(|(ends_at, _)| *ends_at <= now);
        let mut over: Vec<_> =
            over.map(|(_, id)| *id).filter(|id| after.is_none_or(|after| *id > after)).collect();
        over.sort_unstable();
        over.truncate(most);
        Ok(over)
    }

    fn settle(&self, blob: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        self.change(blob, |there| {
            let over = there.ends_at() <= now;
            if over {
                there.end();
            }
            over
        })
    }

    fn forget(&self, blob: BlobId) -> Result<(), StoreError> {
        let mut counted = self.counted();
        if let Some(before) = self.get(blob)?.filter(Blob::is_ended) {
            self.tree.remove(blob.0).map_err(|error| self.database.failed(&error))?;
            counted.uncount(blob, &before);
        }
        Ok(())
    }

    fn end(&self, blob: BlobId, owner: AccountId) -> Result<bool, StoreError> {
        self.change(blob, |there| {
            let own = there.owner == owner;
            if own {
                there.end();
            }
            own
        })
    }

    fn end_all(&self, owner: AccountId) -> Result<(), StoreError> {
        let mut counted = self.counted();
        let blobs = counted.of.get(&owner).map(|owned| owned.blobs.clone()).unwrap_or_default();
        for blob in blobs {
            if let Some(before) = self.get(blob)? {
                let mut after = before.clone();
                after.end();
                self.put(&mut counted, blob, (Some(&before), &after))?;
            }
        }
        drop(counted);
        self.database.flush()
    }
}

impl Counted {
    fn count(&mut self, id: BlobId, blob: &Blob) {
        let owned = self.of.entry(blob.owner).or_default();
        owned.blobs.insert(id);
        for usage in [&mut self.all, &mut owned.usage] {
            usage.blobs += 1;
            usage.bytes = usage.bytes.saturating_add(blob.bytes);
            usage.unfinished = usage.unfinished.saturating_add(blob.unfinished());
        }
        self.ends.insert((blob.ends_at(), id));
    }

    fn uncount(&mut self, id: BlobId, blob: &Blob) {
        let Some(owned) = self.of.get_mut(&blob.owner) else { return };
        owned.blobs.remove(&id);
        for usage in [&mut self.all, &mut owned.usage] {
            usage.blobs = usage.blobs.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(blob.bytes);
            usage.unfinished = usage.unfinished.saturating_sub(blob.unfinished());
        }
        if owned.blobs.is_empty() {
            self.of.remove(&blob.owner);
        }
        self.ends.remove(&(blob.ends_at(), id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract;

    #[test]
    fn sled_passes_the_suite() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || SledBlobs::open(Database::open(dir.path()).expect("free")).expect("open");
        contract::holds(&open());
        contract::is_still_there(&open());
    }
}
