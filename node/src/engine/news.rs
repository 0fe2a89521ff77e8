//! What a step tells those who follow, built once for all of them.

use crate::api::dto;

/// Most events that are built with a step; of more, followers read the journal.
pub(super) const MAX_BUILT: usize = 128;

/// The journal has grown.
#[derive(Clone, Debug)]
pub struct News {
    /// The first new row.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// What the rows name, as it is after the step; `None` when the journal is to be read. A row
    /// whose thing is gone has none.
    pub events: Option<Vec<dto::Event>>,
}
