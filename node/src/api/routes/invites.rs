//! Invites: making, showing, taking back, reading and redeeming codes.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::dto::{self, DecodedInvite, Invite, InviteText, Items, NewInvite};
use crate::api::error::{ApiCode, ApiError, ApiResult};
use crate::api::extract::{ApiJson, ApiPath, ApiQuery, json};
use crate::api::qr::{Matrix, PNG_SIDE, PNG_SIDES};
use crate::api::scan::{Shown, shown};
use crate::api::state::Api;

/// Makes an invite.
#[utoipa::path(post, path = "/invites", tag = "invites", request_body = NewInvite,
    params(("idempotency-key" = Option<String>, Header)), responses((status = 201, body = Invite)))]
pub(in crate::api) async fn create_invite(
    State(api): State<Api>,
    ApiJson(new): ApiJson<NewInvite>,
) -> ApiResult<(StatusCode, Json<Invite>)> {
    let invite = api.node().invites().create(new.kind, new.label, new.expires_in).await?;
    Ok((StatusCode::CREATED, Json(invite)))
}

/// The invite ledger, newest first.
#[utoipa::path(get, path = "/invites", tag = "invites", responses((status = 200, body = Items<Invite>)))]
pub(in crate::api) async fn list_invites(State(api): State<Api>) -> ApiResult<Json<Items<Invite>>> {
    Ok(Json(api.node().invites().list().await?.into()))
}

/// One invite.
#[utoipa::path(get, path = "/invites/{id}", tag = "invites", params(("id" = String, Path)),
    responses((status = 200, body = Invite)))]
pub(in crate::api) async fn get_invite(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Invite>> {
    Ok(Json(api.node().invites().get(&id).await?))
}

/// Takes an invite back.
#[utoipa::path(delete, path = "/invites/{id}", tag = "invites", params(("id" = String, Path)), responses((status = 204)))]
pub(in crate::api) async fn revoke_invite(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<StatusCode> {
    api.node().invites().revoke(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The invite's code as a drawing.
#[utoipa::path(get, path = "/invites/{id}/qr.svg", tag = "invites", params(("id" = String, Path)),
    responses((status = 200, content_type = "image/svg+xml", body = String)))]
pub(in crate::api) async fn get_invite_svg(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Response> {
    let svg = matrix(&api, &id).await?.svg();
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

/// How large a picture is.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Side {
    /// Its side in pixels.
    #[param(minimum = 128, maximum = 2048, default = 512)]
    size: Option<u32>,
}

/// The invite's code as a picture.
#[utoipa::path(get, path = "/invites/{id}/qr.png", tag = "invites", params(("id" = String, Path), Side),
    responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(in crate::api) async fn get_invite_png(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiQuery(side): ApiQuery<Side>,
) -> ApiResult<Response> {
    let side = side.size.unwrap_or(PNG_SIDE);
    if !PNG_SIDES.contains(&side) {
        return Err(ApiError::with_detail(
            ApiCode::InvalidParameter,
            "A size is 128 to 2048 pixels.",
        ));
    }
    let png = matrix(&api, &id).await?.png(side).map_err(|_| ApiCode::Internal)?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// Reads an invite without doing anything about it: text as JSON, or a picture of its code.
#[utoipa::path(post, path = "/invites/decode", tag = "invites",
    request_body(content((InviteText = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"),
        (Vec<u8> = "image/webp"), (Vec<u8> = "image/x-portable-graymap"))),
    responses((status = 200, body = DecodedInvite)))]
pub(in crate::api) async fn decode_invite(
    State(api): State<Api>,
    request: Request,
) -> ApiResult<Json<DecodedInvite>> {
    let text = match shown(&api, request).await? {
        Shown::Json(body) => json::<InviteText>(&body)?.text,
        Shown::Code(text) => text,
    };
    Ok(Json(api.node().invites().decode(&text).await?))
}

/// Asks the inviter to connect.
#[utoipa::path(post, path = "/invites/redeem", tag = "invites", request_body = InviteText,
    params(("idempotency-key" = Option<String>, Header)), responses((status = 202, body = dto::Request)))]
pub(in crate::api) async fn redeem_invite(
    State(api): State<Api>,
    ApiJson(invite): ApiJson<InviteText>,
) -> ApiResult<(StatusCode, Json<dto::Request>)> {
    let request = api.node().invites().redeem(&invite.text).await?;
    Ok((StatusCode::ACCEPTED, Json(request)))
}

async fn matrix(api: &Api, id: &str) -> ApiResult<Matrix> {
    let text = api.node().invites().get(id).await?.text;
    let gone = "This invite is no longer active, so it has no code. Make a new one.";
    let text = text.ok_or_else(|| ApiError::with_detail(ApiCode::NotFound, gone))?;
    Matrix::of(&text).map_err(|_| ApiCode::Internal.into())
}
