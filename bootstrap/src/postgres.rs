//! A PostgreSQL database that several relay processes share.
//!
//! Each store has a connection of its own, used by one thread at a time: the client is a blocking one, as the
//! stores are. What fails stops the relay, as with sled; its supervisor starts it again.
//!
//! # Invariants
//! * Nothing is confirmed that a crash of the database could take back: `fsync`, `full_page_writes` and
//!   `synchronous_commit` are on, or the relay does not start.
//! * The schema is changed under a lock of its own, by migrations that are never edited.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use crate::config::{ConfigError, Postgres};
use crate::error::StoreError;
use crate::pepper::Pepper;
use crate::trust;

/// Longest time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for one statement, milliseconds: longer than any of ours takes on a database that works.
const STATEMENT_TIMEOUT_MS: u32 = 30_000;
/// Longest silence within a transaction, milliseconds: a process that was stopped or cut off holds its locks no longer.
const IDLE_TIMEOUT_MS: u32 = 10_000;
/// What made the schema what it is, in order; the version is how many there were.
const MIGRATIONS: [&str; 3] = [
    include_str!("postgres/1.sql"),
    include_str!("postgres/2.sql"),
    include_str!("postgres/3.sql"),
];

/// A connection with the statements that were prepared on it.
pub(crate) struct Connection {
    /// Given up to a thread of its own when dropped: it blocks then.
    client: Option<Client>,
    statements: HashMap<&'static str, Statement>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("statements", &self.statements.len()).finish()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let client = self.client.take();
        // Its runtime must not end inside of another one, in which the last owner may be.
        let closing = std::thread::spawn(move || drop(client));
        // It panics only if closing does, and nothing depends on it.
        let _ = closing.join();
    }
}

/// Parameters of a statement.
pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Connection {
    /// Connects, and brings the schema up to date. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Database`]: not reached, not let in, not durable, or of a newer release.
    pub(crate) fn open(config: &Postgres) -> Result<Self, StoreError> {
        let mut settings = postgres::Config::new();
        settings
            .host(&config.host)
            .port(config.port)
            .user(&config.user)
            .dbname(&config.database)
            .application_name("kith-relay")
            .connect_timeout(CONNECT_TIMEOUT)
            // Whoever vanishes without a word is noticed, on either side.
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15))
            .options(&format!(
                "-c statement_timeout={STATEMENT_TIMEOUT_MS} -c synchronous_commit=on \
                 -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS} \
                 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 \
                 -c default_transaction_isolation=read\\ committed"
            ));
        let password = config.password_file.as_deref().map(password).transpose()?;
        if let Some(password) = &password {
            settings.password(password.as_str());
        }
        let client = match &config.ca_file {
            None => settings.connect(NoTls),
            Some(authority) => {
                settings.ssl_mode(postgres::config::SslMode::Require);
                settings.connect(tls(authority)?)
            }
        };
        let client = client.map_err(|error| database(&error))?;
        let mut connection = Self { client: Some(client), statements: HashMap::new() };
        connection.is_durable()?;
        connection.migrate()?;
        Ok(connection)
    }

    fn client(&mut self) -> Result<&mut Client, StoreError> {
        self.client.as_mut().ok_or_else(|| StoreError::Database { detail: "closed".into() })
    }

    fn is_durable(&mut self) -> Result<(), StoreError> {
        for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
            let sql = "SELECT current_setting($1)";
            let row =
                self.client()?.query_one(sql, &[&setting]).map_err(|error| database(&error))?;
            let value: String = row.get(0);
            if value == "off" {
                let detail = format!(
                    "its setting {setting} is off, so that a crash would lose what was confirmed; \
                     set it to on"
                );
                return Err(StoreError::Database { detail });
            }
        }
        Ok(())
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let failed = |error: postgres::Error| database(&error);
        let mut changing = self.client()?.transaction().map_err(failed)?;
        changing.execute("SELECT pg_advisory_xact_lock(3, 0)", &[]).map_err(failed)?;
        changing
            .batch_execute("CREATE TABLE IF NOT EXISTS kith_schema (version integer NOT NULL)")
            .map_err(failed)?;
        let row = changing.query_opt("SELECT version FROM kith_schema", &[]).map_err(failed)?;
        let version = row.map_or(0, |row| row.get::<_, i32>(0));
        let done = usize::try_from(version).unwrap_or(usize::MAX);
        if done > MIGRATIONS.len() {
            let detail = format!("its schema has version {version}, of a newer release of Kith");
            return Err(StoreError::Database { detail });
        }
        for migration in &MIGRATIONS[done..] {
            changing.batch_execute(migration).map_err(failed)?;
        }
        if done < MIGRATIONS.len() {
            let version = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
            changing.execute("DELETE FROM kith_schema", &[]).map_err(failed)?;
            changing.execute("INSERT INTO kith_schema VALUES ($1)", &[&version]).map_err(failed)?;
        }
        changing.commit().map_err(failed)
    }

    /// Holds the database to one pepper: the first relay's.
    ///
    /// # Errors
    /// [`StoreError::Database`] for another one.
    pub(crate) fn is_for(&mut self, pepper: &Pepper) -> Result<(), StoreError> {
        let word = pepper.word();
        self.say("BEGIN")?;
        self.execute("SELECT pg_advisory_xact_lock(3, 0)", &[])?;
        let held = self.query("SELECT word FROM pepper", &[])?;
        let same = match held.first() {
            Some(row) => fixed::<32>(row, 0)? == word,
            None => {
                self.execute("INSERT INTO pepper VALUES ($1)", &[&word.as_slice()])?;
                true
            }
        };
        self.say("COMMIT")?;
        match same {
            true => Ok(()),
            false => Err(StoreError::Database {
                detail: "it belongs to another relay, which hashes addresses with another pepper; processes that share a \
                         database need the same postgres.service_file"
                    .into(),
            }),
        }
    }

    /// Rows of a statement, which is prepared once.
    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepared(sql)?;
        self.client()?.query(&statement, parameters).map_err(|error| database(&error))
    }

    /// Rows that a statement changed.
    pub(crate) fn execute(
        &mut self,
        sql: &'static str,
        parameters: Parameters<'_>,
    ) -> Result<u64, StoreError> {
        let statement = self.prepared(sql)?;
        self.client()?.execute(&statement, parameters).map_err(|error| database(&error))
    }

    /// `BEGIN`, `COMMIT`, `ROLLBACK`.
    pub(crate) fn say(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.client()?.batch_execute(sql).map_err(|error| database(&error))
    }

    /// What was said on the channels that this connection listens to: what is there, or the first that comes within
    /// that time.
    pub(crate) fn notifications(&mut self, within: Duration) -> Result<Vec<String>, StoreError> {
        let client = self.client()?;
        let mut told = Vec::new();
        let mut notifications = client.notifications();
        let first = notifications.timeout_iter(within).next().map_err(|error| database(&error))?;
        told.extend(first.map(|first| first.payload().to_owned()));
        let mut there = notifications.iter();
        while let Some(next) = there.next().map_err(|error| database(&error))? {
            told.push(next.payload().to_owned());
        }
        Ok(told)
    }

    fn prepared(&mut self, sql: &'static str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client()?.prepare(sql).map_err(|error| database(&error))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

fn password(file: &Path) -> Result<Zeroizing<String>, StoreError> {
    let text = std::fs::read_to_string(file).map_err(|error| StoreError::Database {
        detail: format!("its password file {} cannot be read: {error}", file.display()),
    })?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Trusts the authority in the configuration's file and no other: a database has no certificate of a public one.
fn tls(authority: &Path) -> Result<MakeRustlsConnect, StoreError> {
    let config = trust::only(authority).map_err(|detail| StoreError::Database { detail })?;
    Ok(MakeRustlsConnect::new(config))
}

/// A failure in words: without the statement's parameters, which name accounts.
fn database(error: &postgres::Error) -> StoreError {
    if error.code() == Some(&SqlState::DISK_FULL) {
        return StoreError::Full { path: "PostgreSQL".into() };
    }
    let detail = match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => error.to_string(),
    };
    StoreError::Database { detail }
}

/// What cannot work with this configuration, before anything is connected.
impl Postgres {
    pub(crate) fn rule(&self) -> Result<(), ConfigError> {
        let local = self.host.starts_with('/')
            || self.host == "localhost"
            || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if self.host.is_empty() || self.user.is_empty() || self.database.is_empty() {
            return Err(ConfigError::Unusable("[postgres] needs host, user and database".into()));
        }
        if !local && self.ca_file.is_none() {
            let why =
                "[postgres] on another machine needs ca_file: the connection is to be encrypted";
            return Err(ConfigError::Unusable(why.into()));
        }
        Ok(())
    }
}

/// A number as PostgreSQL keeps it: the sign bit is never used.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// And back.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Bytes of a fixed length, from a column that has a check for it.
pub(crate) fn fixed<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], StoreError> {
    let bytes: &[u8] = row.get(column);
    bytes.try_into().map_err(|_| StoreError::Database {
        detail: format!("a row has {} bytes where {N} belong", bytes.len()),
    })
}

#[cfg(test)]
#[path = "postgres/testing.rs"]
mod server;

#[cfg(test)]
pub(crate) mod testing {
    use super::{Postgres, server};

    /// A new and empty database. It ends with its server.
    pub(crate) fn database() -> Postgres {
        let (host, database) = server::database();
        Postgres { host, user: server::USER.into(), database, ..Postgres::default() }
    }
}
