//! Starting, supervising and ending a relay.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};
use protocol::ids::RelayId;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::admission::Admission;
use crate::behaviour::{self, Behaviour};
use crate::blobs::{self, BlobStore, Objects};
use crate::clock::Clock;
use crate::config::{BlobPlace, Config, ConfigError};
use crate::current::Current;
use crate::drain::Drain;
use crate::error::RelayError;
use crate::health::{self, Watched};
use crate::identity::RelayIdentity;
use crate::metrics::Metrics;
use crate::pepper::Pepper;
use crate::processes::{self, Others};
use crate::registration::accounts::{AccountError, Accounts};
use crate::registration::{DeadLetters, Driver, Drivers};
use crate::services::Services;
use crate::siblings::Listener;
use crate::stores::Stores;
use crate::swarm::{self, Net};
use crate::turn::{self, Calls};

/// Longest time for listening to begin.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How much longer than asked for a process may take to send its people away.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// How often it is looked which accounts nobody needs any more.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

pub(crate) type Tasks = JoinSet<(&'static str, Result<(), RelayError>)>;

/// A relay that can be started.
#[derive(Debug)]
pub struct Relay;

/// A running relay. Dropping it stops the relay without waiting for the end.
#[derive(Debug)]
pub struct RelayHandle {
    /// Where it can be reached, each address with `/p2p/<relay>`, or `/p2p/<process>/p2p/<relay>` where it is not one process.
    pub addresses: Vec<Multiaddr>,
    /// Its public key.
    pub relay_id: RelayId,
    /// Where it answers `/healthz`, if it does.
    pub health: Option<SocketAddr>,
    /// Where it answers the operator, if it does.
    pub admin: Option<SocketAddr>,
    /// Under which address STUN and TURN are reached, if it serves them itself.
    pub turn: Option<SocketAddr>,
    /// Codes that did not leave.
    pub dead_letters: DeadLetters,
    limits: watch::Sender<Arc<Config>>,
    others: Others,
    drain: Drain,
    shutdown: CancellationToken,
    supervisor: JoinHandle<Result<(), RelayError>>,
}

impl Relay {
    /// Starts a relay by the system's clock.
    ///
    /// # Errors
    /// [`RelayError`]: configuration, identity, store, or a port that is in use. Data is left
    /// as it was.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing running.
    pub async fn start(config: Config) -> Result<RelayHandle, RelayError> {
        let drivers = Drivers::of(&config)?;
        Self::start_with(config, Arc::new(drivers), Clock::system()).await
    }

    /// Starts a relay with a way of one's own for codes, by a clock of one's own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        config: Config,
        driver: Arc<dyn Driver>,
        clock: Clock,
    ) -> Result<RelayHandle, RelayError> {
        // A configuration is large, and with it what starts from one.
        Box::pin(Self::begin(config, driver, clock)).await
    }

    async fn begin(
        config: Config,
        driver: Arc<dyn Driver>,
        clock: Clock,
    ) -> Result<RelayHandle, RelayError> {
        config.validate()?;
        let identity = RelayIdentity::of(&config)?;
        let relay_id = identity.relay_id();
        let pepper = Pepper::of(&identity);
        let stores = Stores::open(&config, &pepper).await?;
        let admission = Admission::default();
        let (limits, current) = Current::of(config.clone());
        let (orders, orders_in) = mpsc::channel(swarm::ORDERS);
        let kept = (stores.accounts, Arc::clone(&stores.blobs));
        let lifetime = config.registration.credential_lifetime();
        let accounts = Accounts::open(kept, admission.clone(), lifetime, orders.clone()).await?;

        let (swarm, addresses) = announced(&config, &identity, &admission, &clock).await?;
        let (shutdown, drain) = Drain::of_a_relay();
        let metrics = Arc::new(Metrics::default());
        let mut tasks = Tasks::new();
        let dead_letters = DeadLetters::default();
        let operator = Admin {
            name: config.name.clone(),
            relay: relay_id.to_string(),
            accounts: accounts.clone(),
            dead_letters: dead_letters.clone(),
            watched: Watched {
                metrics: Arc::clone(&metrics),
                admission: admission.clone(),
                drain: drain.clone(),
            },
            started: clock.now(),
            clock: clock.clone(),
            pepper: pepper.clone(),
        };
        let (calls, turn) =
            carry_calls(&mut tasks, (&config, &current), &identity, &operator.watched, &clock)
                .await?;
        let hearing = accounts.clone();
        tasks.spawn(forget_stale(hearing.clone(), clock.clone(), shutdown.clone()));
        let (health, admin) = spawn_listeners(&mut tasks, &config, operator).await?;
        let kept = keep_files((&config, &current), stores.blobs, &admission, &metrics, &clock);
        let blobs = kept.await?;
        let joined = Arc::new(Notify::new());
        let own = stores.listener.as_ref().map(Listener::own);
        let place = (own, Arc::clone(&joined), drain.clone());
        let (reached, others) =
            processes::spawn(&mut tasks, &config, &identity, &addresses, place).await?;
        let services = Services {
            accounts,
            reached,
            blobs,
            counts: stores.counts,
            mailboxes: stores.mailboxes,
            admission,
            pepper,
            driver,
            dead_letters: dead_letters.clone(),
            metrics: Arc::clone(&metrics),
            current: current.clone(),
            clock,
        };
        let channels = services.spawn(&mut tasks, &config, &identity, (orders_in, calls));
        let net = Net::new(swarm, channels, current, metrics, drain.clone());
        // Last of all: its thread ends with the relay only.
        if let Some(listener) = stores.listener {
            listener.spawn(&mut tasks, hearing, (orders, joined), &shutdown);
        }
        tasks.spawn(network(net, shutdown.clone()));
        let supervisor = tokio::spawn(supervise(tasks, shutdown.clone()));
        tracing::info!(relay = %relay_id, addresses = addresses.len(), "relay is running");
        Ok(RelayHandle {
            addresses,
            relay_id,
            health,
            admin,
            turn,
            dead_letters,
            limits,
            others,
            drain,
            shutdown,
            supervisor,
        })
    }
}

async fn network(net: Net, shutdown: CancellationToken) -> (&'static str, Result<(), RelayError>) {
    net.run(shutdown).await;
    ("network", Ok(()))
}

/// How much of a configuration holds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// All of it.
    Whole,
    /// Its limits; the rest holds when the relay is started again.
    LimitsOnly,
}

impl RelayHandle {
    /// Takes the limits of a configuration: `[registration]` but how codes travel, how long they and credentials are good, `[mailbox]`, `[rates]`, and those of `[blobs]` and
    /// `[turn]` that `docs/OPERATING.md` names. Nobody is disconnected.
    ///
    /// # Errors
    /// [`ConfigError`]: it cannot work, and nothing has changed.
    pub fn reload(&self, config: &Config) -> Result<Reloaded, ConfigError> {
        config.validate()?;
        let now = self.limits.borrow().with_limits_of(config);
        let whole = now == *config;
        self.limits.send_replace(Arc::new(now));
        Ok(if whole { Reloaded::Whole } else { Reloaded::LimitsOnly })
    }

    /// Sends whoever is connected to the relay's other processes, over `postgres.drain_seconds`; returns when they have
    /// gone. At once where this is the only one: nobody could go anywhere.
    pub async fn drain(&self) {
        if self.others.are_there() {
            self.drain.begin();
            let wanted = self.limits.borrow().postgres.as_ref().map_or(0, |it| it.drain_seconds);
            // A process that has too much to do must not be waited for.
            let limit = Duration::from_secs(wanted) + DRAIN_GRACE;
            let _ = tokio::time::timeout(limit, self.drain.done()).await;
        }
    }

    /// Ends the relay: no new requests, what was taken is flushed, the store is closed.
    ///
    /// # Errors
    /// What had stopped the relay before.
    pub async fn shutdown(mut self) -> Result<(), RelayError> {
        self.shutdown.cancel();
        self.stopped().await
    }

    /// Waits until the relay has ended.
    ///
    /// # Errors
    /// What stopped it, if it was not [`shutdown`](Self::shutdown).
    ///
    /// # Cancel safety
    /// Can be dropped and called again until it has returned once.
    pub async fn stopped(&mut self) -> Result<(), RelayError> {
        match (&mut self.supervisor).await {
            Ok(result) => result,
            Err(_) => Err(RelayError::Task { task: "supervisor" }),
        }
    }
}

impl Drop for RelayHandle {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A swarm that listens, and knows under which addresses it is reached: without that libp2p's
/// relay grants reservations without an address, which clients refuse.
async fn announced(
    config: &Config,
    identity: &RelayIdentity,
    admission: &Admission,
    clock: &Clock,
) -> Result<(Swarm<Behaviour>, Vec<Multiaddr>), RelayError> {
    let network = &config.network;
    let mut swarm = behaviour::swarm(identity.keypair(), config, admission, clock)?;
    let listening = listen(&mut swarm, &network.listen).await?;
    let external = match network.external_addresses.as_slice() {
        [] => listening,
        configured => configured.to_vec(),
    };
    for address in &external {
        swarm.add_external_address(address.clone());
    }
    if !network.relays.is_empty() {
        // Fails only without a sibling in the table, as when the only one is ourselves.
        let _ = swarm.behaviour_mut().kad.bootstrap();
    }
    let bare = external.into_iter().map(|address| {
        address.into_iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect()
    });
    let addresses = bare.map(|address| identity.addressed(address)).collect();
    Ok((swarm, addresses))
}

/// Health checks and the operator's interface, where the configuration names a place for them.
async fn spawn_listeners(
    tasks: &mut Tasks,
    config: &Config,
    operator: Admin,
) -> Result<(Option<SocketAddr>, Option<SocketAddr>), RelayError> {
    let (mut health, mut admin) = (None, None);
    if let Some(address) = config.health {
        let (bound, serve) = health::listen(address, operator.watched.clone()).await?;
        health = Some(bound);
        tasks.spawn(async move {
            serve.await;
            ("health", Ok(()))
        });
    }
    if let Some(address) = config.admin {
        let (bound, serve) = admin::listen(address, &config.data_dir, operator).await?;
        admin = Some(bound);
        tasks.spawn(async move {
            serve.await;
            ("admin", Ok(()))
        });
    }
    Ok((health, admin))
}

/// Files for people who are away, where the configuration wants them kept.
async fn keep_files(
    (config, current): (&Config, &Current),
    store: Arc<dyn BlobStore>,
    admission: &Admission,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Option<blobs::Service>, RelayError> {
    let objects = match (config.blobs.place, &config.blobs.s3) {
        (BlobPlace::Off, _) => return Ok(None),
        (BlobPlace::S3, Some(s3)) => Objects::in_bucket(s3).await?,
        (BlobPlace::S3 | BlobPlace::Folder, _) => {
            let folder = config.blobs.folder(&config.data_dir);
            let reserve = if config.development { 0 } else { blobs::RESERVE };
            Objects::open(&folder, reserve)
                .map_err(|source| RelayError::Blobs { folder, source })?
        }
    };
    Ok(Some(blobs::Service {
        store,
        objects,
        current: current.clone(),
        admission: admission.clone(),
        metrics: Arc::clone(metrics),
        clock: clock.clone(),
        served: blobs::Served::default(),
    }))
}

/// STUN and TURN, where the configuration wants them: who may make calls, and where the server is reached.
async fn carry_calls(
    tasks: &mut Tasks,
    (config, current): (&Config, &Current),
    identity: &RelayIdentity,
    watched: &Watched,
    clock: &Clock,
) -> Result<(Option<Arc<Calls>>, Option<SocketAddr>), RelayError> {
    let Some(settings) = &config.turn else { return Ok((None, None)) };
    let Watched { admission, metrics, drain } = watched;
    let (calls, server) =
        turn::open((settings, current), identity, admission, metrics, clock).await?;
    let Some((server, at)) = server else { return Ok((Some(calls), None)) };
    let stop = drain.shutdown();
    tasks.spawn(async move {
        server.run(stop).await;
        ("calls", Ok(()))
    });
    Ok((Some(calls), Some(at)))
}

/// Forgets accounts that nobody needs any more, now and then.
async fn forget_stale(
    accounts: Accounts,
    clock: Clock,
    shutdown: CancellationToken,
) -> (&'static str, Result<(), RelayError>) {
    let mut turn = tokio::time::interval(FORGET_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return ("forgetting", Ok(())),
            _ = turn.tick() => {}
        }
        match accounts.forget_stale(clock.now()).await {
            Ok(0) | Err(AccountError::Stopping) => {}
            Ok(forgotten) => {
                tracing::info!(forgotten, "accounts that nobody renewed, or that were displaced")
            }
            Err(AccountError::Store(error)) => return ("forgetting", Err(error.into())),
        }
    }
}

/// One task's end is the relay's end: wanted after [`RelayHandle::shutdown`], a failure before.
async fn supervise(mut tasks: Tasks, shutdown: CancellationToken) -> Result<(), RelayError> {
    let mut outcome = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let wanted = shutdown.is_cancelled();
        let failure = match ended {
            Ok((_, Err(error))) => Some(error),
            Ok((task, Ok(()))) if !wanted => Some(RelayError::Task { task }),
            Ok((_, Ok(()))) => None,
            Err(_) => Some(RelayError::Task { task: "service" }),
        };
        if let Some(error) = failure {
            tracing::error!(%error, "relay is stopping");
            if outcome.is_ok() {
                outcome = Err(error);
            }
        }
        shutdown.cancel();
    }
    outcome
}

/// Listens everywhere, and waits until it does.
async fn listen(
    swarm: &mut Swarm<Behaviour>,
    wanted: &[Multiaddr],
) -> Result<Vec<Multiaddr>, RelayError> {
    for address in wanted {
        refuse_if_in_use(address)?;
    }
    let mut waiting: Vec<(ListenerId, Multiaddr)> = Vec::with_capacity(wanted.len());
    for address in wanted {
        let id = swarm.listen_on(address.clone()).map_err(|error| listen_error(address, &error))?;
        waiting.push((id, address.clone()));
    }
    let mut listening = Vec::new();
    let all_listening = async {
        while !waiting.is_empty() {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } => {
                    waiting.retain(|(id, _)| *id != listener_id);
                    listening.push(address);
                }
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
                | SwarmEvent::ListenerError { listener_id, error } => {
                    if let Some((_, address)) = waiting.iter().find(|(id, _)| *id == listener_id) {
                        return Err(listen_error(address, &error));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    };
    match tokio::time::timeout(LISTEN_TIMEOUT, all_listening).await {
        Ok(result) => result.map(|()| listening),
        Err(_) => Err(RelayError::Network("no address to listen on came up in time".into())),
    }
}

fn listen_error(address: &Multiaddr, error: &dyn std::error::Error) -> RelayError {
    // libp2p's wrappers say nothing themselves; the cause does.
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.retain(|cause| !cause.is_empty());
    causes.dedup();
    RelayError::Listen { address: address.clone(), detail: causes.join(": ") }
}

/// libp2p shares TCP ports (`SO_REUSEPORT`), so two relays could have one port and each half
/// of its connections. A plain bind tells.
fn refuse_if_in_use(address: &Multiaddr) -> Result<(), RelayError> {
    let mut ip = None;
    let mut bound = Ok(());
    for part in address {
        match (part, ip) {
            (Protocol::Ip4(v4), _) => ip = Some(IpAddr::V4(v4)),
            (Protocol::Ip6(v6), _) => ip = Some(IpAddr::V6(v6)),
            (Protocol::Tcp(port), Some(ip)) => bound = TcpListener::bind((ip, port)).map(drop),
            (Protocol::Udp(port), Some(ip)) => bound = UdpSocket::bind((ip, port)).map(drop),
            _ => {}
        }
    }
    match bound {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(RelayError::AddressInUse { address: address.clone() })
        }
        // Whatever else is wrong, listening itself will say.
        _ => Ok(()),
    }
}
