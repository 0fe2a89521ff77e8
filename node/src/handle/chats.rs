//! Conversations and messages, as clients hold them.

use protocol::chat::Position;
use protocol::ids::{ChatId, MessageId};

use super::{Chats, Messages, Result, id};
use crate::api::dto;
use crate::service::error::NotFound;
use crate::service::{self, ErrorKind, Refusal};
use crate::view;

impl Chats<'_> {
    /// Conversations, the latest first.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when the node has stopped.
    pub async fn list(&self) -> Result<Vec<dto::Chat>> {
        self.0.view(view::chats).await
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is none.
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
    /// [`ServiceError`](super::ServiceError) when it is too long.
    pub async fn draft(&self, chat: &str, text: String) -> Result<()> {
        let chat: ChatId = id(chat, "conversation")?;
        self.0.call(move |ctx| service::chat::draft(ctx, chat, text)).await
    }

    /// The person saw messages up to this one.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is no such message.
    pub async fn read(&self, chat: &str, up_to: &str) -> Result<()> {
        let chat: ChatId = id(chat, "conversation")?;
        let message: MessageId = id(up_to, "message")?;
        self.0.call(move |ctx| service::chat::read(ctx, chat, message)).await
    }

    /// The person is writing, or has stopped.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when there is no such conversation.
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
    /// [`ServiceError`](super::ServiceError) when there is no such conversation, or a position is none.
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
    /// [`ServiceError`](super::ServiceError) when it cannot be sent as it is.
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
    /// [`ServiceError`](super::ServiceError) when there is none.
    pub async fn get(&self, message: &str) -> Result<dto::Message> {
        let message: MessageId = id(message, "message")?;
        self.0
            .call(move |ctx| {
                let message = service::chat::message(ctx, message)?.ok_or(NotFound("message"))?;
                Ok(view::message(ctx, &message))
            })
            .await
    }

    /// Tries a message again now.
    ///
    /// # Errors
    /// [`ServiceError`](super::ServiceError) when it has arrived.
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
    /// [`ServiceError`](super::ServiceError) when there is none.
    pub async fn remove(&self, message: &str) -> Result<()> {
        let message: MessageId = id(message, "message")?;
        self.0.call(move |ctx| service::chat::remove(ctx, message)).await
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

fn position(text: Option<String>) -> Result<Option<Position>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| BadCursor)?;
    Ok(Some(Position(bytes.try_into().map_err(|_| BadCursor)?)))
}
