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
    /// In a bucket of an S3-compatible service.
    S3,
}

/// That bucket (`[blobs.s3]`). It has to be there, and to be for this relay alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// Where the service is, `https://…`; absent: Amazon's.
    pub endpoint: Option<String>,
    /// Its region; services that have none take any.
    #[serde(default = "region")]
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whom to sign in as.
    pub key_id: String,
    /// The file that holds the secret of that key and nothing else.
    pub secret_file: PathBuf,
    /// A PEM file with the certificate of the authority that signed the service's, if no public one did.
    pub ca_file: Option<PathBuf>,
}

fn region() -> String {
    "us-east-1".into()
}

impl S3 {
    /// Encrypted, but on this machine.
    fn is_private(&self) -> bool {
        let here = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
        let is_here = |endpoint: &str| {
            let rest = here.iter().find_map(|here| endpoint.strip_prefix(here));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        };
        self.endpoint.as_deref().is_none_or(|at| at.starts_with("https://") || is_here(at))
    }
}

/// Files for people who are away (`[blobs]`), encrypted before they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Blobs {
    /// Where they are kept.
    pub place: BlobPlace,
    /// The folder; absent: `blobs` in `data_dir`. Relays that share a database need one that they share.
    pub folder: Option<PathBuf>,
    /// The bucket, with `place = "s3"`.
    pub s3: Option<S3>,
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
            s3: None,
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
    pub(crate) fn rules(&self, shared: bool) -> [(bool, &'static str); 5] {
        let year = 366 * 24 * 3_600;
        [
            (
                (self.place == BlobPlace::S3) == self.s3.is_some(),
                "blobs.place = \"s3\" and [blobs.s3] belong together",
            ),
            (
                self.s3.as_ref().is_none_or(|s3| {
                    s3.is_private() && !s3.bucket.is_empty() && !s3.key_id.is_empty()
                }),
                "[blobs.s3] needs bucket and key_id, and an endpoint with https, unless it is on this machine",
            ),
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
