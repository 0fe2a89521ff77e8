//! Single messages.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::dto::Message;
use crate::api::error::ApiResult;
use crate::api::extract::ApiPath;
use crate::api::state::Api;

/// One message with its ledger.
#[utoipa::path(get, path = "/messages/{id}", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = Message)))]
pub(in crate::api) async fn get_message(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Message>> {
    Ok(Json(api.node().messages().get(&id).await?))
}

/// Tries to deliver a failed message again, now.
#[utoipa::path(post, path = "/messages/{id}/retry", tag = "messages", params(("id" = String, Path)),
    responses((status = 200, body = Message)))]
pub(in crate::api) async fn retry_message(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Message>> {
    Ok(Json(api.node().messages().retry(&id).await?))
}

/// Deletes a message here; one that did not leave is never sent.
#[utoipa::path(delete, path = "/messages/{id}", tag = "messages", params(("id" = String, Path)), responses((status = 204)))]
pub(in crate::api) async fn remove_message(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<StatusCode> {
    api.node().messages().remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
