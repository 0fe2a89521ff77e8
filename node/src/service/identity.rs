//! The account's own record: its seed and what the person says of themselves.

use crypto::{Secret, Seed};
use protocol::time::Timestamp;
use protocol::wire::Wire;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::life;
use crate::engine::{Account, Ctx};
use crate::store::{SealedStore, StoreError, Tree, stored};

/// What is stored about this account.
#[derive(Clone, Serialize, Deserialize)]
pub struct MeRecord {
    seed: [u8; 32],
    /// When the account was made here.
    pub created_at: Timestamp,
    /// The person's name for themselves.
    pub name: Option<String>,
    /// A line about them.
    pub about: String,
    /// Version of the last contact card that was made.
    pub card_version: u64,
}

impl Wire for MeRecord {
    const LIMIT: usize = 2 * 1024;
}

impl Drop for MeRecord {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl std::fmt::Debug for MeRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed: _, created_at, name: _, about: _, card_version } = self;
        f.debug_struct("MeRecord")
            .field("created_at", created_at)
            .field("card_version", card_version)
            .finish_non_exhaustive()
    }
}

const KEY: &[u8] = b"me";

/// The account in `store`; a fresh one where there is none.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or written.
pub fn open_or_create(
    store: &SealedStore,
    now: Timestamp,
    rng: &mut dyn CryptoRng,
) -> Result<Account, StoreError> {
    let key = store.key(Tree::Meta, KEY, &[]);
    if let Some(me) = store.get::<MeRecord>(&key)? {
        let began = me.created_at.seconds().max(life::generation_of(store)?);
        return Ok(Account::new(&me.seed(), began));
    }
    let seed = Seed::random(rng);
    let me = MeRecord {
        seed: *seed.secret().expose(),
        created_at: now,
        name: None,
        about: String::new(),
        card_version: 0,
    };
    store.commit([(key, Some(stored(Tree::Meta, &me)?))], rng)?;
    Ok(Account::new(&seed, now.seconds()))
}

/// Puts the account of a backup into an empty store.
///
/// # Errors
/// [`StoreError`] when the store cannot be written.
pub fn restore(
    store: &SealedStore,
    me: &MeRecord,
    rng: &mut dyn CryptoRng,
) -> Result<(), StoreError> {
    let key = store.key(Tree::Meta, KEY, &[]);
    store.commit([(key, Some(stored(Tree::Meta, me)?))], rng)
}

impl MeRecord {
    /// The seed of the account: what the recovery phrase is.
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed::from_secret(Secret::from_bytes(self.seed))
    }
}

/// This account's record.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn me(ctx: &Ctx<'_>) -> Result<MeRecord, StoreError> {
    let key = ctx.key(Tree::Meta, KEY, &[]);
    ctx.get(&key)?.ok_or(StoreError::Unreadable("meta"))
}

/// Stores this account's record.
///
/// # Errors
/// [`StoreError`] when it exceeds its bound.
pub fn put_me(ctx: &mut Ctx<'_>, me: &MeRecord) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Meta, KEY, &[]);
    ctx.put(key, me)
}
