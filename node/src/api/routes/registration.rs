//! Registration of an identifier at a relay.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::dto::{Challenge, Leaving, NewChallenge, Registration, VerificationCode};
use crate::api::error::ApiResult;
use crate::api::extract::{ApiJson, ApiPath, ApiQuery};
use crate::api::state::Api;

/// Where this account stands with its relay.
#[utoipa::path(get, path = "/registration", tag = "registration", responses((status = 200, body = Registration)))]
pub(in crate::api) async fn get_registration(
    State(api): State<Api>,
) -> ApiResult<Json<Registration>> {
    Ok(Json(api.node().registration().current().await?))
}

/// Asks a relay to send a code.
#[utoipa::path(post, path = "/registration/challenges", tag = "registration", request_body = NewChallenge,
    params(("idempotency-key" = Option<String>, Header)), responses((status = 201, body = Challenge)))]
pub(in crate::api) async fn create_challenge(
    State(api): State<Api>,
    ApiJson(asked): ApiJson<NewChallenge>,
) -> ApiResult<(StatusCode, Json<Challenge>)> {
    let relay = asked.relay.filter(|relay| !relay.trim().is_empty());
    let kind = asked.kind.map(|kind| kind.as_str().to_owned());
    let challenge = api.node().registration().challenge(relay, asked.identifier, kind).await?;
    Ok((StatusCode::CREATED, Json(challenge)))
}

/// Answers a challenge with the code.
#[utoipa::path(post, path = "/registration/challenges/{id}/verify", tag = "registration",
    params(("id" = String, Path)), request_body = VerificationCode, responses((status = 200, body = Registration)))]
pub(in crate::api) async fn verify_challenge(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
    ApiJson(given): ApiJson<VerificationCode>,
) -> ApiResult<Json<Registration>> {
    let digits: String = given.code.chars().filter(|c| !c.is_whitespace()).collect();
    Ok(Json(api.node().registration().verify(&id, &digits).await?))
}

/// Asks for another code.
#[utoipa::path(post, path = "/registration/challenges/{id}/resend", tag = "registration",
    params(("id" = String, Path)), responses((status = 200, body = Challenge)))]
pub(in crate::api) async fn resend_challenge(
    State(api): State<Api>,
    ApiPath(id): ApiPath<String>,
) -> ApiResult<Json<Challenge>> {
    Ok(Json(api.node().registration().resend(&id).await?))
}

/// Forgets the registration on this computer; with `erase`, has the relay forget the account first.
#[utoipa::path(delete, path = "/registration", tag = "registration", params(Leaving),
    responses((status = 204)))]
pub(in crate::api) async fn forget_registration(
    State(api): State<Api>,
    ApiQuery(leaving): ApiQuery<Leaving>,
) -> ApiResult<StatusCode> {
    match leaving.erase {
        true => api.node().registration().erase().await?,
        false => api.node().registration().forget().await?,
    }
    Ok(StatusCode::NO_CONTENT)
}
