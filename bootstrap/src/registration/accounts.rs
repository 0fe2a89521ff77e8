//! Accounts: who is admitted, who no longer, and what that ends at once.
//!
//! 1. A right code, a renewal, the operator or the person decides over an account; the store keeps it.
//! 2. The table of admission learns of it.
//! 3. Whoever is not served any more is disconnected, which ends reservations and circuits; the node comes
//!    back, asks how it stands, and is told.
//!
//! Registration and the operator's listener share it.

#[cfg(test)]
mod contract;
pub(crate) mod postgres_store;
pub(crate) mod sled_store;
pub(crate) mod store;

use std::sync::Arc;

use protocol::ids::AccountId;
use protocol::registration::account::{self, NotServed};
use protocol::registration::{Account, IdentifierHash, Known};
use protocol::time::Timestamp;
use tokio::sync::{mpsc, oneshot};

use self::store::AccountStore;
use crate::admission::Admission;
use crate::error::StoreError;
use crate::peer;
use crate::siblings::News;
use crate::swarm::Order;

/// Accounts that are read at once where all are.
const PAGE: usize = 1_000;

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The relay is stopping.
    #[error("the relay is stopping")]
    Stopping,
}

/// The accounts of a relay. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    store: Arc<dyn AccountStore>,
    admission: Admission,
    /// Of a credential, milliseconds.
    lifetime: u64,
    orders: mpsc::Sender<Order>,
}

impl Accounts {
    /// Fills the table of admission.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(
        store: Arc<dyn AccountStore>,
        admission: Admission,
        lifetime: u64,
        orders: mpsc::Sender<Order>,
    ) -> Result<Self, StoreError> {
        let (reading, filling) = (Arc::clone(&store), admission.clone());
        let filled = tokio::task::spawn_blocking(move || fill(&*reading, &filling, lifetime));
        filled.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        Ok(Self { store, admission, lifetime, orders })
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// This key has proved this identifier.
    pub(crate) async fn admit(
        &self,
        who: AccountId,
        identifier: IdentifierHash,
        now: Timestamp,
    ) -> Result<Result<Account, NotServed>, AccountError> {
        let (outcome, kept) = self
            .decide(who, Some(identifier), move |known| {
                match account::admit(known, who, identifier, now) {
                    Err(refused) => (Err(refused), Vec::new()),
                    Ok(admitted) => {
                        let account = admitted.account.clone();
                        let kept = [admitted.account].into_iter().chain(admitted.displaced);
                        (Ok(account), kept.collect())
                    }
                }
            })
            .await?;
        self.applied(&kept).await?;
        Ok(outcome)
    }

    /// This key renews; `None` when it has no account.
    pub(crate) async fn renew(
        &self,
        who: AccountId,
        now: Timestamp,
    ) -> Result<Option<Result<Account, NotServed>>, AccountError> {
        let (outcome, kept) = self
            .decide(who, None, move |known| {
                let renewed = known.own.map(|own| own.renew(now));
                let kept = renewed.iter().flatten().cloned().collect();
                (renewed, kept)
            })
            .await?;
        self.applied(&kept).await?;
        Ok(outcome)
    }

    /// Suspends an account, or ends that; the account as it is then, if there is one.
    pub(crate) async fn suspend(
        &self,
        who: AccountId,
        suspended: bool,
    ) -> Result<Option<Account>, AccountError> {
        let (outcome, kept) = self
            .decide(who, None, move |known| {
                let own = known.own.map(|own| own.suspend(suspended));
                (own.clone(), own.into_iter().collect())
            })
            .await?;
        self.applied(&kept).await?;
        if !suspended && outcome.is_some() {
            // They come back, ask how they stand, and are told.
            self.disconnect(who).await?;
        }
        Ok(outcome)
    }

    /// Forgets an account with its queues; whether there was one. A suspension that is not the operator's to end
    /// stays, or it would be ended by erasing: then only the queues go. Whoever erases their own is to be
    /// disconnected by the caller, behind the answer.
    pub(crate) async fn erase(
        &self,
        who: AccountId,
        by_operator: bool,
    ) -> Result<bool, AccountError> {
        if !by_operator && self.admission.is_suspended(&who) {
            self.erase_queues(who).await?;
            return Ok(true);
        }
        // The queues first: whoever is killed in between has an account to be erased. And once more for what was
        // opened meanwhile.
        self.erase_queues(who).await?;
        let store = Arc::clone(&self.store);
        let there = blocking(move || store.erase(who)).await?;
        self.admission.forget(&who);
        self.erase_queues(who).await?;
        if by_operator {
            self.disconnect(who).await?;
        }
        Ok(there)
    }

    async fn erase_queues(&self, who: AccountId) -> Result<(), AccountError> {
        let (done, erased) = oneshot::channel();
        self.order(Order::Erase(who, done)).await?;
        erased.await.map_err(|_| AccountError::Stopping)
    }

    /// Takes up what other processes say until none can say anything any more.
    pub(crate) async fn take_up(self, mut news: mpsc::Receiver<News>) -> Result<(), AccountError> {
        while let Some(news) = news.recv().await {
            match news {
                News::Stored(queues) => self.order(Order::Stored(queues)).await?,
                News::Account(who) => match self.account(who).await? {
                    Some(account) => self.applied(&[account]).await?,
                    None => {
                        self.admission.forget(&who);
                        self.disconnect(who).await?;
                    }
                },
            }
        }
        Ok(())
    }

    /// The account of a key.
    pub(crate) async fn account(&self, who: AccountId) -> Result<Option<Account>, AccountError> {
        let store = Arc::clone(&self.store);
        blocking(move || store.account(who)).await
    }

    /// Whom an identifier admits.
    pub(crate) async fn holder(
        &self,
        identifier: IdentifierHash,
    ) -> Result<Option<Account>, AccountError> {
        let store = Arc::clone(&self.store);
        blocking(move || store.holder(identifier)).await
    }

    /// Accounts behind `after`, at most `max`.
    pub(crate) async fn page(
        &self,
        after: Option<AccountId>,
        max: usize,
    ) -> Result<Vec<Account>, AccountError> {
        let store = Arc::clone(&self.store);
        blocking(move || store.page(after, max)).await
    }

    /// What a decision says, and the accounts that were kept.
    async fn decide<T: Send + 'static>(
        &self,
        who: AccountId,
        identifier: Option<IdentifierHash>,
        decision: impl Fn(Known) -> (T, Vec<Account>) + Send + 'static,
    ) -> Result<(T, Vec<Account>), AccountError> {
        let store = Arc::clone(&self.store);
        blocking(move || {
            let mut last = None;
            store.decide(who, identifier, &mut |known| {
                let (outcome, kept) = decision(known);
                last = Some((outcome, kept.clone()));
                kept
            })?;
            Ok(last)
        })
        .await?
        // Every store asks the decision.
        .ok_or(AccountError::Stopping)
    }

    /// Accounts were kept: they are served from now on, or no more.
    async fn applied(&self, kept: &[Account]) -> Result<(), AccountError> {
        for account in kept {
            if self.admission.apply(account, self.lifetime) {
                tracing::info!(account = %account.account.short(), standing = ?account.standing, "an account is not served any more");
                self.disconnect(account.account).await?;
            }
        }
        Ok(())
    }

    async fn disconnect(&self, who: AccountId) -> Result<(), AccountError> {
        match peer::of_ed25519(&who.0) {
            Some(peer) => self.order(Order::Disconnect(peer)).await,
            None => Ok(()),
        }
    }

    async fn order(&self, order: Order) -> Result<(), AccountError> {
        self.orders.send(order).await.map_err(|_| AccountError::Stopping)
    }
}

/// Applies every account.
fn fill(store: &dyn AccountStore, admission: &Admission, lifetime: u64) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let page = store.page(last, PAGE)?;
        for account in &page {
            admission.apply(account, lifetime);
        }
        match page.last() {
            Some(account) if page.len() == PAGE => last = Some(account.account),
            _ => return Ok(()),
        }
    }
}

/// Runs what blocks where it may. What panics there is a bug, and told like a relay that stops.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, AccountError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(AccountError::Stopping),
    }
}
