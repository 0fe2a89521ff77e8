//! The vault's keeper: it owns keys, engine and network, and starts and stops them as the vault opens and
//! closes.
//!
//! 1. Without a passphrase the vault opens at the start; with one, when a client brings it. 2. While it is
//!    open, once a day another generation of erasable keys begins. 3. Locking stops the network and the engine
//!    after its last commit, and drops every key; the API goes on, and asks for the passphrase. 4. When the
//!    vault opens and the store does not, it waits for whether to go on from the copy beside it.
//!
//! # Invariants
//! * What is not written to the key file seals nothing.
//! * A guess costs what Argon2id costs; after [five](tries) wrong ones, the next has to wait, ever longer.

mod recovering;
mod restoring;
mod tries;

use std::sync::Arc;
use std::time::Duration;

use crypto::{KeyFileError, Vault};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::lock::ProfileLock;
use super::vault::NewLock;
use super::{StartError, VaultError, chain, rolling, stays_on_this_machine, vault};
use crate::config::NodeConfig;
use crate::engine::{self, Clock, Engine, Settings, SystemClock};
use crate::handle::Node;
use crate::handle::vault::{Ask, NoPassphrase, Passphrase, Wish};
use crate::net::{self, NetConfig, NetHandle};
use crate::service::ServiceError;
use crate::store::{SealedStore, SledStore, StoreError};

use tries::{KeeperError, MIN_PASSPHRASE, Tried, Tries};

/// Network events that wait for the engine. When it is full, the network pauses.
const MAX_NET_EVENTS: usize = 1_024;
/// How often it is looked whether another generation of erasable keys is due.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// What runs while the vault is open.
struct Running {
    vault: Vault,
    /// Its key file is behind: the key of a generation that is over is still in it.
    unsaved: bool,
    store: SealedStore,
    net: NetHandle,
    engine: JoinHandle<Result<(), StoreError>>,
    shutdown: CancellationToken,
}

impl Running {
    /// Stops network and engine, in this order, after the engine's last commit.
    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.net.closed().await;
        Ok(self.engine.await??)
    }
}

/// Keeps one profile's vault.
pub(super) struct Keeper {
    config: NodeConfig,
    /// For as long as the keeper is there, no other process has the profile.
    _lock: ProfileLock,
    node: Node,
    asks: mpsc::Receiver<Ask>,
    shutdown: CancellationToken,
    tries: Tries,
    /// When it is looked whether another generation is due.
    look: Interval,
    running: Option<Running>,
    /// The open vault of a store that does not open.
    damaged: Option<Vault>,
    /// A copy of everything that is being made.
    copying: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Opens the vault and starts what runs behind it, or finds that it wants a passphrase.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub(super) async fn begin(
        config: NodeConfig,
        lock: ProfileLock,
        shutdown: CancellationToken,
    ) -> Result<(Self, Node), StartError> {
        let (node, asks) = Node::kept(config.data_dir.clone());
        let folder = config.data_dir.clone();
        let opened = blocking(move || vault::open(&folder)).await;
        let vault = opened
            .map_err(|source| StartError::Vault { folder: config.data_dir.clone(), source })?;
        let tries = Tries::default();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut keeper = Self {
            config,
            _lock: lock,
            node: node.clone(),
            asks,
            shutdown,
            tries,
            look,
            running: None,
            damaged: None,
            copying: None,
        };
        node.set_has_passphrase(vault.is_none());
        match vault {
            Some(vault) => match keeper.open(vault).await {
                // It waits for the person.
                Err(_) if keeper.damaged.is_some() => {}
                opened => opened?,
            },
            None => node.lock(),
        }
        Ok((keeper, node))
    }

    /// Whether the vault wants a passphrase before anything runs.
    pub(super) fn is_locked(&self) -> bool {
        self.running.is_none() && self.damaged.is_none()
    }

    /// Starts store, engine and network under an open vault.
    async fn open(&mut self, vault: Vault) -> Result<(), StartError> {
        let config = &self.config;
        let folder = config.data_dir.join("store");
        let settings = Settings {
            profile: config.profile.clone(),
            data_dir: config.data_dir.display().to_string(),
            suggested_relay: config.relays.first().cloned(),
            lan: config.lan,
            confined: stays_on_this_machine(&config.listen),
        };
        let (data_dir, has_passphrase) =
            (config.data_dir.clone(), self.node.vault().has_passphrase());
        let started = blocking(move || {
            let store = store_of(&data_dir, &vault).and_then(|store| {
                if has_passphrase {
                    vault::forget_device_key(&data_dir);
                }
                let now = SystemClock.now();
                Ok((Engine::start(store.clone(), settings, now, &mut rand::rng())?, store))
            });
            (store.map_err(|source| StartError::Store { folder, source }), vault)
        });
        let ((engine, first), store, vault) = match started.await {
            (Ok((engine, store)), vault) => (engine, store, vault),
            (Err(error), vault) => {
                self.wait_if_damaged(&error, vault);
                return Err(error);
            }
        };
        let config = &self.config;
        let shutdown = self.shutdown.child_token();
        // Whatever fails below must not leave the rest running.
        let guard = shutdown.clone().drop_guard();
        let (events, net_events) = mpsc::channel(MAX_NET_EVENTS);
        let net_config = NetConfig {
            identity_seed: engine.account().identity.signing_seed(),
            listen: config.listen.clone(),
            lan: config.lan,
            hole_punching: true,
            loopback_only: stays_on_this_machine(&config.listen),
        };
        let net = net::start(net_config, events, shutdown.clone())?;
        let sink = (net_events, net.clone());
        let (handle, task) =
            engine::spawn(engine, first, Arc::new(SystemClock), sink, shutdown.clone());
        guard.disarm();
        self.node.open(handle);
        self.running = Some(Running { vault, unsaved: false, store, net, engine: task, shutdown });
        // A generation may be due, or was broken off.
        self.look.reset_immediately();
        Ok(())
    }

    /// Answers clients until the node stops, or until engine or network end by themselves.
    ///
    /// # Errors
    /// The store's failure, or that the network ended.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            // What stops the node ends engine and network as well: it is looked at first.
            tokio::select! { biased;
                () = self.shutdown.cancelled() => {
                    self.node.end();
                    return self.close().await;
                }
                end = ended(&mut self.running) => return self.bury(end).await,
                ask = self.asks.recv() => match ask {
                    Some(Ask { wish, reply }) => self.answer(wish, reply).await?,
                    None => {
                        self.node.end();
                        return self.close().await;
                    }
                },
                _ = self.look.tick() => {
                    self.erase_if_due().await;
                    self.copy_if_due();
                }
            }
        }
    }

    /// Stops what is left after engine or network ended.
    async fn bury(&mut self, end: Ended) -> anyhow::Result<()> {
        self.node.end();
        self.stop_copying().await;
        let Some(running) = self.running.take() else { return Ok(()) };
        running.shutdown.cancel();
        match end {
            Ended::Engine(end) => {
                running.net.closed().await;
                end??;
                anyhow::bail!("the engine stopped by itself")
            }
            Ended::Net(end) => {
                running.engine.await??;
                anyhow::bail!("the network stopped by itself ({end}); start Kith again")
            }
        }
    }

    async fn close(&mut self) -> anyhow::Result<()> {
        self.stop_copying().await;
        match self.running.take() {
            Some(running) => running.stop().await,
            None => Ok(()),
        }
    }

    /// # Errors
    /// What the engine failed with when it was stopped.
    async fn answer(
        &mut self,
        wish: Wish,
        reply: oneshot::Sender<Result<(), ServiceError>>,
    ) -> anyhow::Result<()> {
        let answer = match wish {
            Wish::Unlock(passphrase) => self.unlock(passphrase).await,
            Wish::Passphrase { current, new } => self.change(current, new).await,
            Wish::Restore { phrase, told } => self.restore(phrase).await?.map(|restored| {
                // As with the answer.
                let _ = told.send(restored);
            }),
            Wish::Recover { told } => self.recover().await?.map(|restored| {
                let _ = told.send(restored);
            }),
            Wish::Lock if self.is_locked() => Ok(()),
            Wish::Lock if !self.node.vault().has_passphrase() => Err(NoPassphrase.into()),
            Wish::Lock => {
                self.node.lock();
                self.close().await?;
                self.damaged = None;
                info!("the vault is locked");
                Ok(())
            }
        };
        // A client that has gone away does not wait for its answer.
        let _ = reply.send(answer);
        Ok(())
    }

    async fn unlock(&mut self, passphrase: Passphrase) -> Result<(), ServiceError> {
        if !self.is_locked() {
            let has_passphrase = self.node.vault().has_passphrase();
            return Err(if has_passphrase {
                KeeperError::IsOpen.into()
            } else {
                NoPassphrase.into()
            });
        }
        let opened = self.try_passphrase(passphrase).await.map_err(|error| match error {
            Tried::Refused(refusal) => refusal,
            Tried::Failed(why) => KeeperError::Start(why),
        })?;
        match self.open(opened).await {
            // What there is to decide is told with the vault's state.
            Err(_) if self.damaged.is_some() => {}
            Err(error) => {
                warn!(%error, "the vault was opened, and Kith cannot start");
                return Err(KeeperError::Start(chain(&error)).into());
            }
            Ok(()) => {}
        }
        info!("the vault is open");
        Ok(())
    }

    /// Opens the key file with a passphrase, unless the next try has to wait.
    async fn try_passphrase(&mut self, passphrase: Passphrase) -> Result<Vault, Tried> {
        self.tries.may_try(Instant::now()).map_err(Tried::Refused)?;
        let folder = self.config.data_dir.clone();
        match blocking(move || vault::unlock(&folder, &passphrase)).await {
            Ok(opened) => {
                self.tries = Tries::default();
                Ok(opened)
            }
            Err(VaultError::KeyFile(KeyFileError::WrongSecret | KeyFileError::Passphrase)) => {
                Err(Tried::Refused(self.tries.was_wrong(Instant::now())))
            }
            Err(error) => Err(Tried::Failed(chain(&error))),
        }
    }

    /// Sets, changes or removes the passphrase of an open vault.
    async fn change(
        &mut self,
        current: Option<Passphrase>,
        new: Option<Passphrase>,
    ) -> Result<(), ServiceError> {
        let Some(mut running) = self.running.take() else {
            return Err(KeeperError::IsLocked.into());
        };
        let changed = self.put_lock(&mut running, current, new).await;
        self.running = Some(running);
        Ok(changed?)
    }

    async fn put_lock(
        &mut self,
        running: &mut Running,
        current: Option<Passphrase>,
        new: Option<Passphrase>,
    ) -> Result<(), KeeperError> {
        let fit = |new: &Passphrase| new.chars().count() >= MIN_PASSPHRASE && new.len() <= 1024;
        if !new.as_ref().is_none_or(fit) {
            return Err(KeeperError::Unfit);
        }
        match (self.node.vault().has_passphrase(), current) {
            (true, Some(current)) => {
                self.try_passphrase(current).await.map_err(|error| match error {
                    Tried::Refused(refusal) => refusal,
                    Tried::Failed(why) => KeeperError::NotChanged(why),
                })?;
            }
            (true, None) => return Err(KeeperError::CurrentMissing),
            (false, _) if new.is_none() => return Err(KeeperError::NothingToRemove),
            (false, _) => {}
        }
        let will_have_one = new.is_some();
        let lock = blocking(move || NewLock::of(new.as_ref().map(|new| new.as_str()))).await;
        let put_on = lock.and_then(|lock| lock.put_on(&self.config.data_dir, &running.vault));
        running.vault = put_on.map_err(|error| KeeperError::NotChanged(chain(&error)))?;
        running.unsaved = false;
        self.node.set_has_passphrase(will_have_one);
        Ok(())
    }

    /// A copy that is not whole is none: the one before stays.
    async fn stop_copying(&mut self) {
        if let Some(copying) = self.copying.take() {
            copying.abort();
            let _ = copying.await;
        }
    }

    /// Begins another copy of everything if one is due, beside everything else.
    fn copy_if_due(&mut self) {
        let Some(running) = &self.running else { return };
        let folder = self.config.data_dir.clone();
        if !rolling::is_due(&folder) || self.copying.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        let made = rolling::make(self.node.clone(), running.vault.backup_seed(), folder);
        self.copying = Some(tokio::spawn(async move {
            match made.await {
                Ok(true) => info!("another copy of everything is beside the store"),
                Ok(false) => {}
                // What cannot be read must not replace what could.
                Err(error) => {
                    warn!(error = %chain(&*error), "no copy could be made; tried again in an hour")
                }
            }
        }));
    }

    /// Begins another generation of erasable keys if one is due, or goes on with one that a crash broke off.
    /// Clients of the vault wait meanwhile; the engine does not.
    async fn erase_if_due(&mut self) {
        let Some(running) = &mut self.running else { return };
        let begun = running.vault.has_previous_generation() || running.unsaved;
        if !begun && !matches!(self.node.erasure_is_due().await, Ok(true)) {
            return;
        }
        if let Err(error) = erase(running, &self.node, &self.config.data_dir).await {
            warn!(error = %chain(&*error), "old keys could not be erased; this is tried again in an hour");
        }
    }
}

/// One generation: a key, every row under it, and the one before forgotten.
async fn erase(running: &mut Running, node: &Node, folder: &std::path::Path) -> anyhow::Result<()> {
    if running.unsaved {
        vault::save(folder, &running.vault)?;
        running.unsaved = false;
        return Ok(());
    }
    if !running.vault.has_previous_generation() {
        running.vault.rotate_generation(&mut rand::rng())?;
        if let Err(error) = vault::save(folder, &running.vault) {
            running.vault.undo_generation();
            return Err(error.into());
        }
    }
    running.store.renew(&running.vault);
    node.seal_anew().await?;
    running.vault.forget_previous_generation();
    running.store.renew(&running.vault);
    running.unsaved = true;
    vault::save(folder, &running.vault)?;
    running.unsaved = false;
    info!(generation = running.vault.generation(), "another generation of erasable keys");
    Ok(())
}

/// The store of a profile.
fn store_of(profile: &std::path::Path, vault: &Vault) -> Result<SealedStore, StoreError> {
    let folder = profile.join("store");
    let unknown = |error: std::io::Error| StoreError::Io(error.to_string());
    if profile.join(rolling::UNFINISHED).try_exists().map_err(unknown)? {
        return Err(StoreError::Corrupt("going on from its copy was broken off".to_owned()));
    }
    // Without its store, a profile is no new one: what made the copy must not be replaced. One that cannot be
    // looked at is not missing.
    if rolling::made_at(profile).is_some() && !folder.join("db").try_exists().map_err(unknown)? {
        return Err(StoreError::Corrupt("it is missing".to_owned()));
    }
    Ok(SealedStore::new(Arc::new(SledStore::open(&folder)?), vault))
}

/// What ended by itself.
enum Ended {
    Engine(Result<Result<(), StoreError>, JoinError>),
    /// And how, in words.
    Net(String),
}

/// Returns when engine or network end by themselves.
async fn ended(running: &mut Option<Running>) -> Ended {
    let Some(running) = running else { return std::future::pending().await };
    tokio::select! {
        end = &mut running.engine => Ended::Engine(end),
        end = running.net.closed() => Ended::Net(format!("{end:?}")),
    }
}

/// Runs what waits for the disk or for Argon2id beside the others.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
