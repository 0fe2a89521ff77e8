//! The engine: the one writer.
//!
//! 1. Inputs are commands of this person's clients, events of the network, and the clock.
//! 2. [`Engine::step`] runs a batch of them through the services, each on one working context.
//! 3. Everything they changed is committed in one transaction, and flushed.
//! 4. Only then do the effects happen: network commands, replies, news to those who follow.
//!
//! A step of which a crash may take everything back, because the contact says it again, is flushed
//! with a later one ([`FLUSH_WITHIN`]); its news are told at once.
//!
//! # Invariants
//! * Nothing is sent or acknowledged before the commit that it speaks of is on the disk.
//! * A failed commit stops the engine: its memory is ahead of its disk and must not be believed.
//! * A step is synchronous and takes its time and randomness from outside, so a simulation can
//!   drive it.

mod ctx;
pub(crate) mod journal;
mod news;
pub(crate) mod state;
mod task;

use std::sync::Arc;

use crypto::{DeviceCert, Identity, Seed};
use protocol::ids::AccountId;
use protocol::time::Timestamp;
use rand::CryptoRng;

pub use ctx::{Ctx, Effect, Failure};
pub use journal::{Event, JournalRow, MAX_JOURNAL_AGE, MAX_JOURNAL_ROWS};
pub use news::News;
pub use state::{Answer, State};
pub use task::{Clock, EngineHandle, NetSink, SystemClock, spawn};

use crate::net::NetEvent;
use crate::service;
use crate::store::{SealedStore, StoreError};

/// Most inputs that share one commit.
pub const MAX_BATCH: usize = 256;

/// How long a step that may be undone waits for its flush, in milliseconds.
pub const FLUSH_WITHIN: u64 = 100;

/// A command of a client: what it does is what it is.
pub type Command = Box<dyn FnOnce(&mut Ctx<'_>) -> Result<(), StoreError> + Send>;

/// What the engine hears.
pub enum Input {
    /// From a client.
    Command(Command),
    /// From the network.
    Net(NetEvent),
    /// Time passed.
    Tick,
}

impl Input {
    /// Whether it comes again should a crash undo what it did. Frames that a contact signed for are
    /// sent again then, and signed for again.
    fn comes_again(&self) -> bool {
        matches!(self, Self::Net(NetEvent::EnvelopeDone { .. }))
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Command(_) => f.write_str("Command(..)"),
            Self::Net(event) => f.debug_tuple("Net").field(event).finish(),
            Self::Tick => f.write_str("Tick"),
        }
    }
}

/// This account: its keys, for as long as the vault is open.
#[derive(Debug)]
pub struct Account {
    /// The keys.
    pub identity: Identity,
    /// The certificate of this device.
    pub cert: DeviceCert,
    /// The public half.
    pub id: AccountId,
}

impl Account {
    /// The account of a seed.
    #[must_use]
    pub fn new(seed: &Seed, created_at: Timestamp) -> Self {
        let identity = Identity::from_seed(seed);
        let cert = identity.primary_cert(crypto::FIRST_AGREEMENT_VERSION, created_at.seconds(), 0);
        let id = identity.account().into();
        Self { identity, cert, id }
    }
}

/// What a node is told at its start, besides its store.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The profile's name.
    pub profile: String,
    /// Where its data is, for display.
    pub data_dir: String,
    /// A relay to suggest at registration: a multiaddr with `/p2p/`.
    pub suggested_relay: Option<String>,
    /// Whether the local network is used for discovery.
    pub lan: bool,
    /// Whether the node stays on its machine: then the loopback addresses of others are real ones.
    pub confined: bool,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    store: SealedStore,
    account: Arc<Account>,
    state: State,
    unflushed: Option<Unflushed>,
}

/// What was applied and waits for its flush.
#[derive(Clone, Copy, Debug)]
struct Unflushed {
    since: Timestamp,
    /// The last journal row that is on the disk.
    seq: u64,
}

impl Engine {
    /// Opens the account in `store`, or makes one. Returns the engine and what has to happen
    /// first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn start(
        store: SealedStore,
        settings: Settings,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Self, Vec<Effect>), StoreError> {
        let account = Arc::new(service::identity::open_or_create(&store, now, rng)?);
        let state = State::new(settings, now, journal::resume(&store)?);
        let mut engine = Self { store, account, state, unflushed: None };
        let effects = engine.transact(now, rng, |ctx| {
            ctx.delete(journal::stopped_key(ctx.store()));
            service::start(ctx)?;
            Ok(Lasting::Now)
        })?;
        Ok((engine, effects))
    }

    /// This account.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Whether anybody follows what happens from here on.
    pub fn follow(&mut self, followed: bool) {
        self.state.followed = followed;
    }

    /// Runs a batch of inputs, commits, and returns what has to happen now. Inputs are taken one
    /// after the other: those that come meanwhile may join the batch, at most [`MAX_BATCH`].
    ///
    /// # Errors
    /// [`StoreError`] when the commit failed. The engine must not be used again.
    pub fn step(
        &mut self,
        inputs: impl IntoIterator<Item = Input>,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<Effect>, StoreError> {
        self.transact(now, rng, |ctx| {
            let mut lasting = Lasting::Later;
            for input in inputs.into_iter().take(MAX_BATCH) {
                if !input.comes_again() {
                    lasting = Lasting::Now;
                }
                match input {
                    Input::Command(command) => command(ctx)?,
                    Input::Net(event) => service::on_net_event(ctx, event)?,
                    Input::Tick => {}
                }
            }
            service::on_time(ctx)?;
            Ok(lasting)
        })
    }

    /// When the engine wants to be stepped even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let flush = self.unflushed.map(|unflushed| unflushed.since.plus(FLUSH_WITHIN));
        self.state.next_deadline(now).into_iter().chain(flush).min()
    }

    /// Puts everything on the disk, and leaves word that no crash ended this run.
    ///
    /// # Errors
    /// [`StoreError`] when that failed.
    pub fn stop(self, rng: &mut dyn CryptoRng) -> Result<(), StoreError> {
        self.store.commit([journal::stopped(&self.store, self.state.seq)?], rng)
    }

    fn transact(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        work: impl FnOnce(&mut Ctx<'_>) -> Result<Lasting, StoreError>,
    ) -> Result<Vec<Effect>, StoreError> {
        let account = Arc::clone(&self.account);
        let before = self.state.seq;
        let mut ctx = Ctx::new(&self.store, &account, &mut self.state, now, rng);
        let lasting = work(&mut ctx)?;
        let (changes, effects) = ctx.finish()?;
        let changed = !changes.is_empty();
        if changed {
            self.store.apply(changes, rng)?;
            self.unflushed.get_or_insert(Unflushed { since: now, seq: before });
        }
        let needs_disk = lasting == Lasting::Now || effects.iter().any(Effect::needs_disk);
        if changed && needs_disk || self.flush_is_due(now) {
            self.store.flush()?;
            self.unflushed = None;
        }
        Ok(effects)
    }

    fn flush_is_due(&self, now: Timestamp) -> bool {
        self.unflushed.is_some_and(|unflushed| {
            now.since(unflushed.since) >= FLUSH_WITHIN
                || self.state.seq - unflushed.seq >= journal::MAX_UNFLUSHED_ROWS
        })
    }
}

/// When what a step did has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// Before its effects.
    Now,
    /// Within [`FLUSH_WITHIN`]: should it be lost, it comes again.
    Later,
}
