//! The network task: it owns the swarms and what is pending on them, and never any state.
//!
//! Three lanes, a task and a swarm each. One is under the account's identity key: contacts,
//! invites, registration, and the opening of queues. Two are under throwaway keys, so that a
//! relay's mailbox does not see who deposits or fetches, nor that the two are one: one collects
//! from our own queues, the other deposits in our contacts'.
//!
//! 1. The engine [starts](start) the lanes and keeps a [`NetHandle`].
//! 2. It speaks to them in [`NetCommand`]s and hears [`NetEvent`]s; no libp2p type crosses that
//!    line.
//! 3. What is to be decided is decided by pure machines ([`dial`], [`homes`], [`connections`],
//!    the throwaway links); the lanes carry it out.
//!
//! # Invariants
//! * Nothing is awaited inside a handler, and every queue is bounded.
//! * A lane that panics ends all lanes, and [`NetHandle::closed`] says so.
//! * Logs name nobody's address, token or key; identifiers appear shortened.
//!
//! It knows nothing of messages, sessions or the store. Spec: `docs/protocol/wire.md`.

mod address;
mod address_text;
mod backoff;
mod behaviour;
mod command;
mod connections;
mod dial;
mod event;
mod gate;
mod homes;
mod identity;
mod outgoing;
mod peer;
mod processes;
mod protocols;
mod swarm;
mod throwaway;

use std::time::Instant;

use crypto::secret::Secret;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub use address::{is_local, leads_no_nearer};
pub use address_text::{AddressTextError, parse_address, parse_relay, relay_text, text_of};
pub use command::{Credential, NetCommand, OwnedQueue, SealedDeposit, Ticket};
pub use event::{NetEvent, NetFailure, Path, RelayPhase};

use identity::IdentityLane;
use swarm::BuildError;
use throwaway::ThrowawayLane;

/// Commands that wait for one lane. When it is full, [`NetHandle::send`] refuses with
/// [`NetFailure::Busy`] and the caller tries again later.
pub const COMMAND_CAP: usize = 1_024;

/// How the network is to be started.
#[derive(Debug)]
pub struct NetConfig {
    /// Seed of the account's Ed25519 key, which is also the node's key in libp2p.
    pub identity_seed: Secret<32>,
    /// Multiaddrs to listen on; none: every interface, TCP and QUIC, IPv4 and IPv6, free ports.
    pub listen: Vec<String>,
    /// Announce this node on the local network and find contacts there. It tells everybody on
    /// that network which account is here.
    pub lan: bool,
    /// Turn relayed connections into direct ones where the NATs allow it. Without, a contact that
    /// is reached over a relay does not learn where this node is.
    pub hole_punching: bool,
    /// Confine the node to its machine: loopback addresses are told to contacts and dialled.
    /// For tests and demonstrations.
    pub loopback_only: bool,
}

impl NetConfig {
    /// Every interface, without discovery on the local network.
    #[must_use]
    pub fn new(identity_seed: Secret<32>) -> Self {
        Self {
            identity_seed,
            listen: Vec::new(),
            lan: false,
            hole_punching: true,
            loopback_only: false,
        }
    }

    /// This machine only, on free ports.
    #[must_use]
    pub fn loopback(identity_seed: Secret<32>) -> Self {
        Self { loopback_only: true, ..Self::new(identity_seed) }
    }

    fn addresses(&self) -> Result<Vec<Multiaddr>, StartError> {
        let listen: Vec<&str> = match (self.listen.as_slice(), self.loopback_only) {
            ([], true) => vec!["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"],
            ([], false) => vec![
                "/ip4/0.0.0.0/tcp/0",
                "/ip4/0.0.0.0/udp/0/quic-v1",
                "/ip6/::/tcp/0",
                "/ip6/::/udp/0/quic-v1",
            ],
            (given, _) => given.iter().map(String::as_str).collect(),
        };
        listen
            .into_iter()
            .map(|text| text.parse().map_err(|_| StartError::ListenAddress(text.to_owned())))
            .collect()
    }
}

/// Why the network could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A configured address is no multiaddr.
    #[error("{0} is not a listen address")]
    ListenAddress(String),
    /// No address could be listened on.
    #[error("cannot listen on any address: {0}")]
    Listen(String),
    /// A swarm could not be built.
    #[error("the network cannot be set up: {0}")]
    Setup(String),
}

impl From<BuildError> for StartError {
    fn from(error: BuildError) -> Self {
        Self::Setup(error.to_string())
    }
}

/// How the network ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetEnd {
    /// It was told to stop, or the engine went away.
    Stopped,
    /// A lane panicked: a bug. The node must not go on without it.
    Panicked,
}

/// The engine's end of the lanes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NetHandle {
    identity: mpsc::Sender<NetCommand>,
    collect: mpsc::Sender<NetCommand>,
    deposit: mpsc::Sender<NetCommand>,
    ended: watch::Receiver<Option<NetEnd>>,
}

impl NetHandle {
    /// Hands a command to its lane, without waiting.
    ///
    /// # Errors
    /// [`NetFailure::Busy`] when [`COMMAND_CAP`] commands wait already, [`NetFailure::Stopped`]
    /// when the network has ended. The command was not taken, and is not answered.
    pub fn send(&self, command: NetCommand) -> Result<(), NetFailure> {
        hand_over(self.lane(&command), command)
    }

    fn lane(&self, command: &NetCommand) -> &mpsc::Sender<NetCommand> {
        match command {
            NetCommand::Know { .. }
            | NetCommand::Forget(_)
            | NetCommand::AdmitStrangers(_)
            | NetCommand::Connect(_)
            | NetCommand::Envelope { .. }
            | NetCommand::Invite { .. }
            | NetCommand::Register { .. }
            | NetCommand::Homes(_)
            | NetCommand::OpenQueue { .. } => &self.identity,
            NetCommand::Subscribe { .. }
            | NetCommand::CloseQueue { .. }
            | NetCommand::ForgetRelay(_) => &self.collect,
            NetCommand::Deposit { .. } | NetCommand::FetchBundle { .. } => &self.deposit,
        }
    }

    /// Hands a command to its lane, or gives it back when the lane is full. One that can never
    /// be taken, because the network has ended, is dropped.
    #[must_use]
    pub fn offer(&self, command: NetCommand) -> Option<NetCommand> {
        match self.lane(&command).try_send(command) {
            Err(mpsc::error::TrySendError::Full(command)) => Some(command),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => None,
        }
    }

    /// Waits for the end of the network.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn closed(&self) -> NetEnd {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.unwrap_or(NetEnd::Stopped),
            // The supervisor itself is gone, which only a dying runtime explains.
            Err(_) => NetEnd::Stopped,
        }
    }
}

fn hand_over(lane: &mpsc::Sender<NetCommand>, command: NetCommand) -> Result<(), NetFailure> {
    lane.try_send(command).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => NetFailure::Busy,
        mpsc::error::TrySendError::Closed(_) => NetFailure::Stopped,
    })
}

/// Starts the lanes; they run until `shutdown`, until the receiver of `events` is dropped, or
/// until one of them panics. Must be called within a tokio runtime.
///
/// # Errors
/// [`StartError`] when an address is malformed, none can be listened on, or a swarm cannot be
/// built.
pub fn start(
    config: NetConfig,
    events: mpsc::Sender<NetEvent>,
    shutdown: CancellationToken,
) -> Result<NetHandle, StartError> {
    let addresses = config.addresses()?;
    let NetConfig { identity_seed, listen: _, lan, hole_punching, loopback_only } = config;
    // libp2p erases the copy that it is given; ours is erased when it is dropped.
    let mut seed = *identity_seed.expose();
    let key = Keypair::ed25519_from_bytes(&mut seed[..])
        .map_err(|error| StartError::Setup(error.to_string()))?;
    let mut swarm = swarm::identity(key, lan, hole_punching)?;
    let mut refused = Vec::new();
    for address in &addresses {
        if let Err(error) = swarm.listen_on(address.clone()) {
            refused.push(error.to_string());
        }
    }
    if refused.len() == addresses.len() {
        return Err(StartError::Listen(refused.join("; ")));
    }
    if !refused.is_empty() {
        tracing::info!(
            refused = refused.len(),
            of = addresses.len(),
            "some addresses cannot be listened on"
        );
    }

    let (identity, identity_commands) = mpsc::channel(COMMAND_CAP);
    let (collect, collect_commands) = mpsc::channel(COMMAND_CAP);
    let (deposit, deposit_commands) = mpsc::channel(COMMAND_CAP);
    let stop = CancellationToken::new();
    let identity_lane = IdentityLane::new(swarm, identity_commands, events.clone(), loopback_only);
    let collect_lane = ThrowawayLane::new(collect_commands, events.clone())?;
    let deposit_lane = ThrowawayLane::new(deposit_commands, events)?;
    let mut lanes = JoinSet::new();
    lanes.spawn(
        identity_lane.run(stop.clone()).instrument(tracing::info_span!("net", lane = "identity")),
    );
    lanes.spawn(
        collect_lane.run(stop.clone()).instrument(tracing::info_span!("net", lane = "collect")),
    );
    lanes.spawn(
        deposit_lane.run(stop.clone()).instrument(tracing::info_span!("net", lane = "deposit")),
    );
    let (end, ended) = watch::channel(None);
    tokio::spawn(supervise(lanes, shutdown, stop, end));
    Ok(NetHandle { identity, collect, deposit, ended })
}

/// Waits for the lanes; `shutdown`, or the first lane to end, ends the others.
async fn supervise(
    mut lanes: JoinSet<()>,
    shutdown: CancellationToken,
    stop: CancellationToken,
    end: watch::Sender<Option<NetEnd>>,
) {
    let mut outcome = NetEnd::Stopped;
    loop {
        let lane = tokio::select! {
            () = shutdown.cancelled(), if !stop.is_cancelled() => {
                stop.cancel();
                continue;
            }
            lane = lanes.join_next() => lane,
        };
        match lane {
            None => break,
            Some(Err(error)) if error.is_panic() => {
                tracing::error!("a lane of the network panicked");
                outcome = NetEnd::Panicked;
            }
            Some(_) => {}
        }
        stop.cancel();
    }
    end.send_replace(Some(outcome));
}

/// Sleeps until then; for ever without a deadline.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
