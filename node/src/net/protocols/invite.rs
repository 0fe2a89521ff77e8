//! `/kith/invite/1`: redeeming an invite at the inviter's node.
//!
//! # Invariants
//! * Whoever may not ask gets the answer that an unknown code gets.

use std::time::Instant;

use bootstrap::codec::WireCodec;
use libp2p::request_response::{
    self, OutboundFailure, OutboundRequestId, ProtocolSupport, ResponseChannel,
};
use libp2p::{PeerId, StreamProtocol};
use protocol::ids::AccountId;
use protocol::wire::invite::{
    InviteRequest, InviteResponse, MAX_BUNDLE, MAX_HOLD, MAX_JOIN, PROTOCOL,
};
use tokio::sync::oneshot;

use super::exchange::{self, BUSY_MS, Pending, Waiting};
use crate::net::command::Ticket;
use crate::net::event::{NetEvent, NetFailure};

/// The libp2p behaviour.
pub(crate) type Behaviour = request_response::Behaviour<WireCodec<InviteRequest, InviteResponse>>;
/// Its events.
pub(crate) type Event = request_response::Event<InviteRequest, InviteResponse>;

/// Builds the behaviour.
pub(crate) fn behaviour() -> Behaviour {
    let protocol = (StreamProtocol::new(PROTOCOL), ProtocolSupport::Full);
    request_response::Behaviour::new([protocol], exchange::config())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Bundle,
    Join,
}

/// Everything pending on this protocol.
#[derive(Debug, Default)]
pub(crate) struct Invites {
    pending: Pending<(Ticket, Asked)>,
    /// Requests of scanners that wait for the engine.
    pub(crate) waiting: Waiting<InviteResponse>,
}

impl Invites {
    /// Sends to a connected inviter.
    pub(crate) fn send(
        &mut self,
        behaviour: &mut Behaviour,
        peer: &PeerId,
        ticket: Ticket,
        request: InviteRequest,
        deadline: Instant,
    ) {
        let asked = match request {
            InviteRequest::Bundle { .. } => Asked::Bundle,
            InviteRequest::Join { .. } => Asked::Join,
        };
        let id = behaviour.send_request(peer, request);
        self.pending.sent(id, (ticket, asked), deadline);
    }

    /// An answer came.
    pub(crate) fn answered(
        &mut self,
        id: OutboundRequestId,
        response: InviteResponse,
    ) -> Option<NetEvent> {
        let (ticket, asked) = self.pending.done(id)?;
        let fits = match &response {
            InviteResponse::Bundle { sealed } => {
                asked == Asked::Bundle && sealed.len() <= MAX_BUNDLE
            }
            InviteResponse::Held { frame } => asked == Asked::Join && frame.len() <= MAX_HOLD,
            InviteResponse::Gone | InviteResponse::Busy { .. } => true,
        };
        let result = if fits { Ok(response) } else { Err(NetFailure::Unexpected) };
        Some(NetEvent::InviteDone { ticket, result })
    }

    /// A request of ours failed.
    pub(crate) fn failed(
        &mut self,
        id: OutboundRequestId,
        error: &OutboundFailure,
    ) -> Option<NetEvent> {
        let (ticket, _) = self.pending.done(id)?;
        Some(NetEvent::InviteDone { ticket, result: Err(exchange::failure(error)) })
    }

    /// Requests of ours that were not answered in time.
    pub(crate) fn expired(&mut self, now: Instant) -> impl Iterator<Item = NetEvent> {
        let expired = self.pending.expired(now).into_iter();
        expired
            .map(|(ticket, _)| NetEvent::InviteDone { ticket, result: Err(NetFailure::TimedOut) })
    }

    /// When the next of ours expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.pending.next_deadline()
    }

    /// A peer asks. `from` is who it is, when it may.
    ///
    /// # Errors
    /// What to answer at once, when the engine is not to hear of it.
    pub(crate) fn asked(
        &mut self,
        peer: PeerId,
        from: Option<AccountId>,
        request: InviteRequest,
        channel: ResponseChannel<InviteResponse>,
    ) -> Result<NetEvent, exchange::Answer<InviteResponse>> {
        let fits = match &request {
            InviteRequest::Bundle { .. } => true,
            InviteRequest::Join { request, .. } => request.len() <= MAX_JOIN,
        };
        let Some(from) = from.filter(|_| fits) else {
            return Err((channel, InviteResponse::Gone));
        };
        if !self.waiting.has_room(&peer) {
            return Err((channel, InviteResponse::Busy { retry_ms: BUSY_MS }));
        }
        let (reply, answer) = oneshot::channel();
        self.waiting.push(peer, channel, async { answer.await.unwrap_or(InviteResponse::Gone) });
        Ok(NetEvent::Invite { from, request, reply })
    }
}
