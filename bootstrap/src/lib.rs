//! The relay, as a library: registration, mailboxes, circuits and bootstrap.
//!
//! `kith-relay` runs it for an operator; a node runs it for `kith demo` and for
//! `kith up --host-relay`; both through [`Relay::start`].
//!
//! 1. [`Relay::start`] loads the identity, opens the store and listens; what cannot work is
//!    said there, and nothing has been changed.
//! 2. Three tasks work: the network, registration, and a thread for the mailboxes.
//! 3. [`RelayHandle::shutdown`] ends them in an order that loses nothing; the store is closed
//!    when it returns.
//!
//! # Invariants
//! * What is confirmed is durable.
//! * A failing store stops the relay: it never goes on confirming.
//! * No address, identifier or body is ever logged.
//!
//! Spec: `docs/protocol/{registration,mailbox}.md`; for operators: `docs/OPERATING.md`.

mod admission;
mod behaviour;
pub mod clock;
pub mod codec;
pub mod config;
pub mod error;
mod health;
pub mod identity;
pub mod log;
mod mailbox;
pub mod memory;
pub mod peer;
pub mod pin;
mod prefix_limits;
mod rates;
pub mod registration;
mod relay;
mod relay_limits;
mod store;
mod swarm;

pub use behaviour::PROTOCOL_VERSION;
pub use clock::Clock;
pub use config::Config;
pub use error::{RelayError, StoreError};
pub use identity::RelayIdentity;
pub use relay::{Relay, RelayHandle};

/// Resolves when the process is asked to stop: SIGTERM or Ctrl-C.
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            },
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
    }
    #[cfg(not(unix))]
    drop(tokio::signal::ctrl_c().await);
}
