//! The mailbox store in PostgreSQL (`postgres/1.sql`), shared by relay processes.
//!
//! 1. A group of requests says what it will look at ([`prepare`](MailboxStore::prepare)); it is read with a few
//!    statements, and locked.
//! 2. Decisions read and change what was read, in memory ([`View`]).
//! 3. [`flush`](MailboxStore::flush) writes the changes with a few statements and commits: the answer of the database
//!    to that is what durability is.
//!
//! # Invariants
//! * Whatever a decision rests on is locked until its changes are committed, so that processes decide one after the
//!   other.
//! * Locks are taken in one order: addresses of queues that are opened, queues, usages, each by their bytes. So nobody
//!   waits for somebody who waits for them.
//! * What was read is forgotten with the end of its transaction.

mod rows;
mod view;

use std::cell::RefCell;
use std::collections::BTreeSet;

use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::record::StoredBundle;
use protocol::mailbox::{Change, Due, Held, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;

use self::view::View;
use super::store::{MailboxStore, Wanted, within};
use super::subscribers::Allowance;
use crate::config::Postgres;
use crate::error::StoreError;
use crate::postgres::{Connection, signed, unsigned};
use crate::siblings::{self, Instance};

#[derive(Debug)]
pub(crate) struct PostgresStore(RefCell<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    own: Instance,
    /// Whether a transaction is open.
    open: bool,
    /// Whether something was applied in it: then it is not to be rolled back.
    applied: bool,
    /// Addresses that were locked to be opened.
    opened: BTreeSet<QueueId>,
    view: View,
}

impl PostgresStore {
    /// Blocks.
    pub(crate) fn open(config: &Postgres, own: Instance) -> Result<Self, StoreError> {
        let connection = Connection::open(config)?;
        Ok(Self(RefCell::new(Inner {
            connection,
            own,
            open: false,
            applied: false,
            opened: BTreeSet::new(),
            view: View::default(),
        })))
    }
}

impl Inner {
    fn begin(&mut self) -> Result<(), StoreError> {
        if !self.open {
            self.connection.say("BEGIN")?;
            self.open = true;
        }
        Ok(())
    }

    fn queue(&mut self, receive: QueueId) -> Result<Option<Queue>, StoreError> {
        if self.view.queue(receive).is_none() {
            self.lock_queues(vec![receive])?;
        }
        Ok(self.view.queue(receive).flatten().cloned())
    }

    /// Reads queues and locks them.
    fn lock_queues(&mut self, mut receives: Vec<QueueId>) -> Result<(), StoreError> {
        receives.retain(|receive| self.view.queue(*receive).is_none());
        receives.sort_unstable();
        receives.dedup();
        if receives.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let keys: Vec<_> = receives.iter().map(|receive| receive.0.as_slice()).collect();
        let found = self.connection.query(rows::LOCK_QUEUES, &[&keys])?;
        receives.into_iter().for_each(|receive| self.view.read_queue(receive, None));
        for row in &found {
            let queue = rows::queue(row)?;
            self.view.read_queue(queue.receive, Some(queue));
        }
        Ok(())
    }

    fn receive_of(&mut self, send: QueueId) -> Result<Option<QueueId>, StoreError> {
        if self.view.receive_of(send).is_none() {
            self.find_receives(vec![send])?;
        }
        Ok(self.view.receive_of(send).flatten())
    }

    fn find_receives(&mut self, mut sends: Vec<QueueId>) -> Result<(), StoreError> {
        sends.retain(|send| self.view.receive_of(*send).is_none());
        if sends.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let keys: Vec<_> = sends.iter().map(|send| send.0.as_slice()).collect();
        let sql = "SELECT send, receive FROM queues WHERE send = ANY($1)";
        let found = self.connection.query(sql, &[&keys])?;
        sends.into_iter().for_each(|send| self.view.read_send(send, None));
        for row in &found {
            let (send, receive) = (rows::queue_id(row, 0)?, rows::queue_id(row, 1)?);
            self.view.read_send(send, Some(receive));
        }
        Ok(())
    }

    fn usage(&mut self, account: AccountId) -> Result<Usage, StoreError> {
        if self.view.usage(account).is_none() {
            self.lock_usages(vec![account])?;
        }
        Ok(self.view.usage(account).unwrap_or_default())
    }

    /// Reads usages and locks them; an account that has none gets one of nothing, so that there is something to lock.
    fn lock_usages(&mut self, mut accounts: Vec<AccountId>) -> Result<(), StoreError> {
        accounts.retain(|account| self.view.usage(*account).is_none());
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let keys: Vec<_> = accounts.iter().map(|account| account.0.as_slice()).collect();
        for row in &self.connection.query(rows::LOCK_USAGES, &[&keys])? {
            let (account, usage) = rows::usage(row)?;
            self.view.read_usage(account, usage);
        }
        Ok(())
    }

    fn seen(&mut self, receive: QueueId, envelope: EnvelopeId) -> Result<Option<Seen>, StoreError> {
        if self.view.seen(receive, envelope).is_none() {
            self.find_seen(&[(receive, envelope)])?;
        }
        Ok(self.view.seen(receive, envelope).flatten())
    }

    fn find_seen(&mut self, wanted: &[(QueueId, EnvelopeId)]) -> Result<(), StoreError> {
        if wanted.is_empty() {
            return Ok(());
        }
        self.write()?;
        let receives: Vec<_> = wanted.iter().map(|(receive, _)| receive.0.as_slice()).collect();
        let envelopes: Vec<_> = wanted.iter().map(|(_, envelope)| envelope.0.as_slice()).collect();
        let found = self.connection.query(rows::FIND_SEEN, &[&receives, &envelopes])?;
        wanted
            .iter()
            .for_each(|(receive, envelope)| self.view.read_seen(*receive, *envelope, None));
        for row in &found {
            let (receive, envelope, seen) = rows::seen(row)?;
            self.view.read_seen(receive, envelope, Some(seen));
        }
        Ok(())
    }

    fn held(&mut self, receive: QueueId, seq: u64) -> Result<Option<Held>, StoreError> {
        if self.view.held(receive, seq).is_none() {
            self.find_items(&[(receive, seq)])?;
        }
        Ok(self.view.held(receive, seq).flatten())
    }

    fn find_items(&mut self, wanted: &[(QueueId, u64)]) -> Result<(), StoreError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let receives: Vec<_> = wanted.iter().map(|(receive, _)| receive.0.as_slice()).collect();
        let seqs: Vec<_> = wanted.iter().map(|(_, seq)| signed(*seq)).collect();
        let found = self.connection.query(rows::FIND_ITEMS, &[&receives, &seqs])?;
        wanted.iter().for_each(|(receive, seq)| self.view.read_item(*receive, *seq, None));
        for row in &found {
            let (receive, seq, held) = rows::held(row)?;
            self.view.read_item(receive, seq, Some(held));
        }
        Ok(())
    }

    fn prepare(&mut self, wanted: Wanted) -> Result<(), StoreError> {
        let Wanted { opened, mut receives, sends, mut accounts, deposits, remembered, items } =
            wanted;
        if !opened.is_empty() {
            self.begin()?;
            let mut locks: Vec<_> = opened.iter().map(lock_of).collect();
            locks.sort_unstable();
            self.connection.query(rows::LOCK_ADDRESSES, &[&locks])?;
            self.opened.extend(opened);
        }
        self.find_receives(unique(sends))?;
        receives.extend(self.view.receives());
        self.lock_queues(receives)?;
        accounts.extend(self.view.accounts());
        self.lock_usages(accounts)?;
        let of = |(send, envelope)| Some((self.view.receive_of(send).flatten()?, envelope));
        let seen: Vec<_> = deposits.into_iter().filter_map(of).chain(remembered).collect();
        self.find_seen(&unique(seen))?;
        self.find_items(&unique(items))
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        self.applied = true;
        match change {
            Change::DeleteQueue { receive, send } => {
                // Rare, and of many rows: what is before it is written first, so that order is kept.
                self.write()?;
                let key = receive.0.as_slice();
                for sql in rows::DELETE_QUEUE {
                    self.connection.execute(sql, &[&key])?;
                }
                self.view.forget_queue(*receive, *send);
                Ok(())
            }
            Change::PutBundle { receive, bundle } => {
                self.begin()?;
                let parameters = (receive.0.as_slice(), bundle.as_slice());
                self.connection.execute(rows::PUT_BUNDLE, &[&parameters.0, &parameters.1]).map(drop)
            }
            hot => {
                self.view.apply(hot);
                Ok(())
            }
        }
    }

    /// Writes what was changed, within the transaction.
    fn write(&mut self) -> Result<(), StoreError> {
        if !self.view.is_changed() {
            return Ok(());
        }
        self.begin()?;
        rows::write(&mut self.connection, self.view.take_changes())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.write()?;
        let unused = self.view.unused();
        if !unused.is_empty() {
            let keys: Vec<_> = unused.iter().map(|account| account.0.as_slice()).collect();
            self.connection.execute(rows::DELETE_USAGES, &[&keys])?;
        }
        self.end("COMMIT")
    }

    /// What was read is forgotten with the transaction.
    fn end(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.view = View::default();
        self.opened.clear();
        self.applied = false;
        if std::mem::take(&mut self.open) {
            self.connection.say(sql)?;
        }
        Ok(())
    }

    /// Nothing is to be kept: a commit would wait for the disk.
    fn rest(&mut self) -> Result<(), StoreError> {
        match self.applied {
            true => self.flush(),
            false => self.end("ROLLBACK"),
        }
    }
}

/// The lock of an address that is being opened: its beginning. Two that share one wait for each other, no more.
fn lock_of(address: &QueueId) -> i32 {
    i32::from_be_bytes(address.0.first_chunk().copied().unwrap_or_default())
}

fn unique<T: Ord>(mut of: Vec<T>) -> Vec<T> {
    of.sort_unstable();
    of.dedup();
    of
}

impl MailboxStore for PostgresStore {
    fn prepare(&mut self, wanted: Wanted) -> Result<(), StoreError> {
        self.0.get_mut().prepare(wanted)
    }

    fn prepares(&self) -> bool {
        true
    }

    fn queue(&self, receive: QueueId) -> Result<Option<Queue>, StoreError> {
        self.0.borrow_mut().queue(receive)
    }

    fn receive_of(&self, send: QueueId) -> Result<Option<QueueId>, StoreError> {
        self.0.borrow_mut().receive_of(send)
    }

    fn bundle(&self, receive: QueueId) -> Result<Option<StoredBundle>, StoreError> {
        let inner = &mut *self.0.borrow_mut();
        let sql = "SELECT bundle FROM bundles WHERE receive = $1";
        let found = inner.connection.query(sql, &[&receive.0.as_slice()])?;
        Ok(found.first().map(|row| StoredBundle(row.get::<_, Vec<u8>>(0).into())))
    }

    fn usage(&self, account: AccountId) -> Result<Usage, StoreError> {
        self.0.borrow_mut().usage(account)
    }

    fn queues_of(&self, account: AccountId, max: usize) -> Result<Vec<QueueId>, StoreError> {
        let inner = &mut *self.0.borrow_mut();
        inner.write()?;
        let sql = "SELECT receive FROM queues WHERE account = $1 ORDER BY receive LIMIT $2";
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let found = inner.connection.query(sql, &[&account.0.as_slice(), &max])?;
        found.iter().map(|row| rows::queue_id(row, 0)).collect()
    }

    fn held(&self, receive: QueueId, seq: u64) -> Result<Option<Held>, StoreError> {
        self.0.borrow_mut().held(receive, seq)
    }

    fn items(&self, wanted: Allowance) -> Result<Vec<(u64, StoredItem)>, StoreError> {
        Ok(self.items_of(&[wanted])?.pop().unwrap_or_default())
    }

    fn items_of(&self, wanted: &[Allowance]) -> Result<Vec<Vec<(u64, StoredItem)>>, StoreError> {
        let inner = &mut *self.0.borrow_mut();
        inner.write()?;
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let receives: Vec<_> = wanted.iter().map(|one| one.receive.0.as_slice()).collect();
        let after: Vec<_> = wanted.iter().map(|one| signed(one.after)).collect();
        let bytes: Vec<_> = wanted.iter().map(|one| number(one.bytes)).collect();
        let most = number(wanted.iter().map(|one| one.items).max().unwrap_or_default());
        let found = inner.connection.query(rows::ITEMS, &[&receives, &after, &bytes, &most])?;
        let mut found = found.iter().peekable();
        let each = wanted.iter().zip(1i64..).map(|(one, nth)| {
            let mut own = Vec::new();
            while let Some(row) = found.next_if(|row| row.get::<_, i64>(0) == nth) {
                own.push(rows::item(row));
            }
            within(one.bytes, own.into_iter().take(one.items))
        });
        each.collect()
    }

    fn seen(&self, receive: QueueId, envelope: EnvelopeId) -> Result<Option<Seen>, StoreError> {
        self.0.borrow_mut().seen(receive, envelope)
    }

    fn due(&self, now: Timestamp, max: usize) -> Result<Vec<Due>, StoreError> {
        let inner = &mut *self.0.borrow_mut();
        inner.write()?;
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        // One process at a time: others would look at the same entries.
        inner.begin()?;
        let free = inner.connection.query(rows::TRY_SWEEP, &[])?;
        if !free.first().is_some_and(|row| row.get(0)) {
            return Ok(Vec::new());
        }
        let found = inner.connection.query(rows::DUE, &[&signed(now.0), &max])?;
        found.iter().map(rows::due).collect()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let inner = self.0.get_mut();
        changes.iter().try_for_each(|change| inner.apply(change))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.0.get_mut().flush()
    }

    fn announce(&mut self, queues: &[QueueId]) -> Result<(), StoreError> {
        let inner = self.0.get_mut();
        siblings::say_stored(&mut inner.connection, inner.own, queues)
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        self.0.get_mut().rest()
    }

    fn may_open(&self, receive: QueueId) -> bool {
        self.0.borrow().opened.contains(&receive)
    }

    fn peek(&self, receive: QueueId) -> Result<Option<Queue>, StoreError> {
        let inner = &mut *self.0.borrow_mut();
        if let Some(read) = inner.view.queue(receive) {
            return Ok(read.cloned());
        }
        let found = inner.connection.query(rows::PEEK_QUEUE, &[&receive.0.as_slice()])?;
        found.first().map(rows::queue).transpose()
    }
}

/// What a number of the database is in ours, for the two files beside this one.
fn number(row: &postgres::Row, column: usize) -> u64 {
    unsigned(row.get(column))
}
