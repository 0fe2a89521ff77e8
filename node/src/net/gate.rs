//! Who may have a connection at all, and whose connection is kept although it is idle.
//!
//! libp2p tells us who is at the other end once Noise has proved it. Then, and before any
//! protocol is spoken, this behaviour decides: contacts and relays that we use may, strangers
//! only while an invite is live and only so many of them, everybody else is cut off.
//!
//! It also keeps connections to [pinned](Gate::pin) relays: libp2p closes what carries no
//! stream, and pings do not count.
//!
//! # Invariants
//! * Nobody who is cut off learns why; the connection simply ends.
//! * A peer that loses its standing loses its connections in the same step.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::DeniedUpgrade;
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent,
    ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

/// Most strangers connected at a time while an invite is live. More are cut off.
pub(super) const MAX_STRANGERS: usize = 64;

/// Why a connection was denied. Stays on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not admitted")]
pub(super) struct NotAdmitted;

#[derive(Debug, Default)]
struct Established {
    dialled: Vec<ConnectionId>,
    total: usize,
}

/// The behaviour.
#[derive(Debug, Default)]
pub(super) struct Gate {
    contacts: HashSet<PeerId>,
    relays: HashSet<PeerId>,
    pinned: HashSet<PeerId>,
    admits_strangers: bool,
    /// Established connections of each peer, whoever it is; those that we dialled by name.
    connected: HashMap<PeerId, Established>,
    actions: VecDeque<ToSwarm<Infallible, bool>>,
}

impl Gate {
    /// This contact may connect and be dialled.
    pub(super) fn admit_contact(&mut self, peer: PeerId) {
        self.contacts.insert(peer);
    }

    /// This contact may not any more; its connections end.
    pub(super) fn expel_contact(&mut self, peer: PeerId) {
        self.contacts.remove(&peer);
        self.expel_unless_admitted(peer);
    }

    /// This relay may be dialled, and may dial us back to test our addresses.
    pub(super) fn admit_relay(&mut self, peer: PeerId) {
        self.relays.insert(peer);
    }

    /// We have no more business with this relay.
    pub(super) fn expel_relay(&mut self, peer: PeerId) {
        self.relays.remove(&peer);
        self.pin(peer, false);
        self.expel_unless_admitted(peer);
    }

    /// Whether strangers may connect. When not, those who are connected are cut off.
    pub(super) fn admit_strangers(&mut self, admit: bool) {
        self.admits_strangers = admit;
        if !admit {
            let strangers: Vec<PeerId> = self.strangers().collect();
            for peer in strangers {
                self.expel_unless_admitted(peer);
            }
        }
    }

    /// Whether strangers may connect.
    pub(super) fn admits_strangers(&self) -> bool {
        self.admits_strangers
    }

    /// Whether this is a contact.
    pub(super) fn is_contact(&self, peer: &PeerId) -> bool {
        self.contacts.contains(peer)
    }

    /// Keeps the connections that we dialled to this peer although they are idle, or stops doing
    /// so. Those that it dialled, to test our addresses, are never kept.
    pub(super) fn pin(&mut self, peer: PeerId, pinned: bool) {
        let changed = if pinned { self.pinned.insert(peer) } else { self.pinned.remove(&peer) };
        if !changed {
            return;
        }
        let dialled = self.connected.get(&peer).map(|established| established.dialled.as_slice());
        for id in dialled.unwrap_or_default() {
            let handler = NotifyHandler::One(*id);
            self.actions.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler,
                event: pinned,
            });
        }
    }

    fn strangers(&self) -> impl Iterator<Item = PeerId> {
        self.connected.keys().copied().filter(|peer| self.is_stranger(peer))
    }

    fn is_stranger(&self, peer: &PeerId) -> bool {
        !self.contacts.contains(peer) && !self.relays.contains(peer)
    }

    fn admits(&self, peer: &PeerId) -> bool {
        if !self.is_stranger(peer) {
            return true;
        }
        let room = self.connected.contains_key(peer) || self.strangers().count() < MAX_STRANGERS;
        self.admits_strangers && room
    }

    fn expel_unless_admitted(&mut self, peer: PeerId) {
        if self.connected.contains_key(&peer) && !self.admits(&peer) {
            let connection = CloseConnection::All;
            self.actions.push_back(ToSwarm::CloseConnection { peer_id: peer, connection });
        }
    }

    fn admit(&self, peer: &PeerId, dialled: bool) -> Result<Pin, ConnectionDenied> {
        match self.admits(peer) {
            true => Ok(Pin { keep: dialled && self.pinned.contains(peer) }),
            false => Err(ConnectionDenied::new(NotAdmitted)),
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = Pin;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer, false)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // A dial may end after its peer was expelled; hole punching dials whoever came inbound.
        self.admit(&peer, true)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                let established = self.connected.entry(new.peer_id).or_default();
                established.total += 1;
                if new.endpoint.is_dialer() {
                    established.dialled.push(new.connection_id);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(established) = self.connected.get_mut(&peer_id) {
                    established.total -= 1;
                    established.dialled.retain(|id| *id != connection_id);
                    if established.total == 0 {
                        self.connected.remove(&peer_id);
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

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.actions.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// Speaks no protocol; says whether its connection is kept.
#[derive(Debug)]
pub(super) struct Pin {
    keep: bool,
}

impl ConnectionHandler for Pin {
    type FromBehaviour = bool;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.keep
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, keep: bool) {
        self.keep = keep;
    }

    fn on_connection_event(
        &mut self,
        _: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::ConnectedPoint;
    use libp2p::swarm::behaviour::ConnectionEstablished;

    fn address() -> Multiaddr {
        Multiaddr::empty()
    }

    fn inbound(gate: &mut Gate, peer: PeerId) -> bool {
        let id = ConnectionId::new_unchecked(1);
        let admitted =
            gate.handle_established_inbound_connection(id, peer, &address(), &address()).is_ok();
        if admitted {
            let endpoint =
                ConnectedPoint::Listener { local_addr: address(), send_back_addr: address() };
            gate.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id: id,
                endpoint: &endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
        }
        admitted
    }

    #[test]
    fn strangers_are_admitted_only_while_an_invite_is_live_and_only_so_many() {
        let mut gate = Gate::default();
        assert!(!inbound(&mut gate, PeerId::random()));
        gate.admit_strangers(true);
        for _ in 0..MAX_STRANGERS {
            assert!(inbound(&mut gate, PeerId::random()));
        }
        assert!(!inbound(&mut gate, PeerId::random()));
        let contact = PeerId::random();
        gate.admit_contact(contact);
        assert!(inbound(&mut gate, contact), "strangers take no contact's place");
    }

    #[test]
    fn the_end_of_the_invite_cuts_strangers_off_and_nobody_else() {
        let mut gate = Gate::default();
        let (stranger, contact, relay) = (PeerId::random(), PeerId::random(), PeerId::random());
        gate.admit_strangers(true);
        gate.admit_contact(contact);
        gate.admit_relay(relay);
        for peer in [stranger, contact, relay] {
            assert!(inbound(&mut gate, peer));
        }
        gate.admit_strangers(false);
        let closed: Vec<PeerId> = gate
            .actions
            .iter()
            .filter_map(|action| match action {
                ToSwarm::CloseConnection { peer_id, .. } => Some(*peer_id),
                _ => None,
            })
            .collect();
        assert_eq!(closed, [stranger]);
    }

    #[test]
    fn a_contact_who_is_forgotten_is_cut_off_and_kept_out() {
        let mut gate = Gate::default();
        let contact = PeerId::random();
        gate.admit_contact(contact);
        assert!(inbound(&mut gate, contact));
        gate.expel_contact(contact);
        assert_eq!(gate.actions.len(), 1);
        assert!(!inbound(&mut gate, contact));
        let id = ConnectionId::new_unchecked(2);
        let (role, port) = (Endpoint::Dialer, PortUse::Reuse);
        let dialled =
            gate.handle_established_outbound_connection(id, contact, &address(), role, port);
        assert!(dialled.is_err(), "a dial that was under way is of no use either");
    }
}
