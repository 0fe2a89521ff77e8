//! The journal: what happened, numbered, so that any client can catch up.
//!
//! A row says *that* something changed and names it; what it looks like now is built when the
//! row is read. Reading a row twice, or late, is therefore harmless.

use protocol::ids::{AccountId, ChatId, InviteId, MessageId};
use protocol::time::{DAY, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use crate::store::{Change, Key, Order, SealedStore, StoreError, Tree, stored};

/// Oldest row that is kept.
pub const MAX_JOURNAL_AGE: u64 = 7 * DAY;
/// Most events that are kept.
pub const MAX_JOURNAL_EVENTS: u64 = 100_000;
/// Most events in one row.
pub(super) const MAX_ROW: usize = 32;
/// Fewer events than this may be told and not yet committed. A start after a crash leaves out so
/// many numbers: whoever was told an event that is gone finds a gap, and begins anew.
pub(super) const MAX_UNCOMMITTED: u64 = 1_000;

/// Something that changed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The registration at a relay.
    RegistrationChanged,
    /// This person's own profile.
    MeChanged,
    /// An invite.
    InviteChanged(InviteId),
    /// Somebody tried an invite that was taken or over.
    InviteFailedTry(InviteId),
    /// A request with this person.
    RequestChanged(AccountId),
    /// A contact.
    ContactChanged(AccountId),
    /// A contact is gone.
    ContactRemoved(AccountId),
    /// A conversation.
    ChatChanged(ChatId),
    /// A new message.
    MessageAdded(MessageId),
    /// A message's delivery.
    MessageChanged(MessageId),
    /// A message is gone.
    MessageRemoved(MessageId, ChatId),
    /// Something to be told in words.
    Notice {
        /// Stable name of what it is about.
        code: String,
        /// The words.
        text: String,
        /// Whom it is about.
        contact: Option<AccountId>,
    },
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RegistrationChanged => f.write_str("RegistrationChanged"),
            Self::MeChanged => f.write_str("MeChanged"),
            Self::InviteChanged(id) => write!(f, "InviteChanged({id:?})"),
            Self::InviteFailedTry(id) => write!(f, "InviteFailedTry({id:?})"),
            Self::RequestChanged(account) => write!(f, "RequestChanged({account:?})"),
            Self::ContactChanged(account) => write!(f, "ContactChanged({account:?})"),
            Self::ContactRemoved(account) => write!(f, "ContactRemoved({account:?})"),
            Self::ChatChanged(id) => write!(f, "ChatChanged({id:?})"),
            Self::MessageAdded(id) => write!(f, "MessageAdded({id:?})"),
            Self::MessageChanged(id) => write!(f, "MessageChanged({id:?})"),
            Self::MessageRemoved(id, chat) => write!(f, "MessageRemoved({id:?}, {chat:?})"),
            Self::Notice { code, text: _, contact } => f
                .debug_struct("Notice")
                .field("code", code)
                .field("contact", contact)
                .finish_non_exhaustive(),
        }
    }
}

/// A journal row: what one step told, or a part of it. Its number is that of its last event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalRow {
    /// When, by this node's clock.
    pub at: Timestamp,
    /// What; at least one event, at most [`MAX_ROW`].
    pub events: Vec<Event>,
}

impl JournalRow {
    /// The number of its first event; `last` is that of the row.
    pub(crate) fn first(&self, last: u64) -> u64 {
        (last + 1).saturating_sub(self.events.len() as u64)
    }

    /// Its events with their numbers; `last` is that of the row.
    pub(crate) fn numbered(&self, last: u64) -> impl Iterator<Item = (u64, &Event)> {
        (self.first(last)..).zip(&self.events)
    }
}

impl Wire for JournalRow {
    const LIMIT: usize = MAX_ROW * 2 * 1024;
}

/// The key of the row with this number.
pub(super) fn key(store: &SealedStore, seq: u64) -> Key {
    store.key(Tree::Journal, &[], &seq.to_be_bytes())
}

/// The number of a journal row's last event, from its key.
#[must_use]
pub(crate) fn seq_of(key: &Key) -> u64 {
    key.order().try_into().map(u64::from_be_bytes).unwrap_or(0)
}

/// With which number the node stopped, so that its next start knows of no crash.
#[derive(Debug, Serialize, Deserialize)]
struct Stopped {
    seq: u64,
}

impl Wire for Stopped {
    const LIMIT: usize = 16;
}

pub(super) fn stopped_key(store: &SealedStore) -> Key {
    store.key(Tree::Meta, b"stopped", &[])
}

/// What a stop at number `seq` leaves behind.
pub(super) fn stopped(store: &SealedStore, seq: u64) -> Result<Change, StoreError> {
    Ok((stopped_key(store), Some(stored(Tree::Meta, &Stopped { seq })?)))
}

/// After which number this start goes on, and whether a crash came before it.
pub(super) fn resume(store: &SealedStore) -> Result<(u64, bool), StoreError> {
    let last = last_seq(store)?;
    let stopped: Option<Stopped> = store.get(&stopped_key(store))?;
    let crashed = last > 0 && stopped.is_none_or(|stopped| stopped.seq != last);
    Ok((if crashed { last + MAX_UNCOMMITTED } else { last }, crashed))
}

fn last_seq(store: &SealedStore) -> Result<u64, StoreError> {
    let all = (&0u64.to_be_bytes()[..], &u64::MAX.to_be_bytes()[..]);
    let last: Vec<(Key, JournalRow)> = store.range((Tree::Journal, &[]), all, Order::Falling, 1)?;
    Ok(last.first().map_or(0, |(key, _)| seq_of(key)))
}
