//! One child process and what it writes.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::START;

/// How much of its log a failure shows, in bytes.
const SHOWN: usize = 2_000;

/// Most lines of its standard output that wait to be heard.
const MAX_LINES: usize = 256;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command`. Standard output and standard error are appended to `<name>.stdout` and
    /// `<name>.stderr` in `logs`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn(mut command: Command, name: &str, logs: &Path) -> anyhow::Result<Self> {
        let append = |kind: &str| {
            let path = logs.join(format!("{name}.{kind}"));
            let file = OpenOptions::new().create(true).append(true).open(&path);
            file.map(|file| (path, file))
        };
        let ((stderr, log), (_, output)) = (append("stderr")?, append("stdout")?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
        let piped = child.stdout.take().context("a piped standard output")?;
        let (said, lines) = mpsc::channel(MAX_LINES);
        tokio::spawn(async move {
            let mut output = tokio::fs::File::from_std(output);
            let mut piped = BufReader::new(piped).lines();
            while let Ok(Some(line)) = piped.next_line().await {
                // What cannot be kept in the file is still heard.
                let _ = output.write_all(format!("{line}\n").as_bytes()).await;
                let _ = output.flush().await;
                // Nobody listens any more once it is ready.
                let _ = said.try_send(line);
            }
        });
        Ok(Self { name: name.to_owned(), child, lines, stderr })
    }

    /// Waits for a line of its standard output that `wanted` makes something of.
    ///
    /// # Errors
    /// When the process ends before, with the end of its log.
    pub async fn line<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let heard = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(found) = wanted(&line) {
                    return Some(found);
                }
            }
            None
        };
        let heard = timeout(START, heard).await;
        match heard {
            Ok(Some(found)) => Ok(found),
            Ok(None) => {
                let status = self.ended().await?;
                bail!("{} ended ({status}) before it was ready: {}", self.name, self.last_words())
            }
            Err(_) => bail!("{} was not ready in {START:?}: {}", self.name, self.last_words()),
        }
    }

    /// Its id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("a process that was not waited for has a pid")?;
        let asked = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await?;
        if !asked.success() {
            bail!("{} cannot be asked to stop", self.name);
        }
        let status = self.ended().await?;
        if !status.success() {
            bail!("{} stopped with {status}: {}", self.name, self.last_words());
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        match timeout(START, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} did not end in {START:?}: {}", self.name, self.last_words()),
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = std::fs::read(&self.stderr).unwrap_or_default();
        let from = log.len().saturating_sub(SHOWN);
        String::from_utf8_lossy(&log[from..]).into_owned()
    }
}
