//! A relay process that can be killed and comes back at the same address.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bootstrap::Config;
use tokio::process::Command;

use super::{Process, Transport, binary, free_port};

/// How a relay is run.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// The filter of its log.
    pub log: String,
    /// The port under which others reach it, when something stands in between.
    pub external_port: Option<u16>,
    /// What it listens with.
    pub transport: Transport,
}

impl Default for RelayOptions {
    fn default() -> Self {
        let log = "info,bootstrap=debug".to_owned();
        Self { log, external_port: None, transport: Transport::Tcp }
    }
}

/// A relay for trying things out, in a process of its own.
#[derive(Debug)]
pub struct RelayProcess {
    folder: PathBuf,
    options: RelayOptions,
    port: u16,
    address: String,
    process: Option<Process>,
}

impl RelayProcess {
    /// Starts one in `folder`; data in `relay`, output beside it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, options: RelayOptions) -> anyhow::Result<Self> {
        Self::start_with(folder, options, |_| {}).await
    }

    /// The same with a configuration that is changed before.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_with(
        folder: &Path,
        options: RelayOptions,
        change: impl FnOnce(&mut Config),
    ) -> anyhow::Result<Self> {
        let mut relay = Self {
            folder: folder.to_owned(),
            options,
            port: free_port()?,
            address: String::new(),
            process: None,
        };
        relay.configure(change)?;
        relay.restart().await?;
        Ok(relay)
    }

    /// The address that people are given.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The id of its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("relay")
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Starts it without waiting for it to be ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(binary("kith-relay", "KITH_RELAY_BIN")?);
        command.arg("run").arg("--config").arg(self.folder.join("relay.toml"));
        command.env("RUST_LOG", &self.options.log);
        self.process = Some(Process::spawn(command, "relay", &self.folder)?);
        Ok(())
    }

    /// Starts it again, at the same address, with the same data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// When it ends before, or was not started.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the relay was not started")?;
        let address = |line: &str| line.contains("/p2p/").then(|| line.trim().to_owned());
        self.address = process.line(address).await?;
        Ok(())
    }

    fn configure(&self, change: impl FnOnce(&mut Config)) -> anyhow::Result<()> {
        let at = |port: u16| self.options.transport.at(port).parse();
        let mut config = Config::development(self.data_dir());
        config.network.listen = vec![at(self.port)?];
        if let Some(port) = self.options.external_port {
            config.network.external_addresses = vec![at(port)?];
        }
        change(&mut config);
        std::fs::write(self.folder.join("relay.toml"), toml::to_string(&config)?)?;
        Ok(())
    }
}
