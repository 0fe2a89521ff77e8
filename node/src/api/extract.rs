//! Extractors whose rejections are [`ApiError`]s, so that every refusal has the one shape.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde::de::DeserializeOwned;

use super::error::{ApiCode, ApiError};

/// A JSON body.
#[derive(Debug)]
pub(super) struct ApiJson<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bytes = bytes(request, state).await?;
        json(&bytes).map(Self)
    }
}

/// The body, within the route's limit.
///
/// # Errors
/// 413 when it is larger, 422 when it breaks off.
pub(super) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiCode::BodyTooLarge.into(),
        _ => ApiError::with_detail(
            ApiCode::InvalidJson,
            "The request broke off before it was whole. Send it again.",
        ),
    })
}

/// Reads JSON. The refusal says where and, for keys, which; it never repeats a value.
///
/// # Errors
/// 422 `invalid_json`.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let names_a_key = text.starts_with("missing field") || text.starts_with("unknown field");
        let what = if names_a_key { text.split(',').next().unwrap_or_default() } else { "it does not fit" };
        ApiError::with_detail(
            ApiCode::InvalidJson,
            format!(
                "The request is not the JSON this endpoint wants: {} (line {}, column {}). See /api/v1/openapi.json.",
                what.split(" at line").next().unwrap_or_default(),
                error.line(),
                error.column()
            ),
        )
    })
}

/// Parameters of the path.
#[derive(Debug)]
pub(super) struct ApiPath<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|_| ApiCode::InvalidParameter.into())
    }
}

/// Parameters of the query.
#[derive(Debug)]
pub(super) struct ApiQuery<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|_| ApiCode::InvalidParameter.into())
    }
}

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES: usize = 128;

/// The header under which a creating request may be repeated.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The request's `Idempotency-Key`, if any: whatever a client wrote there.
#[derive(Clone)]
pub(super) struct ClientKey(pub(super) Option<String>);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

impl ClientKey {
    /// From the headers.
    ///
    /// # Errors
    /// 422 when it is empty, longer than 128 bytes, or not printable ASCII.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let is_fit = !value.is_empty() && value.len() <= KEY_BYTES;
        match value.to_str() {
            Ok(text) if is_fit => Ok(Self(Some(text.to_owned()))),
            _ => Err(ApiError::with_detail(
                ApiCode::InvalidParameter,
                "An Idempotency-Key is 1 to 128 printable characters. Use a random UUID.",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dto::{NewInvite, Passphrase};

    #[test]
    fn a_refusal_names_keys_and_never_values() {
        let missing = json::<NewInvite>(b"{}").expect_err("kind is missing");
        assert!(missing.detail.contains("missing field `kind`"), "{}", missing.detail);
        let unknown = json::<NewInvite>(br#"{"kind":"link","x":1}"#).expect_err("x is unknown");
        assert!(unknown.detail.contains("unknown field `x`"), "{}", unknown.detail);
        let secret = json::<Passphrase>(br#"["hunter2","b"]"#).expect_err("not an object");
        assert!(!secret.detail.contains("hunter2"), "{}", secret.detail);
        let secret = json::<Passphrase>(br#""hunter2""#).expect_err("not an object");
        assert!(!secret.detail.contains("hunter2"), "{}", secret.detail);
    }

    #[test]
    fn debug_shows_no_idempotency_key() {
        let key = ClientKey(Some("nasturtium".to_owned()));
        assert_eq!(format!("{key:?}"), "ClientKey(..)");
    }

    #[test]
    fn malformed_json_is_refused_and_never_a_panic() {
        for body in [&b""[..], b"{", b"\xff\xfe", b"[[[[", b"{\"kind\":", b"nul", b"1e999999"] {
            assert_eq!(json::<NewInvite>(body).expect_err("malformed").code, "invalid_json");
        }
        let deep = vec![b'['; 100_000];
        assert_eq!(json::<serde_json::Value>(&deep).expect_err("too deep").code, "invalid_json");
    }
}
