//! The registration at a relay, as clients hold it.

use protocol::ids::ChallengeId;
use protocol::registration::wire::IdentifierKind;
use tokio::sync::oneshot;

use super::{Registration, Result, id};
use crate::api::dto;
use crate::engine::Ctx;
use crate::service::error::NotFound;
use crate::service::{self, ServiceError};
use crate::store::StoreError;
use crate::view;

impl Registration<'_> {
    /// How it stands.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn current(&self) -> Result<dto::Registration> {
        self.0.view(view::registration).await
    }

    /// Asks a relay for a code.
    ///
    /// # Errors
    /// [`ServiceError`] when the relay refuses or does not answer.
    pub async fn challenge(
        &self,
        relay: Option<String>,
        identifier: String,
        kind: Option<String>,
    ) -> Result<dto::Challenge> {
        let kind = match kind.as_deref() {
            Some("email") => Some(IdentifierKind::Email),
            Some("phone") => Some(IdentifierKind::Phone),
            _ => None,
        };
        self.ask(move |ctx, reply| {
            let relay = relay.as_deref();
            service::registration::challenge(ctx, relay, &identifier, kind, reply)
        })
        .await?;
        self.challenged().await
    }

    /// Asks for the code again.
    ///
    /// # Errors
    /// [`ServiceError`] when the relay refuses or does not answer.
    pub async fn resend(&self, challenge: &str) -> Result<dto::Challenge> {
        let challenge: ChallengeId = id(challenge, "code request")?;
        self.ask(move |ctx, reply| service::registration::resend(ctx, challenge, reply)).await?;
        self.challenged().await
    }

    /// Answers with a code.
    ///
    /// # Errors
    /// [`ServiceError`] when it is wrong, or the relay does not answer.
    pub async fn verify(&self, challenge: &str, code: &str) -> Result<dto::Registration> {
        let challenge: ChallengeId = id(challenge, "code request")?;
        let code = code.to_owned();
        self.ask(move |ctx, reply| service::registration::verify(ctx, challenge, &code, reply))
            .await?;
        self.current().await
    }

    /// Forgets it here.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn forget(&self) -> Result<()> {
        self.0.call(|ctx| Ok(service::registration::forget(ctx)?)).await
    }

    /// Has the relay forget this account and what it holds for it, then forgets the registration here.
    ///
    /// # Errors
    /// [`ServiceError`] when the relay does not answer, or there is no registration: nothing changes.
    pub async fn erase(&self) -> Result<()> {
        self.ask(service::registration::erase).await
    }

    async fn challenged(&self) -> Result<dto::Challenge> {
        let current = self.current().await?;
        current.challenge.ok_or_else(|| NotFound("code request").into())
    }

    /// A step whose result comes with a later one, when the relay has answered.
    async fn ask(
        &self,
        work: impl FnOnce(
            &mut Ctx<'_>,
            service::registration::Reply,
        ) -> std::result::Result<(), StoreError>
        + Send
        + 'static,
    ) -> Result<()> {
        let (reply, result) = oneshot::channel();
        self.0.run(Box::new(move |ctx| work(ctx, reply))).await?;
        result.await.unwrap_or_else(|_| Err(ServiceError::stopped()))
    }
}
