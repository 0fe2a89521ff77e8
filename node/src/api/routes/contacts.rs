//! Contacts.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::dto::{Contact, ContactPatch, Items, NewVerification, SafetyNumber};
use crate::api::error::{ApiCode, ApiError, ApiResult};
use crate::api::extract::{ApiJson, ApiPath, json};
use crate::api::qr::Matrix;
use crate::api::scan::{Shown, shown};
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

/// What this person and a contact compare to know that nobody stands between them.
#[utoipa::path(get, path = "/contacts/{id}/safety-number", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = SafetyNumber)))]
pub(in crate::api) async fn get_safety_number(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<SafetyNumber>> {
    Ok(Json(api.node().contacts().safety_number(&id).await?))
}

/// The code to show the contact's camera, as a drawing.
#[utoipa::path(get, path = "/contacts/{id}/safety-number/qr.svg", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, content_type = "image/svg+xml", body = String)))]
pub(in crate::api) async fn get_safety_number_svg(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Response> {
    let code = api.node().contacts().safety_number(&id).await?.code;
    let matrix = Matrix::of(&code).map_err(|_| ApiCode::Internal)?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], matrix.svg()).into_response())
}

/// Verifies a contact: by saying that the digits are the same, or with the code on their screen, as text or
/// as a picture.
#[utoipa::path(put, path = "/contacts/{id}/verification", tag = "contacts", params(("id" = String, Path)),
    request_body(content((NewVerification = "application/json"), (Vec<u8> = "image/png"),
        (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp"), (Vec<u8> = "image/x-portable-graymap"))),
    responses((status = 200, body = Contact)))]
pub(in crate::api) async fn verify_contact(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    request: Request,
) -> ApiResult<Json<Contact>> {
    let code = match shown(&api, request).await? {
        Shown::Json(body) => match json(&body)? {
            NewVerification { code: Some(code), same: None } => Some(code),
            NewVerification { code: None, same: Some(true) } => None,
            NewVerification { .. } => {
                let what = "Send the code that was read, or “same”: true.";
                return Err(ApiError::with_detail(ApiCode::InvalidJson, what));
            }
        },
        Shown::Code(text) => Some(text),
    };
    Ok(Json(api.node().contacts().verify(&id, code).await?))
}

/// Takes a verification back.
#[utoipa::path(delete, path = "/contacts/{id}/verification", tag = "contacts", params(("id" = String, Path)),
    responses((status = 200, body = Contact)))]
pub(in crate::api) async fn unverify_contact(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Contact>> {
    Ok(Json(api.node().contacts().unverify(&id).await?))
}
