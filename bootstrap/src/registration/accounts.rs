//! Where accounts are kept.

use protocol::ids::AccountId;
use protocol::registration::Account;
use protocol::wire;

use crate::error::StoreError;
use crate::store::Database;

/// Name of the tree.
const TREE: &str = "accounts";

/// Keeps accounts by key.
pub(crate) trait AccountStore: std::fmt::Debug + Send + Sync + 'static {
    /// The account with this key.
    fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError>;
    /// Keeps an account; durable when it returns.
    fn put(&self, account: &Account) -> Result<(), StoreError>;
    /// Calls `each` with every account.
    fn for_each(&self, each: &mut dyn FnMut(Account)) -> Result<(), StoreError>;
}

/// Accounts in sled: key → [`Account`].
#[derive(Debug)]
pub(crate) struct SledAccounts {
    database: Database,
    tree: sled::Tree,
}

impl SledAccounts {
    pub(crate) fn open(database: Database) -> Result<Self, StoreError> {
        let tree = database.tree(TREE)?;
        Ok(Self { database, tree })
    }

    fn decoded(&self, bytes: &[u8]) -> Result<Account, StoreError> {
        wire::decode(bytes).map_err(|_| self.database.damaged("account"))
    }
}

impl AccountStore for SledAccounts {
    fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        let bytes = self.tree.get(account.0).map_err(|error| self.database.failed(&error))?;
        bytes.map(|bytes| self.decoded(&bytes)).transpose()
    }

    fn put(&self, account: &Account) -> Result<(), StoreError> {
        let bytes = wire::encode(account).map_err(|_| self.database.damaged("account"))?;
        self.tree.insert(account.account.0, bytes).map_err(|error| self.database.failed(&error))?;
        self.database.flush()
    }

    fn for_each(&self, each: &mut dyn FnMut(Account)) -> Result<(), StoreError> {
        for entry in &self.tree {
            let (_, bytes) = entry.map_err(|error| self.database.failed(&error))?;
            each(self.decoded(&bytes)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::registration::IdentifierHash;
    use protocol::time::Timestamp;

    #[test]
    fn an_account_is_found_again_after_the_store_is_opened_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let account =
            Account::admit(None, AccountId([1; 32]), IdentifierHash([2; 32]), Timestamp(3));
        let open = || SledAccounts::open(Database::open(dir.path()).expect("free")).expect("open");
        open().put(&account).expect("stored");
        let store = open();
        assert_eq!(store.account(account.account).expect("read"), Some(account.clone()));
        assert_eq!(store.account(AccountId([9; 32])).expect("read"), None);
        let mut all = Vec::new();
        store.for_each(&mut |account| all.push(account)).expect("read");
        assert_eq!(all, [account]);
    }
}
