//! Where a relay keeps what it keeps: in its own folder, or in a database that it shares with others.

use std::sync::Arc;

use crate::blobs::BlobStore;
use crate::blobs::postgres_store::PostgresBlobs;
use crate::blobs::sled_store::SledBlobs;
use crate::blocking::blocking;
use crate::config::{Config, Postgres};
use crate::error::StoreError;
use crate::mailbox::postgres_store::PostgresStore;
use crate::mailbox::sled_store::SledStore;
use crate::pepper::Pepper;
use crate::postgres::Connection;
use crate::registration::accounts::postgres_store::PostgresAccounts;
use crate::registration::accounts::sled_store::SledAccounts;
use crate::registration::accounts::store::AccountStore;
use crate::registration::counts::{CountStore, LocalCounts, PostgresCounts};
use crate::siblings::{Instance, Listener};
use crate::store::Database;

/// The mailbox store of either engine.
#[derive(Debug)]
pub(crate) enum Mailboxes {
    Sled(SledStore),
    Postgres(Box<PostgresStore>),
}

/// The stores of a relay.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) counts: Arc<dyn CountStore>,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) mailboxes: Mailboxes,
    /// Hears the other processes, where there may be some.
    pub(crate) listener: Option<Listener>,
}

impl Stores {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was changed.
    pub(crate) async fn open(config: &Config, pepper: &Pepper) -> Result<Self, StoreError> {
        let (config, pepper) = (config.clone(), pepper.clone());
        blocking(move || match &config.postgres {
            None => Self::own(&config),
            Some(postgres) => Self::shared(postgres, &pepper),
        })
        .await
    }

    fn shared(postgres: &Postgres, pepper: &Pepper) -> Result<Self, StoreError> {
        let own = Instance::random();
        Connection::open(postgres)?.is_for(pepper)?;
        // Listens before anything is read: what changes from then on is heard.
        let listener = Listener::open(postgres, own)?;
        Ok(Self {
            accounts: Arc::new(PostgresAccounts::open(postgres, own)?),
            blobs: Arc::new(PostgresBlobs::open(postgres)?),
            counts: Arc::new(PostgresCounts::open(postgres)?),
            mailboxes: Mailboxes::Postgres(Box::new(PostgresStore::open(postgres, own)?)),
            listener: Some(listener),
        })
    }

    fn own(config: &Config) -> Result<Self, StoreError> {
        let database = Database::open(&config.data_dir)?;
        let most = config.registration.policy().max_tracked;
        Ok(Self {
            accounts: Arc::new(SledAccounts::open(database.clone())?),
            blobs: Arc::new(SledBlobs::open(database.clone())?),
            counts: Arc::new(LocalCounts::new(most)),
            mailboxes: Mailboxes::Sled(SledStore::open(database)?),
            listener: None,
        })
    }
}
