//! A PostgreSQL database for relays of a test, on the server that `tests/postgres.sh` starts.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use bootstrap::config::{BlobPlace, Postgres};
use tokio::process::Command;

/// A new and empty database, and beside it in `folder` the identity of the relay that it is for: processes that are
/// given both are one relay. It ends with its server.
///
/// # Errors
/// Without a server.
pub async fn database(folder: &Path) -> anyhow::Result<Postgres> {
    let host = std::env::var("KITH_TEST_POSTGRES")
        .context("no PostgreSQL: run this through tests/postgres.sh, as ./test does")?;
    let user = "postgres".to_owned();
    let database = format!("kith_test_{:016x}", rand::random::<u64>());
    let made = Command::new("createdb")
        .args(["--host", &host, "--username", &user, &database])
        .status()
        .await?;
    if !made.success() {
        bail!("createdb ended with {made}");
    }
    let service = folder.join("service");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&service)?;
    file.write_all(&rand::random::<[u8; 32]>())?;
    Ok(Postgres { host, user, database, service_file: Some(service), ..Postgres::default() })
}

/// Has a relay keep everything there. Files it keeps none: those need a folder that is shared as well.
pub fn share(config: &mut bootstrap::Config, database: &Postgres) {
    config.blobs.place = BlobPlace::Off;
    config.postgres = Some(database.clone());
}
