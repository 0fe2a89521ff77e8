//! The node as a whole.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::api::dto::{Diagnostics, Health, Status, SyncSnapshot, Version};
use crate::api::error::ApiResult;
use crate::api::openapi;
use crate::api::state::{Api, build};

/// How the node is.
#[utoipa::path(get, path = "/status", tag = "node", responses((status = 200, body = Status)))]
pub(in crate::api) async fn get_status(State(api): State<Api>) -> ApiResult<Json<Status>> {
    Ok(Json(api.node().status().await?))
}

/// That the process answers. Says nothing else, and needs no token.
#[utoipa::path(get, path = "/healthz", tag = "node", security(()), responses((status = 200, body = Health)))]
pub(in crate::api) async fn get_health() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}

/// Whether the node can work: `ok`, `locked`, or `damaged`: the messages do not open.
#[utoipa::path(get, path = "/readyz", tag = "node", responses((status = 200, body = Health)))]
pub(in crate::api) async fn get_readiness(State(api): State<Api>) -> Json<Health> {
    let vault = api.node().vault();
    let status = match (vault.locked(), vault.damage()) {
        (true, _) => "locked",
        (false, Some(_)) => "damaged",
        (false, None) => "ok",
    };
    Json(Health { status: status.to_owned() })
}

/// Which program this is.
#[utoipa::path(get, path = "/version", tag = "node", security(()), responses((status = 200, body = Version)))]
pub(in crate::api) async fn get_version() -> Json<Version> {
    Json(Version {
        name: "kith".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: build().to_owned(),
        api: "v1".to_owned(),
    })
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "node",
    responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1")))]
pub(in crate::api) async fn get_openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi::json())
}

/// What the doctor finds.
#[utoipa::path(get, path = "/diagnostics", tag = "node", responses((status = 200, body = Diagnostics)))]
pub(in crate::api) async fn get_diagnostics(
    State(api): State<Api>,
) -> ApiResult<Json<Diagnostics>> {
    Ok(Json(api.node().diagnostics().await?))
}

/// Everything a tab shows, at one point of the journal.
#[utoipa::path(get, path = "/sync", tag = "events", responses((status = 200, body = SyncSnapshot)))]
pub(in crate::api) async fn get_sync(State(api): State<Api>) -> ApiResult<Json<SyncSnapshot>> {
    Ok(Json(api.node().sync().await?))
}
