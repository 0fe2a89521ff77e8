//! What a relay remembers of somebody it has admitted, and what a right code or a renewal makes of it.
//!
//! ```text
//! (none) ──right code──▶ good ◀──operator──▶ suspended
//!                        ▲  │
//!             right code │  │ right code for its identifier, by another key
//!                        └─ displaced
//! ```
//!
//! An identifier admits one account at a time. Who proves it with another key takes the quota, and nothing
//! else: contacts and mail belong to keys.

use serde::{Deserialize, Serialize};

use super::identifier::IdentifierHash;
use crate::ids::AccountId;
use crate::time::Timestamp;
use crate::wire::Wire;

/// Whether an account is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Served.
    Good,
    /// Neither renewed nor served until the operator says otherwise.
    Suspended,
    /// Neither renewed nor served: another key proved the identifier.
    Displaced {
        /// When.
        at: Timestamp,
    },
}

/// An account as a relay stores it: no identifier, only its keyed hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The key that proved itself.
    pub account: AccountId,
    /// The identifier it last proved.
    pub identifier: IdentifierHash,
    /// First success.
    pub created: Timestamp,
    /// Last success or renewal; never moves back.
    pub renewed: Timestamp,
    /// Whether it is served.
    pub standing: Standing,
}

impl Wire for Account {
    const LIMIT: usize = 256;
}

/// What is known when a key has proved an identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The key's own account.
    pub own: Option<Account>,
    /// Whom the identifier admits so far; perhaps the same.
    pub holder: Option<Account>,
}

/// A success: both are to be stored, as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The account that is admitted.
    pub account: Account,
    /// Who held the identifier until now.
    pub displaced: Option<Account>,
}

/// An account is not served, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account is not served")]
pub struct NotServed(pub Standing);

/// `account` has proved `identifier`.
///
/// # Errors
/// [`NotServed`] when its account is suspended, or the identifier admits one that is: nothing changes.
pub fn admit(
    known: Known,
    account: AccountId,
    identifier: IdentifierHash,
    now: Timestamp,
) -> Result<Admitted, NotServed> {
    let Known { own, holder } = known;
    let suspended = |known: &Account| known.standing == Standing::Suspended;
    if own.iter().chain(&holder).any(suspended) {
        return Err(NotServed(Standing::Suspended));
    }
    let standing = Standing::Good;
    let admitted = match own {
        Some(own) => Account { identifier, renewed: own.renewed.max(now), standing, ..own },
        None => Account { account, identifier, created: now, renewed: now, standing },
    };
    let displaced = holder
        .filter(|holder| holder.account != account)
        .map(|holder| Account { standing: Standing::Displaced { at: now }, ..holder });
    Ok(Admitted { account: admitted, displaced })
}

impl Account {
    /// The account after a renewal by key alone.
    ///
    /// # Errors
    /// [`NotServed`]: nothing changes.
    pub fn renew(self, now: Timestamp) -> Result<Self, NotServed> {
        match self.standing {
            Standing::Good => Ok(Self { renewed: self.renewed.max(now), ..self }),
            other => Err(NotServed(other)),
        }
    }

    /// The account when the operator suspends it, or ends that. Who was displaced stays so.
    #[must_use]
    pub fn suspend(self, suspended: bool) -> Self {
        let standing = match (suspended, self.standing) {
            (true, Standing::Good) => Standing::Suspended,
            (false, Standing::Suspended) => Standing::Good,
            (_, as_it_is) => as_it_is,
        };
        Self { standing, ..self }
    }

    /// Whether the identifier admits this account and no other.
    #[must_use]
    pub fn holds_identifier(&self) -> bool {
        !matches!(self.standing, Standing::Displaced { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: AccountId = AccountId([1; 32]);
    const EVE: AccountId = AccountId([2; 32]);
    const MAIL: IdentifierHash = IdentifierHash([7; 32]);
    const PHONE: IdentifierHash = IdentifierHash([8; 32]);

    fn first(account: AccountId) -> Account {
        admit(Known::default(), account, MAIL, Timestamp(5)).expect("nobody is known").account
    }

    fn own(account: &Account) -> Known {
        Known { own: Some(account.clone()), holder: None }
    }

    #[test]
    fn proving_another_identifier_keeps_the_age() {
        let changed = admit(own(&first(ADA)), ADA, PHONE, Timestamp(9)).expect("served");
        assert_eq!(changed.displaced, None);
        let Account { created, renewed, identifier, .. } = changed.account;
        assert_eq!((created, renewed, identifier), (Timestamp(5), Timestamp(9), PHONE));
    }

    #[test]
    fn an_identifier_admits_who_proved_it_last() {
        let ada = first(ADA);
        let known = Known { own: None, holder: Some(ada.clone()) };
        let taken = admit(known, EVE, MAIL, Timestamp(9)).expect("served");
        let displaced = taken.displaced.expect("ada was");
        assert_eq!((taken.account.account, displaced.account), (EVE, ADA));
        assert!(taken.account.holds_identifier() && !displaced.holds_identifier());
        let at = Standing::Displaced { at: Timestamp(9) };
        assert_eq!(displaced.clone().renew(Timestamp(10)), Err(NotServed(at)));

        // And ada, who still has it, takes it back.
        let known = Known { own: Some(displaced), holder: Some(taken.account) };
        let back = admit(known, ADA, MAIL, Timestamp(11)).expect("served");
        assert_eq!(back.account, Account { renewed: Timestamp(11), ..ada });
        assert_eq!(back.displaced.map(|displaced| displaced.account), Some(EVE));
    }

    #[test]
    fn proving_it_again_displaces_nobody() {
        let ada = first(ADA);
        let known = Known { own: Some(ada.clone()), holder: Some(ada) };
        assert_eq!(
            admit(known, ADA, MAIL, Timestamp(9)).map(|admitted| admitted.displaced),
            Ok(None)
        );
    }

    #[test]
    fn nobody_walks_out_of_a_suspension() {
        let suspended = first(ADA).suspend(true);
        let refused = Err(NotServed(Standing::Suspended));
        assert_eq!(suspended.clone().renew(Timestamp(9)), Err(NotServed(Standing::Suspended)));
        assert_eq!(admit(own(&suspended), ADA, PHONE, Timestamp(9)), refused, "another address");
        let known = Known { own: None, holder: Some(suspended.clone()) };
        assert_eq!(admit(known, EVE, MAIL, Timestamp(9)), refused, "another key");
        assert_eq!(suspended.suspend(false), first(ADA));
    }

    #[test]
    fn a_displaced_account_is_neither_suspended_nor_restored() {
        let displaced =
            Account { standing: Standing::Displaced { at: Timestamp(6) }, ..first(ADA) };
        assert_eq!(displaced.clone().suspend(true), displaced);
        assert_eq!(displaced.clone().suspend(false), displaced);
    }

    #[test]
    fn a_clock_that_went_back_does_not_take_a_renewal_back() {
        let first = Account { renewed: Timestamp(50), ..first(ADA) };
        assert_eq!(first.renew(Timestamp(40)).map(|known| known.renewed), Ok(Timestamp(50)));
    }
}
