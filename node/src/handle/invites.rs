//! Invites, as clients hold them.

use protocol::ids::InviteId;
use protocol::invite::Kind;

use super::{Invites, Result, id};
use crate::api::dto;
use crate::service;
use crate::service::error::NotFound;
use crate::view;

impl Invites<'_> {
    /// Makes an invite that lives for `expires_in` seconds.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when a bound is broken.
    pub async fn create(
        &self,
        kind: dto::InviteKind,
        label: String,
        expires_in: Option<u64>,
    ) -> Result<dto::Invite> {
        let kind = match kind {
            dto::InviteKind::InPerson => Kind::InPerson,
            dto::InviteKind::Link => Kind::Link,
        };
        self.0
            .call(move |ctx| {
                let invite = service::invite::create(ctx, kind, label, expires_in)?;
                Ok(view::invite(ctx, &invite)?)
            })
            .await
    }

    /// The ledger, the newest first.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Invite>> {
        self.0.view(view::invites).await
    }

    /// One invite.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is none.
    pub async fn get(&self, invite: &str) -> Result<dto::Invite> {
        let invite: InviteId = id(invite, "invite")?;
        self.0
            .call(move |ctx| {
                let invite = service::invite::get(ctx, invite)?.ok_or(NotFound("invite"))?;
                Ok(view::invite(ctx, &invite)?)
            })
            .await
    }

    /// Takes an invite back.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is none, or it is over.
    pub async fn revoke(&self, invite: &str) -> Result<()> {
        let invite: InviteId = id(invite, "invite")?;
        self.0.call(move |ctx| service::invite::revoke(ctx, invite)).await
    }

    /// Reads a code; changes nothing.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when it is none.
    pub async fn decode(&self, text: &str) -> Result<dto::DecodedInvite> {
        let text = text.to_owned();
        self.0
            .call(move |ctx| {
                let (token, verdict) = service::scan::inspect(ctx, &text)?;
                Ok(view::decoded(&token, verdict))
            })
            .await
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when something stands in its way.
    pub async fn redeem(&self, text: &str) -> Result<dto::Request> {
        let text = text.to_owned();
        self.0
            .call(move |ctx| {
                let request = service::scan::redeem(ctx, &text)?;
                Ok(view::request(ctx, &request))
            })
            .await
    }
}
