//! What was committed lately, before it is in its rows.
//!
//! 1. A small commit is one row of sled's, a [`Record`] of everything it changes: sled syncs a row
//!    once, and a batch twice.
//! 2. The changes are kept here, over the rows, where every read looks first.
//! 3. When there are many, they go into their rows, each as it is by then, and the records go.
//!
//! # Invariants
//! * What is here is what the records since the last [fold](super::sled_store) say, in their order.
//! * It holds at most [`MAX_RECORDS`] and [`MAX_BYTES`].

use std::collections::BTreeMap;
use std::ops::Range;

use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{Order, Row, StoreError};

/// Most records that wait.
pub(super) const MAX_RECORDS: usize = 256;
/// Most bytes of keys and values in them.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Most bytes of one record; a larger commit goes into its rows at once.
pub(super) const MAX_RECORD: usize = 128 * 1024;

/// Rows by their stored keys; `None` is a deletion.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One commit. Without `Debug`: nothing prints rows.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    changes: Vec<(ByteBuf, Option<ByteBuf>)>,
}

impl Wire for Record {
    /// Twice the bytes that it may hold: room for lengths, whatever the number of rows.
    const LIMIT: usize = 2 * MAX_RECORD;
}

impl Record {
    pub(super) fn of(changes: &Changes) -> Self {
        let bytes = |bytes: &Vec<u8>| ByteBuf::from(bytes.clone());
        let change =
            |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| (bytes(key), value.as_ref().map(bytes));
        Self { changes: changes.iter().map(change).collect() }
    }

    pub(super) fn into_changes(self) -> Changes {
        let change = |(key, value): (ByteBuf, Option<ByteBuf>)| {
            (key.into_vec(), value.map(ByteBuf::into_vec))
        };
        self.changes.into_iter().map(change).collect()
    }
}

/// Bytes of keys and values.
pub(super) fn size(changes: &Changes) -> usize {
    changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}

/// Changes over the rows.
#[derive(Default)]
pub(super) struct Recent {
    changes: Changes,
    records: usize,
    bytes: usize,
}

impl std::fmt::Debug for Recent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { changes: _, records, bytes } = self;
        f.debug_struct("Recent")
            .field("records", records)
            .field("bytes", bytes)
            .finish_non_exhaustive()
    }
}

impl Recent {
    /// Whether a record of so many bytes fits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        bytes <= MAX_RECORD && self.records < MAX_RECORDS && self.bytes + bytes <= MAX_BYTES
    }

    /// Adds what a record says.
    pub(super) fn add(&mut self, changes: Changes) {
        self.records += 1;
        self.bytes += size(&changes);
        self.changes.extend(changes);
    }

    /// Takes all of it.
    pub(super) fn take(&mut self) -> Changes {
        std::mem::take(self).changes
    }

    /// What was changed of a row: `Some(None)` if it was deleted.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(key).map(Option::as_deref)
    }

    /// `stored` as it is with the changes in `range`, at most `limit` rows. Both are in `order`.
    pub(super) fn over(
        &self,
        stored: impl Iterator<Item = Result<Row, StoreError>>,
        range: Range<Vec<u8>>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let changed = self.changes.range(range);
        match order {
            Order::Rising => merge(stored, changed, |stored, changed| stored < changed, limit),
            Order::Falling => {
                merge(stored, changed.rev(), |stored, changed| stored > changed, limit)
            }
        }
    }
}

/// Two runs in one order as one; of two rows with one key the changed one counts.
fn merge<'a>(
    stored: impl Iterator<Item = Result<Row, StoreError>>,
    changed: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    comes_first: impl Fn(&[u8], &[u8]) -> bool,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let (mut stored, mut changed) = (stored.peekable(), changed.peekable());
    let mut rows = Vec::new();
    while rows.len() < limit {
        if matches!(stored.peek(), Some(Err(_))) {
            stored.next().transpose()?;
        }
        let row = match (stored.peek(), changed.peek()) {
            (Some(Ok((key, _))), Some((changed_key, _))) => {
                if comes_first(key, changed_key) {
                    stored.next().transpose()?
                } else {
                    if key == *changed_key {
                        stored.next();
                    }
                    changed.next().and_then(row)
                }
            }
            (Some(_), None) => stored.next().transpose()?,
            (None, Some(_)) => changed.next().and_then(row),
            (Some(Err(_)), Some(_)) | (None, None) => break,
        };
        rows.extend(row);
    }
    Ok(rows)
}

fn row((key, value): (&Vec<u8>, &Option<Vec<u8>>)) -> Option<Row> {
    value.as_ref().map(|value| (key.clone(), value.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn rows(keys: &[u8]) -> Vec<Row> {
        keys.iter().map(|&key| (vec![key], vec![1])).collect()
    }

    #[test]
    fn changes_cover_the_rows_below_in_both_orders() {
        let mut recent = Recent::default();
        recent.add(Changes::from([
            (vec![2], None),
            (vec![3], Some(vec![9])),
            (vec![5], Some(vec![9])),
        ]));
        let over = |order, limit| {
            let mut stored = rows(&[1, 2, 3, 4]);
            if order == Order::Falling {
                stored.reverse();
            }
            let stored = stored.into_iter().map(Ok);
            recent.over(stored, vec![1]..vec![9], order, limit).unwrap()
        };
        let seen: Vec<(u8, u8)> =
            over(Order::Rising, 10).iter().map(|(key, value)| (key[0], value[0])).collect();
        assert_eq!(seen, [(1, 1), (3, 9), (4, 1), (5, 9)]);
        let keys: Vec<u8> = over(Order::Falling, 3).iter().map(|(key, _)| key[0]).collect();
        assert_eq!(keys, [5, 4, 3]);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_not_passed_over() {
        let recent = Recent::default();
        let stored = [Ok((vec![1], vec![1])), Err(StoreError::DiskFull)].into_iter();
        let read = recent.over(stored, vec![0]..vec![9], Order::Rising, 10);
        assert!(matches!(read, Err(StoreError::DiskFull)), "{read:?}");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut recent = Recent::default();
        assert!(!recent.has_room(MAX_RECORD + 1));
        for n in 0..MAX_RECORDS {
            assert!(recent.has_room(1));
            recent.add(Changes::from([(n.to_be_bytes().to_vec(), None)]));
        }
        assert!(!recent.has_room(1));
        assert_eq!(recent.take().len(), MAX_RECORDS);
        recent.add(Changes::from([(vec![1], Some(vec![0; MAX_BYTES - 1]))]));
        assert!(recent.has_room(0) && !recent.has_room(1));
    }
}
