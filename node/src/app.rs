//! Starting and stopping: a node, a node with a relay beside it, and the demonstration.
//!
//! 1. The profile's folder is made, and its vault opened, unless it wants a passphrase.
//! 2. Behind an open vault its keeper starts the engine on the store, and the network under the account's key.
//! 3. The API is served on loopback, and the person's browser is shown the way.
//!
//! # Invariants
//! * What cannot be opened is left as it is, and the message says what to do.
//! * Whatever ends first ends the rest: a node without its network or its engine is no node.

pub mod demo;
mod keeper;
mod lock;
mod restore;
mod rolling;
mod vault;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, ApiConfig, ApiStartError, RunningApi};
use crate::cli::browser;
use crate::config::NodeConfig;
use crate::engine::NetSink;
use crate::handle::Node;
use crate::net::{self, NetCommand, NetHandle};
use crate::store::StoreError;

use keeper::Keeper;
use lock::ProfileLock;

pub use restore::{Backup, RestoreError, Restored, fill, restore};
pub use rolling::{RecoverError, Recovered, recover};
pub use vault::VaultError;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The folder cannot be made or read.
    #[error("cannot use the folder {}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A restore or a recovery was broken off.
    #[error("what “{command}” does in {} was broken off. Run it again", folder.display())]
    Unfinished {
        /// The profile's folder.
        folder: PathBuf,
        /// What to run again.
        command: &'static str,
    },
    /// The vault does not open.
    #[error("cannot open the keys in {}", folder.display())]
    Vault {
        /// The profile's folder.
        folder: PathBuf,
        /// Why.
        source: VaultError,
    },
    /// Another process has the profile.
    #[error("a Kith runs on {} already. Stop it first", folder.display())]
    InUse {
        /// The profile's folder.
        folder: PathBuf,
    },
    /// The store does not open.
    #[error("cannot open the messages in {}", folder.display())]
    Store {
        /// The store's folder.
        folder: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The network does not start.
    #[error(transparent)]
    Net(#[from] net::StartError),
    /// The API does not start.
    #[error(transparent)]
    Api(#[from] ApiStartError),
    /// The relay beside the node does not start.
    #[error("cannot run the relay beside this node: {0}")]
    Relay(#[from] bootstrap::RelayError),
}

/// A running node.
#[derive(Debug)]
pub struct RunningNode {
    /// What its clients hold.
    pub node: Node,
    /// Whether it began with a locked vault: nothing but the API runs until a client unlocks it.
    pub locked: bool,
    /// Where they reach it.
    pub api: RunningApi,
    keeper: JoinHandle<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl NetSink for NetHandle {
    fn offer(&self, command: NetCommand) -> Option<NetCommand> {
        NetHandle::offer(self, command)
    }
}

/// Starts a node.
///
/// # Errors
/// [`StartError`] when any part of it cannot start. Nothing is left running, and no data is
/// changed.
pub async fn start(config: &NodeConfig) -> Result<RunningNode, StartError> {
    let lock = ProfileLock::take(&config.data_dir)?;
    restore::tidy(&config.data_dir)?;
    if config.data_dir.join(rolling::UNFINISHED).exists()
        && rolling::made_at(&config.data_dir).is_none()
    {
        let (folder, command) = (config.data_dir.clone(), "kith recover");
        return Err(StartError::Unfinished { folder, command });
    }
    let shutdown = CancellationToken::new();
    // Whatever fails below must not leave the rest running.
    let guard = shutdown.clone().drop_guard();
    let (keeper, node) = Keeper::begin(config.clone(), lock, shutdown.clone()).await?;
    let locked = keeper.is_locked();
    let api_config = ApiConfig {
        profile: config.profile.clone(),
        port: config.api_port(),
        runtime_dir: config.runtime_dir.clone(),
        ui_dir: config.ui_dir.clone(),
    };
    let api = api::serve(api_config, node.clone(), shutdown.clone()).await?;
    guard.disarm();
    let keeper = tokio::spawn(keeper.run());
    Ok(RunningNode { node, locked, api, keeper, shutdown })
}

impl RunningNode {
    /// Runs until `stop`, or until a part of it fails; then stops all of it.
    ///
    /// # Errors
    /// The store's failure, or that the network ended by itself.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = stop => self.stop().await,
            ended = &mut self.keeper => {
                self.shutdown.cancel();
                self.api.stopped().await;
                ended?
            }
        }
    }

    /// Stops: what was acknowledged is on the disk already.
    ///
    /// # Errors
    /// The store's failure, if it failed in the end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.api.stopped().await;
        self.keeper.await?
    }
}

/// `kith up`.
///
/// # Errors
/// When the node does not start, or a part of it fails later.
pub async fn run_up(mut config: NodeConfig) -> anyhow::Result<()> {
    init_log(&config.log)?;
    let mut stop = std::pin::pin!(bootstrap::stop_signal());
    let relay = match config.host_relay {
        true => Some(host_relay(&mut config).await?),
        false => None,
    };
    let started = tokio::select! {
        started = start(&config) => started,
        () = &mut stop => return Ok(()),
    };
    let running = started.map_err(|error| match error {
        StartError::Store { source: StoreError::Corrupt(_) | StoreError::Unreadable(_), .. } => {
            let error = anyhow::Error::new(error);
            anyhow::anyhow!(
                "{error:#}. There is no copy beside it that opens. If you have a backup, restore it into another profile with “kith restore FILE”"
            )
        }
        error => error.into(),
    })?;
    let link = running.api.login_link().url;
    println!("Kith is running at {}", running.api.url());
    println!("  data      {}", config.data_dir.display());
    println!("  sign in   {link}");
    if running.locked {
        println!("  locked    unlock it there, or with “kith unlock”");
    }
    if let Some(damage) = running.node.vault().damage() {
        println!("  damaged   {}", damage.why);
        println!(
            "            go on from the copy of {}",
            crate::api::dto::rfc3339(damage.copy_from)
        );
        println!("            there, or stop Kith and run “kith recover”");
    }
    println!("  stop      Ctrl-C");
    if config.open_browser
        && let Err(error) = browser::open(&config.runtime_dir, &link).await
    {
        println!("{error}: {}", browser::instructions(&link));
    }
    let outcome = running.run(stop).await;
    if let Some(relay) = relay {
        relay.shutdown().await?;
    }
    outcome
}

/// A relay beside the node, which the node then suggests to itself.
async fn host_relay(config: &mut NodeConfig) -> Result<bootstrap::RelayHandle, StartError> {
    let relay_config = bootstrap::Config {
        data_dir: config.data_dir.join("relay"),
        ..bootstrap::Config::default()
    };
    let relay = bootstrap::Relay::start(relay_config).await?;
    println!("A relay runs beside this node. Others use it at:");
    for address in &relay.addresses {
        println!("  {address}");
    }
    if let Some(address) = relay.addresses.first() {
        config.relays.insert(0, address.to_string());
    }
    Ok(relay)
}

/// Sets up the log, once for the process.
///
/// # Errors
/// When the filter is none.
fn init_log(filter: &str) -> anyhow::Result<()> {
    use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _};
    let filter = bootstrap::log::discreet(EnvFilter::try_new(filter)?);
    // Colours are for a person who looks on, not for a file.
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter));
    // A process that runs several nodes sets it up with the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// A folder that its owner alone can read.
fn private_folder(folder: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let owner_only = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, owner_only).map_err(failed)?;
    }
    Ok(())
}

/// Whether a node listens on loopback alone: then its loopback addresses are what it tells.
fn stays_on_this_machine(listen: &[String]) -> bool {
    !listen.is_empty()
        && listen.iter().all(|at| at.starts_with("/ip4/127.") || at.starts_with("/ip6/::1/"))
}

/// An error and its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
