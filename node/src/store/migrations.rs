//! Migrations: from what an older release wrote to what this one reads. One file each.
//!
//! 1. The number of the schema that a store has been brought to is a row of its own; a store without
//!    it is of schema 1, or new.
//! 2. Each [`Migration`] rewrites the values of one tree, a few rows per commit. A row tells by which
//!    schema it was written, so whatever a crash leaves half done is gone on with.
//! 3. The new number is the last commit.
//!
//! # Invariants
//! * Migrations come in the order of their schemas, and a released one never changes.
//! * A store of a newer schema is left as it is.

mod m002_chat;
mod m002_message;
mod m002_session;

use protocol::wire::Wire;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::sealed::{Change, SCHEMA, SealedStore, parse, stored};
use super::{StoreError, Tree};

/// Rows that are rewritten in one commit.
const ROWS_PER_COMMIT: usize = 200;

/// How the values of one tree become those of a newer schema.
#[derive(Clone, Copy)]
pub(super) struct Migration {
    /// The schema that it leads to.
    to: u16,
    tree: Tree,
    /// A value of the schema before, as one of schema `to`.
    convert: Convert,
}

type Convert = fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError>;

const ALL: [Migration; 3] =
    [m002_chat::MIGRATION, m002_message::MIGRATION, m002_session::MIGRATION];

#[derive(Debug, Serialize, Deserialize)]
struct SchemaRow {
    number: u16,
}

impl Wire for SchemaRow {
    const LIMIT: usize = 8;
}

/// Brings a store to the schema of this release.
///
/// # Errors
/// [`StoreError::NewerSchema`] when a newer release has written it, and [`StoreError`] when it cannot
/// be read or written.
pub fn migrate(store: &SealedStore, rng: &mut dyn CryptoRng) -> Result<(), StoreError> {
    run(store, &ALL, SCHEMA, rng)
}

fn run(
    store: &SealedStore,
    migrations: &[Migration],
    schema: u16,
    rng: &mut dyn CryptoRng,
) -> Result<(), StoreError> {
    let key = store.key(Tree::Meta, b"schema", &[]);
    let row: Option<SchemaRow> = store.get(&key)?;
    match row.as_ref().map_or(1, |row| row.number) {
        newer if newer > schema => return Err(StoreError::NewerSchema(newer)),
        number if number == schema && row.is_some() => return Ok(()),
        number => {
            let due = migrations.iter().filter(|migration| migration.to > number);
            due.clone().try_for_each(|migration| rewrite(store, migration, rng))?;
        }
    }
    let reached = stored(Tree::Meta, &SchemaRow { number: schema })?;
    store.commit([(key, Some(reached))], rng)
}

fn rewrite(
    store: &SealedStore,
    migration: &Migration,
    rng: &mut dyn CryptoRng,
) -> Result<(), StoreError> {
    let mut from = Vec::new();
    loop {
        let rows = store.written(migration.tree, &from, ROWS_PER_COMMIT)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = last.after();
        let old = rows.into_iter().filter(|(_, row)| row.schema < migration.to);
        let converted: Vec<Change> = old
            .map(|(key, row)| Ok((key, Some((migration.convert)(&row.value)?))))
            .collect::<Result<_, StoreError>>()?;
        if !converted.is_empty() {
            store.commit_as(migration.to, converted, rng)?;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use super::*;
    use crate::store::MemoryStore;
    use crypto::{KdfParams, Secret, Unlock, Vault};

    /// As schema 1 wrote it.
    #[derive(Serialize, Deserialize)]
    struct One {
        name: String,
    }

    /// As schema 3 does; schema 2 had the length alone.
    #[derive(Serialize, Deserialize)]
    struct Three {
        name: String,
        length: u64,
    }

    impl Wire for One {
        const LIMIT: usize = 64;
    }
    impl Wire for Three {
        const LIMIT: usize = 64;
    }

    fn longer(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let One { name } = parse(Tree::Chat, value)?;
        stored(Tree::Chat, &Three { length: name.len() as u64, name })
    }

    fn louder(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let Three { name, length } = parse(Tree::Chat, value)?;
        stored(Tree::Chat, &Three { name: name.to_uppercase(), length })
    }

    const MIGRATIONS: [Migration; 2] = [
        Migration { to: 2, tree: Tree::Chat, convert: longer },
        Migration { to: 3, tree: Tree::Chat, convert: louder },
    ];
    /// More than two commits' worth.
    const ROWS: usize = 2 * ROWS_PER_COMMIT + 7;

    struct Profile {
        raw: Arc<MemoryStore>,
        vault: Vault,
    }

    impl Profile {
        fn of_schema_1() -> Self {
            let device_key = Secret::from_bytes([7; 32]);
            let unlock = Unlock::DeviceKey(&device_key);
            let vault = Vault::create(unlock, KdfParams::default(), &mut rand::rng()).unwrap();
            let profile = Self { raw: Arc::default(), vault };
            let store = profile.open();
            let row = |n: usize| {
                let value = stored(Tree::Chat, &One { name: format!("chat {n}") }).unwrap();
                (store.key(Tree::Chat, &n.to_be_bytes(), &[]), Some(value))
            };
            store.commit_as(1, (0..ROWS).map(row), &mut rand::rng()).unwrap();
            profile
        }

        fn open(&self) -> SealedStore {
            SealedStore::new(Arc::clone(&self.raw) as _, &self.vault)
        }

        fn check(&self) {
            let rows = self.open().written(Tree::Chat, &[], 2 * ROWS).unwrap();
            let mut names = Vec::new();
            for (_, row) in rows {
                assert_eq!(row.schema, 3, "it says who wrote it");
                let Three { name, length } = parse(Tree::Chat, &row.value).unwrap();
                assert_eq!(length, name.len() as u64);
                names.push(name);
            }
            let mut expected: Vec<_> = (0..ROWS).map(|n| format!("CHAT {n}")).collect();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn every_row_goes_through_every_migration_once() {
        let profile = Profile::of_schema_1();
        run(&profile.open(), &MIGRATIONS, 3, &mut rand::rng()).unwrap();
        profile.check();
        run(&profile.open(), &MIGRATIONS, 3, &mut rand::rng()).unwrap();
        profile.check();
    }

    /// A converter that fails stands for a crash at any row of any commit.
    #[test]
    fn a_migration_that_was_broken_off_is_gone_on_with() {
        fn fails(_: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
            Err(StoreError::DiskFull)
        }
        fn fails_late(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
            let One { name } = parse(Tree::Chat, value)?;
            if name.ends_with('9') { Err(StoreError::DiskFull) } else { longer(value) }
        }
        let broken = [
            [Migration { convert: fails, ..MIGRATIONS[0] }, MIGRATIONS[1]],
            [Migration { convert: fails_late, ..MIGRATIONS[0] }, MIGRATIONS[1]],
            [MIGRATIONS[0], Migration { convert: fails, ..MIGRATIONS[1] }],
        ];
        let profile = Profile::of_schema_1();
        for broken in broken {
            let failed = run(&profile.open(), &broken, 3, &mut rand::rng());
            assert!(matches!(failed, Err(StoreError::DiskFull)), "{failed:?}");
        }
        run(&profile.open(), &MIGRATIONS, 3, &mut rand::rng()).unwrap();
        profile.check();
    }

    #[test]
    fn a_store_of_a_newer_kith_is_left_as_it_is() {
        let profile = Profile::of_schema_1();
        run(&profile.open(), &MIGRATIONS, 3, &mut rand::rng()).unwrap();
        let older = run(&profile.open(), &MIGRATIONS[..1], 2, &mut rand::rng());
        assert!(matches!(older, Err(StoreError::NewerSchema(3))), "{older:?}");
        profile.check();
    }

    #[test]
    fn migrations_come_in_the_order_of_their_schemas() {
        assert!(ALL.is_sorted_by_key(|migration| migration.to));
        assert!(ALL.iter().all(|migration| migration.to > 1));
        assert_eq!(ALL.last().map_or(1, |migration| migration.to), SCHEMA);
    }
}
