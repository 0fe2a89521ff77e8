//! A batch that is under way.

use crate::time::Timestamp;

/// A batch that is under way, known by the first order in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    first: u64,
    pub(super) since: Timestamp,
}

impl Flight {
    pub(super) fn of(batch: &[u64], since: Timestamp) -> Option<Self> {
        batch.first().map(|&first| Self { first, since })
    }

    /// Ends the flight of `batch`; one that began since is left alone.
    pub(super) fn land(flight: &mut Option<Self>, batch: &[u64]) {
        if flight.is_some_and(|flight| batch.first() == Some(&flight.first)) {
            *flight = None;
        }
    }
}
