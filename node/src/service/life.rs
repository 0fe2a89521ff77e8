//! Which life of its account a node is: the first, or one that a restore began.
//!
//! Contacts tell lives by their generation, which is in the certificate, and give keys to the newest only
//! ([`super::pin`]).
//!
//! Spec: `docs/protocol/backup.md` §4.

use protocol::rekey::COUNTER_AHEAD;
use protocol::time::{DAY, SECOND, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use crate::engine::Ctx;
use crate::store::{Key, SealedStore, StoreError, Tree};

/// The row that says which life this is.
const GENERATION: &[u8] = b"generation";

/// Which of this account's lives this is.
#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    number: u64,
}

impl Wire for Generation {
    const LIMIT: usize = 16;
}

/// The generation that a restore of this backup begins, now: above the backup's and the account's beginning, and
/// with the clock, so that the same backup restored twice rises as well. `made` is when the account was made, and
/// the backup.
#[must_use]
pub fn next(backup: u64, made: (Timestamp, Timestamp), now: Timestamp) -> u64 {
    let before = backup.max(made.0.seconds()).max(made.1.seconds());
    before.saturating_add(1).max(now.seconds())
}

/// Everything of a backup is there: the node that starts on it knows that it is another life.
///
/// # Errors
/// [`StoreError`] when it cannot be stored.
pub fn begin(ctx: &mut Ctx<'_>, generation: u64) -> Result<(), StoreError> {
    let key = generation_key(ctx);
    ctx.put(key, &Generation { number: generation })
}

/// Tells the owner when contacts take no keys of this life yet, and what helps.
pub(super) fn start(ctx: &Ctx<'_>) -> Result<(), StoreError> {
    let ahead = generation(ctx)?.saturating_sub(ctx.now.seconds());
    if ahead > COUNTER_AHEAD {
        tracing::error!(
            days = ahead / (DAY / SECOND),
            "when the backup was restored, this computer's clock was ahead of what it is now: until it is that late, contacts \
             take no keys from here. If the clock is right now, restore the backup once more, in another folder"
        );
    }
    Ok(())
}

/// The generation of this life; 0 for an account that was never restored.
pub(super) fn generation(ctx: &Ctx<'_>) -> Result<u64, StoreError> {
    let row: Option<Generation> = ctx.get(&generation_key(ctx))?;
    Ok(row.map_or(0, |row| row.number))
}

/// The generation of a store that no engine runs on yet; 0 for an account that was never restored.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn generation_of(store: &SealedStore) -> Result<u64, StoreError> {
    let row: Option<Generation> = store.get(&store.key(Tree::Meta, GENERATION, &[]))?;
    Ok(row.map_or(0, |row| row.number))
}

fn generation_key(ctx: &Ctx<'_>) -> Key {
    ctx.key(Tree::Meta, GENERATION, &[])
}
