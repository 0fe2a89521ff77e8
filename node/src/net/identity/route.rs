//! What the identity swarm reports, one arm for each kind.

use std::time::Instant;

use libp2p::core::ConnectedPoint;
use libp2p::request_response::{self, Message};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, dcutr, identify, mdns, ping};
use protocol::mailbox::wire::MailboxResponse;

use super::{Dialled, IdentityLane};
use crate::net::address::{self, Reach};
use crate::net::behaviour::IdentityEvent;
use crate::net::connections::Closed;
use crate::net::event::Path;
use crate::net::peer;
use crate::net::protocols::{envelope, invite, mailbox, register};

impl IdentityLane {
    pub(super) fn route(&mut self, event: SwarmEvent<IdentityEvent>, now: Instant) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event, now),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(peer_id, connection_id, &endpoint, now);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_closed(peer_id, connection_id, now);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, .. } => {
                match self.dials.remove(&connection_id) {
                    Some(Dialled::Contact(account, dial)) => self.dialer.failed(account, dial),
                    Some(Dialled::Relay(process)) => self.process_dial_failed(process, now),
                    // Hole punching dials by itself and reports for itself.
                    None => {}
                }
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                match address::is_circuit(&address) {
                    true => self.homes.reserved(listener_id, now),
                    false => self.listening.listening(address, now),
                }
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.not_listening(&address, now)
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, .. } => {
                self.homes.listener_closed(listener_id, now, &mut self.rng);
                for address in &addresses {
                    self.listening.not_listening(address, now);
                }
            }
            SwarmEvent::ListenerError { .. } => tracing::warn!("a listener had a passing error"),
            SwarmEvent::ExternalAddrConfirmed { address } => self.listening.confirmed(address, now),
            SwarmEvent::ExternalAddrExpired { address } => {
                self.listening.unconfirmed(&address, now)
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: IdentityEvent, now: Instant) {
        match event {
            IdentityEvent::Identify(event) => self.on_identify(&event, now),
            IdentityEvent::Ping(event) => self.on_ping(&event),
            IdentityEvent::Punch(event) => self.on_punch(&event, now),
            IdentityEvent::Mdns(event) => self.on_mdns(event, now),
            IdentityEvent::Envelope(event) => self.on_envelope(event),
            IdentityEvent::Invite(event) => self.on_invite(event),
            IdentityEvent::Register(event) => self.on_register(event, now),
            IdentityEvent::Mailbox(event) => self.on_mailbox(event, now),
            // A reservation is known by its listener, a circuit by its connection.
            IdentityEvent::Relay(_) | IdentityEvent::Autonat(_) => {}
            IdentityEvent::Limits(never) | IdentityEvent::Gate(never) => match never {},
        }
    }

    fn on_established(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
        now: Instant,
    ) {
        let through = match endpoint {
            ConnectedPoint::Dialer { address, .. } if !endpoint.is_relayed() => {
                Some(address.clone())
            }
            _ => None,
        };
        let path = match endpoint.is_relayed() {
            true => Path::Relayed,
            false => address::path(endpoint.get_remote_address()),
        };
        self.connections.established(peer, id, path, endpoint.is_dialer(), now);
        if let Some(Dialled::Relay(process)) = self.dials.remove(&id) {
            self.process_dial_done(process);
        }
        self.process_connected(peer, through, now);
        if let Some(account) = peer::account(&peer).filter(|account| self.dialer.knows(*account)) {
            self.contact_connected(account, &peer, now);
        }
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId, now: Instant) {
        let closed = self.connections.closed(&peer, id);
        let contact = peer::account(&peer).filter(|account| self.dialer.knows(*account));
        match closed {
            Closed::Last { identified } => {
                if self.links.contains_key(&peer) {
                    self.process_disconnected(peer, identified, now);
                }
                if let Some(account) = contact {
                    self.contact_disconnected(account, identified, now);
                }
            }
            Closed::OneOfSeveral => {
                if let Some(account) = contact {
                    self.connections.supersede(&self.local, &peer, now);
                    self.announce(account, &peer);
                }
            }
        }
    }

    fn on_identify(&mut self, event: &identify::Event, now: Instant) {
        match *event {
            identify::Event::Received { peer_id, .. } => {
                self.connections.identified(&peer_id);
                self.process_identified(peer_id, now);
                if let Some(account) = peer::account(&peer_id) {
                    self.dialer.identified(account);
                    self.announce(account, &peer_id);
                }
            }
            identify::Event::Error { peer_id, connection_id, .. }
                if !self.connections.is_identified(&peer_id) =>
            {
                // Whoever does not say what it is, is none of ours.
                self.swarm.close_connection(connection_id);
            }
            _ => {}
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        if self.connections.ping(&event.peer, event.connection, event.result.is_ok()) {
            tracing::debug!("closing a connection that does not answer");
            self.swarm.close_connection(event.connection);
        }
    }

    fn on_punch(&mut self, event: &dcutr::Event, now: Instant) {
        let Ok(id) = event.result else {
            tracing::debug!("hole punching failed; the relayed connection stays");
            return;
        };
        self.connections.punched(&event.remote_peer_id, id);
        self.connections.supersede(&self.local, &event.remote_peer_id, now);
        if let Some(account) = peer::account(&event.remote_peer_id) {
            self.announce(account, &event.remote_peer_id);
        }
    }

    fn on_mdns(&mut self, event: mdns::Event, now: Instant) {
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found {
                    self.on_seen(&peer, &address, now);
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, address) in gone {
                    if let Some(account) = peer::account(&peer) {
                        self.dialer.gone_from_lan(account, &address::without_peer(&address));
                    }
                }
            }
        }
    }

    /// Somebody announced themselves on the local network. Only contacts are of interest, and
    /// only at addresses of that network.
    pub(super) fn on_seen(&mut self, peer: &PeerId, address: &Multiaddr, now: Instant) {
        let near = match address::reach(address) {
            Reach::Private => true,
            Reach::Loopback => self.loopback,
            Reach::Link | Reach::Public | Reach::Nowhere => false,
        };
        let Some(account) = peer::account(peer).filter(|_| near) else {
            return;
        };
        let known = self.dialer.seen_on_lan(account, address::without_peer(address));
        if known && !self.connections.is_connected(peer) {
            self.dialer.want(account, now);
        }
    }

    fn on_envelope(&mut self, event: envelope::Event) {
        use request_response::Event;
        let done = match event {
            Event::Message {
                peer,
                connection_id,
                message: Message::Request { request, channel, .. },
            } => {
                let path = self.connections.path_of(&peer, connection_id);
                let from =
                    peer::account(&peer).filter(|account| self.dialer.knows(*account)).zip(path);
                match self.envelopes.asked(peer, from, request, channel) {
                    Ok(event) => Some(event),
                    Err((channel, answer)) => return self.answer_envelope(channel, answer),
                }
            }
            Event::Message {
                peer,
                connection_id,
                message: Message::Response { request_id, response },
            } => {
                let path = self.connections.path_of(&peer, connection_id).unwrap_or(Path::Direct);
                self.envelopes.answered(request_id, path, response)
            }
            Event::OutboundFailure { request_id, error, .. } => {
                self.envelopes.failed(request_id, &error)
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => None,
        };
        self.events.extend(done);
    }

    fn on_invite(&mut self, event: invite::Event) {
        use request_response::Event;
        let done = match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let gate = &self.swarm.behaviour().gate;
                let may = gate.admits_strangers() || gate.is_contact(&peer);
                let from = peer::account(&peer).filter(|_| may);
                match self.invites.asked(peer, from, request, channel) {
                    Ok(event) => Some(event),
                    Err((channel, answer)) => return self.answer_invite(channel, answer),
                }
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                self.invites.answered(request_id, response)
            }
            Event::OutboundFailure { request_id, error, .. } => {
                self.invites.failed(request_id, &error)
            }
            Event::InboundFailure { .. } | Event::ResponseSent { .. } => None,
        };
        self.events.extend(done);
    }

    fn on_register(&mut self, event: register::Event, now: Instant) {
        use request_response::Event;
        let (peer, outcome) = match event {
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => (peer, self.registrations.answered(request_id, response)),
            Event::OutboundFailure { peer, request_id, error, .. } => {
                (peer, self.registrations.failed(request_id, &error))
            }
            // Nodes take no requests on this protocol.
            _ => return,
        };
        if let Some(outcome) = outcome {
            self.registration(Some(peer), outcome, now);
        }
    }

    fn on_mailbox(&mut self, event: mailbox::Event, now: Instant) {
        use request_response::Event;
        let done = match event {
            Event::Message {
                peer, message: Message::Response { request_id, response }, ..
            } => {
                if matches!(response, MailboxResponse::Opened) {
                    self.credential_accepted(&peer, now);
                }
                self.openings.answered(request_id, &response)
            }
            Event::OutboundFailure { request_id, error, .. } => {
                self.openings.failed(request_id, &error)
            }
            // Pushes come under throwaway keys only.
            _ => None,
        };
        self.events.extend(done);
    }
}
