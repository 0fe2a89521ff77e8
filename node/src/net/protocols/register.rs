//! `/kith/register/1`: this node to a relay, for the engine and for a look at its clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bootstrap::codec::WireCodec;
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ProtocolSupport};
use libp2p::{PeerId, StreamProtocol};
use protocol::contact::{Address, MAX_ADDRESSES};
use protocol::registration::wire::{PROTOCOL, RegisterRequest, RegisterResponse};

use super::exchange::{self, Pending, RELAYED_TIMEOUT};
use crate::net::command::Ticket;
use crate::net::event::NetFailure;

/// The libp2p behaviour. Nodes do not answer on it.
pub(crate) type Behaviour =
    request_response::Behaviour<WireCodec<RegisterRequest, RegisterResponse>>;
/// Its events.
pub(crate) type Event = request_response::Event<RegisterRequest, RegisterResponse>;

/// Builds the behaviour.
pub(crate) fn behaviour() -> Behaviour {
    let protocol = (StreamProtocol::new(PROTOCOL), ProtocolSupport::Outbound);
    request_response::Behaviour::new([protocol], exchange::config())
}

/// Why a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// The engine asked.
    Command(Ticket),
    /// To compare clocks and keep the connection; sent at this moment by our clock.
    Probe { sent_ms: u64 },
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The engine's.
    Done(Ticket, Result<RegisterResponse, NetFailure>),
    /// What a probe told.
    Probed {
        /// The relay's clock minus ours, milliseconds.
        offset_ms: i64,
        /// Where its processes are, if there may be several.
        addresses: Vec<Address>,
    },
}

/// Everything pending on this protocol.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    pending: Pending<Purpose>,
}

impl Registrations {
    /// Sends the engine's request to a connected relay.
    pub(crate) fn send(
        &mut self,
        behaviour: &mut Behaviour,
        peer: &PeerId,
        ticket: Ticket,
        request: RegisterRequest,
        now: Instant,
    ) {
        let id = behaviour.send_request(peer, request);
        self.pending.sent(id, Purpose::Command(ticket), now + RELAYED_TIMEOUT);
    }

    /// Asks a connected relay what time it has.
    pub(crate) fn probe(&mut self, behaviour: &mut Behaviour, peer: &PeerId, now: Instant) {
        let id = behaviour.send_request(peer, RegisterRequest::Info);
        self.pending.sent(id, Purpose::Probe { sent_ms: unix_ms() }, now + RELAYED_TIMEOUT);
    }

    /// An answer came.
    pub(crate) fn answered(
        &mut self,
        id: OutboundRequestId,
        response: RegisterResponse,
    ) -> Option<Outcome> {
        match self.pending.done(id)? {
            Purpose::Command(ticket) => Some(Outcome::Done(ticket, Ok(response))),
            Purpose::Probe { sent_ms } => match response {
                RegisterResponse::Info { now, mut addresses, .. } => {
                    addresses.truncate(MAX_ADDRESSES);
                    Some(Outcome::Probed {
                        offset_ms: offset(sent_ms, unix_ms(), now.0),
                        addresses,
                    })
                }
                _ => None,
            },
        }
    }

    /// A request failed.
    pub(crate) fn failed(
        &mut self,
        id: OutboundRequestId,
        error: &OutboundFailure,
    ) -> Option<Outcome> {
        match self.pending.done(id)? {
            Purpose::Command(ticket) => Some(Outcome::Done(ticket, Err(exchange::failure(error)))),
            Purpose::Probe { .. } => None,
        }
    }

    /// Requests that were not answered in time.
    pub(crate) fn expired(&mut self, now: Instant) -> impl Iterator<Item = Outcome> {
        let expired = self.pending.expired(now).into_iter();
        expired.filter_map(|purpose| match purpose {
            Purpose::Command(ticket) => Some(Outcome::Done(ticket, Err(NetFailure::TimedOut))),
            Purpose::Probe { .. } => None,
        })
    }

    /// When the next one expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.pending.next_deadline()
    }
}

/// Their clock minus ours, taking it that the answer was written half-way.
fn offset(sent_ms: u64, received_ms: u64, theirs_ms: u64) -> i64 {
    let ours = sent_ms.midpoint(received_ms);
    let magnitude = i64::try_from(theirs_ms.abs_diff(ours)).unwrap_or(i64::MAX);
    if theirs_ms >= ours { magnitude } else { -magnitude }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_signed_halves_the_round_trip_and_survives_nonsense() {
        assert_eq!(offset(1_000, 1_200, 5_100), 4_000);
        assert_eq!(offset(5_000, 5_200, 1_100), -4_000);
        assert_eq!(offset(0, 0, u64::MAX), i64::MAX);
        assert_eq!(offset(u64::MAX, u64::MAX, 0), -i64::MAX);
    }
}
