//! STUN and TURN for calls (RFC 8489, RFC 8656).
//!
//! 1. An admitted node asks for credentials for a call ([`Calls::grant`]); the network task answers.
//! 2. The browser allocates with them at the server ([`server`]), which counts what each account uses.
//! 3. Every few seconds it is looked whose admission or call has ended; those allocations are closed.
//!
//! # Invariants
//! * Nobody is reached through it but public addresses and other allocations of this server ([`peers`]).
//! * What a stranger sends costs a bounded amount of work and of memory.
//! * Addresses of people are used for what the protocols need, and are not logged.
//!
//! Spec: `docs/protocol/turn.md`.

use std::net::SocketAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::{ConfigError, Turn};
use crate::current::Current;
use crate::error::RelayError;
use crate::identity::{Derived, RelayIdentity};
use crate::metrics::Metrics;
use crate::registration::driver;

mod calls;
mod door;
mod peers;
mod relayed;
mod server;

pub(crate) use calls::Calls;
pub(crate) use server::Server;

/// Calls as the configuration wants them: who may make some, and the server, if it is this relay's own, with the address
/// under which others reach it.
///
/// # Errors
/// [`RelayError::Turn`]: the port is taken. [`RelayError::Config`]: the secret of another server cannot be read, or is empty.
pub(crate) async fn open(
    (settings, current): (&Turn, &Current),
    identity: &RelayIdentity,
    admission: &Admission,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<(Arc<Calls>, Option<(Server, SocketAddr)>), RelayError> {
    let failed = |source| RelayError::Turn { address: settings.listen, source };
    let calls = |secret, servers| {
        let (metrics, clock) = (Arc::clone(metrics), clock.clone());
        let current = current.clone();
        Arc::new(Calls::new(current, secret, servers, admission.clone(), metrics, clock))
    };
    if settings.secret_file.is_some() {
        let secret = driver::secret(settings.secret_file.as_deref())?;
        let secret = Zeroizing::new(secret.trim().as_bytes().to_vec());
        if secret.is_empty() {
            let why = "turn.secret_file is empty: anybody could make credentials";
            return Err(ConfigError::Unusable(why.into()).into());
        }
        return Ok((calls(secret, settings.servers.clone()), None));
    }
    let (socket, at) = server::bind(settings).await.map_err(failed)?;
    let servers = vec![format!("stun:{at}"), format!("turn:{at}?transport=udp")];
    let secret = Zeroizing::new(identity.derive(Derived::Turn).expose().to_vec());
    let calls = calls(secret, servers);
    let server = Server::new(settings, socket, Arc::clone(&calls));
    Ok((calls, Some((server, at))))
}
