//! The relays that are measured, each in a process of its own.

use std::path::Path;

use anyhow::Context;
use bootstrap::config::Postgres;
use kith_tests::process::{Process, RelayOptions, RelayProcess, database, share};
use libp2p::Multiaddr;
use tokio::process::Command;

use super::usage::Usage;

/// More than is asked for.
const PLENTY: u32 = 1_000_000_000;

/// Where a relay keeps what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// In its folder.
    Sled,
    /// In the server that `tests/postgres.sh` starts.
    Postgres,
}

/// A relay of ours.
pub(super) struct Relay {
    process: RelayProcess,
    pub(super) address: Multiaddr,
    /// The server that its database is in.
    database: Option<u32>,
}

impl Relay {
    pub(super) async fn start(store: Store, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let shared = match store {
            Store::Sled => None,
            Store::Postgres => Some(database(folder).await?),
        };
        let server = shared.as_ref().map(server_of).transpose()?;
        let options = RelayOptions { log: "warn".into(), ..RelayOptions::default() };
        let process = RelayProcess::start_with(folder, options, |config| {
            // Everybody comes from one address, on one day.
            config.registration.relay_sends_per_hour = PLENTY as usize;
            config.registration.relay_sends_per_day = PLENTY as usize;
            config.mailbox.account_items = PLENTY;
            config.mailbox.account_bytes = u64::from(PLENTY) * 1_000;
            config.mailbox.contact_items = PLENTY;
            config.mailbox.contact_bytes = u64::from(PLENTY) * 1_000;
            if let Some(database) = &shared {
                share(config, database);
            }
        })
        .await?;
        let address = process.address().parse()?;
        Ok(Self { process, address, database: server })
    }

    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.id().context("the relay has ended")?)
    }

    /// The same of the database's server, if there is one.
    pub(super) fn database(&self) -> anyhow::Result<Option<Usage>> {
        self.database.map(Usage::of_family).transpose()
    }
}

/// The process of the server that a database is in.
fn server_of(database: &Postgres) -> anyhow::Result<u32> {
    let file = Path::new(&database.host).join("data/postmaster.pid");
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().next().context("the server's process")?.parse()?)
}

/// A relay of libp2p's own.
pub(super) struct Bare {
    process: Process,
    pub(super) address: Multiaddr,
}

impl Bare {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare-relay");
        let mut process = Process::spawn(command, "bare", folder)?;
        let address = process.line(|line| line.trim().parse().ok()).await?;
        Ok(Self { process, address })
    }

    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process.id().context("the bare relay has ended")?)
    }
}
