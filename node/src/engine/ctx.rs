//! The working context of one step: what services read, change and cause.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use protocol::Cx;
use protocol::ids::{AccountId, ChatId, MessageId};
use protocol::session::Sessions;
use protocol::time::Timestamp;
use protocol::wire::Wire;
use rand::CryptoRng;

use super::Account;
use super::journal::{self, Event, JournalRow, MAX_ROW};
use super::news::{MAX_BUILT, News};
use super::state::{Answer, State};
use crate::api::dto::{self, EventBody};
use crate::net::{NetCommand, Ticket};
use crate::service::{Refusal, ServiceError};
use crate::store::{Key, Order, SealedStore, StoreError, Tree, stored};
use crate::view;

/// What happens after the commit.
pub enum Effect {
    /// To the network.
    Net(NetCommand),
    /// An answer to whoever waits for it.
    Reply(Box<dyn FnOnce() + Send>),
    /// To those who follow.
    News(News),
    /// To subscribers who are there; to nobody later.
    Volatile(EventBody),
}

impl Effect {
    /// Whether it tells somebody who may not be told anything that a crash undoes. Frames need
    /// nothing more: the step that sealed them was committed by itself.
    pub(super) fn needs_disk(&self) -> bool {
        match self {
            Self::Net(NetCommand::Envelope { .. }) | Self::News(_) | Self::Volatile(_) => false,
            Self::Net(_) | Self::Reply(_) => true,
        }
    }
}

impl std::fmt::Debug for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Net(command) => f.debug_tuple("Net").field(command).finish(),
            Self::Reply(_) => f.write_str("Reply(..)"),
            Self::News(news) => write!(f, "News({}..={})", news.first, news.last),
            Self::Volatile(event) => write!(f, "Volatile({})", event.name()),
        }
    }
}

/// Why a service did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// It will not, and says why: the client's business.
    Refused(ServiceError),
    /// The store failed: everybody's business.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<E: Refusal> From<E> for Failure {
    fn from(refusal: E) -> Self {
        Self::Refused(ServiceError::from(refusal))
    }
}

type Value = Option<zeroize::Zeroizing<Vec<u8>>>;
/// Rows as they are to be; `None` is a deletion.
pub(super) type Changes = BTreeMap<Key, Value>;

/// What a step leaves to be done.
pub(super) struct Finished {
    /// Everything that is not committed, of this step and before it.
    pub(super) changes: Changes,
    /// Whether any of it is of this step.
    pub(super) changed: bool,
    /// Whether this step sealed a frame, or used a session.
    pub(super) sealed: bool,
    /// What happens then.
    pub(super) effects: Vec<Effect>,
}

/// Most rows that a step remembers having read.
const MAX_REMEMBERED: usize = 1_024;

/// The working context of one step.
pub struct Ctx<'a> {
    /// The clock of this step.
    pub now: Timestamp,
    /// The randomness of this step.
    pub rng: &'a mut dyn CryptoRng,
    /// This account.
    pub account: &'a Account,
    /// What is known but not stored.
    pub state: &'a mut State,
    store: &'a SealedStore,
    overlay: Changes,
    changed: bool,
    sealed: bool,
    /// Rows as they were read: the inputs of one step are often about the same few things, and
    /// nobody else writes meanwhile.
    read: RefCell<Changes>,
    /// Changes told in this step that need no second telling, and the numbers they got.
    told: BTreeMap<Named, u64>,
    /// The cursor that was given away last: what is told after it is told again.
    given: Cell<u64>,
    effects: Vec<Effect>,
    /// What was told in this step, from number `first_seq + 1` on.
    emitted: Vec<Event>,
    first_seq: u64,
}

/// A change of which one row says as much as many, since a row is read as what it names is then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Chat(ChatId),
    Message(MessageId),
}

impl std::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ctx").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'a> Ctx<'a> {
    pub(super) fn new(
        store: &'a SealedStore,
        account: &'a Account,
        state: &'a mut State,
        now: Timestamp,
        rng: &'a mut dyn CryptoRng,
        uncommitted: Changes,
    ) -> Self {
        let first_seq = state.seq;
        Self {
            now,
            rng,
            account,
            state,
            store,
            overlay: uncommitted,
            changed: false,
            sealed: false,
            read: RefCell::default(),
            told: BTreeMap::new(),
            given: Cell::new(first_seq),
            effects: Vec::new(),
            emitted: Vec::new(),
            first_seq,
        }
    }

    /// Time and randomness for a pure machine.
    pub fn cx(&mut self) -> Cx<'_> {
        Cx { now: self.now, rng: self.rng }
    }

    pub(super) fn store(&self) -> &'a SealedStore {
        self.store
    }

    /// The key of one row.
    #[must_use]
    pub fn key(&self, tree: Tree, id: &[u8], order: &[u8]) -> Key {
        self.store.key(tree, id, order)
    }

    /// A value, as this step has left it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn get<T: Wire>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        match self.overlay.get(key) {
            Some(None) => Ok(None),
            Some(Some(value)) => parse(key.tree(), value).map(Some),
            None => {
                let value = self.read_row(key)?;
                value.map(|value| parse(key.tree(), &value)).transpose()
            }
        }
    }

    /// Whether a row exists.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn has(&self, key: &Key) -> Result<bool, StoreError> {
        match self.overlay.get(key) {
            Some(value) => Ok(value.is_some()),
            None => Ok(self.read_row(key)?.is_some()),
        }
    }

    /// Bytes of a row that has a codec of its own.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn get_bytes(&self, key: &Key) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        match self.overlay.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.read_row(key),
        }
    }

    /// A value as it is in the store, which does not change during a step.
    fn read_row(&self, key: &Key) -> Result<Value, StoreError> {
        if let Some(value) = self.read.borrow().get(key) {
            return Ok(value.clone());
        }
        let value = self.store.get_bytes(key)?;
        let mut read = self.read.borrow_mut();
        if read.len() < MAX_REMEMBERED {
            read.insert(key.clone(), value.clone());
        }
        Ok(value)
    }

    /// Rows about `id` with an order in `[from, to)`, as this step has left them.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn range<T: Wire>(
        &self,
        (tree, id): (Tree, &[u8]),
        (from, to): (&[u8], &[u8]),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let first = self.key(tree, id, from);
        let end = self.key(tree, id, to);
        let changed: Vec<_> = self.overlay.range(&first..&end).collect();
        // A deleted row of the store makes room for one more from it.
        let rows = self.store.range((tree, id), (from, to), order, limit + changed.len())?;
        self.merged(rows, changed, order, limit)
    }

    /// Every row of a tree, at most `limit`, as this step has left them.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn all<T: Wire>(&self, tree: Tree, limit: usize) -> Result<Vec<(Key, T)>, StoreError> {
        let changed: Vec<_> = self.overlay.iter().filter(|(key, _)| key.tree() == tree).collect();
        let rows = self.store.all(tree, limit + changed.len())?;
        self.merged(rows, changed, Order::Rising, limit)
    }

    /// Some rows of a tree as they were before this step, from a raw key onwards.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn sample<T: Wire>(
        &self,
        tree: Tree,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        self.store.from(tree, from, limit)
    }

    /// Writes a value at the end of this step.
    ///
    /// # Errors
    /// [`StoreError`] when the value exceeds its bound.
    pub fn put<T: Wire>(&mut self, key: Key, value: &T) -> Result<(), StoreError> {
        let value = stored(key.tree(), value)?;
        self.put_bytes(key, value);
        Ok(())
    }

    /// Seals rows of a tree anew, from a raw key onwards, and returns where to go on; `None` at its end. All
    /// that is not committed yet is committed with this step.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn seal_anew(
        &mut self,
        tree: Tree,
        from: &[u8],
        limit: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.store.written(tree, from, limit)?;
        let last = rows.last().filter(|_| rows.len() == limit).map(|(key, _)| key.after());
        for (key, row) in rows {
            // What waits for its commit is newer.
            self.overlay.entry(key).or_insert(Some(row.value));
        }
        self.changed = true;
        Ok(last)
    }

    /// Writes bytes that have a codec of their own.
    pub fn put_bytes(&mut self, key: Key, value: zeroize::Zeroizing<Vec<u8>>) {
        self.changed = true;
        self.sealed |= matches!(key.tree(), Tree::Session | Tree::Frame);
        self.overlay.insert(key, Some(value));
    }

    /// Deletes a row at the end of this step.
    pub fn delete(&mut self, key: Key) {
        self.changed = true;
        self.overlay.insert(key, None);
    }

    /// The sessions with an account, kept open over many steps. Changes are stored at the end
    /// of this one.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn sessions(&mut self, account: AccountId) -> Result<&mut Sessions, StoreError> {
        let key = self.key(Tree::Session, &account.0, &[]);
        let stored = match self.state.sessions.contains(account) {
            true => None,
            false => self.get_bytes(&key)?,
        };
        self.state.sessions.open(account, stored.as_deref().map(Vec::as_slice))
    }

    /// The sessions with an account, and what a machine needs besides.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn sessions_cx(
        &mut self,
        account: AccountId,
    ) -> Result<(&mut Sessions, Cx<'_>), StoreError> {
        self.sessions(account)?;
        let sessions = self.state.sessions.open(account, None)?;
        Ok((sessions, Cx { now: self.now, rng: self.rng }))
    }

    /// Forgets every session with an account.
    pub fn delete_sessions(&mut self, account: AccountId) {
        self.state.sessions.forget(account);
        let key = self.key(Tree::Session, &account.0, &[]);
        self.delete(key);
    }

    /// Tells subscribers, now and later.
    pub fn emit(&mut self, event: Event) {
        let told = match event {
            Event::ChatChanged(chat) => Some(Named::Chat(chat)),
            Event::MessageChanged(message) => Some(Named::Message(message)),
            _ => None,
        };
        let earlier = told.and_then(|told| self.told.get(&told));
        if earlier.is_some_and(|&number| number > self.given.get()) {
            return;
        }
        self.emitted.push(event);
        self.state.seq += 1;
        self.told.extend(told.map(|told| (told, self.state.seq)));
    }

    /// Tells subscribers who are there now.
    pub fn emit_volatile(&mut self, event: EventBody) {
        self.effects.push(Effect::Volatile(event));
    }

    /// Sends a network command after the commit.
    pub fn net(&mut self, command: NetCommand) {
        self.effects.push(Effect::Net(command));
    }

    /// Sends a network command after the commit, and remembers who handles its answer.
    pub fn ask(&mut self, answer: Answer, command: impl FnOnce(Ticket) -> NetCommand) {
        let ticket = self.state.await_answer(answer);
        self.net(command(ticket));
    }

    /// Does something after the commit.
    pub fn after(&mut self, effect: impl FnOnce() + Send + 'static) {
        self.effects.push(Effect::Reply(Box::new(effect)));
    }

    /// The number of the last event.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.given.set(self.state.seq);
        self.state.seq
    }

    pub(super) fn finish(mut self) -> Result<Finished, StoreError> {
        for account in self.state.sessions.take_dirty() {
            let bytes = self.state.sessions.to_bytes(account)?;
            let key = self.key(Tree::Session, &account.0, &[]);
            match bytes {
                Some(bytes) => self.put_bytes(key, bytes),
                None => self.delete(key),
            }
        }
        if let Some(news) = self.news()? {
            self.effects.push(Effect::News(news));
        }
        self.put_journal()?;
        let Self { overlay: changes, changed, sealed, effects, .. } = self;
        Ok(Finished { changes, changed, sealed, effects })
    }

    fn put_journal(&mut self) -> Result<(), StoreError> {
        let mut emitted = std::mem::take(&mut self.emitted).into_iter();
        let mut seq = self.first_seq;
        while seq < self.state.seq {
            let events: Vec<Event> = emitted.by_ref().take(MAX_ROW).collect();
            seq += events.len() as u64;
            let key = journal::key(self.store, seq);
            self.put(key, &JournalRow { at: self.now, events })?;
        }
        Ok(())
    }

    fn news(&self) -> Result<Option<News>, StoreError> {
        if self.emitted.is_empty() {
            return Ok(None);
        }
        let built = self.state.followed && self.emitted.len() <= MAX_BUILT;
        let events = built.then(|| {
            let numbered = (self.first_seq + 1..).zip(&self.emitted);
            let event = |(seq, event)| {
                let body = view::event(self, event).transpose()?;
                Some(body.map(|body| dto::Event::durable(seq, body)))
            };
            numbered.filter_map(event).collect::<Result<Vec<_>, StoreError>>()
        });
        let (first, last) = (self.first_seq + 1, self.state.seq);
        Ok(Some(News { first, last, events: events.transpose()? }))
    }

    fn merged<T: Wire>(
        &self,
        rows: Vec<(Key, T)>,
        changed: Vec<(&Key, &Value)>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let mut merged: BTreeMap<Key, T> =
            rows.into_iter().filter(|(key, _)| !self.overlay.contains_key(key)).collect();
        for (key, value) in changed {
            if let Some(value) = value {
                merged.insert(key.clone(), parse(key.tree(), value)?);
            }
        }
        Ok(match order {
            Order::Rising => merged.into_iter().take(limit).collect(),
            Order::Falling => merged.into_iter().rev().take(limit).collect(),
        })
    }
}

fn parse<T: Wire>(tree: Tree, value: &[u8]) -> Result<T, StoreError> {
    protocol::wire::decode(value).map_err(|_| StoreError::Unreadable(tree.name()))
}
