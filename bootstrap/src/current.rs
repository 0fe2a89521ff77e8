//! The configuration as it is now: limits can change while a relay runs.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;

/// Follows the configuration. Clones follow the same one.
#[derive(Clone, Debug)]
pub(crate) struct Current(watch::Receiver<Arc<Config>>);

impl Current {
    /// A configuration, and what changes it.
    pub(crate) fn of(config: Config) -> (watch::Sender<Arc<Config>>, Self) {
        let (sender, receiver) = watch::channel(Arc::new(config));
        (sender, Self(receiver))
    }

    /// As it is now.
    pub(crate) fn get(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    /// The configuration, if it is another one than when this was asked last.
    pub(crate) fn news(&mut self) -> Option<Arc<Config>> {
        let is_new = self.0.has_changed().unwrap_or(false);
        is_new.then(|| Arc::clone(&self.0.borrow_and_update()))
    }

    /// Waits for another configuration.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub(crate) async fn changed(&mut self) -> Arc<Config> {
        if self.0.changed().await.is_err() {
            // Nobody can change it any more.
            std::future::pending::<()>().await;
        }
        Arc::clone(&self.0.borrow_and_update())
    }
}
