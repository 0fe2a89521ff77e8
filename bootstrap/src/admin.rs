//! The operator's interface: accounts, dead letters and how the relay stands, over HTTP on loopback.
//!
//! 1. A listener of its own takes requests with a bearer token that is new at each start.
//! 2. `kith-relay admin` finds both in `<data_dir>/run` ([`crate::token_file`]) and speaks the same.
//!
//! # Invariants
//! * It listens on loopback only, and answers nobody without the token; not even that a path exists.
//! * It tells accounts by their keys. An address that an operator looks for comes in the body of a request, and is
//!   forgotten with it.

mod routes;

use std::io;
use std::net::SocketAddr;

use protocol::registration::{Identifier, IdentifierHash};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::RelayError;
use crate::health::{self, Watched};
use crate::pepper::Pepper;
use crate::registration::DeadLetters;
use crate::registration::accounts::Accounts;
use crate::token_file::TokenFiles;

/// Name of the files by which the command line finds it.
pub const TOKEN_FILES: &str = "admin";
/// Folder of those files in the data directory.
pub const RUN_FOLDER: &str = "run";
/// Bytes of a token before they are written as hexadecimal digits.
const TOKEN_BYTES: usize = 32;

/// What the interface looks at and changes.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) name: String,
    pub(crate) relay: String,
    pub(crate) accounts: Accounts,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) watched: Watched,
    pub(crate) clock: Clock,
    /// Under which addresses are stored.
    pub(crate) pepper: Pepper,
    pub(crate) started: protocol::time::Timestamp,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("relay", &self.relay).finish_non_exhaustive()
    }
}

impl Admin {
    fn hash(&self, identifier: &Identifier) -> IdentifierHash {
        identifier.hash(self.pepper.expose())
    }
}

/// Listens, and leaves the files for the command line; serves only when the returned future is polled.
///
/// # Errors
/// [`RelayError::Admin`].
pub(crate) async fn listen(
    address: SocketAddr,
    data_dir: &std::path::Path,
    admin: Admin,
) -> Result<(SocketAddr, impl Future<Output = ()> + Send + use<>), RelayError> {
    let failed = |source: io::Error| RelayError::Admin { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let (token, shutdown) = (token(), admin.watched.drain.shutdown());
    let files = TokenFiles::write(&data_dir.join(RUN_FOLDER), TOKEN_FILES, &token, bound);
    let files = files.map_err(failed)?;
    let router = routes::router(admin, token);
    let serve = async move {
        health::serve(listener, router, shutdown).await;
        drop(files);
    };
    Ok((bound, serve))
}

fn token() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0u8; TOKEN_BYTES]);
    rand::Rng::fill_bytes(&mut rand::rng(), bytes.as_mut_slice());
    Zeroizing::new(data_encoding::HEXLOWER.encode(bytes.as_slice()))
}
