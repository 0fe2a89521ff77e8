//! What a step tells those who follow, built once for all of them.

use crate::api::dto;

/// Most events that are built with a step; of more, followers read the journal.
pub(super) const MAX_BUILT: usize = 128;

/// The journal has grown.
#[derive(Clone, Debug)]
pub struct News {
    /// The number of the first new event.
    pub first: u64,
    /// That of the last one.
    pub last: u64,
    /// What they name, as it is after the step; `None` when the journal is to be read. An event
    /// whose thing is gone is left out.
    pub events: Option<Vec<dto::Event>>,
}
