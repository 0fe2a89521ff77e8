//! Databases of tests, on the server that `tests/postgres.sh` starts.

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::{Config, NoTls};

/// Who owns everything there.
pub(crate) const USER: &str = "postgres";

static MADE: AtomicU32 = AtomicU32::new(0);

/// The folder of the server's socket, and the name of a new and empty database. It ends with its server. Blocks.
///
/// # Panics
/// Without a server: run tests through `tests/postgres.sh`.
pub(crate) fn database() -> (String, String) {
    let host = std::env::var("KITH_TEST_POSTGRES")
        .expect("no PostgreSQL: run this through tests/postgres.sh, as ./test does");
    let nth = MADE.fetch_add(1, Ordering::Relaxed);
    let database = format!("kith_{}_{nth}", std::process::id());
    let mut client =
        Config::new().host(&host).user(USER).dbname("postgres").connect(NoTls).expect("a server");
    client.batch_execute(&format!("CREATE DATABASE {database}")).expect("a database");
    (host, database)
}
