//! The account's own profile, and whether its person is here.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::dto::{Focus, Items, Me, MePatch, Presence};
use crate::api::error::ApiResult;
use crate::api::extract::ApiJson;
use crate::api::sessions::SessionRef;
use crate::api::state::Api;

/// The profile.
#[utoipa::path(get, path = "/me", tag = "profile", responses((status = 200, body = Me)))]
pub(in crate::api) async fn get_me(State(api): State<Api>) -> ApiResult<Json<Me>> {
    Ok(Json(api.node().profile().me().await?))
}

/// Changes the profile; what is absent stays.
#[utoipa::path(patch, path = "/me", tag = "profile", request_body = MePatch, responses((status = 200, body = Me)))]
pub(in crate::api) async fn update_me(
    State(api): State<Api>,
    ApiJson(patch): ApiJson<MePatch>,
) -> ApiResult<Json<Me>> {
    Ok(Json(api.node().profile().update(patch.name, patch.about).await?))
}

/// Says whether a tab has the person's attention: a lease of 45 s, renewed every 20 s.
#[utoipa::path(put, path = "/me/presence", tag = "presence", request_body = Focus, responses((status = 204)))]
pub(in crate::api) async fn put_presence(
    State(api): State<Api>,
    session: SessionRef,
    ApiJson(focus): ApiJson<Focus>,
) -> ApiResult<StatusCode> {
    api.node().presence().focus(session.id, focus.focused).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which contacts are here.
#[utoipa::path(get, path = "/presence", tag = "presence", responses((status = 200, body = Items<Presence>)))]
pub(in crate::api) async fn list_presence(
    State(api): State<Api>,
) -> ApiResult<Json<Items<Presence>>> {
    Ok(Json(api.node().presence().list().await?.into()))
}
