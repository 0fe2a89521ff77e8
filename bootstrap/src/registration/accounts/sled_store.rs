//! Accounts in sled.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `accounts` | account | [`Account`] |
//! | `identifiers` | identifier's hash | the account that it admits |

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::ids::AccountId;
use protocol::registration::{Account, IdentifierHash, Known, Standing};
use protocol::wire;
use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError};

use super::store::{AccountStore, Decision};
use crate::error::StoreError;
use crate::store::Database;

const ACCOUNTS: &str = "accounts";
const IDENTIFIERS: &str = "identifiers";

#[derive(Debug)]
pub(crate) struct SledAccounts {
    database: Database,
    accounts: sled::Tree,
    identifiers: sled::Tree,
    /// Held from what a decision is shown until its accounts are kept.
    deciding: Arc<Mutex<()>>,
}

/// A row of the second tree: whom an identifier admits from now on.
type Held = (IdentifierHash, Option<AccountId>);

impl SledAccounts {
    pub(crate) fn open(database: Database) -> Result<Self, StoreError> {
        let accounts = database.tree(ACCOUNTS)?;
        let identifiers = database.tree(IDENTIFIERS)?;
        let store = Self { database, accounts, identifiers, deciding: Arc::default() };
        store.index()?;
        Ok(store)
    }

    /// Stores from before there was an index get it. Doing it twice does no harm.
    fn index(&self) -> Result<(), StoreError> {
        if !self.identifiers.is_empty() || self.accounts.is_empty() {
            return Ok(());
        }
        for entry in &self.accounts {
            let (_, bytes) = entry.map_err(|error| self.database.failed(&error))?;
            let account = self.decoded(&bytes)?;
            self.identifiers
                .insert(account.identifier.0, &account.account.0)
                .map_err(|error| self.database.failed(&error))?;
        }
        self.database.flush()
    }

    fn decoded(&self, bytes: &[u8]) -> Result<Account, StoreError> {
        wire::decode(bytes).map_err(|_| self.database.damaged("account"))
    }

    /// A poisoned lock guards nothing that could be half done.
    fn alone(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_by(&self, identifier: IdentifierHash) -> Result<Option<AccountId>, StoreError> {
        let found =
            self.identifiers.get(identifier.0).map_err(|error| self.database.failed(&error))?;
        found
            .map(|bytes| {
                AccountId::from_slice(&bytes).ok_or_else(|| self.database.damaged("identifier"))
            })
            .transpose()
    }

    /// The identifiers that change hands when this account is kept, or erased.
    fn handed(&self, account: AccountId, kept: Option<&Account>) -> Result<Vec<Held>, StoreError> {
        let wanted = kept.filter(|kept| kept.holds_identifier()).map(|kept| kept.identifier);
        let mut handed = Vec::new();
        if let Some(before) = self.account(account)?.map(|before| before.identifier)
            && wanted != Some(before)
            && self.held_by(before)? == Some(account)
        {
            handed.push((before, None));
        }
        handed.extend(wanted.map(|identifier| (identifier, Some(account))));
        Ok(handed)
    }

    fn write(
        &self,
        rows: &[(AccountId, Option<Vec<u8>>)],
        held: &[Held],
    ) -> Result<(), StoreError> {
        let trees = (&self.accounts, &self.identifiers);
        let written = trees.transaction(|(accounts, identifiers)| {
            for (account, bytes) in rows {
                match bytes {
                    Some(bytes) => accounts.insert(&account.0, bytes.as_slice())?,
                    None => accounts.remove(&account.0)?,
                };
            }
            for (identifier, holder) in held {
                match holder {
                    Some(holder) => identifiers.insert(&identifier.0, &holder.0)?,
                    None => identifiers.remove(&identifier.0)?,
                };
            }
            Ok::<_, ConflictableTransactionError<()>>(())
        });
        match written {
            // Nothing in it aborts.
            Ok(()) | Err(TransactionError::Abort(())) => self.database.flush(),
            Err(TransactionError::Storage(error)) => Err(self.database.failed(&error)),
        }
    }
}

impl AccountStore for SledAccounts {
    fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        let bytes = self.accounts.get(account.0).map_err(|error| self.database.failed(&error))?;
        bytes.map(|bytes| self.decoded(&bytes)).transpose()
    }

    #[cfg(test)]
    fn holder(&self, identifier: IdentifierHash) -> Result<Option<Account>, StoreError> {
        match self.held_by(identifier)? {
            Some(holder) => self.account(holder),
            None => Ok(None),
        }
    }

    fn page(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, StoreError> {
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.0));
        let rows = self.accounts.range((start, Bound::Unbounded)).values().take(max);
        rows.map(|bytes| self.decoded(&bytes.map_err(|error| self.database.failed(&error))?))
            .collect()
    }

    fn decide(
        &self,
        account: AccountId,
        identifier: Option<IdentifierHash>,
        decision: Decision<'_>,
    ) -> Result<(), StoreError> {
        let _alone = self.alone();
        let held_by = identifier.map(|identifier| self.held_by(identifier)).transpose()?.flatten();
        let holder = held_by.map(|holder| self.account(holder)).transpose()?.flatten();
        let kept = decision(Known { own: self.account(account)?, holder });
        if kept.is_empty() {
            return Ok(());
        }
        let (mut rows, mut freed, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for account in &kept {
            let bytes = wire::encode(account).map_err(|_| self.database.damaged("account"))?;
            rows.push((account.account, Some(bytes)));
            let (gives, takes): (Vec<_>, Vec<_>) = self
                .handed(account.account, Some(account))?
                .into_iter()
                .partition(|(_, holder)| holder.is_none());
            freed.extend(gives);
            taken.extend(takes);
        }
        // What one of them leaves another may take.
        freed.extend(taken);
        self.write(&rows, &freed)
    }

    fn erase(&self, account: AccountId, suspended_too: bool) -> Result<bool, StoreError> {
        let _alone = self.alone();
        let known = self.account(account)?;
        if known.is_none_or(|known| known.standing == Standing::Suspended && !suspended_too) {
            return Ok(false);
        }
        let handed = self.handed(account, None)?;
        self.write(&[(account, None)], &handed)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;
    use protocol::time::Timestamp;

    fn open(dir: &tempfile::TempDir) -> SledAccounts {
        SledAccounts::open(Database::open(dir.path()).expect("free")).expect("open")
    }

    #[test]
    fn sled_passes_the_suite() {
        let dir = tempfile::tempdir().expect("a directory");
        contract::holds(&open(&dir));
    }

    #[test]
    fn a_store_from_before_the_index_gets_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (account, identifier) = (AccountId([1; 32]), IdentifierHash([2; 32]));
        let (created, renewed) = (Timestamp(3), Timestamp(4));
        let ada = Account { account, identifier, created, renewed, standing: Standing::Good };
        let store = open(&dir);
        let bytes = wire::encode(&ada).expect("encodes");
        store.accounts.insert(account.0, bytes).expect("stored");
        assert_eq!(store.holder(identifier).expect("read"), None);
        drop(store);
        assert_eq!(open(&dir).holder(identifier).expect("read"), Some(ada));
    }
}
