//! A libp2p relay that does nothing else: what a connection costs at best.

use anyhow::Context;
use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{SwarmBuilder, identify, noise, ping, relay, tcp, yamux};

/// More than are made.
const PLENTY: usize = 100_000;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: relay::Behaviour,
}

/// Says where it is, then relays until it is killed.
pub(crate) async fn run() -> anyhow::Result<()> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|keypair| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new(
                "/kith/1".into(),
                keypair.public(),
            )),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(super::swarm::PING)),
            relay: relay::Behaviour::new(
                keypair.public().to_peer_id(),
                relay::Config {
                    max_reservations: PLENTY,
                    reservation_rate_limiters: Vec::new(),
                    ..relay::Config::default()
                },
            ),
        })?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().context("an address")?)?;
    let peer = *swarm.local_peer_id();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            swarm.add_external_address(address.clone());
            println!("{}", address.with(Protocol::P2p(peer)));
        }
    }
}
