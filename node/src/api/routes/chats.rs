//! Chats and what is written in them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::dto::{Chat, Draft, Items, Message, MessagePage, NewMessage, ReadUpTo, Typing};
use crate::api::error::{ApiCode, ApiError, ApiResult};
use crate::api::extract::{ApiJson, ApiPath, ApiQuery, ClientKey};
use crate::api::state::Api;

/// Messages of a page when no number is asked for.
const PAGE: usize = 50;
/// Messages of a page at most.
const MAX_PAGE: usize = 200;

/// Chats, most recent first.
#[utoipa::path(get, path = "/chats", tag = "chats", responses((status = 200, body = Items<Chat>)))]
pub(in crate::api) async fn list_chats(State(api): State<Api>) -> ApiResult<Json<Items<Chat>>> {
    Ok(Json(api.node().chats().list().await?.into()))
}

/// One chat.
#[utoipa::path(get, path = "/chats/{id}", tag = "chats", params(("id" = String, Path)), responses((status = 200, body = Chat)))]
pub(in crate::api) async fn get_chat(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Chat>> {
    Ok(Json(api.node().chats().get(&id).await?))
}

/// Keeps what is written and not sent.
#[utoipa::path(put, path = "/chats/{id}/draft", tag = "chats", params(("id" = String, Path)), request_body = Draft,
    responses((status = 204)))]
pub(in crate::api) async fn put_draft(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiJson(draft): ApiJson<Draft>,
) -> ApiResult<StatusCode> {
    api.node().chats().draft(&id, draft.text).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says how far the person read.
#[utoipa::path(put, path = "/chats/{id}/read", tag = "chats", params(("id" = String, Path)), request_body = ReadUpTo,
    responses((status = 204)))]
pub(in crate::api) async fn put_read(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiJson(read): ApiJson<ReadUpTo>,
) -> ApiResult<StatusCode> {
    api.node().chats().read(&id, &read.up_to).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether the person is writing.
#[utoipa::path(put, path = "/chats/{id}/typing", tag = "chats", params(("id" = String, Path)), request_body = Typing,
    responses((status = 204)))]
pub(in crate::api) async fn put_typing(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiJson(typing): ApiJson<Typing>,
) -> ApiResult<StatusCode> {
    api.node().chats().typing(&id, typing.typing).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which stretch of a chat is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Window {
    /// Only messages before this position. Excludes `after`.
    before: Option<String>,
    /// Only messages after this position.
    after: Option<String>,
    /// How many.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// A stretch of a chat by ascending position; its end when neither `before` nor `after` is given.
#[utoipa::path(get, path = "/chats/{id}/messages", tag = "messages", params(("id" = String, Path), Window),
    responses((status = 200, body = MessagePage)))]
pub(in crate::api) async fn list_messages(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(window): ApiQuery<Window>,
) -> ApiResult<Json<MessagePage>> {
    let limit = window.limit.unwrap_or(PAGE);
    if limit == 0 || limit > MAX_PAGE || (window.before.is_some() && window.after.is_some()) {
        let detail = "Give “before” or “after”, not both, and a limit from 1 to 200.";
        return Err(ApiError::with_detail(ApiCode::InvalidParameter, detail));
    }
    Ok(Json(api.node().chats().messages(&id, window.before, window.after, limit).await?))
}

/// Sends a message. Answers once it is durable here; its way is told by events.
#[utoipa::path(post, path = "/chats/{id}/messages", tag = "messages", request_body = NewMessage,
    params(("id" = String, Path), ("idempotency-key" = Option<String>, Header)), responses((status = 201, body = Message)))]
pub(in crate::api) async fn send_message(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ClientKey(key): ClientKey,
    ApiJson(new): ApiJson<NewMessage>,
) -> ApiResult<(StatusCode, Json<Message>)> {
    let message = api.node().chats().send(&id, new.text, key).await?;
    Ok((StatusCode::CREATED, Json(message)))
}
