//! Schema 2: a session says how it came about, and whether it was replaced.

use protocol::session::Sessions;
use zeroize::Zeroizing;

use super::{Migration, StoreError, Tree};

pub(super) const MIGRATION: Migration = Migration { to: 2, tree: Tree::Session, convert };

fn convert(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let unreadable = || StoreError::Unreadable(Tree::Session.name());
    let sessions = Sessions::from_bytes_of_schema_1(value).map_err(|_| unreadable())?;
    sessions.to_bytes().map_err(|_| unreadable())
}
