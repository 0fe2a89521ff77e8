//! The vault, as clients hold it, and the door between a node's clients and its engine.
//!
//! A node whose vault is locked has no engine: nothing of what it stored is in memory. What unlocks and locks
//! it is the vault's keeper, which owns keys, store, engine and network; here it is asked.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use crypto::phrase::Phrase;
use protocol::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::{Node, Result, Vault};
use crate::api::dto;
use crate::app::Restored;
use crate::engine::EngineHandle;
use crate::service::{ErrorKind, Refusal, ServiceError, erasure};

/// Questions to the keeper that wait; each is a person's.
pub(crate) const MAX_ASKS: usize = 16;

/// A passphrase on its way.
pub(crate) type Passphrase = Zeroizing<String>;

/// What the keeper is asked for.
pub(crate) enum Wish {
    /// Open the vault, start the engine.
    Unlock(Passphrase),
    /// Stop the engine, forget the keys.
    Lock,
    /// Set, change (`current` is then the old one) or, without a new one, remove the passphrase.
    Passphrase { current: Option<Passphrase>, new: Option<Passphrase> },
    /// Put a store that does not open aside, and go on from the copy beside it.
    Recover { told: oneshot::Sender<Restored> },
    /// Put the backup that was received in the place of a profile that nobody has used.
    Restore { phrase: Phrase, told: oneshot::Sender<Restored> },
}

impl std::fmt::Debug for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unlock(_) => "Unlock",
            Self::Lock => "Lock",
            Self::Passphrase { .. } => "Passphrase",
            Self::Restore { .. } => "Restore",
            Self::Recover { .. } => "Recover",
        })
    }
}

/// A question to the keeper, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) wish: Wish,
    pub(crate) reply: oneshot::Sender<Result<()>>,
}

/// The way to the engine: open while the vault is.
#[derive(Debug)]
pub(super) struct Door {
    state: RwLock<DoorState>,
    keeper: Option<Keeper>,
}

/// The way to the keeper, and the folder of the profile that it keeps.
#[derive(Debug)]
struct Keeper {
    asks: mpsc::Sender<Ask>,
    folder: PathBuf,
}

#[derive(Debug)]
struct DoorState {
    way: Way,
    has_passphrase: bool,
}

#[derive(Clone, Debug)]
enum Way {
    /// To this engine.
    Open(EngineHandle),
    /// It opens with the passphrase.
    Locked,
    /// The vault is open and the store does not; there is a copy.
    Damaged(Damage),
    /// The node begins, or ends.
    Nowhere,
}

impl Door {
    pub(super) fn always_open(engine: EngineHandle) -> Self {
        let state = DoorState { way: Way::Open(engine), has_passphrase: false };
        Self { state: RwLock::new(state), keeper: None }
    }

    fn kept(keeper: Keeper) -> Self {
        let state = DoorState { way: Way::Nowhere, has_passphrase: false };
        Self { state: RwLock::new(state), keeper: Some(keeper) }
    }

    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.keeper.as_ref().map(|keeper| keeper.folder.clone())
    }

    pub(super) fn engine(&self) -> Result<EngineHandle> {
        match self.read(|state| state.way.clone()) {
            Way::Open(engine) => Ok(engine),
            Way::Locked => Err(Locked.into()),
            Way::Damaged(_) => Err(StoreDamaged.into()),
            Way::Nowhere => Err(ServiceError::stopped()),
        }
    }

    /// Why an engine does not answer any more.
    pub(super) fn why_gone(&self) -> ServiceError {
        match self.is_locked() {
            true => Locked.into(),
            false => ServiceError::stopped(),
        }
    }

    fn is_locked(&self) -> bool {
        self.read(|state| matches!(state.way, Way::Locked))
    }

    fn damage(&self) -> Option<Damage> {
        self.read(|state| match &state.way {
            Way::Damaged(damage) => Some(damage.clone()),
            _ => None,
        })
    }

    /// A poisoned lock is taken as it is: every change is whole.
    fn read<T>(&self, look: impl FnOnce(&DoorState) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut DoorState)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Node {
    /// A node that does not run yet, and where its keeper hears what clients ask for.
    pub(crate) fn kept(folder: PathBuf) -> (Self, mpsc::Receiver<Ask>) {
        let (sender, asks) = mpsc::channel(MAX_ASKS);
        let keeper = Keeper { asks: sender, folder };
        (Self { door: std::sync::Arc::new(Door::kept(keeper)) }, asks)
    }

    /// The engine runs.
    pub(crate) fn open(&self, engine: EngineHandle) {
        self.door.write(|door| door.way = Way::Open(engine));
    }

    /// The engine is about to stop, or does not run: until a passphrase comes.
    pub(crate) fn lock(&self) {
        self.door.write(|door| door.way = Way::Locked);
    }

    /// The store does not open; the person decides whether to go on from its copy.
    pub(crate) fn damaged(&self, damage: Damage) {
        self.door.write(|door| door.way = Way::Damaged(damage));
    }

    /// The engine is about to stop, and the node with it.
    pub(crate) fn end(&self) {
        self.door.write(|door| door.way = Way::Nowhere);
    }

    /// Whether a passphrase opens the vault.
    pub(crate) fn set_has_passphrase(&self, has_passphrase: bool) {
        self.door.write(|door| door.has_passphrase = has_passphrase);
    }

    /// Whether another generation of erasable keys is to begin.
    pub(crate) async fn erasure_is_due(&self) -> Result<bool> {
        self.view(erasure::is_due).await
    }

    /// Seals every erasable row anew. When it returns, nothing needs the generation before.
    pub(crate) async fn seal_anew(&self) -> Result<()> {
        let mut next = Some(erasure::first());
        while let Some(place) = next {
            next = self.call(move |ctx| Ok(erasure::page(ctx, &place)?)).await?;
        }
        self.call(|ctx| Ok(erasure::begun(ctx)?)).await
    }
}

impl Vault<'_> {
    /// Whether the vault is locked.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.0.door.is_locked()
    }

    /// What is wrong with the store, when it does not open and there is a copy.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        self.0.door.damage()
    }

    /// Puts the store that does not open aside, and goes on from the copy beside it.
    ///
    /// # Errors
    /// [`ServiceError`]: nothing is wrong with the store, or the copy cannot be used; then the store is where it was.
    pub async fn recover(&self) -> Result<dto::Restored> {
        let (told, restored) = oneshot::channel();
        self.ask(Wish::Recover { told }).await?;
        let restored = restored.await.map_err(|_| ServiceError::stopped())?;
        Ok(super::restore::summary(&restored))
    }

    /// Whether a passphrase opens it.
    #[must_use]
    pub fn has_passphrase(&self) -> bool {
        self.0.door.read(|door| door.has_passphrase)
    }

    /// Opens the vault with a passphrase, and starts the engine.
    ///
    /// # Errors
    /// [`ServiceError`]: it is not the passphrase, there were too many tries, this profile has none, or the
    /// engine does not start.
    pub async fn unlock(&self, passphrase: Passphrase) -> Result<()> {
        self.ask(Wish::Unlock(passphrase)).await
    }

    /// Stops the engine and forgets the keys.
    ///
    /// # Errors
    /// [`ServiceError`]: without a passphrase it could not be opened again.
    pub async fn lock(&self) -> Result<()> {
        self.ask(Wish::Lock).await
    }

    /// Sets the passphrase, or with `current` changes it.
    ///
    /// # Errors
    /// [`ServiceError`]: `current` is not the passphrase, or `new` is not fit to be one.
    pub async fn set_passphrase(&self, current: Option<Passphrase>, new: Passphrase) -> Result<()> {
        self.ask(Wish::Passphrase { current, new: Some(new) }).await
    }

    /// Removes the passphrase: the vault opens by itself from then on.
    ///
    /// # Errors
    /// [`ServiceError`]: `current` is not the passphrase.
    pub async fn remove_passphrase(&self, current: Passphrase) -> Result<()> {
        self.ask(Wish::Passphrase { current: Some(current), new: None }).await
    }

    pub(super) async fn ask(&self, wish: Wish) -> Result<()> {
        let Some(keeper) = &self.0.door.keeper else { return Err(NoPassphrase.into()) };
        let (reply, answer) = oneshot::channel();
        keeper.asks.send(Ask { wish, reply }).await.map_err(|_| ServiceError::stopped())?;
        answer.await.unwrap_or_else(|_| Err(ServiceError::stopped()))
    }
}

/// A store that does not open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What was found.
    pub why: String,
    /// From when the copy beside it is.
    pub copy_from: Timestamp,
}

/// The store does not open.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "Kith cannot open your messages: the files that hold them are damaged. Go on from the copy beside them."
)]
pub(crate) struct StoreDamaged;

impl Refusal for StoreDamaged {
    fn code(&self) -> &'static str {
        "store_damaged"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Locked
    }
}

/// The vault is locked.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("The vault is locked. Unlock it with your passphrase.")]
struct Locked;

impl Refusal for Locked {
    fn code(&self) -> &'static str {
        "locked"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Locked
    }
}

/// The profile has no passphrase.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("This profile has no passphrase, so there is nothing to lock or unlock. Set one first.")]
pub(crate) struct NoPassphrase;

impl Refusal for NoPassphrase {
    fn code(&self) -> &'static str {
        "no_passphrase"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}
