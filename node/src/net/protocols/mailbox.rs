//! `/kith/mailbox/1`: its libp2p behaviour, and the opening of queues.
//!
//! Opening travels under the account's key ([`Openings`]); everything else under throwaway keys
//! and in [`throwaway`](crate::net::throwaway).

use std::time::Instant;

use bootstrap::codec::WireCodec;
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ProtocolSupport};
use libp2p::{PeerId, StreamProtocol};
use protocol::mailbox::wire::{MailboxRequest, MailboxResponse, PROTOCOL, QueueSpec};

use super::exchange::{self, Pending, RELAYED_TIMEOUT};
use crate::net::command::{Credential, Ticket};
use crate::net::event::{NetEvent, NetFailure};

/// The libp2p behaviour.
pub(crate) type Behaviour = request_response::Behaviour<WireCodec<MailboxRequest, MailboxResponse>>;
/// Its events.
pub(crate) type Event = request_response::Event<MailboxRequest, MailboxResponse>;

/// Builds the behaviour: outbound under the account's key, both ways where a relay pushes.
pub(crate) fn behaviour(support: ProtocolSupport) -> Behaviour {
    let protocol = (StreamProtocol::new(PROTOCOL), support);
    request_response::Behaviour::new([protocol], exchange::config())
}

/// Queues that are being opened.
#[derive(Debug, Default)]
pub(crate) struct Openings {
    pending: Pending<Ticket>,
}

impl Openings {
    /// Sends to a connected relay.
    pub(crate) fn send(
        &mut self,
        behaviour: &mut Behaviour,
        peer: &PeerId,
        ticket: Ticket,
        (credential, queue): (Credential, QueueSpec),
        now: Instant,
    ) {
        let id = behaviour
            .send_request(peer, MailboxRequest::Open { credential: credential.expose(), queue });
        self.pending.sent(id, ticket, now + RELAYED_TIMEOUT);
    }

    /// An answer came.
    pub(crate) fn answered(
        &mut self,
        id: OutboundRequestId,
        response: &MailboxResponse,
    ) -> Option<NetEvent> {
        let ticket = self.pending.done(id)?;
        let result = match response {
            MailboxResponse::Opened => Ok(()),
            MailboxResponse::Refused(why) => Err(NetFailure::Refused(*why)),
            _ => Err(NetFailure::Unexpected),
        };
        Some(NetEvent::QueueDone { ticket, result })
    }

    /// A request failed.
    pub(crate) fn failed(
        &mut self,
        id: OutboundRequestId,
        error: &OutboundFailure,
    ) -> Option<NetEvent> {
        let ticket = self.pending.done(id)?;
        Some(NetEvent::QueueDone { ticket, result: Err(exchange::failure(error)) })
    }

    /// Requests that were not answered in time.
    pub(crate) fn expired(&mut self, now: Instant) -> impl Iterator<Item = NetEvent> {
        let expired = self.pending.expired(now).into_iter();
        expired.map(|ticket| NetEvent::QueueDone { ticket, result: Err(NetFailure::TimedOut) })
    }

    /// When the next one expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.pending.next_deadline()
    }
}
