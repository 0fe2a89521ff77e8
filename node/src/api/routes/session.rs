//! Signing a browser in and out, and the list of who is signed in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::api::dto::{
    Items, Login, LoginLink, SessionInfo, SessionSummary, SessionToken, rfc3339,
};
use crate::api::error::{ApiCode, ApiError, ApiResult};
use crate::api::extract::{ApiJson, ApiPath};
use crate::api::sessions::SessionRef;
use crate::api::state::{Api, build, now};

/// Exchanges a login link for a token, once.
#[utoipa::path(post, path = "/session", tag = "session", security(()), request_body = Login,
    responses((status = 201, body = SessionToken)))]
pub(in crate::api) async fn open_session(
    State(api): State<Api>,
    ApiJson(login): ApiJson<Login>,
) -> ApiResult<(StatusCode, Json<SessionToken>)> {
    let mut sessions = api.sessions();
    let (token, expires_at) =
        sessions.exchange(&login.login, now(), &mut rand::rng()).map_err(|code| match sessions
            .wrong_guess(now())
        {
            Ok(()) => ApiError::from(code),
            Err(seconds) => ApiError::from(ApiCode::TooManyRequests).retry_after(seconds),
        })?;
    let body = SessionToken { token: token.to_string(), expires_at: rfc3339(expires_at) };
    Ok((StatusCode::CREATED, Json(body)))
}

/// The session that asks.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = SessionInfo)))]
pub(in crate::api) async fn get_session(
    State(api): State<Api>,
    session: SessionRef,
) -> Json<SessionInfo> {
    Json(SessionInfo {
        profile: api.profile().to_owned(),
        build: build().to_owned(),
        created_at: rfc3339(session.created_at),
    })
}

/// Signs this browser out.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
pub(in crate::api) async fn close_session(
    State(api): State<Api>,
    session: SessionRef,
) -> StatusCode {
    // A node that has stopped has nobody here anyway.
    let _ = api.node().presence().focus(session.id, false).await;
    api.sessions().revoke(session.id);
    StatusCode::NO_CONTENT
}

/// Makes a link that signs one more browser in.
#[utoipa::path(post, path = "/session/login-links", tag = "session", responses((status = 201, body = LoginLink)))]
pub(in crate::api) async fn create_login_link(
    State(api): State<Api>,
) -> (StatusCode, Json<LoginLink>) {
    (StatusCode::CREATED, Json(api.login_link()))
}

/// Who is signed in.
#[utoipa::path(get, path = "/tokens", tag = "session", responses((status = 200, body = Items<SessionSummary>)))]
pub(in crate::api) async fn list_tokens(
    State(api): State<Api>,
    session: SessionRef,
) -> Json<Items<SessionSummary>> {
    let summary = |line: crate::api::sessions::SessionLine| SessionSummary {
        id: line.id.to_string(),
        kind: line.kind.as_str().to_owned(),
        created_at: rfc3339(line.created_at),
        used_at: rfc3339(line.used_at),
        current: line.id == session.id,
    };
    let lines = api.sessions().list(now());
    Json(lines.into_iter().map(summary).collect::<Vec<_>>().into())
}

/// Signs someone out.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "session", params(("id" = String, Path)), responses((status = 204)))]
pub(in crate::api) async fn revoke_token(
    State(api): State<Api>,
    ApiPath(id): ApiPath<u64>,
) -> ApiResult<StatusCode> {
    if !api.sessions().revoke(id) {
        return Err(ApiError::with_detail(ApiCode::NotFound, "That session has ended already."));
    }
    // A node that has stopped has nobody here anyway.
    let _ = api.node().presence().focus(id, false).await;
    Ok(StatusCode::NO_CONTENT)
}
