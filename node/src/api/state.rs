//! What every handler can reach.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::time::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assets::Assets;
use super::dto::{LoginLink, rfc3339};
use super::idempotency::Answers;
use super::limits;
use super::perimeter::Perimeter;
use super::sessions::Sessions;
use crate::handle::Node;

/// The state of the API, shared by all its connections.
#[derive(Clone)]
pub(crate) struct Api(Arc<Inner>);

struct Inner {
    node: Node,
    profile: String,
    port: u16,
    perimeter: Perimeter,
    assets: Assets,
    sessions: Mutex<Sessions>,
    answers: Answers,
    requests: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("profile", &self.0.profile)
            .field("port", &self.0.port)
            .finish_non_exhaustive()
    }
}

/// What a running API is made of.
pub(super) struct Parts {
    pub(super) node: Node,
    pub(super) profile: String,
    pub(super) port: u16,
    pub(super) ui_dir: Option<PathBuf>,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl Api {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            node: parts.node,
            profile: parts.profile,
            port: parts.port,
            perimeter: Perimeter::new(parts.port),
            assets: parts.ui_dir.map_or_else(Assets::embedded, Assets::on_disk),
            sessions: Mutex::new(Sessions::new(now())),
            answers: Answers::default(),
            requests: Arc::new(Semaphore::new(limits::REQUESTS)),
            streams: Arc::new(Semaphore::new(limits::STREAMS)),
            scans: Arc::new(Semaphore::new(limits::SCANS)),
            tasks: parts.tasks,
            shutdown: parts.shutdown,
        }))
    }

    pub(super) fn node(&self) -> &Node {
        &self.0.node
    }

    pub(super) fn profile(&self) -> &str {
        &self.0.profile
    }

    pub(super) fn perimeter(&self) -> &Perimeter {
        &self.0.perimeter
    }

    pub(super) fn assets(&self) -> &Assets {
        &self.0.assets
    }

    pub(super) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    pub(super) fn requests(&self) -> &Arc<Semaphore> {
        &self.0.requests
    }

    pub(super) fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    pub(super) fn scans(&self) -> &Arc<Semaphore> {
        &self.0.scans
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// The sessions. A poisoned lock is taken as it is: every change leaves them whole.
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh link for one browser.
    pub(super) fn login_link(&self) -> LoginLink {
        let (secret, expires_at) = self.sessions().mint_link(now(), &mut rand::rng());
        LoginLink {
            url: format!("http://localhost:{}/#login={}", self.0.port, secret.as_str()),
            expires_at: rfc3339(expires_at),
        }
    }
}

/// The wall clock.
#[must_use]
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Version and commit of this program.
#[must_use]
pub fn build() -> &'static str {
    env!("KITH_BUILD")
}
