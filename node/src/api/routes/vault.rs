//! Locking and unlocking this computer's copy.

use axum::extract::State;
use axum::http::StatusCode;
use zeroize::Zeroizing;

use crate::api::dto::Passphrase;
use crate::api::error::ApiResult;
use crate::api::extract::ApiJson;
use crate::api::state::Api;

/// Opens the vault.
#[utoipa::path(post, path = "/vault/unlock", tag = "vault", request_body = Passphrase, responses((status = 204)))]
pub(in crate::api) async fn unlock_vault(
    State(api): State<Api>,
    ApiJson(mut given): ApiJson<Passphrase>,
) -> ApiResult<StatusCode> {
    let passphrase = Zeroizing::new(std::mem::take(&mut given.passphrase));
    api.node().vault().unlock(passphrase).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes the vault and ends every stream.
#[utoipa::path(post, path = "/vault/lock", tag = "vault", responses((status = 204)))]
pub(in crate::api) async fn lock_vault(State(api): State<Api>) -> ApiResult<StatusCode> {
    api.node().vault().lock().await?;
    api.sessions().end_streams();
    Ok(StatusCode::NO_CONTENT)
}
