//! Records of blobs in PostgreSQL (`postgres/2.sql`), shared by relay processes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use postgres::Row;
use protocol::blob::{Blob, BlobId, BlobRefusal, Usage};
use protocol::ids::AccountId;
use protocol::time::Timestamp;
use serde_bytes::ByteBuf;

use super::store::{BlobStore, Opening};
use crate::config::Postgres;
use crate::error::StoreError;
use crate::postgres::{Connection, Parameters, fixed, signed, unsigned};

#[derive(Debug)]
pub(crate) struct PostgresBlobs(Mutex<Connection>);

impl PostgresBlobs {
    /// Blocks.
    pub(crate) fn open(config: &Postgres) -> Result<Self, StoreError> {
        Ok(Self(Mutex::new(Connection::open(config)?)))
    }

    /// A poisoned lock guards a connection, whose transaction ended with its statement or ends with it.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for PostgresBlobs {
    fn get(&self, blob: BlobId) -> Result<Option<Blob>, StoreError> {
        get(&mut self.connection(), blob)
    }

    fn open(
        &self,
        blob: BlobId,
        owner: AccountId,
        opening: Opening<'_>,
    ) -> Result<Result<Blob, BlobRefusal>, StoreError> {
        let mut connection = self.connection();
        connection.say("BEGIN")?;
        let opened = open(&mut connection, blob, owner, opening);
        connection.say(if matches!(opened, Ok(Ok(_))) { "COMMIT" } else { "ROLLBACK" })?;
        opened
    }

    fn keep(&self, blob: BlobId, piece: u32, now: Timestamp) -> Result<bool, StoreError> {
        let bit = i32::try_from(piece).unwrap_or(i32::MAX);
        // A piece that it does not have changes nothing.
        let sql = "UPDATE blobs SET stored = CASE WHEN $2::integer < pieces \
                   THEN set_bit(stored, $2::integer, 1) ELSE stored END WHERE blob = $1 AND ends > $3";
        let parameters: Parameters<'_> = &[&blob.0.as_slice(), &bit, &signed(now.0)];
        Ok(self.connection().execute(sql, parameters)? > 0)
    }

    fn lose(&self, blob: BlobId, piece: u32) -> Result<(), StoreError> {
        let bit = i32::try_from(piece).unwrap_or(i32::MAX);
        let sql = "UPDATE blobs SET stored = set_bit(stored, $2::integer, 0), unfinished_until = ends \
                   WHERE blob = $1 AND $2::integer < pieces AND ends > 0";
        self.connection().execute(sql, &[&blob.0.as_slice(), &bit]).map(drop)
    }

    fn over(
        &self,
        now: Timestamp,
        after: Option<BlobId>,
        most: usize,
    ) -> Result<Vec<BlobId>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let after = after.map_or(Vec::new(), |after| after.0.to_vec());
        let sql = "SELECT blob FROM blobs WHERE ends <= $1 AND blob > $2 ORDER BY blob LIMIT $3";
        let rows = self.connection().query(sql, &[&signed(now.0), &after, &most])?;
        rows.iter().map(|row| fixed(row, 0).map(BlobId)).collect()
    }

    fn settle(&self, blob: BlobId, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE blobs SET until = 0, unfinished_until = 0 WHERE blob = $1 AND ends <= $2";
        Ok(self.connection().execute(sql, &[&blob.0.as_slice(), &signed(now.0)])? > 0)
    }

    fn forget(&self, blob: BlobId) -> Result<(), StoreError> {
        let sql = "DELETE FROM blobs WHERE blob = $1 AND until = 0 AND unfinished_until = 0";
        self.connection().execute(sql, &[&blob.0.as_slice()]).map(drop)
    }

    fn end(&self, blob: BlobId, owner: AccountId) -> Result<bool, StoreError> {
        let sql = "UPDATE blobs SET until = 0, unfinished_until = 0 WHERE blob = $1 AND owner = $2";
        let ended = self.connection().execute(sql, &[&blob.0.as_slice(), &owner.0.as_slice()])?;
        Ok(ended > 0)
    }

    fn end_all(&self, owner: AccountId) -> Result<(), StoreError> {
        let sql = "UPDATE blobs SET until = 0, unfinished_until = 0 WHERE owner = $1";
        self.connection().execute(sql, &[&owner.0.as_slice()]).map(drop)
    }
}

fn get(connection: &mut Connection, blob: BlobId) -> Result<Option<Blob>, StoreError> {
    let sql = "SELECT owner, bytes, stored, unfinished_until, until FROM blobs WHERE blob = $1";
    let rows = connection.query(sql, &[&blob.0.as_slice()])?;
    rows.first().map(blob_of).transpose()
}

fn blob_of(row: &Row) -> Result<Blob, StoreError> {
    Ok(Blob {
        owner: AccountId(fixed(row, 0)?),
        bytes: unsigned(row.get(1)),
        stored: ByteBuf::from(row.get::<_, Vec<u8>>(2)),
        unfinished_until: Timestamp(unsigned(row.get(3))),
        until: Timestamp(unsigned(row.get(4))),
    })
}

/// What the blobs of an account come to, or all.
fn used(connection: &mut Connection, owner: Option<AccountId>) -> Result<Usage, StoreError> {
    let owner = owner.as_ref().map(|owner| owner.0.as_slice());
    let rows = connection.query(
        "SELECT count(*), coalesce(sum(bytes), 0)::bigint, \
         coalesce(sum(bytes) FILTER (WHERE bit_count(stored) < pieces), 0)::bigint \
         FROM blobs WHERE owner = $1 OR $1 IS NULL",
        &[&owner],
    )?;
    Ok(rows.first().map_or(Usage::default(), |row| Usage {
        blobs: unsigned(row.get(0)),
        bytes: unsigned(row.get(1)),
        unfinished: unsigned(row.get(2)),
    }))
}

/// Within a transaction.
fn open(
    connection: &mut Connection,
    blob: BlobId,
    owner: AccountId,
    opening: Opening<'_>,
) -> Result<Result<Blob, BlobRefusal>, StoreError> {
    // One at a time: rows that are not there yet cannot be locked. No other lock is waited for under it.
    connection.execute("SELECT pg_advisory_xact_lock(6, 0)", &[])?;
    let before = get(connection, blob)?;
    let (own, all) = match before {
        // What they come to is looked at for new ones only.
        Some(_) => (Usage::default(), Usage::default()),
        None => (used(connection, Some(owner))?, used(connection, None)?),
    };
    let after = match opening(before.clone(), (own, all)) {
        Ok(after) => after,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if before.as_ref() != Some(&after) {
        let pieces = i32::try_from(after.pieces()).unwrap_or(i32::MAX);
        connection.execute(
            "INSERT INTO blobs (blob, owner, bytes, stored, pieces, unfinished_until, until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (blob) DO UPDATE SET owner = excluded.owner, \
             bytes = excluded.bytes, stored = excluded.stored, pieces = excluded.pieces, \
             unfinished_until = excluded.unfinished_until, until = excluded.until",
            &[
                &blob.0.as_slice(),
                &after.owner.0.as_slice(),
                &signed(after.bytes),
                &after.stored.as_slice(),
                &pieces,
                &signed(after.unfinished_until.0),
                &signed(after.until.0),
            ],
        )?;
    }
    Ok(Ok(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::contract;
    use crate::postgres::testing;

    #[test]
    fn postgres_passes_the_suite() {
        let database = testing::database();
        let open = || PostgresBlobs::open(&database).expect("open");
        contract::holds(&open());
        contract::is_still_there(&open());
    }

    #[test]
    fn a_database_of_the_first_release_gets_its_table() {
        let database = testing::database();
        let mut settings = postgres::Config::new();
        settings.host(&database.host).user(&database.user).dbname(&database.database);
        let mut first = settings.connect(postgres::NoTls).expect("a server");
        let schema = include_str!("../postgres/1.sql");
        let version = "CREATE TABLE kith_schema (version integer NOT NULL); INSERT INTO kith_schema VALUES (1)";
        first.batch_execute(&format!("{schema}{version}")).expect("what it had");
        contract::holds(&PostgresBlobs::open(&database).expect("brought up to date"));
    }

    #[test]
    fn two_relays_give_an_account_its_room_once() {
        let database = testing::database();
        let stores = [(); 2].map(|()| PostgresBlobs::open(&database).expect("open"));
        let opened: usize = std::thread::scope(|scope| {
            let opening = |store, of| move || contract::opened(store, of, 20);
            let [one, two] = &stores;
            [scope.spawn(opening(one, 1)), scope.spawn(opening(two, 2))]
                .into_iter()
                .map(|opened| opened.join().expect("opened"))
                .sum()
        });
        assert_eq!(opened, 10);
    }
}
