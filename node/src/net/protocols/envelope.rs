//! `/kith/envelope/1`: frames and ephemerals between contacts.
//!
//! # Invariants
//! * A stranger's request is refused here; the engine hears of contacts only.
//! * A request over a bound is refused before the engine hears of it.

use std::time::Instant;

use bootstrap::codec::WireCodec;
use libp2p::request_response::{
    self, OutboundFailure, OutboundRequestId, ProtocolSupport, ResponseChannel,
};
use libp2p::{PeerId, StreamProtocol};
use protocol::ids::AccountId;
use protocol::wire::envelope::{
    EnvelopeRequest, EnvelopeResponse, MAX_BATCH_BYTES, MAX_EPHEMERAL, MAX_FRAMES, PROTOCOL,
};
use tokio::sync::oneshot;

use super::exchange::{self, BUSY_MS, Pending, Waiting};
use crate::net::command::Ticket;
use crate::net::event::{NetEvent, NetFailure, Path};

/// The libp2p behaviour.
pub(crate) type Behaviour =
    request_response::Behaviour<WireCodec<EnvelopeRequest, EnvelopeResponse>>;
/// Its events.
pub(crate) type Event = request_response::Event<EnvelopeRequest, EnvelopeResponse>;

/// Builds the behaviour.
pub(crate) fn behaviour() -> Behaviour {
    let protocol = (StreamProtocol::new(PROTOCOL), ProtocolSupport::Full);
    request_response::Behaviour::new([protocol], exchange::config())
}

/// What was asked, to tell an answer from nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Deliver,
    Ephemeral,
}

/// Everything pending on this protocol.
#[derive(Debug, Default)]
pub(crate) struct Envelopes {
    pending: Pending<(Ticket, Asked)>,
    /// Requests of contacts that wait for the engine.
    pub(crate) waiting: Waiting<EnvelopeResponse>,
}

impl Envelopes {
    /// Sends to a connected contact.
    pub(crate) fn send(
        &mut self,
        behaviour: &mut Behaviour,
        peer: &PeerId,
        ticket: Ticket,
        request: EnvelopeRequest,
        deadline: Instant,
    ) {
        let asked = match request {
            EnvelopeRequest::Deliver { .. } => Asked::Deliver,
            EnvelopeRequest::Ephemeral { .. } => Asked::Ephemeral,
        };
        let id = behaviour.send_request(peer, request);
        self.pending.sent(id, (ticket, asked), deadline);
    }

    /// An answer came over `path`.
    pub(crate) fn answered(
        &mut self,
        id: OutboundRequestId,
        path: Path,
        response: EnvelopeResponse,
    ) -> Option<NetEvent> {
        let (ticket, asked) = self.pending.done(id)?;
        let fits = match response {
            EnvelopeResponse::Durable { .. } => asked == Asked::Deliver,
            EnvelopeResponse::Taken => asked == Asked::Ephemeral,
            EnvelopeResponse::Busy { .. } | EnvelopeResponse::Refused => true,
        };
        let result = if fits { Ok((path, response)) } else { Err(NetFailure::Unexpected) };
        Some(NetEvent::EnvelopeDone { ticket, result })
    }

    /// A request of ours failed.
    pub(crate) fn failed(
        &mut self,
        id: OutboundRequestId,
        error: &OutboundFailure,
    ) -> Option<NetEvent> {
        let (ticket, _) = self.pending.done(id)?;
        Some(NetEvent::EnvelopeDone { ticket, result: Err(exchange::failure(error)) })
    }

    /// Requests of ours that were not answered in time.
    pub(crate) fn expired(&mut self, now: Instant) -> impl Iterator<Item = NetEvent> {
        let expired = self.pending.expired(now).into_iter();
        expired
            .map(|(ticket, _)| NetEvent::EnvelopeDone { ticket, result: Err(NetFailure::TimedOut) })
    }

    /// When the next of ours expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.pending.next_deadline()
    }

    /// A peer asks. `from` is who it is, when it is a contact.
    ///
    /// # Errors
    /// What to answer at once, when the engine is not to hear of it.
    pub(crate) fn asked(
        &mut self,
        peer: PeerId,
        from: Option<(AccountId, Path)>,
        request: EnvelopeRequest,
        channel: ResponseChannel<EnvelopeResponse>,
    ) -> Result<NetEvent, exchange::Answer<EnvelopeResponse>> {
        let Some((from, path)) = from.filter(|_| within_bounds(&request)) else {
            return Err((channel, EnvelopeResponse::Refused));
        };
        if !self.waiting.has_room(&peer) {
            return Err((channel, EnvelopeResponse::Busy { retry_ms: BUSY_MS }));
        }
        let (reply, answer) = oneshot::channel();
        self.waiting
            .push(peer, channel, async { answer.await.unwrap_or(EnvelopeResponse::Refused) });
        Ok(NetEvent::Envelope { from, path, request, reply })
    }
}

fn within_bounds(request: &EnvelopeRequest) -> bool {
    match request {
        EnvelopeRequest::Deliver { frames } => {
            let bytes: usize = frames.iter().map(|frame| frame.len()).sum();
            !frames.is_empty() && frames.len() <= MAX_FRAMES && bytes <= MAX_BATCH_BYTES
        }
        EnvelopeRequest::Ephemeral { sealed } => sealed.len() <= MAX_EPHEMERAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_number_and_bytes() {
        let deliver =
            |count, len| EnvelopeRequest::Deliver { frames: vec![vec![0; len].into(); count] };
        assert!(within_bounds(&deliver(MAX_FRAMES, 512)));
        assert!(!within_bounds(&deliver(MAX_FRAMES + 1, 1)));
        assert!(!within_bounds(&deliver(2, MAX_BATCH_BYTES / 2 + 1)));
        assert!(!within_bounds(&deliver(0, 0)), "an empty batch proves nothing");
        let ephemeral = |len| EnvelopeRequest::Ephemeral { sealed: vec![0; len].into() };
        assert!(within_bounds(&ephemeral(MAX_EPHEMERAL)));
        assert!(!within_bounds(&ephemeral(MAX_EPHEMERAL + 1)));
    }
}
