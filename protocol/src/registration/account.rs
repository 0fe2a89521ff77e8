//! What a relay remembers of somebody it has admitted.

use serde::{Deserialize, Serialize};

use super::identifier::IdentifierHash;
use crate::ids::AccountId;
use crate::time::Timestamp;
use crate::wire::Wire;

/// Whether an account is served.
///
/// `Good` → `Suspended` and back, by the operator only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Served.
    Good,
    /// Neither renewed nor served until the operator says otherwise.
    Suspended,
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

impl Account {
    /// The account after a successful answer to a challenge.
    #[must_use]
    pub fn admit(
        existing: Option<Self>,
        account: AccountId,
        identifier: IdentifierHash,
        now: Timestamp,
    ) -> Self {
        match existing {
            Some(known) => Self { identifier, renewed: known.renewed.max(now), ..known },
            None => {
                Self { account, identifier, created: now, renewed: now, standing: Standing::Good }
            }
        }
    }

    /// The account after a renewal by key alone; `None` when it is not served.
    #[must_use]
    pub fn renew(self, now: Timestamp) -> Option<Self> {
        match self.standing {
            Standing::Good => Some(Self { renewed: self.renewed.max(now), ..self }),
            Standing::Suspended => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proving_another_identifier_keeps_age_and_standing() {
        let first = Account::admit(None, AccountId([1; 32]), IdentifierHash([2; 32]), Timestamp(5));
        let suspended = Account { standing: Standing::Suspended, ..first };
        let again = Account::admit(
            Some(suspended),
            AccountId([1; 32]),
            IdentifierHash([3; 32]),
            Timestamp(9),
        );
        assert_eq!(again.created, Timestamp(5));
        assert_eq!(again.renewed, Timestamp(9));
        assert_eq!(again.identifier, IdentifierHash([3; 32]));
        assert_eq!(again.standing, Standing::Suspended);
        assert_eq!(again.renew(Timestamp(10)), None);
    }

    #[test]
    fn a_clock_that_went_back_does_not_take_a_renewal_back() {
        let first =
            Account::admit(None, AccountId([1; 32]), IdentifierHash([2; 32]), Timestamp(50));
        let renewed = first.renew(Timestamp(40)).map(|account| account.renewed);
        assert_eq!(renewed, Some(Timestamp(50)));
    }
}
