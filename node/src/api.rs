//! The local API: what a browser tab, the command line and bots say to their node.
//!
//! 1. [`serve`] binds loopback and writes the command line's token file; 2. a request passes the
//!    layers of [`server`]: answer shape and headers, perimeter, bounds, token, repetition;
//!    3. a handler calls one method of the [`Node`] and answers with a DTO; 4. changes reach
//!    every tab through [`events`].
//!
//! # Invariants
//! * No cookie anywhere: nothing a browser sends by itself proves anything.
//! * Everything but assets, health, version and sign-in needs a bearer token.
//! * Handlers know neither store nor network.
//!
//! Spec: `openapi.json`.

pub mod dto;

mod assets;
mod auth;
mod error;
mod events;
mod extract;
mod idempotency;
mod limits;
mod openapi;
mod perimeter;
pub(crate) mod qr;
mod respond;
mod routes;
mod scan;
mod server;
mod sessions;
mod state;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use error::ApiCode;
pub use openapi::json as openapi_json;
pub use state::build;

use crate::handle::Node;
use bootstrap::token_file::TokenFiles;
use dto::LoginLink;
use sessions::SessionKind;
use state::{Api, Parts, now};

/// Name of the two files by which the command line finds a node.
pub(crate) const TOKEN_FILES: &str = "api";

/// How an API is served.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// The profile's name.
    pub profile: String,
    /// The port on loopback; 0 for any, in tests.
    pub port: u16,
    /// Where the token file goes: the profile's runtime folder.
    pub runtime_dir: PathBuf,
    /// A folder to serve the web UI from instead of the program's own copy.
    pub ui_dir: Option<PathBuf>,
}

/// Why an API did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiStartError {
    /// Another program, or another node, has the port.
    #[error(
        "port {port} on this computer is taken by another program. If it is Kith, “kith open” shows it; \
         otherwise stop that program, or choose another port with --port"
    )]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// Loopback cannot be bound.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Bind {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The token file cannot be written.
    #[error("cannot write the token file into {}", folder.display())]
    TokenFile {
        /// The runtime folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of `--ui-dir` holds no page.
    #[error("{} holds no index.html", folder.display())]
    NoUi {
        /// The folder.
        folder: PathBuf,
    },
}

/// An API that is being served.
#[derive(Debug)]
pub struct RunningApi {
    /// Where it listens on IPv4; `[::1]` has the same port where there is IPv6.
    pub address: SocketAddr,
    api: Api,
    files: TokenFiles,
}

impl RunningApi {
    /// `http://localhost:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}/", self.address.port())
    }

    /// A fresh link that signs one browser in, once, within ten minutes.
    #[must_use]
    pub fn login_link(&self) -> LoginLink {
        self.api.login_link()
    }

    /// Waits until the shutdown token was cancelled and every connection has ended, then removes
    /// the token file.
    ///
    /// # Cancel safety
    /// Dropping the future removes the token file at once; connections end by themselves.
    pub async fn stopped(self) {
        self.api.shutdown().cancelled().await;
        self.api.tasks().close();
        self.api.tasks().wait().await;
        drop(self.files);
    }
}

/// Serves the API until `shutdown` is cancelled.
///
/// # Errors
/// When the port is taken, loopback cannot be bound, the token file cannot be written, or
/// `ui_dir` holds no page.
pub async fn serve(
    config: ApiConfig,
    node: Node,
    shutdown: CancellationToken,
) -> Result<RunningApi, ApiStartError> {
    if let Some(folder) =
        config.ui_dir.as_ref().filter(|folder| !folder.join("index.html").is_file())
    {
        return Err(ApiStartError::NoUi { folder: folder.clone() });
    }
    let listeners = server::bind(config.port).await?;
    let bound = |source| ApiStartError::Bind { port: config.port, source };
    let address = listeners[0].local_addr().map_err(bound)?;
    let api = Api::new(Parts {
        node,
        profile: config.profile,
        port: address.port(),
        ui_dir: config.ui_dir,
        tasks: TaskTracker::new(),
        shutdown,
    });
    let token = api.sessions().open(SessionKind::TokenFile, now(), &mut rand::rng());
    let files = TokenFiles::write(&config.runtime_dir, TOKEN_FILES, &token, address)
        .map_err(|source| ApiStartError::TokenFile { folder: config.runtime_dir, source })?;
    server::start(&api, listeners);
    Ok(RunningApi { address, api, files })
}
