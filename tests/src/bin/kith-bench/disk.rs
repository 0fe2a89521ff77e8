//! The disk's ceiling: one row into a bare sled database, and a flush that outlives the power, as
//! every commit of a node has to.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// About what a row of a sealed message has.
const ROW: usize = 530;

/// Times of `count` commits in `folder`, each flushed before the next.
pub(crate) fn commits(folder: &Path, count: usize) -> anyhow::Result<Vec<Duration>> {
    let db = sled::Config::new().path(folder).flush_every_ms(None).open()?;
    let file = File::open(folder.join("db"))?;
    let row = vec![7; ROW];
    (0..count)
        .map(|n| {
            let began = Instant::now();
            db.insert(n.to_be_bytes(), row.as_slice())?;
            db.flush()?;
            // sled's own flush stops at the disk's cache.
            file.sync_data()?;
            Ok(began.elapsed())
        })
        .collect()
}
