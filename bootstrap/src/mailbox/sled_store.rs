//! The mailbox store in sled.
//!
//! One tree, so that a decision is in one atomic batch, with others of its group. A key is a letter and fixed-width parts
//! (integers big-endian, so that order is order):
//!
//! | letter | then | value |
//! |---|---|---|
//! | `q` | receive | queue |
//! | `s` | send | receive |
//! | `b` | receive | bundle |
//! | `u` | account | usage |
//! | `a` | account, receive | nothing |
//! | `i` | receive, seq | item |
//! | `e` | receive, envelope | seen |
//! | `p` | receive, seq | envelope |
//! | `d` | time, receive, kind, seq, envelope | nothing |
//! | `v` | | version of this layout |

use std::cell::RefCell;
use std::collections::BTreeMap;

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::record::StoredBundle;
use protocol::mailbox::{Change, Due, DueKind, Held, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;
use protocol::wire::{self, Wire};

use super::store::{MailboxStore, within};
use super::subscribers::Allowance;
use crate::error::StoreError;
use crate::store::Database;

/// Name of the tree.
const TREE: &str = "mailbox";
/// Version of the layout: 2 has queues by account.
const VERSION: &[u8] = &[2];

#[derive(Debug)]
pub(crate) struct SledStore {
    database: Database,
    tree: sled::Tree,
    /// What was decided since the last commit. sled writes to the disk for each batch, and waits: a batch for each
    /// decision costs more than everything else that a deposit does.
    pending: RefCell<Writes>,
    /// Bytes of it.
    pending_bytes: usize,
}

/// Most bytes that are decided before they are committed. sled reserves its log for as long as a batch is applied: one
/// that is longer than a buffer of it (512 KiB) may wait for itself, when a page is evicted and touched again.
const MAX_PENDING_BYTES: usize = 128 * 1024;
/// Most rows, for the same reason: a page that is touched is written.
const MAX_PENDING_ROWS: usize = 512;

/// Writes, later ones over earlier ones.
type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl SledStore {
    pub(crate) fn open(database: Database) -> Result<Self, StoreError> {
        let tree = database.tree(TREE)?;
        let mut store = Self { database, tree, pending: RefCell::default(), pending_bytes: 0 };
        store.migrate()?;
        Ok(store)
    }

    /// Stores from before there was an index of queues by account get it. Doing it twice does no harm.
    fn migrate(&mut self) -> Result<(), StoreError> {
        if self.read(b"v")?.is_some() {
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        for entry in self.tree.scan_prefix(b"q").values() {
            let bytes = entry.map_err(|error| self.database.failed(&error))?;
            let queue: Queue = self.decoded(&bytes, "queue")?;
            batch.insert(of_account(queue.account, queue.receive), &[]);
        }
        batch.insert(b"v", VERSION);
        self.tree.apply_batch(batch).map_err(|error| self.database.failed(&error))?;
        self.flush()
    }

    fn read(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        if let Some(written) = self.pending.borrow().get(key) {
            return Ok(written.as_deref().map(sled::IVec::from));
        }
        self.tree.get(key).map_err(|error| self.database.failed(&error))
    }

    /// The tree as it is after everything that was decided: what looks at a range looks here.
    fn committed(&self) -> Result<&sled::Tree, StoreError> {
        let writes = self.pending.take();
        if !writes.is_empty() {
            let mut batch = sled::Batch::default();
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            self.tree.apply_batch(batch).map_err(|error| self.database.failed(&error))?;
        }
        Ok(&self.tree)
    }

    fn value<T: Wire>(&self, key: &[u8], what: &'static str) -> Result<Option<T>, StoreError> {
        self.read(key)?.map(|bytes| self.decoded(&bytes, what)).transpose()
    }

    fn decoded<T: Wire>(&self, bytes: &[u8], what: &'static str) -> Result<T, StoreError> {
        wire::decode(bytes).map_err(|_| self.database.damaged(what))
    }

    fn encoded<T: Wire>(&self, value: &T, what: &'static str) -> Result<Vec<u8>, StoreError> {
        wire::encode(value).map_err(|_| self.database.damaged(what))
    }

    fn delete_prefix(&self, prefix: &[u8], writes: &mut Writes) -> Result<(), StoreError> {
        for entry in self.committed()?.scan_prefix(prefix).keys() {
            let key = entry.map_err(|error| self.database.failed(&error))?;
            writes.insert(key.to_vec(), None);
        }
        writes.retain(|key, value| value.is_none() || !key.starts_with(prefix));
        Ok(())
    }

    /// A value as it will be after the writes so far.
    fn current(&self, key: &[u8], writes: &Writes) -> Result<Option<Vec<u8>>, StoreError> {
        match writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => Ok(self.read(key)?.map(|bytes| bytes.to_vec())),
        }
    }

    fn write(&self, change: &Change, writes: &mut Writes) -> Result<(), StoreError> {
        match change {
            Change::PutQueue(queue) => {
                writes.insert(by_id(b's', queue.send), Some(queue.receive.0.to_vec()));
                writes.insert(of_account(queue.account, queue.receive), Some(Vec::new()));
                writes.insert(by_id(b'q', queue.receive), Some(self.encoded(queue, "queue")?));
            }
            Change::DeleteQueue { receive, send } => {
                if let Some(bytes) = self.current(&by_id(b'q', *receive), writes)? {
                    let queue: Queue = self.decoded(&bytes, "queue")?;
                    writes.insert(of_account(queue.account, *receive), None);
                }
                writes.insert(by_id(b'q', *receive), None);
                writes.insert(by_id(b's', *send), None);
                writes.insert(by_id(b'b', *receive), None);
                for letter in *b"iep" {
                    self.delete_prefix(&by_id(letter, *receive), writes)?;
                }
            }
            Change::PutBundle { receive, bundle } => {
                let bundle = self.encoded(&StoredBundle(bundle.clone()), "bundle")?;
                writes.insert(by_id(b'b', *receive), Some(bundle));
            }
            Change::PutUsage(account, usage) => {
                let value = (*usage != Usage::default())
                    .then(|| self.encoded(usage, "usage"))
                    .transpose()?;
                writes.insert(by_account(*account), value);
            }
            Change::PutItem { receive, seq, item } => {
                writes.insert(by_seq(b'i', *receive, *seq), Some(self.encoded(item, "item")?));
            }
            Change::DeleteItem { receive, seq } => {
                writes.insert(by_seq(b'i', *receive, *seq), None);
            }
            Change::PutSeen { receive, envelope, seen } => {
                let value = self.encoded(seen, "deposit")?;
                writes.insert(by_envelope(*receive, *envelope), Some(value));
                writes.insert(by_seq(b'p', *receive, seen.seq), Some(envelope.0.to_vec()));
            }
            Change::DeleteSeen { receive, seq } => self.forget(*receive, *seq, writes)?,
            Change::PutDue(due) => {
                writes.insert(by_due(due), Some(Vec::new()));
            }
            Change::DeleteDue(due) => {
                writes.insert(by_due(due), None);
            }
        }
        Ok(())
    }

    fn forget(&self, receive: QueueId, seq: u64, writes: &mut Writes) -> Result<(), StoreError> {
        let position = by_seq(b'p', receive, seq);
        let Some(envelope) = self.current(&position, writes)? else { return Ok(()) };
        writes.insert(position, None);
        let envelope = EnvelopeId::from_slice(&envelope)
            .ok_or_else(|| self.database.damaged("deposit index"))?;
        let key = by_envelope(receive, envelope);
        if let Some(bytes) = self.current(&key, writes)? {
            let seen: Seen = self.decoded(&bytes, "deposit")?;
            // The envelope may have come again since; that deposit has its own position.
            if seen.seq == seq {
                writes.insert(key, None);
            }
        }
        Ok(())
    }
}

impl MailboxStore for SledStore {
    fn queue(&self, receive: QueueId) -> Result<Option<Queue>, StoreError> {
        self.value(&by_id(b'q', receive), "queue")
    }

    fn receive_of(&self, send: QueueId) -> Result<Option<QueueId>, StoreError> {
        self.read(&by_id(b's', send))?
            .map(|bytes| {
                QueueId::from_slice(&bytes).ok_or_else(|| self.database.damaged("queue index"))
            })
            .transpose()
    }

    fn bundle(&self, receive: QueueId) -> Result<Option<StoredBundle>, StoreError> {
        self.value(&by_id(b'b', receive), "bundle")
    }

    fn usage(&self, account: AccountId) -> Result<Usage, StoreError> {
        Ok(self.value(&by_account(account), "usage")?.unwrap_or_default())
    }

    fn queues_of(&self, account: AccountId, max: usize) -> Result<Vec<QueueId>, StoreError> {
        let keys = self.committed()?.scan_prefix(key(b'a', &[&account.0])).keys().take(max);
        keys.map(|key| {
            let key = key.map_err(|error| self.database.failed(&error))?;
            key.last_chunk()
                .map(|receive| QueueId(*receive))
                .ok_or_else(|| self.database.damaged("account index"))
        })
        .collect()
    }

    fn held(&self, receive: QueueId, seq: u64) -> Result<Option<Held>, StoreError> {
        let item: Option<StoredItem> = self.value(&by_seq(b'i', receive, seq), "item")?;
        Ok(item.as_ref().map(StoredItem::held))
    }

    fn items(&self, wanted: Allowance) -> Result<Vec<(u64, StoredItem)>, StoreError> {
        let Allowance { receive, after, items, bytes } = wanted;
        let range =
            by_seq(b'i', receive, after.saturating_add(1))..=by_seq(b'i', receive, u64::MAX);
        let items = self.committed()?.range(range).take(items).map(|entry| {
            let (key, value) = entry.map_err(|error| self.database.failed(&error))?;
            let seq = last_u64(&key).ok_or_else(|| self.database.damaged("item index"))?;
            Ok((seq, self.decoded(&value, "item")?))
        });
        within(bytes, items)
    }

    fn seen(&self, receive: QueueId, envelope: EnvelopeId) -> Result<Option<Seen>, StoreError> {
        self.value(&by_envelope(receive, envelope), "deposit")
    }

    fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Due>, StoreError> {
        let mut end = vec![b'd'];
        end.extend(now.0.to_be_bytes());
        end.extend([0xff; DUE_TAIL]);
        self.committed()?
            .range(vec![b'd']..=end)
            .keys()
            .take(max)
            .map(|entry| {
                let key = entry.map_err(|error| self.database.failed(&error))?;
                due_of(&key).ok_or_else(|| self.database.damaged("expiry index"))
            })
            .collect()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut writes = Writes::new();
        for change in changes {
            self.write(change, &mut writes)?;
        }
        let bytes = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + value.as_ref().map_or(0, Vec::len)
        };
        self.pending_bytes += writes.iter().map(bytes).sum::<usize>();
        let pending = self.pending.get_mut();
        pending.extend(writes);
        if self.pending_bytes > MAX_PENDING_BYTES || pending.len() > MAX_PENDING_ROWS {
            self.committed()?;
            self.pending_bytes = 0;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.committed()?;
        self.pending_bytes = 0;
        self.database.flush()
    }
}

/// Bytes of an expiry key after its time: queue, kind, position, envelope.
const DUE_TAIL: usize = 16 + 1 + 8 + 16;

fn key(letter: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![letter];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

fn by_id(letter: u8, id: QueueId) -> Vec<u8> {
    key(letter, &[&id.0])
}

fn by_account(account: AccountId) -> Vec<u8> {
    key(b'u', &[&account.0])
}

fn of_account(account: AccountId, receive: QueueId) -> Vec<u8> {
    key(b'a', &[&account.0, &receive.0])
}

fn by_seq(letter: u8, receive: QueueId, seq: u64) -> Vec<u8> {
    key(letter, &[&receive.0, &seq.to_be_bytes()])
}

fn by_envelope(receive: QueueId, envelope: EnvelopeId) -> Vec<u8> {
    key(b'e', &[&receive.0, &envelope.0])
}

fn by_due(due: &Due) -> Vec<u8> {
    let (kind, seq, envelope) = match due.what {
        DueKind::Item(seq) => (0, seq, [0; 16]),
        DueKind::Seen(seq, envelope) => (1, seq, envelope.0),
        DueKind::Queue => (2, 0, [0; 16]),
    };
    key(b'd', &[&due.at.0.to_be_bytes(), &due.receive.0, &[kind], &seq.to_be_bytes(), &envelope])
}

fn due_of(key: &[u8]) -> Option<Due> {
    let (_, rest) = key.split_first()?;
    let (at, rest) = rest.split_first_chunk()?;
    let (receive, rest) = rest.split_first_chunk()?;
    let (kind, rest) = rest.split_first()?;
    let (seq, envelope) = rest.split_first_chunk()?;
    let seq = u64::from_be_bytes(*seq);
    let what = match kind {
        0 => DueKind::Item(seq),
        1 => DueKind::Seen(seq, EnvelopeId::from_slice(envelope)?),
        2 => DueKind::Queue,
        _ => return None,
    };
    Some(Due { at: Timestamp(u64::from_be_bytes(*at)), receive: QueueId(*receive), what })
}

fn last_u64(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
