use std::path::{Path, PathBuf};

use protocol::blob::{Limits, MAX_PIECES, PIECE};
use protocol::time::SECOND;
use serde::{Deserialize, Serialize};

/// Where pieces of blobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobPlace {
    /// Nowhere: files reach those only who are there.
    Off,
    /// In a folder.
    Folder,
}

/// Files for people who are away (`[blobs]`), encrypted before they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blobs {
    /// Where they are kept.
    pub place: BlobPlace,
    /// The folder; absent: `blobs` in `data_dir`. Relays that share a database need one that they share.
    pub folder: Option<PathBuf>,
    /// Most bytes of a blob.
    pub blob_bytes: u64,
    /// Most bytes of an account's blobs.
    pub account_bytes: u64,
    /// Most blobs of an account.
    pub account_blobs: u64,
    /// Most bytes of all.
    pub relay_bytes: u64,
    /// Keeping time of a blob whose owner names none, seconds.
    pub default_ttl_seconds: u64,
    /// Longest keeping time, seconds.
    pub max_ttl_seconds: u64,
    /// Keeping time of what is not whole, seconds.
    pub unfinished_ttl_seconds: u64,
    /// Bytes of one account's blobs that others get in a day: a relay is no web server.
    pub served_bytes_per_day: u64,
}

impl Default for Blobs {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            place: BlobPlace::Folder,
            folder: None,
            blob_bytes: limits.blob_bytes,
            account_bytes: limits.account_bytes,
            account_blobs: limits.account_blobs,
            relay_bytes: limits.relay_bytes,
            default_ttl_seconds: limits.default_ttl / SECOND,
            max_ttl_seconds: limits.max_ttl / SECOND,
            unfinished_ttl_seconds: limits.unfinished_ttl / SECOND,
            served_bytes_per_day: 10 << 30,
        }
    }
}

impl Blobs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            blob_bytes: self.blob_bytes,
            account_bytes: self.account_bytes,
            account_blobs: self.account_blobs,
            relay_bytes: self.relay_bytes,
            default_ttl: self.default_ttl_seconds.saturating_mul(SECOND),
            max_ttl: self.max_ttl_seconds.saturating_mul(SECOND),
            unfinished_ttl: self.unfinished_ttl_seconds.saturating_mul(SECOND),
        }
    }

    /// The folder, seen from where everything of the relay is.
    pub(crate) fn folder(&self, data_dir: &Path) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| data_dir.join("blobs"))
    }

    /// What has to hold, and the sentence for where it does not.
    pub(crate) fn rules(&self, shared: bool) -> [(bool, &'static str); 3] {
        let year = 366 * 24 * 3_600;
        [
            (
                !shared || self.place != BlobPlace::Folder || self.folder.is_some(),
                "with [postgres], blobs.folder must name a folder that all of its relays share, or blobs.place be \"off\"",
            ),
            (
                (1..=PIECE * u64::from(MAX_PIECES)).contains(&self.blob_bytes),
                "blobs.blob_bytes is 1 to 1073741824",
            ),
            (
                self.unfinished_ttl_seconds > 0
                    && (1..=self.max_ttl_seconds).contains(&self.default_ttl_seconds)
                    && self.max_ttl_seconds <= year,
                "blobs: 0 < default_ttl_seconds <= max_ttl_seconds <= one year, unfinished_ttl_seconds above 0",
            ),
        ]
    }
}
