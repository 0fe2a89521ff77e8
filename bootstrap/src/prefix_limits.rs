//! Limits connections by where they come from: an IPv4 address or an IPv6 /56.
//!
//! libp2p's own limits count all connections and those of one key; keys are free, so one
//! address could otherwise fill the relay. Checked before the handshake costs anything.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::rates::{ip_of, prefix};

/// Why a connection was refused.
#[derive(Debug, thiserror::Error)]
#[error("too many connections from this address")]
pub(crate) struct TooMany;

/// The behaviour.
#[derive(Debug)]
pub(crate) struct Behaviour {
    most: u32,
    of_connection: HashMap<ConnectionId, IpAddr>,
    counts: HashMap<IpAddr, u32>,
}

impl Behaviour {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, of_connection: HashMap::new(), counts: HashMap::new() }
    }

    fn enter(&mut self, connection: ConnectionId, from: &Multiaddr) -> Result<(), TooMany> {
        let Some(address) = ip_of(from) else { return Ok(()) };
        let place = prefix(address, 32);
        let count = self.counts.entry(place).or_default();
        if *count >= self.most {
            return Err(TooMany);
        }
        *count += 1;
        self.of_connection.insert(connection, place);
        Ok(())
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(place) = self.of_connection.remove(&connection) else { return };
        if let Some(count) = self.counts.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&place);
            }
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(failure) => self.leave(failure.connection_id),
            FromSwarm::ConnectionClosed(closed) => self.leave(closed.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_gets_them_back() {
        let mut limits = Behaviour::new(2);
        let at = |text: &str| text.parse::<Multiaddr>().expect("an address");
        let ids: Vec<_> = (0..4).map(ConnectionId::new_unchecked).collect();
        assert!(limits.enter(ids[0], &at("/ip4/192.0.2.1/tcp/1")).is_ok());
        assert!(limits.enter(ids[1], &at("/ip4/192.0.2.1/udp/2/quic-v1")).is_ok());
        assert!(limits.enter(ids[2], &at("/ip4/192.0.2.1/tcp/3")).is_err());
        assert!(limits.enter(ids[3], &at("/ip4/192.0.2.2/tcp/1")).is_ok());
        limits.leave(ids[0]);
        limits.leave(ids[0]);
        assert!(limits.enter(ids[2], &at("/ip4/192.0.2.1/tcp/3")).is_ok());
        for id in ids {
            limits.leave(id);
        }
        assert!(limits.counts.is_empty() && limits.of_connection.is_empty());
    }
}
