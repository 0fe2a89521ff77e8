//! Real processes: a relay and nodes as people run them, driven over the local API alone.
//!
//! 1. [`binary()`] finds what cargo built.
//! 2. A [`RelayProcess`] and [`NodeProcess`]es are started in folders of a test; their output
//!    goes to files there.
//! 3. A [`Rest`] client does what a person does and waits on the node's event stream.
//! 4. [`Proxy`] records what travels, [`Scanner`] looks for what must not be found.
//!
//! # Invariants
//! * A process ends with the value that holds it, by its own pid.
//! * Nothing is awaited without a deadline, and every failure says what the process last wrote.
//!
//! It knows nothing of engines, stores or the wire.

mod binary;
mod child;
mod database;
mod memory;
mod node;
mod person;
mod port;
mod proxy;
mod relay;
mod rest;
mod scan;

pub use binary::binary;
pub use child::Process;
pub use database::{database, share};
pub use memory::memory;
pub use node::{NodeOptions, NodeProcess};
pub use person::{Pair, arrived, introduce, state};
pub use port::free_port;
pub use proxy::{Proxy, SOURCE};
pub use relay::{RelayOptions, RelayProcess};
pub use rest::{Feed, Refused, Rest};
pub use scan::{Finding, Scanner};

use std::time::Duration;

/// What processes talk over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Noise over TCP.
    #[default]
    Tcp,
    /// QUIC over UDP.
    Quic,
}

impl Transport {
    /// A port of the loopback address, as a multiaddr.
    #[must_use]
    pub fn at(self, port: u16) -> String {
        match self {
            Self::Tcp => format!("/ip4/127.0.0.1/tcp/{port}"),
            Self::Quic => format!("/ip4/127.0.0.1/udp/{port}/quic-v1"),
        }
    }
}

/// Longest wait for a process to be ready, or to end.
pub const START: Duration = Duration::from_secs(60);
/// Longest wait for something to arrive. Generous: it is reached when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(180);
