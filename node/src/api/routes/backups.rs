//! Backups of this profile, and the words that open them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::api::dto::{Items, RecoveryPhrase};
use crate::api::error::ApiResult;
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
