//! The relay, as a library: registration, mailboxes, circuits and bootstrap.
//!
//! `kith-relay` runs it for an operator; a node runs it for `kith demo` and for
//! `kith up --host-relay`; both through [`Relay::start`].
//!
//! 1. [`Relay::start`] loads the identity, opens the store and listens; what cannot work is
//!    said there, and nothing has been changed.
//! 2. Three tasks work: the network, registration, and a thread for the mailboxes; beside them what an operator
//!    asks for: health and metrics, and an interface of their own.
//! 3. [`RelayHandle::shutdown`] ends them in an order that loses nothing; the store is closed
//!    when it returns.
//!
//! # Invariants
//! * What is confirmed is durable.
//! * A failing store stops the relay: it never goes on confirming.
//! * No address, identifier or body is ever logged.
//!
//! Spec: `docs/protocol/{registration,mailbox}.md`; for operators: `docs/OPERATING.md`.

pub mod admin;
mod admission;
mod behaviour;
mod blobs;
mod blocking;
pub mod clock;
pub mod codec;
pub mod config;
mod current;
mod drain;
pub mod error;
mod health;
pub mod identity;
pub mod log;
mod mailbox;
pub mod memory;
mod metrics;
pub mod peer;
mod pepper;
pub mod pin;
mod postgres;
mod prefix_limits;
mod processes;
mod rates;
pub mod registration;
mod relay;
mod relay_limits;
mod services;
mod siblings;
mod store;
mod stores;
mod swarm;
pub mod token_file;
mod trust;
mod turn;

pub use behaviour::PROTOCOL_VERSION;
pub use clock::Clock;
pub use config::Config;
pub use error::{RelayError, StoreError};
pub use identity::RelayIdentity;
pub use relay::{Relay, RelayHandle, Reloaded};

/// Resolves each time the process is asked to read its configuration again: SIGHUP, which is listened to from the call on.
///
/// # Panics
/// Outside of a runtime.
#[derive(Debug)]
pub struct ReloadSignal(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl ReloadSignal {
    /// Listens.
    #[must_use]
    pub fn listen() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Self(signal(SignalKind::hangup()).ok())
        }
        #[cfg(not(unix))]
        Self()
    }

    /// The next one.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Resolves when the process is asked to stop: SIGTERM or Ctrl-C. Both are listened to from the call on, and no
/// longer end the process by themselves: call it before anything is announced.
///
/// # Panics
/// Outside of a runtime.
pub fn stop_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            let listening = signal(kind);
            async move {
                match listening {
                    Ok(mut listening) => drop(listening.recv().await),
                    // What cannot be listened to ends the process as ever.
                    Err(_) => std::future::pending().await,
                }
            }
        };
        let (terminate, interrupt) =
            (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
        async move {
            tokio::select! {
                () = terminate => {}
                () = interrupt => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        drop(tokio::signal::ctrl_c().await);
    }
}
