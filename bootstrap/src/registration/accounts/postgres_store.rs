//! Accounts in PostgreSQL (`postgres/1.sql`), shared by relay processes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use postgres::Row;
use protocol::ids::AccountId;
use protocol::registration::{Account, IdentifierHash, Known, Standing};
use protocol::time::Timestamp;

use super::store::{AccountStore, Decision};
use crate::config::Postgres;
use crate::error::StoreError;
use crate::postgres::{Connection, fixed, signed, unsigned};
use crate::siblings::{self, Instance};

/// Columns of an account, as [`account_of`] reads them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT account, identifier, created, renewed, standing, displaced FROM accounts ",
            $rest
        )
    };
}

/// How a standing is kept.
const GOOD: i16 = 0;
const SUSPENDED: i16 = 1;
const DISPLACED: i16 = 2;

#[derive(Debug)]
pub(crate) struct PostgresAccounts {
    connection: Mutex<Connection>,
    own: Instance,
}

impl PostgresAccounts {
    /// Blocks.
    pub(crate) fn open(config: &Postgres, own: Instance) -> Result<Self, StoreError> {
        let connection = Mutex::new(Connection::open(config)?);
        Ok(Self { connection, own })
    }

    /// A poisoned lock guards a connection, whose transaction ended with its statement or ends with it.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The accounts in question, locked until the transaction ends. Rows are locked in one order, and an identifier that
/// nobody has yet by its hash, so that two decisions never wait for each other.
fn known(
    connection: &mut Connection,
    account: AccountId,
    identifier: Option<IdentifierHash>,
) -> Result<Known, StoreError> {
    let own = account.0.as_slice();
    connection.execute(
        "SELECT pg_advisory_xact_lock(4, hashtext(encode($1, 'hex')))",
        &[&identifier.as_ref().map_or(own, |identifier| identifier.0.as_slice())],
    )?;
    let wanted = identifier.as_ref().map(|identifier| identifier.0.as_slice());
    let rows = connection.query(
        select!(
            "WHERE account = $1 OR (identifier = $2 AND standing <> 2) ORDER BY account FOR UPDATE"
        ),
        &[&own, &wanted],
    )?;
    let mut known = Known::default();
    for row in &rows {
        let found = account_of(row)?;
        if identifier
            .is_some_and(|identifier| found.identifier == identifier && found.holds_identifier())
        {
            known.holder = Some(found.clone());
        }
        if found.account == account {
            known.own = Some(found);
        }
    }
    Ok(known)
}

fn keep(connection: &mut Connection, account: &Account) -> Result<(), StoreError> {
    let (standing, displaced) = match account.standing {
        Standing::Good => (GOOD, None),
        Standing::Suspended => (SUSPENDED, None),
        Standing::Displaced { at } => (DISPLACED, Some(signed(at.0))),
    };
    let Account { account, identifier, created, renewed, standing: _ } = account;
    connection
        .execute(
            "INSERT INTO accounts VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account) DO UPDATE SET \
             identifier = $2, created = $3, renewed = $4, standing = $5, displaced = $6",
            &[
                &account.0.as_slice(),
                &identifier.0.as_slice(),
                &signed(created.0),
                &signed(renewed.0),
                &standing,
                &displaced,
            ],
        )
        .map(drop)
}

fn account_of(row: &Row) -> Result<Account, StoreError> {
    let time = |column: usize| Timestamp(unsigned(row.get(column)));
    let standing = match row.get::<_, i16>(4) {
        GOOD => Standing::Good,
        SUSPENDED => Standing::Suspended,
        _ => Standing::Displaced {
            at: Timestamp(unsigned(row.get::<_, Option<i64>>(5).unwrap_or(0))),
        },
    };
    Ok(Account {
        account: AccountId(fixed(row, 0)?),
        identifier: IdentifierHash(fixed(row, 1)?),
        created: time(2),
        renewed: time(3),
        standing,
    })
}

impl AccountStore for PostgresAccounts {
    fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        let rows =
            self.connection().query(select!("WHERE account = $1"), &[&account.0.as_slice()])?;
        rows.first().map(account_of).transpose()
    }

    #[cfg(test)]
    fn holder(&self, identifier: IdentifierHash) -> Result<Option<Account>, StoreError> {
        let rows = self.connection().query(
            select!("WHERE identifier = $1 AND standing <> 2"),
            &[&identifier.0.as_slice()],
        )?;
        rows.first().map(account_of).transpose()
    }

    fn page(&self, after: Option<AccountId>, max: usize) -> Result<Vec<Account>, StoreError> {
        let after = after.as_ref().map_or(&[][..], |after| after.0.as_slice());
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = self
            .connection()
            .query(select!("WHERE account > $1 ORDER BY account LIMIT $2"), &[&after, &max])?;
        rows.iter().map(account_of).collect()
    }

    fn decide(
        &self,
        account: AccountId,
        identifier: Option<IdentifierHash>,
        decision: Decision<'_>,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection();
        connection.say("BEGIN")?;
        let kept = known(&mut connection, account, identifier).and_then(|known| {
            let mut kept = decision(known);
            // Whoever gives an identifier up goes first: it admits one account at a time.
            kept.sort_by_key(Account::holds_identifier);
            kept.iter().try_for_each(|account| keep(&mut connection, account))?;
            Ok(kept)
        });
        match kept {
            Ok(kept) => {
                connection.say("COMMIT")?;
                kept.iter().try_for_each(|account| {
                    siblings::say_account(&mut connection, self.own, account.account)
                })
            }
            Err(error) => {
                // What matters is told; the connection may be gone.
                let _ = connection.say("ROLLBACK");
                Err(error)
            }
        }
    }

    fn erase(&self, account: AccountId, suspended_too: bool) -> Result<bool, StoreError> {
        let sql = "DELETE FROM accounts WHERE account = $1 AND ($2 OR standing <> 1)";
        let mut connection = self.connection();
        let there = connection.execute(sql, &[&account.0.as_slice(), &suspended_too])? > 0;
        if there {
            siblings::say_account(&mut connection, self.own, account)?;
        }
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;
    use crate::postgres::testing;
    use protocol::registration::account::admit;

    #[test]
    fn postgres_passes_the_suite() {
        contract::holds(
            &PostgresAccounts::open(&testing::database(), Instance::random()).expect("open"),
        );
    }

    /// Many people prove one address at two relays at once: one of them has it in the end, and nobody failed.
    #[test]
    fn an_identifier_admits_one_account_whoever_asks_whom() {
        let database = testing::database();
        let relays =
            [(); 2].map(|()| PostgresAccounts::open(&database, Instance::random()).expect("open"));
        let identifier = IdentifierHash([9; 32]);
        std::thread::scope(|scope| {
            for (nth, relay) in relays.iter().enumerate() {
                scope.spawn(move || {
                    for byte in 0..20u8 {
                        let who = AccountId([byte * 2 + u8::try_from(nth).expect("two"); 32]);
                        relay
                            .decide(who, Some(identifier), &mut |known| {
                                let admitted = admit(known, who, identifier, Timestamp(5));
                                let admitted = admitted.expect("nobody is suspended");
                                [admitted.account].into_iter().chain(admitted.displaced).collect()
                            })
                            .expect("decided");
                    }
                });
            }
        });
        let all = relays[0].page(None, 100).expect("read");
        assert_eq!(all.len(), 40);
        assert_eq!(all.iter().filter(|account| account.holds_identifier()).count(), 1);
    }
}
