//! The node as its clients hold it: one handle per noun.
//!
//! Every method is one step of the engine, and answers after its commit.

use std::str::FromStr;

use protocol::chat::Position;
use protocol::ids::{AccountId, ChallengeId, ChatId, InviteId, MessageId};
use protocol::invite::Kind;
use protocol::registration::wire::IdentifierKind;
use tokio::sync::oneshot;

use crate::api::dto;
use crate::engine::{Ctx, EngineHandle, Failure};
use crate::service::error::NotFound;
use crate::service::{self, ErrorKind, Refusal, ServiceError};
use crate::store::StoreError;
use crate::view;

mod feed;

pub use feed::EventFeed;

type Result<T> = std::result::Result<T, ServiceError>;

/// A running node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    engine: EngineHandle,
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
    /// The vault.
    vault -> Vault,
    /// What happens.
    events -> Events,
}

impl Node {
    /// The node of a running engine.
    #[must_use]
    pub fn new(engine: EngineHandle) -> Self {
        Self { engine }
    }

    /// This account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.engine.account().id
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
        result.await.unwrap_or_else(|_| Err(ServiceError::stopped()))
    }

    async fn view<T: Send + 'static>(
        &self,
        view: impl FnOnce(&Ctx<'_>) -> std::result::Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        self.call(move |ctx| Ok(view(ctx)?)).await
    }

    async fn run(&self, command: crate::engine::Command) -> Result<()> {
        self.engine.send(command).await.map_err(|_| ServiceError::stopped())
    }
}

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
            service::registration::challenge(ctx, relay, identifier, kind, reply)
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

impl Profile<'_> {
    /// This person.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn me(&self) -> Result<dto::Me> {
        self.0.view(view::me).await
    }

    /// Changes name or about.
    ///
    /// # Errors
    /// [`ServiceError`] when a text is not fit.
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
    /// [`ServiceError`] when the node has stopped.
    pub async fn focus(&self, tab: u64, focused: bool) -> Result<()> {
        self.0.call(move |ctx| Ok(service::presence::focus(ctx, tab, focused)?)).await
    }

    /// Who is here.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Presence>> {
        self.0.view(|ctx| Ok(view::all_presence(ctx))).await
    }
}

impl Invites<'_> {
    /// Makes an invite that lives for `expires_in` seconds.
    ///
    /// # Errors
    /// [`ServiceError`] when a bound is broken.
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
    /// [`ServiceError`] when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Invite>> {
        self.0.view(view::invites).await
    }

    /// One invite.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none.
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
    /// [`ServiceError`] when there is none, or it is over.
    pub async fn revoke(&self, invite: &str) -> Result<()> {
        let invite: InviteId = id(invite, "invite")?;
        self.0.call(move |ctx| service::invite::revoke(ctx, invite)).await
    }

    /// Reads a code; changes nothing.
    ///
    /// # Errors
    /// [`ServiceError`] when it is none.
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
    /// [`ServiceError`] when something stands in its way.
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

impl Requests<'_> {
    /// Requests, what still waits first.
    ///
    /// # Errors
    /// [`ServiceError`] when the direction is none.
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
    /// [`ServiceError`] when there is nothing to accept.
    pub async fn accept(&self, request: &str) -> Result<dto::Contact> {
        let account: AccountId = id(request, "request")?;
        self.0
            .call(move |ctx| {
                service::request::accept(ctx, account)?;
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record))
            })
            .await
    }

    /// Rejects.
    ///
    /// # Errors
    /// [`ServiceError`] when there is nothing to reject.
    pub async fn reject(&self, request: &str) -> Result<()> {
        let account: AccountId = id(request, "request")?;
        self.0.call(move |ctx| service::request::reject(ctx, account)).await
    }

    /// Takes one's own request back.
    ///
    /// # Errors
    /// [`ServiceError`] when there is nothing to take back.
    pub async fn withdraw(&self, request: &str) -> Result<()> {
        let account: AccountId = id(request, "request")?;
        self.0.call(move |ctx| service::request::withdraw(ctx, account)).await
    }
}

impl Contacts<'_> {
    /// Contacts by name.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Contact>> {
        self.0.view(view::contacts).await
    }

    /// One contact.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none.
    pub async fn get(&self, contact: &str) -> Result<dto::Contact> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record))
            })
            .await
    }

    /// Gives another name, or with `None` their own.
    ///
    /// # Errors
    /// [`ServiceError`] when there is no such contact or the name is not fit.
    pub async fn rename(&self, contact: &str, alias: Option<String>) -> Result<dto::Contact> {
        let account: AccountId = id(contact, "contact")?;
        self.0
            .call(move |ctx| {
                service::contact::rename(ctx, account, alias.as_deref())?;
                let record = service::contact::expect(ctx, account)?;
                Ok(view::contact(ctx, &record))
            })
            .await
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none.
    pub async fn remove(&self, contact: &str) -> Result<()> {
        let account: AccountId = id(contact, "contact")?;
        self.0.call(move |ctx| service::contact::remove(ctx, account)).await
    }
}

impl Chats<'_> {
    /// Conversations, the latest first.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Chat>> {
        self.0.view(view::chats).await
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none.
    pub async fn get(&self, chat: &str) -> Result<dto::Chat> {
        let chat: ChatId = id(chat, "conversation")?;
        self.0
            .call(move |ctx| {
                let chat = service::chat::expect(ctx, chat)?;
                Ok(view::chat(ctx, &chat)?)
            })
            .await
    }

    /// Keeps what is being written.
    ///
    /// # Errors
    /// [`ServiceError`] when it is too long.
    pub async fn draft(&self, chat: &str, text: String) -> Result<()> {
        let chat: ChatId = id(chat, "conversation")?;
        self.0.call(move |ctx| service::chat::draft(ctx, chat, text)).await
    }

    /// The person saw messages up to this one.
    ///
    /// # Errors
    /// [`ServiceError`] when there is no such message.
    pub async fn read(&self, chat: &str, up_to: &str) -> Result<()> {
        let chat: ChatId = id(chat, "conversation")?;
        let message: MessageId = id(up_to, "message")?;
        self.0.call(move |ctx| service::chat::read(ctx, chat, message)).await
    }

    /// The person is writing, or has stopped.
    ///
    /// # Errors
    /// [`ServiceError`] when there is no such conversation.
    pub async fn typing(&self, chat: &str, typing: bool) -> Result<()> {
        let chat: ChatId = id(chat, "conversation")?;
        self.0
            .call(move |ctx| {
                let them = service::chat::expect(ctx, chat)?.them;
                Ok(service::presence::typing(ctx, them, typing)?)
            })
            .await
    }

    /// A page of messages, rising. `before` and `after` are positions.
    ///
    /// # Errors
    /// [`ServiceError`] when there is no such conversation, or a position is none.
    pub async fn messages(
        &self,
        chat: &str,
        before: Option<String>,
        after: Option<String>,
        limit: usize,
    ) -> Result<dto::MessagePage> {
        let chat: ChatId = id(chat, "conversation")?;
        let span = (position(before)?, position(after)?);
        self.0
            .call(move |ctx| {
                let chat = service::chat::expect(ctx, chat)?;
                view::page(ctx, &chat, span, limit)
            })
            .await
    }

    /// Writes a message.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be sent as it is.
    pub async fn send(
        &self,
        chat: &str,
        text: String,
        client_key: Option<String>,
    ) -> Result<dto::Message> {
        let chat: ChatId = id(chat, "conversation")?;
        self.0
            .call(move |ctx| {
                let message = service::chat::send(ctx, chat, text, client_key)?;
                Ok(view::message(ctx, &message))
            })
            .await
    }
}

impl Messages<'_> {
    /// One message.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none.
    pub async fn get(&self, message: &str) -> Result<dto::Message> {
        let message: MessageId = id(message, "message")?;
        self.0
            .call(move |ctx| {
                let message = service::chat::message(ctx, message)?.ok_or(NotFound("message"))?;
                Ok(view::message(ctx, &message))
            })
            .await
    }

    /// Tries a failed message again.
    ///
    /// # Errors
    /// [`ServiceError`] when it has not failed.
    pub async fn retry(&self, message: &str) -> Result<dto::Message> {
        let message: MessageId = id(message, "message")?;
        self.0
            .call(move |ctx| {
                let message = service::chat::retry(ctx, message)?;
                Ok(view::message(ctx, &message))
            })
            .await
    }

    /// Deletes a message here.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none.
    pub async fn remove(&self, message: &str) -> Result<()> {
        let message: MessageId = id(message, "message")?;
        self.0.call(move |ctx| service::chat::remove(ctx, message)).await
    }
}

impl Vault<'_> {
    /// Whether the vault is locked. A running engine has an open vault.
    #[must_use]
    pub fn locked(&self) -> bool {
        false
    }

    /// Opens the vault with a passphrase.
    ///
    /// # Errors
    /// [`ServiceError`]: this profile has no passphrase.
    #[allow(clippy::unused_async, reason = "the facade is async throughout")]
    pub async fn unlock(&self, _passphrase: zeroize::Zeroizing<String>) -> Result<()> {
        Err(NoPassphrase.into())
    }

    /// Locks the vault.
    ///
    /// # Errors
    /// [`ServiceError`]: without a passphrase it could not be opened again.
    #[allow(clippy::unused_async, reason = "the facade is async throughout")]
    pub async fn lock(&self) -> Result<()> {
        Err(NoPassphrase.into())
    }
}

/// The profile has no passphrase.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("This profile has no passphrase, so there is nothing to lock or unlock.")]
struct NoPassphrase;

impl Refusal for NoPassphrase {
    fn code(&self) -> &'static str {
        "no_passphrase"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}

/// A position that a client made up.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("That cursor is none. Leave it out to begin at the end.")]
struct BadCursor;

impl Refusal for BadCursor {
    fn code(&self) -> &'static str {
        "invalid_cursor"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

fn id<T: FromStr>(text: &str, what: &'static str) -> Result<T> {
    text.parse().map_err(|_| NotFound(what).into())
}

fn position(text: Option<String>) -> Result<Option<Position>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| BadCursor)?;
    Ok(Some(Position(bytes.try_into().map_err(|_| BadCursor)?)))
}
