//! Backups: what a new computer needs to go on, and how it goes on.
//!
//! 1. [`begin`] and [`page`] read the store's lasting nouns, some rows in a step, as a stream of
//!    [`Row`]s; the caller seals it under the recovery phrase.
//! 2. [`apply`] puts rows into the store of a new folder; [`life::begin`] makes it a node that knows that it
//!    lost its sessions.
//!
//! # Invariants
//! * Sessions, prekeys, invites and sealed frames are in no backup: used twice they would be worse than
//!   lost. Codes that were made before are void.
//! * What a restored node says of itself is newer than what it ever said: its generation rises.
//!
//! Spec: `docs/protocol/backup.md`.

use crypto::Seed;
use crypto::backup::BackupWriter;
use protocol::chat::{Behind, Chat, Message};
use protocol::ids::AccountId;
use protocol::rekey::Rekey;
use protocol::request::Request;
use protocol::time::Timestamp;
use protocol::wire::{Wire, decode, encode};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::contact::ContactRecord;
use super::identity::{self, MeRecord};
use super::pin::{self, PinRecord};
use super::queue::QueueRecord;
use super::registration::RegistrationRecord;
use super::verification::{self, Verification};
use super::{chat, contact, life, queue, registration, rekey, request};
use crate::engine::Ctx;
use crate::store::{SealedStore, StoreError, Tree};

/// Rows that one page has.
const PAGE: usize = 100;
/// Bytes of the length before a row.
const LENGTH: usize = 4;

/// A row of a backup.
#[derive(Serialize, Deserialize)]
pub enum Row {
    /// The first: which of this account's backups it is, and when it was made.
    Start {
        /// Rises with every restore.
        generation: u64,
        /// When.
        at: Timestamp,
    },
    /// The account.
    Me(MeRecord),
    /// The registration at a relay.
    Registration(RegistrationRecord),
    /// A mailbox queue.
    Queue(QueueRecord),
    /// A contact, and what re-keying with them needs.
    Contact(ContactRecord, Rekey),
    /// A conversation.
    Chat(Chat),
    /// A message.
    Message(Message),
    /// The last.
    End,
    /// That a contact was verified.
    Verification(Verification),
    /// Of which life a contact is.
    Pin(PinRecord),
    /// What is still out of one's own words.
    Behind(Behind),
}

impl Wire for Row {
    const LIMIT: usize = 32 * 1024;
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start { .. } => "Start",
            Self::Me(_) => "Me",
            Self::Registration(_) => "Registration",
            Self::Queue(_) => "Queue",
            Self::Contact(..) => "Contact",
            Self::Chat(_) => "Chat",
            Self::Message(_) => "Message",
            Self::End => "End",
            Self::Verification(_) => "Verification",
            Self::Pin(_) => "Pin",
            Self::Behind(_) => "Behind",
        })
    }
}

/// Where the next page begins.
#[derive(Clone, Debug)]
pub struct Cursor {
    tree: Tree,
    from: Vec<u8>,
}

/// The trees that a backup has, in their order.
const TREES: [Tree; 7] = [
    Tree::Queue,
    Tree::Contact,
    Tree::Verification,
    Tree::Pin,
    Tree::Chat,
    Tree::Behind,
    Tree::Message,
];

/// Begins a backup: its seal, the first bytes of the file, the first rows, and where to go on. Under the
/// recovery phrase, unless another seed is given.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn begin(
    ctx: &mut Ctx<'_>,
    under: Option<&Seed>,
) -> Result<(BackupWriter, Vec<u8>, Cursor), StoreError> {
    let me = identity::me(ctx)?;
    let phrase = me.seed();
    let (mut writer, mut file) = BackupWriter::new(under.unwrap_or(&phrase), ctx.rng);
    let mut rows = Zeroizing::new(Vec::new());
    push(&mut rows, &Row::Start { generation: life::generation(ctx)?, at: ctx.now })?;
    push(&mut rows, &Row::Me(me))?;
    if let Some(registration) = registration::get(ctx)? {
        push(&mut rows, &Row::Registration(registration))?;
    }
    file.extend(writer.write(&rows).map_err(|_| StoreError::Unreadable("backup"))?);
    Ok((writer, file, Cursor { tree: TREES[0], from: Vec::new() }))
}

/// Some more rows, and where to go on; `None` when these were the last.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn page(
    ctx: &Ctx<'_>,
    cursor: &Cursor,
) -> Result<(Zeroizing<Vec<u8>>, Option<Cursor>), StoreError> {
    let mut rows = Zeroizing::new(Vec::new());
    let mut next = None;
    let Cursor { tree, from } = cursor;
    macro_rules! rows {
        ($($noun:ident => $row:expr),*) => {
            match tree {
                $(Tree::$noun => {
                    for (key, value) in ctx.sample(*tree, from, PAGE)? {
                        push(&mut rows, &$row(value)?)?;
                        next = Some(key.after());
                    }
                })*
                _ => {}
            }
        };
    }
    rows!(
        Queue => |queue: QueueRecord| Ok::<_, StoreError>(Row::Queue(queue)),
        Contact => |contact: ContactRecord| {
            let rekey = rekey::for_backup(ctx, contact.account)?;
            Ok::<_, StoreError>(Row::Contact(contact, rekey))
        },
        Verification => |row: Verification| Ok::<_, StoreError>(Row::Verification(row)),
        Pin => |row: PinRecord| Ok::<_, StoreError>(Row::Pin(row)),
        Chat => |chat: Chat| Ok::<_, StoreError>(Row::Chat(chat)),
        Behind => |behind: Behind| Ok::<_, StoreError>(Row::Behind(behind)),
        Message => |message: Message| Ok::<_, StoreError>(Row::Message(message))
    );
    if let Some(from) = next {
        return Ok((rows, Some(Cursor { tree: *tree, from })));
    }
    let following = TREES.iter().skip_while(|each| *each != tree).nth(1);
    match following {
        Some(tree) => Ok((rows, Some(Cursor { tree: *tree, from: Vec::new() }))),
        None => {
            push(&mut rows, &Row::End)?;
            Ok((rows, None))
        }
    }
}

fn push(rows: &mut Vec<u8>, row: &Row) -> Result<(), StoreError> {
    let row = Zeroizing::new(encode(row).map_err(|_| StoreError::Unreadable("backup"))?);
    let length = u32::try_from(row.len()).map_err(|_| StoreError::Unreadable("backup"))?;
    rows.extend_from_slice(&length.to_be_bytes());
    rows.extend_from_slice(&row);
    Ok(())
}

/// Rows out of a stream of bytes.
#[derive(Default)]
pub struct Rows {
    pending: Zeroizing<Vec<u8>>,
    ended: bool,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// The content of a backup is not what this release writes: it is newer, or was damaged before it was
/// sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this backup was made by another release of Kith")]
pub struct UnknownRow;

impl Rows {
    /// Takes content, and returns the rows that are complete.
    ///
    /// # Errors
    /// [`UnknownRow`] when something in it is no row.
    pub fn push(&mut self, content: &[u8]) -> Result<Vec<Row>, UnknownRow> {
        if self.ended {
            return Ok(Vec::new());
        }
        self.pending.extend_from_slice(content);
        let mut rows = Vec::new();
        let mut at = 0;
        while let Some((length, rest)) = self.pending[at..].split_first_chunk::<LENGTH>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| UnknownRow)?;
            if length > Row::LIMIT {
                return Err(UnknownRow);
            }
            let Some(row) = rest.get(..length) else { break };
            let row: Row = decode(row).map_err(|_| UnknownRow)?;
            at += LENGTH + length;
            if matches!(row, Row::End) {
                self.ended = true;
                break;
            }
            rows.push(row);
        }
        self.pending.drain(..at);
        Ok(rows)
    }

    /// Whether everything was there.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }
}

/// Puts one row into the store of a new folder. The account is there already.
///
/// # Errors
/// [`StoreError`] when it cannot be stored.
pub fn apply(ctx: &mut Ctx<'_>, row: Row, generation: u64) -> Result<(), StoreError> {
    match row {
        Row::Start { .. } | Row::Me(_) | Row::End => Ok(()),
        Row::Registration(record) => registration::put(ctx, &record),
        Row::Queue(record) => queue::restore(ctx, record),
        Row::Contact(record, rekey) => {
            rekey::restore(ctx, record.account, rekey, generation)?;
            contact::put(ctx, &record)
        }
        Row::Verification(row) => verification::put(ctx, &row),
        Row::Pin(row) => pin::put(ctx, &row),
        Row::Chat(chat) => chat::begin_anew(ctx, chat, generation),
        Row::Behind(behind) => chat::put_behind(ctx, &behind),
        Row::Message(message) => chat::restore(ctx, &message),
    }
}

/// The account of a backup, if it is that of `seed`.
#[must_use]
pub fn belongs(me: &MeRecord, seed: &Seed) -> bool {
    me.seed().secret().ct_eq(seed.secret())
}

/// Whether nobody would lose anything if a backup took the place of this profile: it knows nobody, and nobody
/// has asked or been asked.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn is_unused(ctx: &Ctx<'_>) -> Result<bool, StoreError> {
    let nobody = contact::all(ctx)?.is_empty() && request::all(ctx)?.is_empty();
    // Whoever was removed has left a conversation.
    Ok(nobody && ctx.all::<Chat>(Tree::Chat, 1)?.is_empty())
}

/// The same of a store that no engine runs on.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn is_unused_store(store: &SealedStore) -> Result<bool, StoreError> {
    let contacts = store.all::<ContactRecord>(Tree::Contact, 1)?;
    let requests = store.all::<Request>(Tree::Request, 1)?;
    let chats = store.all::<Chat>(Tree::Chat, 1)?;
    Ok(contacts.is_empty() && requests.is_empty() && chats.is_empty())
}

/// Contacts of a restored node that have not answered yet.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn unanswered(ctx: &Ctx<'_>) -> Result<Vec<AccountId>, StoreError> {
    let mut unanswered = Vec::new();
    for record in contact::all(ctx)? {
        if rekey::is_awaited(ctx, record.account)? {
            unanswered.push(record.account);
        }
    }
    Ok(unanswered)
}
