//! The outermost layer: what every answer carries.
//!
//! 1. Gives the request an id; 2. lets it pass; 3. turns a refusal into `application/problem+json`
//!    with that id; 4. adds the security headers; 5. logs method, route shape and status, never a
//!    query, a header or a body.
//!
//! # Invariants
//! * No `Access-Control-Allow-*` and no `Set-Cookie`, on any route.
//! * The policy's import-map hash is that of the page that is served.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, debug, debug_span, error};
use uuid::Uuid;

use super::dto::Problem;
use super::error::ApiError;
use super::state::Api;

/// Media type of [`Problem`].
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Header that names a request in answers and logs.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What never depends on the request. COOP, CORP and framing keep other pages away from ours;
/// camera, microphone and screen are for this page alone.
const FIXED: [(HeaderName, &str); 7] = [
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self)",
    ),
    (HeaderName::from_static("x-dns-prefetch-control"), "off"),
];

/// The content security policy of a page whose import map has this hash.
#[must_use]
pub(super) fn content_security_policy(import_map_sha256: Option<&str>) -> String {
    let map = import_map_sha256.map(|hash| format!(" 'sha256-{hash}'")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'{map}; style-src 'self'; img-src 'self' blob:; \
         connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

/// The layer.
pub(super) async fn respond(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().simple().to_string();
    let method = request.method().clone();
    let is_api = super::perimeter::is_api(request.uri().path());
    let mut response = next.run(request).instrument(debug_span!("request", %id)).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response = problem(response, &id);
    }
    debug!(%method, is_api, status = response.status().as_u16(), request = %id, "answered");
    finish(response.headers_mut(), &api.assets().policy(), &id, is_api);
    response
}

fn finish(headers: &mut HeaderMap, policy: &HeaderValue, id: &str, is_api: bool) {
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Writes the one JSON shape around whatever refusal came from within.
fn problem(response: Response, id: &str) -> Response {
    let is_done = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes() == PROBLEM_JSON.as_bytes());
    if is_done {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let refusal =
        parts.extensions.remove::<ApiError>().unwrap_or_else(|| ApiError::of_status(parts.status));
    if refusal.status.as_u16() == 500 {
        error!(request = id, code = refusal.code, "a request failed inside the node");
    }
    let body = Problem {
        kind: format!("urn:kith:problem:{}", refusal.code),
        title: refusal.status.canonical_reason().unwrap_or("Error").to_owned(),
        status: refusal.status.as_u16(),
        detail: refusal.detail,
        code: refusal.code.to_owned(),
        request_id: id.to_owned(),
    };
    parts.status = refusal.status;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    let bytes = serde_json::to_vec(&body).expect("strings and a number serialise");
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_exactly_the_documented_one() {
        assert_eq!(
            content_security_policy(Some("AAAA")),
            "default-src 'none'; script-src 'self' 'sha256-AAAA'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        );
        assert!(!content_security_policy(None).contains("unsafe"));
    }
}
