//! The relay's configuration: a TOML file, then the environment, then flags; the last one wins.
//!
//! Every key has a default except in what an operator must decide; an unknown key, an empty
//! name or a zero where nothing works with zero stops the relay with a sentence about it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use protocol::time::{MINUTE, SECOND};
use serde::{Deserialize, Serialize};

use crate::peer;

pub use blobs::{BlobPlace, Blobs, S3};
pub use sections::{
    Bucket, Circuits, EmailWay, Encryption, Mailbox, Network, PhoneWay, Postgres, Rates,
    Registration, Sms, Smtp,
};
pub use turn::Turn;

mod blobs;
mod sections;
mod turn;

/// TCP and QUIC port of a relay.
pub const DEFAULT_PORT: u16 = 4701;
/// Longest name of a relay in bytes: it travels in every `Info`.
pub const MAX_NAME: usize = 64;

/// Everything that an operator can decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where identity and store are. Made if missing.
    pub data_dir: PathBuf,
    /// What people see when they register, 1 to [`MAX_NAME`] bytes.
    pub name: String,
    /// A relay for trying things out: answers carry the codes. Never for strangers.
    pub development: bool,
    /// Listening and connections.
    pub network: Network,
    /// Circuits through this relay.
    pub circuits: Circuits,
    /// Accounts.
    pub registration: Registration,
    /// Mailboxes.
    pub mailbox: Mailbox,
    /// How often one peer or address may ask.
    pub rates: Rates,
    /// Files for people who are away.
    pub blobs: Blobs,
    /// STUN and TURN for calls; absent: none.
    pub turn: Option<Turn>,
    /// A database that several relay processes share; absent: the store is in `data_dir`.
    pub postgres: Option<Postgres>,
    /// Health endpoint; absent: none.
    pub health: Option<SocketAddr>,
    /// The operator's interface, on loopback; absent: none.
    pub admin: Option<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/kith-relay".into(),
            name: "Kith relay".into(),
            development: false,
            network: Network::default(),
            circuits: Circuits::default(),
            registration: Registration::default(),
            mailbox: Mailbox::default(),
            rates: Rates::default(),
            blobs: Blobs::default(),
            turn: None,
            postgres: None,
            health: None,
            admin: None,
        }
    }
}

/// What the environment and the command line say; goes over the file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Overrides {
    /// Where identity and store are
    #[arg(long, env = "KITH_RELAY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// What people see when they register
    #[arg(long, env = "KITH_RELAY_NAME")]
    pub name: Option<String>,
    /// Where to listen, as multiaddresses
    #[arg(long, env = "KITH_RELAY_LISTEN", value_delimiter = ',')]
    pub listen: Option<Vec<Multiaddr>>,
    /// Under which addresses others reach this relay
    #[arg(long, env = "KITH_RELAY_EXTERNAL_ADDRESSES", value_delimiter = ',')]
    pub external_addresses: Option<Vec<Multiaddr>>,
    /// Where to answer /healthz, /readyz and /metrics
    #[arg(long, env = "KITH_RELAY_HEALTH")]
    pub health: Option<SocketAddr>,
    /// Where kith-relay admin is answered; a loopback address
    #[arg(long, env = "KITH_RELAY_ADMIN")]
    pub admin: Option<SocketAddr>,
    /// A relay for trying things out: answers carry the codes
    #[arg(long, env = "KITH_RELAY_DEVELOPMENT")]
    pub development: Option<bool>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not TOML, or has unknown keys or wrong types.
    #[error("the configuration {path} is not valid: {detail}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        detail: String,
    },
    /// A value cannot work.
    #[error("configuration: {0}")]
    Unusable(Cow<'static, str>),
}

impl Config {
    /// The configuration of a relay for trying things out, on this machine only: free ports of
    /// the loopback address, codes in the answers, and rates that a test of hundreds of nodes
    /// on one address does not reach. Everything else is as in production.
    #[must_use]
    pub fn development(data_dir: impl Into<PathBuf>) -> Self {
        const PLENTY: u32 = 1_000_000;
        let free = Bucket::new(PLENTY, 1);
        let listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]
            .map(|at| at.parse().expect("a literal multiaddr"))
            .to_vec();
        Self {
            data_dir: data_dir.into(),
            name: "Development relay".into(),
            development: true,
            network: Network { listen, max_connections_per_prefix: PLENTY, ..Network::default() },
            circuits: Circuits {
                reservations_per_peer: free,
                reservations_per_address: free,
                circuits_per_peer: free,
                circuits_per_address: free,
                ..Circuits::default()
            },
            registration: Registration {
                challenges_per_hour: 1_000,
                sends_per_day: 1_000,
                account_challenges_per_day: 1_000,
                prefix_challenges_per_day: PLENTY,
                answered_percent: 0,
                ..Registration::default()
            },
            rates: Rates { peer: free, address: free },
            ..Self::default()
        }
    }

    /// Reads the file, if any, and puts the overrides over it.
    ///
    /// # Errors
    /// [`ConfigError`] with a sentence for the operator.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let mut config = match file {
            None => Self::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Unreadable { path: path.into(), source })?;
                toml::from_str(&text).map_err(|error| ConfigError::Invalid {
                    path: path.into(),
                    detail: error.to_string(),
                })?
            }
        };
        let Overrides { data_dir, name, listen, external_addresses, health, admin, development } =
            overrides;
        config.data_dir = data_dir.unwrap_or(config.data_dir);
        config.name = name.unwrap_or(config.name);
        config.network.listen = listen.unwrap_or(config.network.listen);
        config.network.external_addresses =
            external_addresses.unwrap_or(config.network.external_addresses);
        config.health = health.or(config.health);
        config.admin = admin.or(config.admin);
        config.development = development.unwrap_or(config.development);
        config.validate()?;
        Ok(config)
    }

    /// This configuration with the limits of another one: what can change while a relay runs.
    pub(crate) fn with_limits_of(&self, new: &Self) -> Self {
        let Self { registration: old, blobs, turn, .. } = self;
        let registration = Registration {
            email: old.email,
            phone: old.phone,
            credential_days: old.credential_days,
            // What sends them says it.
            code_seconds: old.code_seconds,
            smtp: old.smtp.clone(),
            sms: old.sms.clone(),
            ..new.registration.clone()
        };
        let blobs = Blobs { place: blobs.place, folder: blobs.folder.clone(), ..new.blobs.clone() };
        let turn = match (turn, &new.turn) {
            (Some(old), Some(new)) => Some(old.with_limits_of(new)),
            (old, _) => old.clone(),
        };
        let (mailbox, rates) = (new.mailbox.clone(), new.rates.clone());
        Self { registration, blobs, turn, mailbox, rates, ..self.clone() }
    }

    /// Refuses what cannot work.
    ///
    /// # Errors
    /// [`ConfigError::Unusable`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { network, circuits, registration, mailbox, rates, .. } = self;
        let buckets = [
            circuits.reservations_per_peer,
            circuits.reservations_per_address,
            circuits.circuits_per_peer,
            circuits.circuits_per_address,
            rates.peer,
            rates.address,
        ];
        let rules: [(bool, &'static str); 11] = [
            (!self.data_dir.as_os_str().is_empty(), "data_dir is empty"),
            (
                !self.name.trim().is_empty() && self.name.len() <= MAX_NAME,
                "name must have 1 to 64 bytes",
            ),
            (
                self.admin.is_none_or(|admin| admin.ip().is_loopback()),
                "admin must be a loopback address (127.0.0.1 or [::1]); from elsewhere, use ssh",
            ),
            (!network.listen.is_empty(), "network.listen names no address"),
            (
                network.relays.iter().all(|relay| peer::named_in(relay).is_some()),
                "every address in network.relays must end in /p2p/<relay>",
            ),
            (
                network.max_connections > 0
                    && network.max_connections_per_prefix > 0
                    && network.max_connections_per_peer > 0,
                "the connection limits in [network] must not be 0",
            ),
            (circuits.circuit_bytes > 0, "circuits.circuit_bytes = 0 would mean no limit"),
            (
                circuits.circuit_seconds > 0 && circuits.reservation_seconds >= MINUTE / SECOND,
                "circuits need a second, reservations a minute at least",
            ),
            (
                self.postgres.as_ref().is_none_or(|postgres| postgres.drain_seconds <= 600),
                "postgres.drain_seconds is at most 600",
            ),
            (
                mailbox.default_ttl_seconds > 0
                    && mailbox.default_ttl_seconds <= mailbox.max_ttl_seconds
                    && mailbox.max_ttl_seconds <= 366 * 24 * 3_600,
                "mailbox: 0 < default_ttl_seconds <= max_ttl_seconds <= one year",
            ),
            (
                buckets.iter().all(|bucket| bucket.burst > 0 && bucket.refill_ms > 0)
                    && rates.peer.burst.min(rates.address.burst) >= MIN_BURST,
                "every rate needs burst and refill_ms above 0, [rates] a burst of 128 or more",
            ),
        ];
        if let Some(postgres) = &self.postgres {
            postgres.rule()?;
        }
        let blobs = self.blobs.rules(self.postgres.is_some());
        let turn = self.turn.iter().flat_map(Turn::rules);
        match rules
            .into_iter()
            .chain(registration.rules())
            .chain(turn)
            .chain(blobs)
            .find(|(holds, _)| !holds)
        {
            Some((_, why)) => Err(ConfigError::Unusable(why.into())),
            None => Ok(()),
        }
    }
}

/// Least burst of a request bucket: one request of the largest cost must fit.
pub const MIN_BURST: u32 = 128;

#[cfg(test)]
mod tests;
