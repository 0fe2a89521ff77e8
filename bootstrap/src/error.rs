//! Why a relay does not run, in words for its operator, with an exit code each.

use std::net::SocketAddr;
use std::path::PathBuf;

use libp2p::Multiaddr;

use crate::config::ConfigError;
use crate::identity::IdentityError;

/// Why a store does not serve. Data is left as it is in every case.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("the store in {path} is in use by another process")]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// Its bytes are not what was written.
    #[error(
        "the store in {path} is damaged ({detail}); keep the folder, restore a backup beside it"
    )]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full.
    #[error("the disk of {path} is full; free some space and start again, nothing was lost")]
    Full {
        /// The store's folder.
        path: PathBuf,
    },
    /// PostgreSQL does not answer as it should.
    #[error("the PostgreSQL database does not serve: {detail}")]
    Database {
        /// What it said.
        detail: String,
    },
    /// Anything else that the system says.
    #[error("the store in {path} failed: {detail}")]
    Failed {
        /// The store's folder.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
}

/// Why a relay does not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no usable identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store does not open, or failed while running.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else listens there.
    #[error("another program already uses {address}; stop it, or configure another port")]
    AddressInUse {
        /// The address.
        address: Multiaddr,
    },
    /// Listening is impossible there.
    #[error("cannot listen on {address}: {detail}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system said.
        detail: String,
    },
    /// The health endpoint cannot listen.
    #[error("cannot serve health checks on {address}: {source}")]
    Health {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The operator's interface cannot listen, or leave its files.
    #[error("cannot serve the operator's interface on {address}: {source}")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Calls cannot be carried there.
    #[error("cannot serve STUN and TURN on {address}: {source}")]
    Turn {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder of files cannot be used.
    #[error("cannot keep files in {folder}: {source}")]
    Blobs {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The network could not be set up.
    #[error("cannot set up the network: {0}")]
    Network(String),
    /// A running relay was asked for something, and it came to nothing.
    #[error("{0}")]
    Asked(String),
    /// A task ended that should not have: a bug.
    #[error("the {task} task ended unexpectedly; this is a bug, please report it")]
    Task {
        /// Which.
        task: &'static str,
    },
}

impl RelayError {
    /// The process' exit code, after BSD's `sysexits.h`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Identity(_) => 78,
            Self::Store(StoreError::Locked { .. }) => 75,
            Self::Store(StoreError::Damaged { .. }) => 65,
            Self::Store(StoreError::Database { .. }) => 69,
            Self::Store(_) | Self::Blobs { .. } => 74,
            Self::AddressInUse { .. }
            | Self::Listen { .. }
            | Self::Health { .. }
            | Self::Admin { .. }
            | Self::Turn { .. } => 69,
            Self::Asked(_) => 1,
            Self::Network(_) | Self::Task { .. } => 70,
        }
    }
}
