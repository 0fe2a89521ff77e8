//! This person, their requests and their contacts, as clients hold them.

use protocol::ids::AccountId;

use super::{Contacts, Presence, Profile, Requests, Result, id};
use crate::api::dto;
use crate::service;
use crate::view;

impl Profile<'_> {
    /// This person.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the node has stopped.
    pub async fn me(&self) -> Result<dto::Me> {
        self.0.view(view::me).await
    }

    /// Changes name or about.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when a text is not fit.
    pub async fn update(&self, name: Option<String>, about: Option<String>) -> Result<dto::Me> {
        self.0
            .call(move |ctx| {
                service::profile::update(ctx, name.as_deref(), about.as_deref())?;
                Ok(view::me(ctx)?)
            })
            .await
    }
}

impl Presence<'_> {
    /// A tab has, or has lost, the focus.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the node has stopped.
    pub async fn focus(&self, tab: u64, focused: bool) -> Result<()> {
        self.0.call(move |ctx| Ok(service::presence::focus(ctx, tab, focused)?)).await
    }

    /// Who is here.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Presence>> {
        self.0.view(|ctx| Ok(view::all_presence(ctx))).await
    }
}

impl Requests<'_> {
    /// Requests, what still waits first.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the direction is none.
    pub async fn list(&self, direction: Option<String>) -> Result<Vec<dto::Request>> {
        let mut requests = self.0.view(view::requests).await?;
        if let Some(direction) = direction {
            requests.retain(|request| request.direction.as_str() == direction);
        }
        Ok(requests)
    }

    /// Accepts: a contact is made.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is nothing to accept.
    pub async fn accept(&self, request: &str) -> Result<dto::Contact> {
        let account: AccountId = id(request, "request")?;
        self.0
            .call(move |ctx| {
                service::request::accept(ctx, account)?;
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record)?)
            })
            .await
    }

    /// Rejects.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is nothing to reject.
    pub async fn reject(&self, request: &str) -> Result<()> {
        let account: AccountId = id(request, "request")?;
        self.0.call(move |ctx| service::request::reject(ctx, account)).await
    }

    /// Takes one's own request back.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is nothing to take back.
    pub async fn withdraw(&self, request: &str) -> Result<()> {
        let account: AccountId = id(request, "request")?;
        self.0.call(move |ctx| service::request::withdraw(ctx, account)).await
    }
}

impl Contacts<'_> {
    /// Contacts by name.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Contact>> {
        self.0.view(view::contacts).await
    }

    /// One contact.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is none.
    pub async fn get(&self, contact: &str) -> Result<dto::Contact> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record)?)
            })
            .await
    }

    /// Gives another name, or with `None` their own.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is no such contact or the name is not fit.
    pub async fn rename(&self, contact: &str, alias: Option<String>) -> Result<dto::Contact> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                service::contact::rename(ctx, account, alias.as_deref())?;
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record)?)
            })
            .await
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is none.
    pub async fn remove(&self, contact: &str) -> Result<()> {
        let account: AccountId = id(contact, "contact")?;
        self.0.call(move |ctx| service::contact::remove(ctx, account)).await
    }

    /// What both people compare, and whether they did.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is no such contact.
    pub async fn safety_number(&self, contact: &str) -> Result<dto::SafetyNumber> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                service::contact::expect(ctx, account)?;
                Ok(view::safety_number(ctx, account)?)
            })
            .await
    }

    /// Says that the safety numbers are the same; with what a camera read on the other's screen, finds out.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is no such contact, or the code is not theirs for us.
    pub async fn verify(&self, contact: &str, code: Option<String>) -> Result<dto::Contact> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                match code {
                    Some(text) => service::verification::read(ctx, account, &text)?,
                    None => service::verification::confirm(ctx, account)?,
                }
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record)?)
            })
            .await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is no such contact.
    pub async fn unverify(&self, contact: &str) -> Result<dto::Contact> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                service::verification::withdraw(ctx, account)?;
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record)?)
            })
            .await
    }
}
