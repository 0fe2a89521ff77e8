//! What an account store has to do.

use protocol::ids::AccountId;
use protocol::registration::{Account, IdentifierHash, Known};

use crate::error::StoreError;

/// What a decision does to accounts.
pub(crate) type Decision<'a> = &'a mut dyn FnMut(Known) -> Vec<Account>;

/// Keeps accounts by key, and whom each identifier admits. It decides nothing.
///
/// Implementations pass the suite in `contract.rs`.
pub(crate) trait AccountStore: std::fmt::Debug + Send + Sync + 'static {
    /// The account with this key.
    fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError>;
    /// Whom this identifier admits.
    #[cfg(test)]
    fn holder(&self, identifier: IdentifierHash) -> Result<Option<Account>, StoreError>;
    /// Accounts behind `after` in the order of their keys, at most `max`.
    fn page(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, StoreError>;
    /// Shows a decision what is known of a key and an identifier, and keeps the accounts that it returns: all
    /// or none, nobody else's decision in between, durable when it returns. The decision may be asked again.
    fn decide(
        &self,
        account: AccountId,
        identifier: Option<IdentifierHash>,
        decision: Decision<'_>,
    ) -> Result<(), StoreError>;
    /// Forgets an account, durably, one that is suspended only if `suspended_too`; whether it did.
    fn erase(&self, account: AccountId, suspended_too: bool) -> Result<bool, StoreError>;
}
