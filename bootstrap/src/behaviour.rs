//! Everything that a relay does on the network, as one libp2p behaviour, and its swarm.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder, autonat, connection_limits, identify, kad,
    memory_connection_limits, noise, ping, relay, tcp, yamux,
};
use protocol::blob::wire::{self as blob, BlobRequest, BlobResponse};
use protocol::mailbox::wire::{self as mailbox, MailboxRequest, MailboxResponse};
use protocol::registration::wire::{self as registration, RegisterRequest, RegisterResponse};
use protocol::turn::{self, TurnRequest, TurnResponse};

use crate::admission::Admission;
use crate::clock::Clock;
use crate::codec::WireCodec;
use crate::config::Config;
use crate::error::RelayError;
use crate::{peer, pin, prefix_limits, relay_limits};

/// What identify calls the family of protocols.
pub const PROTOCOL_VERSION: &str = "/kith/1";
/// What a relay calls itself: no version, so that nobody can pick old ones.
const AGENT: &str = "kith-relay";
/// Kademlia among relays.
const KAD_PROTOCOL: StreamProtocol = StreamProtocol::new("/kith/kad/1");

/// Longest silence of a connection that nothing keeps alive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time for one request and its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams of one connection that work on requests at once.
const REQUEST_STREAMS: usize = 32;
/// Longest time for a piece of a file on a slow line.
const BLOB_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one connection with pieces of files: each holds one in memory.
const BLOB_STREAMS: usize = 4;
/// Yamux streams of one connection.
const YAMUX_STREAMS: usize = 128;
/// Streams of one connection that negotiate at once.
const NEGOTIATING_STREAMS: usize = 64;
/// Connections from outside that are being made at once.
const MAX_PENDING_INBOUND: u32 = 1_024;
/// Connections from here that are being made at once (autonat dials back).
const MAX_PENDING_OUTBOUND: u32 = 256;
/// Share of the memory beyond which no connection is taken.
const MEMORY_SHARE: f64 = 0.75;

/// The behaviours of a relay. Those that refuse connections stand first, so that the others
/// allocate nothing for a connection that is refused.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) prefixes: prefix_limits::Behaviour,
    pub(crate) connections: connection_limits::Behaviour,
    pub(crate) memory: memory_connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) relay: relay::Behaviour,
    pub(crate) autonat: autonat::v2::server::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    pub(crate) registration:
        request_response::Behaviour<WireCodec<RegisterRequest, RegisterResponse>>,
    pub(crate) mailbox: request_response::Behaviour<WireCodec<MailboxRequest, MailboxResponse>>,
    pub(crate) turn: request_response::Behaviour<WireCodec<TurnRequest, TurnResponse>>,
    pub(crate) blobs: request_response::Behaviour<WireCodec<BlobRequest, BlobResponse>>,
    pub(crate) pin: pin::Behaviour,
}

/// Builds the swarm of a relay; it listens nowhere yet.
pub(crate) fn swarm(
    keypair: Keypair,
    config: &Config,
    admission: &Admission,
    clock: &Clock,
) -> Result<Swarm<Behaviour>, RelayError> {
    let network = |error: &dyn std::fmt::Display| RelayError::Network(error.to_string());
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, || {
            let mut yamux = yamux::Config::default();
            yamux.set_max_num_streams(YAMUX_STREAMS);
            yamux
        })
        .map_err(|error| network(&error))?
        .with_quic_config(|mut quic| {
            quic.max_idle_timeout = 30_000;
            quic.keep_alive_interval = Duration::from_secs(15);
            quic.handshake_timeout = Duration::from_secs(8);
            quic.max_concurrent_stream_limit = 128;
            quic.max_stream_data = 256 * 1024;
            quic.max_connection_data = 2 * 1024 * 1024;
            quic
        })
        .with_behaviour(|keypair| behaviour(keypair, config, admission, clock))
        .map_err(|error| network(&error))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS)
                .with_notify_handler_buffer_size(NonZeroUsize::new(32).expect("not zero"))
                .with_per_connection_event_buffer_size(16)
        })
        .build();
    Ok(swarm)
}

fn behaviour(
    keypair: &Keypair,
    config: &Config,
    admission: &Admission,
    clock: &Clock,
) -> Behaviour {
    let peer = keypair.public().to_peer_id();
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_INBOUND))
        .with_max_pending_outgoing(Some(MAX_PENDING_OUTBOUND))
        .with_max_established_incoming(Some(config.network.max_connections))
        .with_max_established_per_peer(Some(config.network.max_connections_per_peer));
    let requests = || {
        request_response::Config::default()
            .with_request_timeout(REQUEST_TIMEOUT)
            .with_max_concurrent_streams(REQUEST_STREAMS)
    };
    Behaviour {
        prefixes: prefix_limits::Behaviour::new(config.network.max_connections_per_prefix),
        connections: connection_limits::Behaviour::new(limits),
        memory: memory_connection_limits::Behaviour::with_max_percentage(MEMORY_SHARE),
        identify: identify::Behaviour::new(
            identify::Config::new(PROTOCOL_VERSION.into(), keypair.public())
                .with_agent_version(AGENT.into())
                .with_interval(Duration::from_secs(10 * 60)),
        ),
        ping: ping::Behaviour::new(
            ping::Config::new()
                .with_interval(Duration::from_secs(30))
                .with_timeout(Duration::from_secs(15)),
        ),
        relay: relay::Behaviour::new(
            peer,
            relay_limits::relay_config(&config.circuits, admission, clock),
        ),
        autonat: autonat::v2::server::Behaviour::default(),
        kad: relays_only_kad(peer, config),
        registration: request_response::Behaviour::new(
            [(StreamProtocol::new(registration::PROTOCOL), ProtocolSupport::Inbound)],
            requests(),
        ),
        mailbox: request_response::Behaviour::new(
            [(StreamProtocol::new(mailbox::PROTOCOL), ProtocolSupport::Full)],
            requests(),
        ),
        turn: request_response::Behaviour::new(
            [(StreamProtocol::new(turn::PROTOCOL), ProtocolSupport::Inbound)],
            requests(),
        ),
        blobs: request_response::Behaviour::new(
            [(StreamProtocol::new(blob::PROTOCOL), ProtocolSupport::Inbound)],
            request_response::Config::default()
                .with_request_timeout(BLOB_TIMEOUT)
                .with_max_concurrent_streams(BLOB_STREAMS),
        ),
        pin: pin::Behaviour::default(),
    }
}

/// A Kademlia table that only configured siblings enter, and a record store that nothing does:
/// clients must neither be listed nor be able to store here.
fn relays_only_kad(own: libp2p::PeerId, config: &Config) -> kad::Behaviour<MemoryStore> {
    let mut settings = kad::Config::new(KAD_PROTOCOL);
    settings
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(None);
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), settings);
    kad.set_mode(Some(kad::Mode::Server));
    for address in &config.network.relays {
        let named = peer::named_in(address).map(|(process, _)| process);
        if let Some(sibling) = named.filter(|sibling| *sibling != own) {
            kad.add_address(&sibling, peer::dialable(address));
        }
    }
    kad
}
