//! Every refusal of the local API.
//!
//! 1. A handler or a middleware returns an [`ApiError`]; 2. its response carries the error as an
//!    extension and no body; 3. [`super::respond`] adds the request's id, writes the one JSON
//!    shape and logs what is our fault.
//!
//! # Invariants
//! * `code` is stable and listed in [`ApiCode::ALL`] or by `ServiceError`; `detail` is safe to show.
//!
//! Spec: `openapi.json`, schema `Problem`.

use std::fmt;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::service::{ErrorKind, ServiceError};

/// The problems the API itself finds, before or beside what a service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiCode {
    /// No token, or one that is not known.
    Unauthenticated,
    /// A login link that was used before.
    LoginUsed,
    /// A login link that ran out.
    LoginExpired,
    /// A login link that this node never made.
    LoginInvalid,
    /// The `Host` header names another server.
    HostNotAllowed,
    /// The `Origin` header names another page.
    OriginNotAllowed,
    /// The browser says that another site asks.
    CrossSite,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is larger than the endpoint takes.
    BodyTooLarge,
    /// The body's type is not the endpoint's.
    UnsupportedMediaType,
    /// The body is not the JSON the endpoint wants.
    InvalidJson,
    /// A parameter is not what the endpoint wants.
    InvalidParameter,
    /// The same key with another request.
    IdempotencyConflict,
    /// The store behind the vault does not open, and there is a copy.
    StoreDamaged,
    /// The vault is locked.
    Locked,
    /// Asked too often.
    TooManyRequests,
    /// Too much is going on at once.
    Busy,
    /// It took too long.
    Timeout,
    /// The picture holds no code.
    NoCodeFound,
    /// The picture cannot be read.
    UnreadableImage,
    /// The picture has more pixels than are looked at.
    ImageTooLarge,
    /// An upgrade that is not a WebSocket's.
    InvalidUpgrade,
    /// Our bug.
    Internal,
}

impl ApiCode {
    /// All of them, for the documentation and its test.
    pub const ALL: [Self; 23] = [
        Self::Unauthenticated,
        Self::LoginUsed,
        Self::LoginExpired,
        Self::LoginInvalid,
        Self::HostNotAllowed,
        Self::OriginNotAllowed,
        Self::CrossSite,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidJson,
        Self::InvalidParameter,
        Self::IdempotencyConflict,
        Self::Locked,
        Self::TooManyRequests,
        Self::Busy,
        Self::Timeout,
        Self::NoCodeFound,
        Self::UnreadableImage,
        Self::ImageTooLarge,
        Self::InvalidUpgrade,
        Self::Internal,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name_and_status().0
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.name_and_status().1
    }

    fn name_and_status(self) -> (&'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => ("unauthenticated", S::UNAUTHORIZED),
            Self::LoginUsed => ("login_used", S::UNAUTHORIZED),
            Self::LoginExpired => ("login_expired", S::UNAUTHORIZED),
            Self::LoginInvalid => ("login_invalid", S::UNAUTHORIZED),
            Self::HostNotAllowed => ("host_not_allowed", S::FORBIDDEN),
            Self::OriginNotAllowed => ("origin_not_allowed", S::FORBIDDEN),
            Self::CrossSite => ("cross_site", S::FORBIDDEN),
            Self::NotFound => ("not_found", S::NOT_FOUND),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED),
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => ("unsupported_media_type", S::UNSUPPORTED_MEDIA_TYPE),
            Self::InvalidJson => ("invalid_json", S::UNPROCESSABLE_ENTITY),
            Self::InvalidParameter => ("invalid_parameter", S::UNPROCESSABLE_ENTITY),
            Self::IdempotencyConflict => ("idempotency_conflict", S::CONFLICT),
            Self::StoreDamaged => ("store_damaged", S::LOCKED),
            Self::Locked => ("locked", S::LOCKED),
            Self::TooManyRequests => ("too_many_requests", S::TOO_MANY_REQUESTS),
            Self::Busy => ("busy", S::SERVICE_UNAVAILABLE),
            Self::Timeout => ("timeout", S::SERVICE_UNAVAILABLE),
            Self::NoCodeFound => ("no_code_found", S::UNPROCESSABLE_ENTITY),
            Self::UnreadableImage => ("unreadable_image", S::UNPROCESSABLE_ENTITY),
            Self::ImageTooLarge => ("image_too_large", S::PAYLOAD_TOO_LARGE),
            Self::InvalidUpgrade => ("invalid_upgrade", S::UNPROCESSABLE_ENTITY),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR),
        }
    }

    /// What happened, why, and what to do next.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Unauthenticated => {
                "This browser is not signed in to this node. Run “kith open” for a fresh link."
            }
            Self::LoginUsed => "This link was already used. Run “kith open” for a fresh one.",
            Self::LoginExpired => {
                "This link ran out after ten minutes. Run “kith open” for a fresh one."
            }
            Self::LoginInvalid => {
                "This node did not make that link; it may have restarted. Run “kith open” for a fresh one."
            }
            Self::HostNotAllowed => {
                "This node answers under localhost, 127.0.0.1 and [::1] only, at its own port."
            }
            Self::OriginNotAllowed => {
                "Another page asked. Only the node's own page may use this API from a browser."
            }
            Self::CrossSite => {
                "Another site asked. Only the node's own page may use this API from a browser."
            }
            Self::NotFound => "There is nothing at this address.",
            Self::MethodNotAllowed => {
                "This address exists, but not with this method. See /api/v1/openapi.json."
            }
            Self::BodyTooLarge => {
                "The request is larger than this endpoint takes. Send less at once."
            }
            Self::UnsupportedMediaType => {
                "This endpoint does not take that type of content. Send application/json."
            }
            Self::InvalidJson => {
                "The request is not the JSON this endpoint wants. See /api/v1/openapi.json."
            }
            Self::InvalidParameter => {
                "A parameter is not what this endpoint wants. See /api/v1/openapi.json."
            }
            Self::IdempotencyConflict => {
                "This Idempotency-Key was used for a different request. Use a new key."
            }
            Self::StoreDamaged => {
                "Kith cannot open your messages: the files that hold them are damaged. Go on from the copy beside them with “kith recover”, or in the browser."
            }
            Self::Locked => "The vault is locked. Unlock it with your passphrase.",
            Self::TooManyRequests => "Too many requests came at once. Wait a moment and try again.",
            Self::Busy => "The node has too much to do at once. Wait a moment and try again.",
            Self::Timeout => "The node took too long to answer. Try again.",
            Self::NoCodeFound => {
                "No code was found in this picture. Move closer, hold still, and keep all of it in view."
            }
            Self::UnreadableImage => "This picture cannot be read. Use a PNG, JPEG or WebP file.",
            Self::ImageTooLarge => {
                "This picture has more pixels than the node looks at. Use a smaller one."
            }
            Self::InvalidUpgrade => {
                "This endpoint upgrades to a WebSocket or streams text/event-stream."
            }
            Self::Internal => {
                "Something went wrong inside the node. Its log names this request's id."
            }
        }
    }
}

/// A refusal on its way out. Its sentence may name somebody, so `Debug` leaves it out.
#[derive(Clone)]
pub(crate) struct ApiError {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The stable name.
    pub(super) code: &'static str,
    /// Safe to show.
    pub(super) detail: String,
    /// Seconds to wait.
    pub(super) retry_after: Option<u64>,
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.status)
            .field("code", &self.code)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl ApiError {
    /// A problem with a sentence of its own.
    pub(super) fn with_detail(code: ApiCode, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::from(code) }
    }

    /// The same, to be tried again after so many seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// What a bare status of a library means here.
    pub(super) fn of_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => ApiCode::Unauthenticated,
            StatusCode::NOT_FOUND => ApiCode::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => ApiCode::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => ApiCode::BodyTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiCode::UnsupportedMediaType,
            StatusCode::SERVICE_UNAVAILABLE => ApiCode::Busy,
            other if other.is_client_error() => ApiCode::InvalidParameter,
            _ => ApiCode::Internal,
        };
        Self::from(code)
    }
}

impl From<ApiCode> for ApiError {
    fn from(code: ApiCode) -> Self {
        Self {
            status: code.status(),
            code: code.name(),
            detail: code.detail().to_owned(),
            retry_after: None,
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let kind = error.kind();
        let status = match kind {
            ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Locked => StatusCode::LOCKED,
            ErrorKind::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let retry_after = match kind {
            ErrorKind::TooMany { retry_after_seconds } => Some(retry_after_seconds),
            _ => None,
        };
        Self { status, code: error.code(), detail: error.to_string(), retry_after }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// What every handler returns.
pub(super) type ApiResult<T> = Result<T, ApiError>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_and_an_error_status() {
        let names: BTreeSet<_> = ApiCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ApiCode::ALL.len());
        for code in ApiCode::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert!(code.detail().ends_with('.'), "{code:?} is not a sentence");
            assert!(code.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code:?}");
        }
    }

    #[test]
    fn debug_shows_the_code_of_a_refusal_and_not_its_sentence() {
        let error = ApiError::with_detail(ApiCode::InvalidParameter, "nasturtium");
        let shown = format!("{error:?}");
        assert!(shown.contains(error.code) && !shown.contains("nasturtium"), "{shown}");
    }
}
