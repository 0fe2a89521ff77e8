//! Contacts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::dto::{Contact, ContactPatch, Items};
use crate::api::error::ApiResult;
use crate::api::extract::{ApiJson, ApiPath};
use crate::api::state::Api;

/// Contacts by name.
#[utoipa::path(get, path = "/contacts", tag = "contacts", responses((status = 200, body = Items<Contact>)))]
pub(in crate::api) async fn list_contacts(
    State(api): State<Api>,
) -> ApiResult<Json<Items<Contact>>> {
    Ok(Json(api.node().contacts().list().await?.into()))
}

/// One contact.
#[utoipa::path(get, path = "/contacts/{id}", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = Contact)))]
pub(in crate::api) async fn get_contact(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Contact>> {
    Ok(Json(api.node().contacts().get(&id).await?))
}

/// Gives a contact another name here, or takes it away.
#[utoipa::path(patch, path = "/contacts/{id}", tag = "contacts", params(("id" = String, Path)),
    request_body = ContactPatch, responses((status = 200, body = Contact)))]
pub(in crate::api) async fn update_contact(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiJson(patch): ApiJson<ContactPatch>,
) -> ApiResult<Json<Contact>> {
    let alias = patch.alias.filter(|alias| !alias.trim().is_empty());
    Ok(Json(api.node().contacts().rename(&id, alias).await?))
}

/// Removes a contact.
#[utoipa::path(delete, path = "/contacts/{id}", tag = "contacts", params(("id" = String, Path)), responses((status = 204)))]
pub(in crate::api) async fn remove_contact(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<StatusCode> {
    api.node().contacts().remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
