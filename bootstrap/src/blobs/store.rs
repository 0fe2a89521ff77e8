//! What keeps the records of blobs. Calls block; what they confirm is durable.

use std::fmt;

use protocol::blob::{Blob, BlobId, BlobRefusal, Usage};
use protocol::ids::AccountId;
use protocol::time::Timestamp;

use crate::error::StoreError;

/// Decides what a blob is from now on: of what is there, and what its owner and everybody use.
pub(crate) type Opening<'a> = &'a dyn Fn(Option<Blob>, (Usage, Usage)) -> Result<Blob, BlobRefusal>;

/// Records of blobs.
pub(crate) trait BlobStore: fmt::Debug + Send + Sync + 'static {
    fn get(&self, blob: BlobId) -> Result<Option<Blob>, StoreError>;

    /// Keeps what a decision comes to. No other one is made of the same numbers.
    fn open(
        &self,
        blob: BlobId,
        owner: AccountId,
        opening: Opening<'_>,
    ) -> Result<Result<Blob, BlobRefusal>, StoreError>;

    /// A piece is there from now on, if the blob is and is not over; whether it is.
    fn keep(&self, blob: BlobId, piece: u32, now: Timestamp) -> Result<bool, StoreError>;

    /// A piece is not there any more.
    fn lose(&self, blob: BlobId, piece: u32) -> Result<(), StoreError>;

    /// Blobs that are over, by their names, those behind `after`, at most so many.
    fn over(
        &self,
        now: Timestamp,
        after: Option<BlobId>,
        most: usize,
    ) -> Result<Vec<BlobId>, StoreError>;

    /// Whether a blob is over; if so it stays over, whatever becomes of its pieces.
    fn settle(&self, blob: BlobId, now: Timestamp) -> Result<bool, StoreError>;

    /// Forgets a record that was settled.
    fn forget(&self, blob: BlobId) -> Result<(), StoreError>;

    /// This one is over, if it is this account's; whether there was one.
    fn end(&self, blob: BlobId, owner: AccountId) -> Result<bool, StoreError>;

    /// All of this account are over.
    fn end_all(&self, owner: AccountId) -> Result<(), StoreError>;
}
