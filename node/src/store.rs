//! The node's store: trees of sealed values behind one trait.
//!
//! # Invariants
//! * [`Store::commit`] is atomic over all trees, and durable when it returns.
//! * Nothing reaches a [`Store`] unsealed but the order of keys within one conversation or lane.
//!
//! The engine is the only writer. See `docs/ARCHITECTURE.md` and `docs/protocol/` for what the
//! values mean.

mod guard;
mod memory;
mod migrations;
mod recent;
mod sealed;
mod sled_store;

pub use memory::MemoryStore;
pub use migrations::migrate;
pub use sealed::{Change, ERASABLE, Key, SCHEMA, SealedStore, stored};
pub use sled_store::SledStore;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod power_cut;

/// A tree: one noun's values. The numbers are on the disk: new ones come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tree {
    /// Schema version, counters, this account's own card.
    Meta,
    /// Credentials and challenges, by relay.
    Registration,
    /// Invites, by id.
    Invite,
    /// Pending and past requests, by account.
    Request,
    /// Contacts, by account.
    Contact,
    /// Sessions, by account.
    Session,
    /// Conversations, by id.
    Chat,
    /// Messages, by conversation and position.
    Message,
    /// Where a message is, by id.
    MessageIndex,
    /// Parcels, by account and order.
    Outbox,
    /// Sealed frames, by account and order.
    Frame,
    /// Envelopes already opened, by id.
    Seen,
    /// Mailbox queues that this node owns: by purpose, and by receive address once given up.
    Queue,
    /// What happened, by sequence number.
    Journal,
    /// What re-keying needs, by account.
    Rekey,
    /// Who was verified, by account.
    Verification,
    /// Of which life contacts are, by account.
    Pin,
    /// What is still out of one's own words, by conversation.
    Behind,
}

impl Tree {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Meta,
        Self::Registration,
        Self::Invite,
        Self::Request,
        Self::Contact,
        Self::Session,
        Self::Chat,
        Self::Message,
        Self::MessageIndex,
        Self::Outbox,
        Self::Frame,
        Self::Seen,
        Self::Queue,
        Self::Journal,
        Self::Rekey,
        Self::Verification,
        Self::Pin,
        Self::Behind,
    ];

    /// Its name on disk and in key derivation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Registration => "registration",
            Self::Invite => "invite",
            Self::Request => "request",
            Self::Contact => "contact",
            Self::Session => "session",
            Self::Chat => "chat",
            Self::Message => "message",
            Self::MessageIndex => "message-index",
            Self::Outbox => "outbox",
            Self::Frame => "frame",
            Self::Seen => "seen",
            Self::Queue => "queue",
            Self::Journal => "journal",
            Self::Rekey => "rekey",
            Self::Verification => "verification",
            Self::Pin => "pin",
            Self::Behind => "behind",
        }
    }
}

/// Why the store failed. The engine stops on any of them: going on would lose what it promises.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("another kith has this profile open")]
    InUse,
    /// The disk is full.
    #[error("the disk is full; nothing was changed. Free some space and start Kith again")]
    DiskFull,
    /// The files are damaged.
    #[error("the store is damaged and was left as it is: {0}")]
    Corrupt(String),
    /// Reading or writing failed.
    #[error("the store could not be read or written: {0}")]
    Io(String),
    /// A value does not open under this vault's keys, or is not what it should be.
    #[error(
        "a stored value in tree {0} does not open: the store is damaged or belongs to another key"
    )]
    Unreadable(&'static str),
    /// Written by a newer Kith.
    #[error("this profile was written by a newer Kith (schema {0}); nothing was changed")]
    NewerSchema(u16),
}

/// Changes to be committed together. `None` deletes.
#[derive(Default)]
pub struct Batch {
    /// Tree, key, sealed value.
    pub writes: Vec<(Tree, Vec<u8>, Option<Vec<u8>>)>,
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} writes)", self.writes.len())
    }
}

/// A stored key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Which end of a range is wanted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Rising,
    /// Largest key first.
    Falling,
}

/// Trees of bytes.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// The value of `key`.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` rows with `from <= key < to`.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    fn range(
        &self,
        tree: Tree,
        from: &[u8],
        to: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// Applies all of `batch` or nothing; when it returns, it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when nothing, or an unknown part that the next open rolls back, was
    /// written.
    fn commit(&self, batch: Batch) -> Result<(), StoreError>;
}
