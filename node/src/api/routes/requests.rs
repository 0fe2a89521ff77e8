//! Contact requests.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::dto::{Contact, Direction, Items, Request};
use crate::api::error::ApiResult;
use crate::api::extract::{ApiPath, ApiQuery};
use crate::api::state::Api;

/// Which requests are meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Which {
    /// Only those that came, or only those that went.
    direction: Option<Direction>,
}

/// Requests, newest first.
#[utoipa::path(get, path = "/requests", tag = "requests", params(Which), responses((status = 200, body = Items<Request>)))]
pub(in crate::api) async fn list_requests(
    State(api): State<Api>,
    ApiQuery(which): ApiQuery<Which>,
) -> ApiResult<Json<Items<Request>>> {
    let direction = which.direction.map(|direction| direction.as_str().to_owned());
    Ok(Json(api.node().requests().list(direction).await?.into()))
}

/// Makes an incoming request a contact.
#[utoipa::path(post, path = "/requests/{id}/accept", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = Contact)))]
pub(in crate::api) async fn accept_request(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Contact>> {
    Ok(Json(api.node().requests().accept(&id).await?))
}

/// Turns an incoming request down.
#[utoipa::path(post, path = "/requests/{id}/reject", tag = "requests", params(("id" = String, Path)), responses((status = 204)))]
pub(in crate::api) async fn reject_request(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<StatusCode> {
    api.node().requests().reject(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes an outgoing request back.
#[utoipa::path(delete, path = "/requests/{id}", tag = "requests", params(("id" = String, Path)), responses((status = 204)))]
pub(in crate::api) async fn withdraw_request(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<StatusCode> {
    api.node().requests().withdraw(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
