//! What the four protocols have in common: requests waiting for an answer, and answers waiting
//! for the engine.
//!
//! # Invariants
//! * A request of ours ends exactly once: answered, failed, or [expired](Pending::expired);
//!   what comes after that is dropped.
//! * Requests of one peer and of all peers that wait for the engine are bounded; what is over
//!   is answered busy without the engine hearing of it.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel};

use crate::net::event::NetFailure;

/// Most requests of one peer that wait for the engine on one protocol.
pub(crate) const MAX_WAITING_PER_PEER: usize = 8;
/// Most requests of all peers that wait for the engine on one protocol.
pub(crate) const MAX_WAITING: usize = 256;
/// What a peer that asks for too much is told to wait, milliseconds.
pub(crate) const BUSY_MS: u32 = 1_000;
/// An answer over a direct path has this long.
pub(crate) const DIRECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer over a relay has this long.
pub(crate) const RELAYED_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams of one protocol on one connection.
const MAX_STREAMS: usize = 32;

/// The configuration of every protocol; direct requests are ended earlier by [`Pending`].
pub(super) fn config() -> request_response::Config {
    request_response::Config::default()
        .with_request_timeout(RELAYED_TIMEOUT)
        .with_max_concurrent_streams(MAX_STREAMS)
}

/// Requests of ours that are under way, and what to remember of each.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    requests: HashMap<OutboundRequestId, (T, Instant)>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { requests: HashMap::new() }
    }
}

impl<T> Pending<T> {
    /// A request was sent; it has until `deadline`.
    pub(crate) fn sent(&mut self, id: OutboundRequestId, what: T, deadline: Instant) {
        self.requests.insert(id, (what, deadline));
    }

    /// It was answered or failed. `None` when it ended before.
    pub(crate) fn done(&mut self, id: OutboundRequestId) -> Option<T> {
        self.requests.remove(&id).map(|(what, _)| what)
    }

    /// Ends those whose time is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<T> {
        let over = self.requests.extract_if(|_, (_, deadline)| *deadline <= now);
        over.map(|(_, (what, _))| what).collect()
    }

    /// When the next one expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.requests.values().map(|(_, deadline)| *deadline).min()
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

/// Why a request failed, in the engine's terms.
pub(crate) fn failure(error: &OutboundFailure) -> NetFailure {
    match error {
        OutboundFailure::DialFailure => NetFailure::Unreachable,
        OutboundFailure::Timeout => NetFailure::TimedOut,
        OutboundFailure::ConnectionClosed => NetFailure::ConnectionLost,
        OutboundFailure::UnsupportedProtocols => NetFailure::Unsupported,
        // An answer that no decoder takes is an error of the stream as well.
        OutboundFailure::Io(error) => match error.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
                NetFailure::Unexpected
            }
            _ => NetFailure::ConnectionLost,
        },
    }
}

/// An answer that is ready to be sent.
pub(crate) type Answer<R> = (ResponseChannel<R>, R);

/// Requests of peers that wait for the engine.
pub(crate) struct Waiting<R> {
    answers: FuturesUnordered<BoxFuture<'static, (PeerId, Answer<R>)>>,
    per_peer: BTreeMap<PeerId, usize>,
}

impl<R> std::fmt::Debug for Waiting<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, per_peer } = self;
        f.debug_struct("Waiting")
            .field("answers", &answers.len())
            .field("peers", &per_peer.len())
            .finish()
    }
}

impl<R> Default for Waiting<R> {
    fn default() -> Self {
        Self { answers: FuturesUnordered::new(), per_peer: BTreeMap::new() }
    }
}

impl<R: Send + 'static> Waiting<R> {
    /// Whether one more request of this peer may wait.
    pub(crate) fn has_room(&self, peer: &PeerId) -> bool {
        self.answers.len() < MAX_WAITING
            && self.per_peer.get(peer).is_none_or(|waiting| *waiting < MAX_WAITING_PER_PEER)
    }

    /// Keeps the channel until the answer is there.
    pub(crate) fn push(
        &mut self,
        peer: PeerId,
        channel: ResponseChannel<R>,
        answer: impl Future<Output = R> + Send + 'static,
    ) {
        *self.per_peer.entry(peer).or_default() += 1;
        self.answers.push(Box::pin(async move { (peer, (channel, answer.await)) }));
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The next answer; `None` when nothing waits.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Answer<R>> {
        let (peer, answer) = self.answers.next().await?;
        if let Some(waiting) = self.per_peer.get_mut(&peer) {
            *waiting -= 1;
            if *waiting == 0 {
                self.per_peer.remove(&peer);
            }
        }
        Some(answer)
    }
}
