//! Wire types and pure state machines of Kith.
//!
//! Everything a node or a relay *decides* is here; everything it *does* (sockets, disks,
//! clocks, browsers) is in `node` and `bootstrap`. Each machine is a value with methods that
//! take what happened, and answer with what must be stored and what must be sent.
//!
//! # Invariants
//! * No IO, async, clock, thread, log or global randomness: `now` and `rng` are arguments.
//! * Every decoder checks its length limit before it allocates, refuses trailing bytes and
//!   answers hostile input with a typed error.
//! * Time given to a machine never moves its state backwards.

pub mod blob;
pub mod chat;
pub mod contact;
pub mod envelope;
pub mod ids;
pub mod invite;
pub mod mailbox;
pub mod outbox;
pub mod pin;
pub mod presence;
pub mod receipt;
#[cfg(test)]
mod redaction;
pub mod registration;
pub mod rekey;
pub mod request;
pub mod session;
#[cfg(any(test, feature = "test-utils"))]
pub mod sim;
pub mod time;
pub mod turn;
pub mod wire;

/// What a machine is given besides its input: the time and a source of randomness.
pub struct Cx<'a> {
    /// The shell's clock, milliseconds since the Unix epoch.
    pub now: time::Timestamp,
    /// The shell's randomness: the operating system's in production, seeded in simulations.
    pub rng: &'a mut dyn rand_core::CryptoRng,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("now", &self.now).finish_non_exhaustive()
    }
}
