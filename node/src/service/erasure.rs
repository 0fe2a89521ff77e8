//! Erasure: what a copy of the disk must not give away later is sealed under a key that is forgotten.
//!
//! sled keeps deleted values in old segments for as long as it likes. [`ERASABLE`] trees are sealed under the
//! vault's current generation; once a day another begins, every row is sealed anew, page by page between other
//! work, and the key before is erased. The keeper of the vault (`app/keeper.rs`) drives it.

use protocol::time::{DAY, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use crate::engine::Ctx;
use crate::store::{ERASABLE, Key, StoreError, Tree};

/// How long a generation lasts.
pub const LIFETIME: u64 = DAY;
/// Rows that one step seals anew: sessions are up to 90 KiB each.
const PAGE: usize = 32;

/// When a generation began last.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    at: Timestamp,
}

impl Wire for Begun {
    const LIMIT: usize = 16;
}

/// Where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    tree: Tree,
    from: Vec<u8>,
}

/// The first page.
#[must_use]
pub fn first() -> Place {
    Place { tree: ERASABLE[0], from: Vec::new() }
}

/// Whether another generation is to begin. A clock that was put back makes it due.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn is_due(ctx: &Ctx<'_>) -> Result<bool, StoreError> {
    let begun: Option<Begun> = ctx.get(&key(ctx))?;
    Ok(begun.is_none_or(|begun| ctx.now < begun.at || ctx.now.since(begun.at) >= LIFETIME))
}

/// A generation has begun.
///
/// # Errors
/// [`StoreError`] when it cannot be stored.
pub fn begun(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let (key, at) = (key(ctx), ctx.now);
    ctx.put(key, &Begun { at })
}

/// Seals some rows anew, and returns where to go on; `None` when these were the last. With the commit of this
/// step, no row before that place needs the generation before.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn page(ctx: &mut Ctx<'_>, place: &Place) -> Result<Option<Place>, StoreError> {
    if let Some(from) = ctx.seal_anew(place.tree, &place.from, PAGE)? {
        return Ok(Some(Place { tree: place.tree, from }));
    }
    let following = ERASABLE.into_iter().skip_while(|tree| *tree != place.tree).nth(1);
    Ok(following.map(|tree| Place { tree, from: Vec::new() }))
}

fn key(ctx: &Ctx<'_>) -> Key {
    ctx.key(Tree::Meta, b"erasure", &[])
}
