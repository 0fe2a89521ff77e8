//! Locking and unlocking this computer's copy, and the passphrase that does.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use zeroize::Zeroizing;

use crate::api::dto::{Damaged, NewPassphrase, Passphrase, Restored, VaultState, rfc3339};
use crate::api::error::ApiResult;
use crate::api::extract::ApiJson;
use crate::api::state::Api;

/// Whether the vault is open, and what opens it.
#[utoipa::path(get, path = "/vault", tag = "vault", responses((status = 200, body = VaultState)))]
pub(in crate::api) async fn get_vault(State(api): State<Api>) -> Json<VaultState> {
    let vault = api.node().vault();
    let damaged = vault
        .damage()
        .map(|damage| Damaged { why: damage.why, copy_from: rfc3339(damage.copy_from) });
    Json(VaultState { locked: vault.locked(), has_passphrase: vault.has_passphrase(), damaged })
}

/// Puts messages that do not open aside, and goes on from the copy beside them.
#[utoipa::path(post, path = "/vault/recover", tag = "vault", responses((status = 200, body = Restored)))]
pub(in crate::api) async fn recover_vault(State(api): State<Api>) -> ApiResult<Json<Restored>> {
    Ok(Json(api.node().vault().recover().await?))
}

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
    api.answers().clear();
    Ok(StatusCode::NO_CONTENT)
}

/// Sets the passphrase; changes it when there is one, which `current` then is.
#[utoipa::path(put, path = "/vault/passphrase", tag = "vault", request_body = NewPassphrase, responses((status = 204)))]
pub(in crate::api) async fn set_passphrase(
    State(api): State<Api>,
    ApiJson(mut given): ApiJson<NewPassphrase>,
) -> ApiResult<StatusCode> {
    let current = given.current.take().map(Zeroizing::new);
    let new = Zeroizing::new(std::mem::take(&mut given.new));
    api.node().vault().set_passphrase(current, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the passphrase: the vault opens by itself from then on.
#[utoipa::path(post, path = "/vault/passphrase/remove", tag = "vault", request_body = Passphrase, responses((status = 204)))]
pub(in crate::api) async fn remove_passphrase(
    State(api): State<Api>,
    ApiJson(mut given): ApiJson<Passphrase>,
) -> ApiResult<StatusCode> {
    let current = Zeroizing::new(std::mem::take(&mut given.passphrase));
    api.node().vault().remove_passphrase(current).await?;
    Ok(StatusCode::NO_CONTENT)
}
