//! The engine: the one writer.
//!
//! 1. Inputs are commands of this person's clients, events of the network, and the clock.
//! 2. [`Engine::step`] runs a batch of them through the services, each on one working context.
//! 3. Everything they changed is committed in one transaction, and flushed.
//! 4. Only then do the effects happen: network commands, replies, news to those who follow.
//!
//! A step of which a crash may take everything back, because the contact says it again, is committed
//! together with a later one ([`COMMIT_WITHIN`]); its news are told at once, and reads show it.
//!
//! # Invariants
//! * Nothing is sent or acknowledged before the commit that it speaks of is on the disk. That a
//!   contact signed for a frame is no acknowledgement of ours: it may be told before.
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

use ctx::{Changes, Finished};
pub use ctx::{Ctx, Effect, Failure};
pub use journal::{Event, JournalRow, MAX_JOURNAL_AGE, MAX_JOURNAL_EVENTS};
pub use news::News;
pub use state::{Answer, State};
pub use task::{Clock, EngineHandle, NetSink, SystemClock, spawn};

use crate::net::NetEvent;
use crate::service;
use crate::store::{self, SealedStore, StoreError};

/// Most inputs that share one commit.
pub const MAX_BATCH: usize = 32;

/// How long the changes of a step that comes again wait for a commit, in milliseconds.
pub const COMMIT_WITHIN: u64 = 100;

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
    /// The account of a seed, in the life that began then (Unix seconds).
    #[must_use]
    pub fn new(seed: &Seed, began: u64) -> Self {
        let identity = Identity::from_seed(seed);
        let cert = identity.primary_cert(crypto::FIRST_AGREEMENT_VERSION, began, 0);
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
    uncommitted: Option<Uncommitted>,
}

/// Changes that later steps read, and that a crash undoes.
struct Uncommitted {
    since: Timestamp,
    /// The number of the last event before them.
    seq: u64,
    changes: Changes,
}

impl std::fmt::Debug for Uncommitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uncommitted").field("since", &self.since).finish_non_exhaustive()
    }
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
        store::migrate(&store, rng)?;
        let account = Arc::new(service::identity::open_or_create(&store, now, rng)?);
        let (seq, crashed) = journal::resume(&store)?;
        let state = State::new(settings, now, seq);
        let mut engine = Self { store, account, state, uncommitted: None };
        let effects = engine.transact(now, rng, |ctx| {
            ctx.delete(journal::stopped_key(ctx.store()));
            if crashed {
                // The gap is on the disk before anything is told behind it.
                ctx.emit(Event::MeChanged);
            }
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
            if ctx.now >= ctx.state.sweep_at {
                // What the sweep gives up does not come again.
                lasting = Lasting::Now;
            }
            service::on_time(ctx)?;
            Ok(lasting)
        })
    }

    /// When the engine wants to be stepped even if nothing happens.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let commit =
            self.uncommitted.as_ref().map(|waits| waits.since.min(now).plus(COMMIT_WITHIN));
        self.state.next_deadline(now).into_iter().chain(commit).min()
    }

    /// Puts everything on the disk, and leaves word that no crash ended this run.
    ///
    /// # Errors
    /// [`StoreError`] when that failed.
    pub fn stop(self, rng: &mut dyn CryptoRng) -> Result<(), StoreError> {
        let waits = self.uncommitted.into_iter().flat_map(|waits| waits.changes);
        let word = journal::stopped(&self.store, self.state.seq)?;
        self.store.commit(waits.chain([word]), rng)
    }

    fn transact(
        &mut self,
        now: Timestamp,
        rng: &mut dyn CryptoRng,
        work: impl FnOnce(&mut Ctx<'_>) -> Result<Lasting, StoreError>,
    ) -> Result<Vec<Effect>, StoreError> {
        let account = Arc::clone(&self.account);
        let (since, seq, before) = match self.uncommitted.take() {
            Some(waits) => (waits.since, waits.seq, waits.changes),
            None => (now, self.state.seq, Changes::new()),
        };
        let mut ctx = Ctx::new(&self.store, &account, &mut self.state, now, rng, before);
        let lasting = work(&mut ctx)?;
        let Finished { changes, changed, sealed, effects } = ctx.finish()?;
        // What was sealed must be on the disk before it, or what follows on its session, leaves.
        let needs_disk =
            lasting == Lasting::Now || sealed || effects.iter().any(Effect::needs_disk);
        // A clock that was put back tells nothing about how long they wait.
        let due = now < since
            || now.since(since) >= COMMIT_WITHIN
            || self.state.seq - seq >= journal::MAX_UNCOMMITTED;
        if changes.is_empty() {
            return Ok(effects);
        }
        if changed && needs_disk || due {
            self.store.commit(changes, rng)?;
        } else {
            self.uncommitted = Some(Uncommitted { since, seq, changes });
        }
        Ok(effects)
    }
}

/// When what a step did has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// Before its effects.
    Now,
    /// Within [`COMMIT_WITHIN`]: should it be lost, it comes again.
    Later,
}
