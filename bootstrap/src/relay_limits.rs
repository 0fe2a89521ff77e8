//! The limits of libp2p's circuit relay, and the rule that keeps it from being an open proxy.
//!
//! libp2p asks a list of limiters for every reservation and every circuit; a limiter is any
//! closure, so the first one is the access list: only admitted peers get further. Values and
//! their reasons: the defaults of [`Circuits`].

use std::num::NonZeroU32;
use std::time::Duration;

use libp2p::relay;
use libp2p::{Multiaddr, PeerId};

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{Bucket, Circuits};

pub(crate) fn relay_config(
    circuits: &Circuits,
    admission: &Admission,
    clock: &Clock,
) -> relay::Config {
    let mut config = relay::Config {
        max_reservations: circuits.max_reservations,
        max_reservations_per_peer: circuits.max_reservations_per_peer,
        reservation_duration: Duration::from_secs(circuits.reservation_seconds),
        reservation_rate_limiters: Vec::new(),
        max_circuits: circuits.max_circuits,
        max_circuits_per_peer: circuits.max_circuits_per_peer,
        max_circuit_duration: Duration::from_secs(circuits.circuit_seconds),
        max_circuit_bytes: circuits.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    };
    // The access list stands first: a stranger must not use up anybody's tokens.
    config.reservation_rate_limiters.push(Box::new(access_list(admission, clock)));
    let (tokens, interval) = parts(circuits.reservations_per_peer);
    config = config.reservation_rate_per_peer(tokens, interval);
    let (tokens, interval) = parts(circuits.reservations_per_address);
    config = config.reservation_rate_per_ip(tokens, interval);

    config.circuit_src_rate_limiters.push(Box::new(access_list(admission, clock)));
    let (tokens, interval) = parts(circuits.circuits_per_peer);
    config = config.circuit_src_per_peer(tokens, interval);
    let (tokens, interval) = parts(circuits.circuits_per_address);
    config.circuit_src_per_ip(tokens, interval)
}

fn access_list<I>(
    admission: &Admission,
    clock: &Clock,
) -> impl FnMut(PeerId, &Multiaddr, I) -> bool + Send + 'static {
    let (admission, clock) = (admission.clone(), clock.clone());
    move |peer, _, _| admission.is_admitted(&peer, clock.now())
}

fn parts(bucket: Bucket) -> (NonZeroU32, Duration) {
    let tokens = NonZeroU32::new(bucket.burst).unwrap_or(NonZeroU32::MIN);
    (tokens, Duration::from_millis(bucket.refill_ms.max(1)))
}
