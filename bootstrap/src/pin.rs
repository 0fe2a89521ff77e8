//! Keeps chosen connections open although nothing travels on them.
//!
//! libp2p closes a connection that no protocol keeps alive, and request-response keeps one
//! alive only while it has a request. An owner who waits for pushes is silent for hours, so
//! both ends pin its connection with this behaviour.
//!
//! It has no protocol of its own and sends nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

use libp2p::core::upgrade::DeniedUpgrade;
use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

/// The behaviour.
#[derive(Debug, Default)]
pub struct Behaviour {
    pinned: HashSet<PeerId>,
    connections: HashMap<PeerId, HashSet<ConnectionId>>,
    notify: VecDeque<(PeerId, ConnectionId, bool)>,
    waker: Option<Waker>,
}

impl Behaviour {
    /// Keeps the connections with `peer` open, those to come until [`unpin`](Self::unpin) or
    /// the last one's end as well.
    pub fn pin(&mut self, peer: PeerId) {
        if self.connections.contains_key(&peer) && self.pinned.insert(peer) {
            self.tell(peer, true);
        }
    }

    /// Lets the connections with `peer` close when they are idle.
    pub fn unpin(&mut self, peer: &PeerId) {
        if self.pinned.remove(peer) {
            self.tell(*peer, false);
        }
    }

    fn tell(&mut self, peer: PeerId, pinned: bool) {
        let connections = self.connections.get(&peer).into_iter().flatten();
        self.notify.extend(connections.map(|connection| (peer, *connection, pinned)));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { pinned: self.pinned.contains(&peer) })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { pinned: self.pinned.contains(&peer) })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(up) => {
                self.connections.entry(up.peer_id).or_default().insert(up.connection_id);
            }
            FromSwarm::ConnectionClosed(down) => {
                if let Some(connections) = self.connections.get_mut(&down.peer_id) {
                    connections.remove(&down.connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&down.peer_id);
                        self.pinned.remove(&down.peer_id);
                    }
                }
            }
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

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.notify.pop_front() {
            Some((peer_id, connection, pinned)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event: pinned,
            }),
            None => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Says whether its connection is pinned.
#[derive(Debug)]
pub struct Handler {
    pinned: bool,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = bool;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.pinned
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, pinned: bool) {
        self.pinned = pinned;
    }

    fn on_connection_event(&mut self, _: ConnectionEvent<'_, DeniedUpgrade, DeniedUpgrade>) {}
}
