//! The node as its clients hold it: one handle per noun.
//!
//! Every method is one step of the engine, and answers after its commit.

use std::str::FromStr;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::api::dto;
use crate::engine::{Ctx, EngineHandle, Failure};
use crate::service::ServiceError;
use crate::service::error::NotFound;
use crate::store::StoreError;
use crate::view;

mod backup;
mod chats;
mod feed;
mod invites;
mod people;
mod registration;
pub(crate) mod restore;
pub(crate) mod vault;

pub use feed::EventFeed;

type Result<T> = std::result::Result<T, ServiceError>;

/// A running node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    door: Arc<vault::Door>,
}

macro_rules! nouns {
    ($($(#[$doc:meta])* $method:ident -> $noun:ident),* $(,)?) => {
        impl Node {
            $($(#[$doc])* #[must_use] pub fn $method(&self) -> $noun<'_> { $noun(self) })*
        }
        $($(#[$doc])* #[derive(Clone, Copy, Debug)] pub struct $noun<'n>(&'n Node);)*
    };
}

nouns! {
    /// The registration at a relay.
    registration -> Registration,
    /// This person's own profile.
    profile -> Profile,
    /// Who is here.
    presence -> Presence,
    /// Invites.
    invites -> Invites,
    /// Requests.
    requests -> Requests,
    /// Contacts.
    contacts -> Contacts,
    /// Conversations.
    chats -> Chats,
    /// Messages.
    messages -> Messages,
    /// Backups.
    backups -> Backups,
    /// Restoring a backup in this profile's place.
    restores -> Restores,
    /// The vault.
    vault -> Vault,
    /// What happens.
    events -> Events,
}

impl Node {
    /// The node of a running engine whose vault nobody locks.
    #[must_use]
    pub fn new(engine: EngineHandle) -> Self {
        Self { door: Arc::new(vault::Door::always_open(engine)) }
    }

    /// How the node is.
    ///
    /// # Errors
    /// [`ServiceError`] when it has stopped.
    pub async fn status(&self) -> Result<dto::Status> {
        self.view(view::status).await
    }

    /// What works and what does not.
    ///
    /// # Errors
    /// [`ServiceError`] when it has stopped.
    pub async fn diagnostics(&self) -> Result<dto::Diagnostics> {
        self.view(view::diagnostics).await
    }

    /// Everything at once.
    ///
    /// # Errors
    /// [`ServiceError`] when it has stopped.
    pub async fn sync(&self) -> Result<dto::SyncSnapshot> {
        self.view(view::sync).await
    }

    /// One step: `work` runs in the engine, and its result comes back after the commit.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ctx<'_>) -> std::result::Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (reply, result) = oneshot::channel();
        let command = move |ctx: &mut Ctx<'_>| {
            let outcome = match work(ctx) {
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Refused(refusal)) => Err(refusal),
                Ok(value) => Ok(value),
            };
            // A client that has gone away does not wait for its answer.
            ctx.after(move || drop(reply.send(outcome)));
            Ok(())
        };
        self.run(Box::new(command)).await?;
        result.await.unwrap_or_else(|_| Err(self.door.why_gone()))
    }

    async fn view<T: Send + 'static>(
        &self,
        view: impl FnOnce(&Ctx<'_>) -> std::result::Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        self.call(move |ctx| Ok(view(ctx)?)).await
    }

    async fn run(&self, command: crate::engine::Command) -> Result<()> {
        self.door.engine()?.send(command).await.map_err(|_| self.door.why_gone())
    }
}

fn id<T: FromStr>(text: &str, what: &'static str) -> Result<T> {
    text.parse().map_err(|_| NotFound(what).into())
}
