//! Where it is kept what codes have cost ([`protocol::registration::limits`]).
//!
//! A relay with a store of its own counts in memory; relays that share a database count there, so that nobody gets
//! more by asking each of them.

use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use protocol::registration::limits::{Charges, Counted, Counts, Log, Logs, Over, judge};
use protocol::time::{DAY, MINUTE, Timestamp};

use crate::config::Postgres;
use crate::error::StoreError;
use crate::postgres::{Connection, signed, unsigned};

/// Keeps counts.
pub(crate) trait CountStore: fmt::Debug + Send + Sync + 'static {
    /// Judges charges and counts them if they are within their limits, as one.
    fn charge(&self, charges: &Charges, now: Timestamp) -> Result<Result<(), Over>, StoreError>;
    /// Counts what has no limit.
    fn add(&self, counted: &[Counted], now: Timestamp) -> Result<(), StoreError>;
}

/// Counts in memory: a restart forgets them.
#[derive(Debug)]
pub(crate) struct LocalCounts {
    counts: Mutex<Counts>,
    /// Most identifiers and accounts that are counted.
    most: usize,
}

impl LocalCounts {
    pub(crate) fn new(most: usize) -> Self {
        Self { counts: Mutex::default(), most }
    }
}

impl CountStore for LocalCounts {
    fn charge(&self, charges: &Charges, now: Timestamp) -> Result<Result<(), Over>, StoreError> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(counts.charge(charges, self.most, now))
    }

    fn add(&self, counted: &[Counted], now: Timestamp) -> Result<(), StoreError> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).add(counted, now);
        Ok(())
    }
}

/// Counts in a database.
#[derive(Debug)]
pub(crate) struct PostgresCounts(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Connection,
    swept: Timestamp,
}

impl PostgresCounts {
    /// Blocks.
    pub(crate) fn open(config: &Postgres) -> Result<Self, StoreError> {
        let connection = Connection::open(config)?;
        Ok(Self(Mutex::new(Shared { connection, swept: Timestamp::default() })))
    }
}

impl CountStore for PostgresCounts {
    fn charge(&self, charges: &Charges, now: Timestamp) -> Result<Result<(), Over>, StoreError> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.connection.say("BEGIN")?;
        let judged = shared.judge(charges, now);
        // What was counted stays only if all of it is within its limits.
        shared.connection.say(if matches!(judged, Ok(Ok(()))) { "COMMIT" } else { "ROLLBACK" })?;
        judged
    }

    fn add(&self, counted: &[Counted], now: Timestamp) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(counted, now)
    }
}

impl Shared {
    fn judge(&mut self, charges: &Charges, now: Timestamp) -> Result<Result<(), Over>, StoreError> {
        // One at a time. No other lock is waited for under it, and codes are rare.
        self.connection.execute("SELECT pg_advisory_xact_lock(2, 0)", &[])?;
        self.sweep_if_due(now)?;
        let mut logs = Logs::new();
        for counted in charges.looked_at() {
            if let Entry::Vacant(place) = logs.entry(counted) {
                place.insert(self.log(counted, now)?);
            }
        }
        match judge(charges, &logs, now) {
            Ok(()) => self.add(&charges.counted, now).map(Ok),
            Err(over) => Ok(Err(over)),
        }
    }

    fn log(&mut self, counted: Counted, now: Timestamp) -> Result<Log, StoreError> {
        let (kind, key) = row(counted);
        let begun = signed(now.minus(counted.window()).0);
        let rows = self.connection.query(
            "SELECT at FROM counts WHERE kind = $1 AND counted = $2 AND at > $3 ORDER BY at",
            &[&kind, &key, &begun],
        )?;
        Ok(rows.iter().map(|row| Timestamp(unsigned(row.get(0)))).collect())
    }

    fn add(&mut self, counted: &[Counted], now: Timestamp) -> Result<(), StoreError> {
        let (kinds, keys): (Vec<_>, Vec<_>) = counted.iter().copied().map(row).unzip();
        let sql =
            "INSERT INTO counts SELECT *, $3::bigint FROM unnest($1::smallint[], $2::bytea[])";
        self.connection.execute(sql, &[&kinds, &keys, &signed(now.0)]).map(drop)
    }

    fn sweep_if_due(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if now.since(self.swept) < MINUTE {
            return Ok(());
        }
        self.swept = now;
        let over = signed(now.minus(DAY).0);
        self.connection.execute("DELETE FROM counts WHERE at <= $1", &[&over]).map(drop)
    }
}

/// Kind and key of what is counted.
fn row(counted: Counted) -> (i16, Vec<u8>) {
    match counted {
        Counted::Challenges(hash) => (0, hash.0.to_vec()),
        Counted::Sends(hash) => (1, hash.0.to_vec()),
        Counted::Account(account) => (2, account.0.to_vec()),
        Counted::Range(hash) => (3, hash.0.to_vec()),
        Counted::RangeRight(hash) => (4, hash.0.to_vec()),
        Counted::Country(code) => (5, code.to_be_bytes().to_vec()),
        Counted::CountryRight(code) => (6, code.to_be_bytes().to_vec()),
        Counted::Phones => (7, Vec::new()),
        Counted::Relay => (8, Vec::new()),
        Counted::RangeFailed(hash) => (9, hash.0.to_vec()),
        Counted::CountryFailed(code) => (10, code.to_be_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;
    use protocol::Cx;
    use protocol::ids::{AccountId, RelayId};
    use protocol::registration::wire::{IdentifierKind, RegisterRefusal, SentVia};
    use protocol::registration::{Identifier, Keys, Policy, Registrar};

    const NOW: Timestamp = Timestamp(1_000 * DAY);

    /// The suite that every store of counts passes: a country with a budget of two codes a day, and a ratio.
    fn holds(store: &dyn CountStore) {
        let policy = Policy {
            country_sends_per_day: 3,
            country_unanswered: 2,
            country_trickle: 0,
            challenges_per_hour: 1,
            ..Policy::default()
        };
        let keys = Keys { otp: [1; 32], pepper: [2; 32] };
        let mut registrar = Registrar::new(policy, keys, RelayId([3; 32]));
        let mut ask = |who: u8, number: &str, now| {
            let identifier = Identifier::parse(IdentifierKind::Phone, number).expect("valid");
            let account = AccountId([who; 32]);
            let charges = registrar.may_challenge(account, &identifier, now).expect("served");
            let judged = store.charge(&charges, now).expect("a store that works");
            if judged.is_ok() {
                let mut rng = rand::rng();
                let mut cx = Cx { now, rng: &mut rng };
                let _ = registrar.challenge(account, identifier, SentVia::Sms, &mut cx);
            }
            judged.map_err(RegisterRefusal::from)
        };
        let [one, two, three] = ["+4915123456781", "+4915123466782", "+4915123476783"];
        assert_eq!(ask(1, one, NOW), Ok(()));
        assert!(ask(2, one, NOW).is_err(), "one challenge an hour");
        assert_eq!(ask(2, two, NOW), Ok(()), "what was refused is not counted");
        let later = NOW.plus(11 * MINUTE);
        assert!(ask(3, three, later).is_err(), "nobody typed a code");
        store.add(&[Counted::CountryRight(49)], later).expect("counted");
        assert_eq!(ask(3, three, later), Ok(()), "somebody did");
        let four = "+4915123486784";
        let refused = ask(4, four, later).expect_err("three a day");
        assert_eq!(refused, RegisterRefusal::TooSoon { retry_ms: (DAY - 11 * MINUTE) as u32 });
        assert_eq!(ask(4, four, NOW.plus(DAY)), Ok(()));
    }

    #[test]
    fn memory_passes_the_suite() {
        holds(&LocalCounts::new(100));
    }

    #[test]
    fn postgres_passes_the_suite() {
        let database = testing::database();
        holds(&PostgresCounts::open(&database).expect("open"));
    }

    #[test]
    fn two_relays_share_one_budget() {
        let database = testing::database();
        let [one, other] = [(); 2].map(|()| PostgresCounts::open(&database).expect("open"));
        let policy = Policy { relay_sends_per_hour: 3, ..Policy::default() };
        let sent: usize = std::thread::scope(|scope| {
            let ask = |store, of: u8| {
                let policy = policy.clone();
                move || {
                    let keys = Keys { otp: [1; 32], pepper: [2; 32] };
                    let mut registrar = Registrar::new(policy, keys, RelayId([of; 32]));
                    let mut sent = 0;
                    for nth in 0..10u8 {
                        let text = format!("p{of}-{nth}@example.org");
                        let kind = IdentifierKind::Email;
                        let identifier = Identifier::parse(kind, &text).expect("valid");
                        let account = AccountId([of * 16 + nth; 32]);
                        let charges = registrar.may_challenge(account, &identifier, NOW);
                        let charges = charges.expect("served");
                        let store: &PostgresCounts = store;
                        sent += usize::from(store.charge(&charges, NOW).expect("works").is_ok());
                    }
                    sent
                }
            };
            let asking = [scope.spawn(ask(&one, 1)), scope.spawn(ask(&other, 2))];
            asking.into_iter().map(|asked| asked.join().expect("asked")).sum()
        });
        assert_eq!(sent, 3);
    }
}
