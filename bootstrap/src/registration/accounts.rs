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
use protocol::registration::{Account, IdentifierHash, Known, Standing};
use protocol::time::{DAY, Timestamp};
use tokio::sync::{mpsc, oneshot};

use self::store::AccountStore;
use crate::admission::Admission;
use crate::blobs::BlobStore;
use crate::error::StoreError;
use crate::peer;
use crate::swarm::Order;

/// Accounts that are read at once where all are.
const PAGE: usize = 1_000;

/// How long an account is kept that another key displaced: its contacts may not know its next relay before.
const DISPLACED_FOR: u64 = 30 * DAY;
/// How long an account is kept that nobody renews.
const FORGOTTEN_AFTER: u64 = 90 * DAY;

/// Most that are forgotten in one turn; the others wait for the next.
const MAX_FORGOTTEN: usize = 10_000;

fn is_stale(account: &Account, now: Timestamp) -> bool {
    match account.standing {
        Standing::Good => account.renewed.plus(FORGOTTEN_AFTER) <= now,
        Standing::Displaced { at } => at.plus(DISPLACED_FOR) <= now,
        Standing::Suspended => false,
    }
}

/// What is left of an account that was to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Erased {
    /// Nothing; there was one.
    Gone,
    /// Nothing; there was none.
    Nothing,
    /// Its queues are gone, its suspension is not.
    Suspended,
}

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
    /// Go with their owner.
    blobs: Arc<dyn BlobStore>,
    admission: Admission,
    /// Of a credential, milliseconds.
    lifetime: u64,
    orders: mpsc::Sender<Order>,
    /// Held from a decision until the table of admission knows it, or a later one could be applied before.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Accounts {
    /// Fills the table of admission.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn open(
        (store, blobs): (Arc<dyn AccountStore>, Arc<dyn BlobStore>),
        admission: Admission,
        lifetime: u64,
        orders: mpsc::Sender<Order>,
    ) -> Result<Self, StoreError> {
        let (reading, filling) = (Arc::clone(&store), admission.clone());
        crate::blocking::blocking(move || {
            every(&*reading, |account| {
                filling.apply(account, lifetime);
            })
        })
        .await?;
        Ok(Self { store, blobs, admission, lifetime, orders, turn: Arc::default() })
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
        self.decide(who, Some(identifier), move |known| {
            match account::admit(known, who, identifier, now) {
                Err(refused) => (Err(refused), Vec::new()),
                Ok(admitted) => {
                    let account = admitted.account.clone();
                    let kept = [admitted.account].into_iter().chain(admitted.displaced);
                    (Ok(account), kept.collect())
                }
            }
        })
        .await
    }

    /// This key renews; `None` when it has no account.
    pub(crate) async fn renew(
        &self,
        who: AccountId,
        now: Timestamp,
    ) -> Result<Option<Result<Account, NotServed>>, AccountError> {
        self.decide(who, None, move |known| {
            let before = known.own.clone();
            let renewed = known.own.map(|own| own.renew(now));
            // Who may not renew is kept as they are, so that what they are is applied.
            let kept = match &renewed {
                Some(Ok(account)) => Some(account.clone()),
                Some(Err(_)) => before,
                None => None,
            };
            (renewed, kept.into_iter().collect())
        })
        .await
    }

    /// Suspends an account, or ends that; the account as it is then, if there is one.
    pub(crate) async fn suspend(
        &self,
        who: AccountId,
        suspended: bool,
    ) -> Result<Option<Account>, AccountError> {
        let (changed, after) = self
            .decide(who, None, move |known| {
                let after = known.own.clone().map(|own| own.suspend(suspended));
                ((known.own != after, after.clone()), after.into_iter().collect())
            })
            .await?;
        if !suspended && changed {
            // They come back, ask how they stand, and are told.
            self.disconnect(who).await?;
        }
        Ok(after)
    }

    /// Forgets an account with its queues and files; what is left of it. A suspension stays unless it is the operator who
    /// erases, or it would be ended by erasing: then only the queues go. Whoever erases their own is to be
    /// disconnected by the caller, behind the answer.
    pub(crate) async fn erase(
        &self,
        who: AccountId,
        by_operator: bool,
    ) -> Result<Erased, AccountError> {
        // The queues first: whoever is killed in between has an account to be erased. And once more for what was
        // opened meanwhile.
        self.erase_kept(who).await?;
        let store = Arc::clone(&self.store);
        let turn = self.turn.lock().await;
        let there = blocking(move || store.erase(who, by_operator)).await?;
        if there {
            self.admission.forget(&who);
        }
        drop(turn);
        if !there && self.account(who).await?.is_some() {
            return Ok(Erased::Suspended);
        }
        self.erase_kept(who).await?;
        if by_operator {
            self.disconnect(who).await?;
        }
        Ok(if there { Erased::Gone } else { Erased::Nothing })
    }

    /// Its queues are gone when this returns, its files are over.
    async fn erase_kept(&self, who: AccountId) -> Result<(), AccountError> {
        let (done, erased) = oneshot::channel();
        self.order(Order::Erase(who, done)).await?;
        erased.await.map_err(|_| AccountError::Stopping)?;
        let blobs = Arc::clone(&self.blobs);
        blocking(move || blobs.end_all(who)).await
    }

    /// Forgets accounts that nobody needs any more: displaced for [`DISPLACED_FOR`], or not renewed for
    /// [`FORGOTTEN_AFTER`]. A suspension is never forgotten. How many.
    pub(crate) async fn forget_stale(&self, now: Timestamp) -> Result<usize, AccountError> {
        let store = Arc::clone(&self.store);
        let stale = blocking(move || {
            let mut stale = Vec::new();
            every(&*store, |account| {
                if stale.len() < MAX_FORGOTTEN && is_stale(account, now) {
                    stale.push(account.account);
                }
            })?;
            Ok(stale)
        })
        .await?;
        let mut forgotten = 0;
        for who in stale {
            // It may have been renewed meanwhile.
            if self.account(who).await?.is_some_and(|account| is_stale(&account, now)) {
                self.erase(who, false).await?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// Takes up what other processes say of accounts until none can say anything any more.
    pub(crate) async fn take_up(
        self,
        mut changed: mpsc::Receiver<AccountId>,
    ) -> Result<(), AccountError> {
        while let Some(who) = changed.recv().await {
            let turn = self.turn.lock().await;
            match self.account(who).await? {
                Some(account) => self.applied(&[account]).await?,
                None => {
                    self.admission.forget(&who);
                    drop(turn);
                    // A queue that was opened here before it was heard.
                    self.erase_kept(who).await?;
                    self.disconnect(who).await?;
                }
            }
        }
        Ok(())
    }

    /// The account of a key.
    pub(crate) async fn account(&self, who: AccountId) -> Result<Option<Account>, AccountError> {
        let store = Arc::clone(&self.store);
        blocking(move || store.account(who)).await
    }

    /// Accounts that proved this identifier last: the one that it admits first, then those that were displaced. Looks
    /// at all accounts.
    pub(crate) async fn of_identifier(
        &self,
        identifier: IdentifierHash,
    ) -> Result<Vec<Account>, AccountError> {
        let store = Arc::clone(&self.store);
        let mut found = blocking(move || {
            let mut found = Vec::new();
            every(&*store, |account| {
                if account.identifier == identifier {
                    found.push(account.clone());
                }
            })?;
            Ok(found)
        })
        .await?;
        found.sort_by_key(|account| !account.holds_identifier());
        Ok(found)
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

    /// What a decision says, once what it kept is applied.
    async fn decide<T: Send + 'static>(
        &self,
        who: AccountId,
        identifier: Option<IdentifierHash>,
        decision: impl Fn(Known) -> (T, Vec<Account>) + Send + 'static,
    ) -> Result<T, AccountError> {
        let store = Arc::clone(&self.store);
        let _turn = self.turn.lock().await;
        let (outcome, kept) = blocking(move || {
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
        .ok_or(AccountError::Stopping)?;
        self.applied(&kept).await?;
        Ok(outcome)
    }

    /// Accounts were kept: they are served from now on, or no more.
    async fn applied(&self, kept: &[Account]) -> Result<(), AccountError> {
        for account in kept {
            if self.admission.apply(account, self.lifetime) {
                let (who, standing) = (account.account.short(), account.standing);
                tracing::info!(account = %who, ?standing, "an account is not served any more");
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

/// Looks at every account, a page at a time.
fn every(store: &dyn AccountStore, mut look: impl FnMut(&Account)) -> Result<(), StoreError> {
    let mut last = None;
    loop {
        let page = store.page(last, PAGE)?;
        page.iter().for_each(&mut look);
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
