//! Backups of this profile, and the words that open them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::api::dto::{Items, RecoveryPhrase, RestoreWords, Restored};
use crate::api::error::ApiResult;
use crate::api::extract::ApiJson;
use crate::api::state::Api;

/// The recovery phrase: 24 words. Whoever has them is this person. Never cached.
#[utoipa::path(post, path = "/backup/phrase", tag = "backup", responses((status = 200, body = RecoveryPhrase)))]
pub(in crate::api) async fn show_phrase(State(api): State<Api>) -> ApiResult<Json<RecoveryPhrase>> {
    Ok(Json(api.node().backups().phrase().await?))
}

/// Contacts whose nodes have not answered this one since it was restored, by id.
#[utoipa::path(get, path = "/backup/unanswered", tag = "backup", responses((status = 200, body = Items<String>)))]
pub(in crate::api) async fn get_unanswered(
    State(api): State<Api>,
) -> ApiResult<Json<Items<String>>> {
    Ok(Json(api.node().backups().unanswered().await?.into()))
}

/// A backup, sealed under the recovery phrase, as it is made. One that is cut off does not open.
#[utoipa::path(get, path = "/backup", tag = "backup",
    responses((status = 200, content_type = "application/octet-stream", description = "A sealed backup.")))]
pub(in crate::api) async fn get_backup(State(api): State<Api>) -> ApiResult<impl IntoResponse> {
    let backup = api.node().backups().make().await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"kith.backup\""),
    ];
    Ok((headers, Body::from_stream(backup)))
}

/// Takes the file of a backup, to be restored in the place of a profile that nobody has used yet.
#[utoipa::path(put, path = "/restore/file", tag = "backup",
    request_body(content_type = "application/octet-stream", description = "A backup, at most 8 GiB."),
    responses((status = 204)))]
pub(in crate::api) async fn put_restore_file(
    State(api): State<Api>,
    body: Body,
) -> ApiResult<StatusCode> {
    api.node().restores().receive(body.into_data_stream()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Restores that file with the words that open it, and ends every stream: the node goes on as another one.
#[utoipa::path(post, path = "/restore", tag = "backup", request_body = RestoreWords,
    responses((status = 200, body = Restored)))]
pub(in crate::api) async fn restore(
    State(api): State<Api>,
    ApiJson(given): ApiJson<RestoreWords>,
) -> ApiResult<Json<Restored>> {
    let restored = api.node().restores().restore(&given.words).await?;
    api.sessions().end_streams();
    api.answers().clear();
    Ok(Json(restored))
}
