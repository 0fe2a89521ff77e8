use std::time::Duration;

use bootstrap::pin;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};

use crate::client::soon;

fn node(idle: Duration) -> Swarm<pin::Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| pin::Behaviour::default())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(idle))
        .build()
}

async fn drive_until<T>(
    swarm: &mut Swarm<pin::Behaviour>,
    mut wanted: impl FnMut(&SwarmEvent<std::convert::Infallible>) -> Option<T>,
) -> T {
    loop {
        if let Some(found) = wanted(&swarm.select_next_some().await) {
            return found;
        }
    }
}

/// A peer that never closes a connection by itself.
fn patient(address: &Multiaddr) -> PeerId {
    let mut swarm = node(Duration::from_secs(3_600));
    let peer = *swarm.local_peer_id();
    swarm.dial(address.clone()).unwrap();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    peer
}

#[tokio::test]
async fn a_pinned_connection_outlives_an_idle_one_until_it_is_unpinned() {
    let mut here = node(Duration::from_millis(300));
    here.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = drive_until(&mut here, |event| match event {
        SwarmEvent::NewListenAddr { address, .. } => Some(address.clone()),
        _ => None,
    })
    .await;
    let pinned = patient(&address);
    let established = |event: &SwarmEvent<_>| match event {
        SwarmEvent::ConnectionEstablished { peer_id, .. } => Some(*peer_id),
        _ => None,
    };
    assert_eq!(soon("a connection", drive_until(&mut here, established)).await, pinned);
    here.behaviour_mut().pin(pinned);

    // Connected later, so when this one is closed for idleness the other would have been.
    let idle = patient(&address);
    let closed = |event: &SwarmEvent<_>| match event {
        SwarmEvent::ConnectionClosed { peer_id, .. } => Some(*peer_id),
        _ => None,
    };
    assert_eq!(soon("the idle one's end", drive_until(&mut here, closed)).await, idle);
    assert!(here.is_connected(&pinned));
    here.behaviour_mut().unpin(&pinned);
    assert_eq!(soon("the other's end", drive_until(&mut here, closed)).await, pinned);
}
