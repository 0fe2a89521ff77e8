//! Building the swarms: transports, limits and times, each a named value with its reason.
//!
//! Spec: `docs/protocol/wire.md` §1 and §10.

use std::num::NonZeroU8;
use std::time::Duration;

use libp2p::connection_limits::ConnectionLimits;
use libp2p::identity::Keypair;
use libp2p::request_response::ProtocolSupport;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    Swarm, SwarmBuilder, autonat, connection_limits, dcutr, dns, identify, mdns, noise, ping, quic,
    tcp, yamux,
};

use super::behaviour::{Identity, Throwaway};
use super::gate::Gate;
use super::protocols::{envelope, invite, mailbox, register};

/// What identify says of us: the protocol, and nothing of version or system.
const PROTOCOL: &str = "/kith/1";
/// What identify calls us. A constant, so that it tells nobody apart.
const AGENT: &str = "kith";
/// Connections that carry nothing are closed after this.
const IDLE: Duration = Duration::from_secs(60);
/// A dial, the handshake included, has this long.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection is tried; with two failures it is dead after about a minute.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// How long a ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How often peers are asked again what they are and how they see us.
const IDENTIFY_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Streams of one connection: bounds what a peer can make us buffer.
const MAX_STREAMS: usize = 64;
/// Unread bytes of one QUIC stream.
const QUIC_STREAM_BYTES: u32 = 1 << 20;
/// Unread bytes of one QUIC connection.
const QUIC_CONNECTION_BYTES: u32 = 4 << 20;

/// How long a QUIC handshake may take.
const QUIC_HANDSHAKE: Duration = Duration::from_secs(8);
/// A QUIC connection that is silent for this long is dead, milliseconds.
const QUIC_IDLE_MS: u32 = 30_000;
/// How often QUIC keeps a NAT's mapping open.
const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Addresses of one peer dialled at a time where smart dialling does not decide.
const DIAL_CONCURRENCY: NonZeroU8 = NonZeroU8::new(4).expect("4 is not 0");
/// Connections that are being set up, in either direction.
const MAX_PENDING: u32 = 32;
/// Established inbound connections.
const MAX_INBOUND: u32 = 128;
/// Established connections.
const MAX_CONNECTIONS: u32 = 192;
/// Established connections with one peer: hole punching alone makes up to three.
const MAX_PER_PEER: u32 = 6;
/// How long an announcement on the local network is good for.
const MDNS_TTL: Duration = Duration::from_secs(60);
/// How often the local network is asked who is there.
const MDNS_QUERY: Duration = Duration::from_secs(30);

/// Why a swarm could not be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// The key is none, or Noise cannot use it.
    #[error("the node's key cannot be used: {0}")]
    Key(String),
    /// Multicast DNS could not be started.
    #[error("discovery on the local network could not start: {0}")]
    Discovery(#[source] std::io::Error),
}

/// A builder with TCP, QUIC and name resolution. Where the machine has no readable resolver
/// configuration, numeric addresses work all the same: a local network needs no more.
macro_rules! transports {
    ($key:expr, $finish:ident) => {{
        let key: Keypair = $key;
        let base = |key: Keypair| {
            SwarmBuilder::with_existing_identity(key)
                .with_tokio()
                .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux_config)
                .map(|builder| builder.with_quic_config(quic_config))
                .map_err(|error| BuildError::Key(error.to_string()))
        };
        match base(key.clone())?.with_dns() {
            Ok(builder) => $finish!(builder),
            Err(error) => {
                tracing::warn!(%error, "names cannot be resolved: no resolver configuration");
                let none = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
                $finish!(base(key)?.with_dns_config(none.0, none.1))
            }
        }
    }};
}

/// The swarm under the account's key, with or without discovery on the local network and hole
/// punching.
pub(super) fn identity(
    key: Keypair,
    lan: bool,
    punch: bool,
) -> Result<Swarm<Identity>, BuildError> {
    let local = key.public().to_peer_id();
    let config =
        mdns::Config { ttl: MDNS_TTL, query_interval: MDNS_QUERY, ..mdns::Config::default() };
    let mdns = lan.then(|| mdns::tokio::Behaviour::new(config, local)).transpose();
    let mdns = Toggle::from(mdns.map_err(BuildError::Discovery)?);
    let behaviour = |key: &Keypair, relay| Identity {
        limits: limits(Some(MAX_INBOUND), MAX_CONNECTIONS),
        gate: Gate::default(),
        relay,
        punch: Toggle::from(punch.then(|| dcutr::Behaviour::new(local))),
        autonat: autonat::v2::client::Behaviour::default(),
        identify: identify_behaviour(key),
        ping: ping_behaviour(),
        mdns,
        envelope: envelope::behaviour(),
        invite: invite::behaviour(),
        register: register::behaviour(),
        mailbox: mailbox::behaviour(ProtocolSupport::Outbound),
    };
    macro_rules! finish {
        ($builder:expr) => {
            Ok($builder
                .with_relay_client(noise::Config::new, yamux_config)
                .map_err(|error| BuildError::Key(error.to_string()))?
                .with_behaviour(behaviour)
                .map_err(|never| match never {})?
                .with_swarm_config(swarm_config)
                .with_connection_timeout(DIAL_TIMEOUT)
                .build())
        };
    }
    transports!(key, finish)
}

/// A swarm under a throwaway key. It listens nowhere.
pub(super) fn throwaway(key: Keypair) -> Result<Swarm<Throwaway>, BuildError> {
    let behaviour = |_: &Keypair| Throwaway {
        limits: limits(Some(0), MAX_CONNECTIONS),
        gate: Gate::default(),
        ping: ping_behaviour(),
        mailbox: mailbox::behaviour(ProtocolSupport::Full),
    };
    macro_rules! finish {
        ($builder:expr) => {
            Ok($builder
                .with_behaviour(behaviour)
                .map_err(|never| match never {})?
                .with_swarm_config(swarm_config)
                .with_connection_timeout(DIAL_TIMEOUT)
                .build())
        };
    }
    transports!(key, finish)
}

fn swarm_config(config: libp2p::swarm::Config) -> libp2p::swarm::Config {
    config
        .with_idle_connection_timeout(IDLE)
        .with_max_negotiating_inbound_streams(MAX_STREAMS)
        .with_dial_concurrency_factor(DIAL_CONCURRENCY)
        .with_smart_dial()
}

fn yamux_config() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    config
}

fn quic_config(mut config: quic::Config) -> quic::Config {
    config.handshake_timeout = QUIC_HANDSHAKE;
    config.max_idle_timeout = QUIC_IDLE_MS;
    config.keep_alive_interval = QUIC_KEEP_ALIVE;
    config.max_concurrent_stream_limit = MAX_STREAMS as u32;
    config.max_stream_data = QUIC_STREAM_BYTES;
    config.max_connection_data = QUIC_CONNECTION_BYTES;
    config
}

fn limits(inbound: Option<u32>, total: u32) -> connection_limits::Behaviour {
    connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING))
            .with_max_pending_outgoing(Some(MAX_PENDING))
            .with_max_established_incoming(inbound)
            .with_max_established(Some(total))
            .with_max_established_per_peer(Some(MAX_PER_PEER)),
    )
}

fn ping_behaviour() -> ping::Behaviour {
    ping::Behaviour::new(
        ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
    )
}

fn identify_behaviour(key: &Keypair) -> identify::Behaviour {
    // Contacts learn where we listen inside their session; strangers and relays need not know.
    // Nor do we keep what others claim of their addresses.
    identify::Behaviour::new(
        identify::Config::new(PROTOCOL.to_owned(), key.public())
            .with_agent_version(AGENT.to_owned())
            .with_hide_listen_addrs(true)
            .with_push_listen_addr_updates(false)
            .with_interval(IDENTIFY_INTERVAL)
            .with_cache_size(0),
    )
}
