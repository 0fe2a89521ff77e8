//! A node process and the way to its API.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Process, Rest, Transport, binary};

/// How a node is run.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The filter of its log.
    pub log: String,
    /// The relay that it suggests.
    pub relay: String,
    /// The port that it listens on for others; 0 for any.
    pub port: u16,
    /// What it listens with.
    pub transport: Transport,
    /// Most bytes that a file of it may have: a disk that is nearly full.
    pub room: Option<u64>,
}

impl NodeOptions {
    /// With this relay, any port, and all the room there is.
    #[must_use]
    pub fn new(relay: &str) -> Self {
        let (log, relay) = ("info,node=debug".to_owned(), relay.to_owned());
        Self { log, relay, port: 0, transport: Transport::Tcp, room: None }
    }
}

/// A node, in a process of its own.
#[derive(Debug)]
pub struct NodeProcess {
    name: String,
    folder: PathBuf,
    /// How it is run from the next start on.
    pub options: NodeOptions,
    process: Option<Process>,
    rest: Option<Rest>,
}

impl NodeProcess {
    /// Starts one in `folder`; data in `<name>`, output beside it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(folder: &Path, name: &str, options: NodeOptions) -> anyhow::Result<Self> {
        let mut node = Self::new(folder, name, options);
        node.restart().await?;
        Ok(node)
    }

    /// One that does not run yet.
    #[must_use]
    pub fn new(folder: &Path, name: &str, options: NodeOptions) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            options,
            process: None,
            rest: None,
        }
    }

    /// Runs a command of the program on this profile, with words on its standard input. Returns what it
    /// printed; what it printed on standard error if it failed.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn command(
        &self,
        arguments: &[&str],
        input: &str,
    ) -> anyhow::Result<Result<String, String>> {
        let mut command = Command::new(binary("kith", "KITH_BIN")?);
        command.arg("--data-dir").arg(self.data_dir()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let mut stdin = child.stdin.take().context("its standard input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        })
    }

    /// Its folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Its log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read(self.folder.join(format!("{}.stderr", self.name)))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// The client of its API.
    ///
    /// # Panics
    /// When it does not run: a mistake of the test.
    #[must_use]
    pub fn rest(&self) -> &Rest {
        self.rest.as_ref().expect("the test started this node")
    }

    /// The id of its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// Starts it without waiting for it to be ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let kith = binary("kith", "KITH_BIN")?;
        let mut command = match self.options.room {
            None => Command::new(kith),
            Some(bytes) => {
                // A write beyond the limit fails instead of ending the process; in 512-byte blocks.
                let limited = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
                let mut shell = Command::new("sh");
                shell.args(["-c", limited, "sh", &(bytes / 512).to_string()]).arg(kith);
                shell
            }
        };
        command.arg("--data-dir").arg(self.data_dir()).args(["--log", &self.options.log]);
        command.args(["up", "--port", "0", "--no-lan", "--no-open"]);
        command.args(["--listen", &self.options.transport.at(self.options.port)]);
        command.args(["--relay", &self.options.relay]);
        self.process = Some(Process::spawn(command, &self.name, &self.folder)?);
        Ok(())
    }

    /// Starts it, on the data that it left.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Waits until its API answers.
    ///
    /// # Errors
    /// When it ends before, or was not started.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let process = self.process.as_mut().context("the node was not started")?;
        process.line(|line| line.contains("Ctrl-C").then_some(())).await?;
        let run = self.data_dir().join("run");
        let read = |file: &str| std::fs::read_to_string(run.join(file));
        self.rest = Some(Rest::new(read("api-address")?.trim(), read("api-token")?.trim())?);
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.rest = None;
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Stops it as Ctrl-C does.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.rest = None;
        match self.process.take() {
            Some(process) => process.stop().await,
            None => bail!("{} does not run", self.name),
        }
    }

    /// Waits until it ends by itself; says how, and its last words.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ended(&mut self) -> anyhow::Result<(ExitStatus, String)> {
        self.rest = None;
        let mut process = self.process.take().context("the node was not started")?;
        let status = process.ended().await?;
        Ok((status, process.last_words()))
    }
}
