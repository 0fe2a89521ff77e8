//! Who asks: the bearer token, and the vault's lock.
//!
//! 1. Endpoints in [`is_open`] pass; 2. a WebSocket upgrade passes and proves itself in its first
//!    frame; 3. everything else under [`API`] needs `Authorization: Bearer …`; 4. while the vault
//!    is locked only [`works_locked`] passes. Assets carry nothing private and need no token.
//!
//! # Invariants
//! * The token is read from the header alone: never from a query, a cookie or a body.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, header, request::Parts};
use axum::middleware::Next;
use axum::response::Response;

use super::error::{ApiCode, ApiError};
use super::perimeter::API;
use super::sessions::{Refused, SessionRef};
use super::state::{Api, now};

/// What needs no token.
fn is_open(method: &Method, path: &str) -> bool {
    match path {
        "/healthz" | "/version" => true,
        "/session" => *method == Method::POST,
        _ => false,
    }
}

/// What works while the vault is locked, or the store behind it does not open.
fn works_locked(path: &str) -> bool {
    let vault = ["/vault", "/vault/unlock", "/vault/lock", "/vault/recover"];
    matches!(path, "/readyz" | "/openapi.json")
        || vault.contains(&path)
        || path == "/session"
        || path.starts_with("/session/")
}

/// Why nothing that was stored can be reached.
fn closed(api: &Api) -> Option<ApiCode> {
    match (api.node().vault().locked(), api.node().vault().damage()) {
        (true, _) => Some(ApiCode::Locked),
        (false, Some(_)) => Some(ApiCode::StoreDamaged),
        (false, None) => None,
    }
}

/// The layer.
pub(super) async fn authenticate(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let full = request.uri().path();
    let Some(path) = full.strip_prefix(API).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Ok(next.run(request).await);
    };
    if is_open(request.method(), path) {
        return Ok(next.run(request).await);
    }
    let closed = closed(&api).filter(|_| !works_locked(path));
    match bearer(request.headers()) {
        Some(token) => {
            let session = session_of(&api, token)?;
            request.extensions_mut().insert(session);
        }
        None if path == "/events" && is_upgrade(request.headers()) => {}
        None => return Err(ApiCode::Unauthenticated.into()),
    }
    if let Some(why) = closed {
        return Err(why.into());
    }
    Ok(next.run(request).await)
}

/// The session of a token.
///
/// # Errors
/// 401 for an unknown token, 429 for a known one that asks too often or when too many were wrong.
pub(super) fn session_of(api: &Api, token: &str) -> Result<SessionRef, ApiError> {
    let mut sessions = api.sessions();
    sessions.authenticate(token, now()).map_err(|refused| match refused {
        Refused::TooMany(seconds) => ApiError::from(ApiCode::TooManyRequests).retry_after(seconds),
        Refused::Unknown => match sessions.wrong_guess(now()) {
            Ok(()) => ApiCode::Unauthenticated.into(),
            Err(seconds) => ApiError::from(ApiCode::TooManyRequests).retry_after(seconds),
        },
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

impl FromRequestParts<Api> for SessionRef {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiCode::Unauthenticated.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_version_and_sign_in_are_open() {
        assert!(is_open(&Method::GET, "/healthz"));
        assert!(is_open(&Method::GET, "/version"));
        assert!(is_open(&Method::POST, "/session"));
        for path in ["/session", "/readyz", "/openapi.json", "/status", "/events", "/healthz/", ""]
        {
            assert!(!is_open(&Method::GET, path), "{path}");
        }
    }

    #[test]
    fn a_token_is_read_from_the_bearer_scheme_alone() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header value"));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("abc"), None);
    }
}
