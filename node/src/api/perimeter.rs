//! Who may speak to this server at all, before anyone asks who they are.
//!
//! A page on another site can make a person's browser send requests to loopback, and a hostile
//! name server can make that page's own name mean loopback (DNS rebinding). Both show in headers
//! that a page cannot forge: `Host`, `Origin` and `Sec-Fetch-Site`.
//!
//! 1. `Host` must be one of three names with our port, for every path; 2. `Origin`, when sent,
//!    must be exactly the origin of that host; 3. under `/api/` and at the health endpoints
//!    `Sec-Fetch-Site`, when sent, must be `same-origin` or `none`; 4. a body must say that it is
//!    JSON, or a picture where pictures are read, so that no form and no `text/plain` fetch passes.
//!
//! # Invariants
//! * A missing or doubled `Host` is refused; a doubled `Origin` is refused.
//! * Nothing here depends on a secret: the token comes after.
//!
//! Knows nothing of sessions, routes or the node. Spec: `docs/THREAT_MODEL.md`.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::{ApiCode, ApiError};
use super::state::Api;

/// Where the API lives.
pub(super) const API: &str = "/api/v1";

/// The endpoint that also reads pictures.
pub(super) const DECODE: &str = "/api/v1/invites/decode";
/// Around a contact's id, the path that takes them as well.
const CONTACTS: &str = "/api/v1/contacts/";
const VERIFICATION: &str = "/verification";
/// The endpoint that takes the file of a backup.
const RESTORE_FILE: &str = "/api/v1/restore/file";

/// What [`DECODE`] reads besides JSON.
pub(super) const PICTURES: [&str; 4] =
    ["image/png", "image/jpeg", "image/webp", "image/x-portable-graymap"];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names under which this server answers.
#[derive(Clone, Debug)]
pub(super) struct Perimeter {
    hosts: [String; 3],
}

impl Perimeter {
    /// For a server at this port.
    #[must_use]
    pub(super) fn new(port: u16) -> Self {
        Self { hosts: ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}")) }
    }

    /// Whether these headers may enter.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiCode> {
        let host = self.host(uri, headers).ok_or(ApiCode::HostNotAllowed)?;
        if !origin_is_ours(headers, &host) {
            return Err(ApiCode::OriginNotAllowed);
        }
        if is_api(uri.path()) && !site_is_ours(headers) {
            return Err(ApiCode::CrossSite);
        }
        Ok(())
    }

    /// The one allowed host the request names, in lower case.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let named = single(headers, &header::HOST)??.to_ascii_lowercase();
        let agrees = uri.authority().is_none_or(|a| a.as_str().eq_ignore_ascii_case(&named));
        (agrees && self.hosts.contains(&named)).then_some(named)
    }
}

/// Whether a path is the API's or one of the endpoints beside it.
#[must_use]
pub(super) fn is_api(path: &str) -> bool {
    path == "/api"
        || path.starts_with("/api/")
        || matches!(path, "/healthz" | "/readyz" | "/version")
}

/// `None` when the header is doubled or not text; `Some(None)` when it is absent.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Some(None),
        (Some(value), None) => value.to_str().ok().map(Some),
        (Some(_), Some(_)) => None,
    }
}

fn origin_is_ours(headers: &HeaderMap, host: &str) -> bool {
    match single(headers, &header::ORIGIN) {
        Some(None) => true,
        Some(Some(origin)) => origin.strip_prefix("http://") == Some(host),
        None => false,
    }
}

fn site_is_ours(headers: &HeaderMap) -> bool {
    match single(headers, &SEC_FETCH_SITE) {
        Some(None) => true,
        Some(Some(site)) => matches!(site, "same-origin" | "none"),
        None => false,
    }
}

/// Whether the content type fits a request that may carry a body.
fn content_is_ours(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) || !is_api(path) {
        return true;
    }
    let Some(named) = single(headers, &header::CONTENT_TYPE) else { return false };
    let Some(named) = named else { return !has_body(headers) };
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (takes_pictures(path) && PICTURES.contains(&essence.as_str()))
        || (path == RESTORE_FILE && essence == "application/octet-stream")
}

/// Where a camera's frame or an upload may go.
fn takes_pictures(path: &str) -> bool {
    let verification = path.strip_prefix(CONTACTS).and_then(|rest| rest.strip_suffix(VERIFICATION));
    path == DECODE || verification.is_some_and(|id| !id.contains('/'))
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0")
}

/// The layer.
pub(super) async fn guard(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    api.perimeter().check(request.uri(), request.headers())?;
    if !content_is_ours(request.method(), request.uri().path(), request.headers()) {
        return Err(ApiCode::UnsupportedMediaType.into());
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), value.parse().expect("a header value"));
        }
        map
    }

    fn check(path: &str, pairs: &[(&'static str, &'static str)]) -> Result<(), ApiCode> {
        let uri: Uri = path.parse().expect("a path");
        Perimeter::new(7000).check(&uri, &headers(pairs))
    }

    #[test]
    fn only_the_three_loopback_names_with_our_port_are_hosts() {
        for host in ["localhost:7000", "LOCALHOST:7000", "127.0.0.1:7000", "[::1]:7000"] {
            assert_eq!(check("/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "localhost",
            "localhost:7001",
            "evil.example:7000",
            "localhost.:7000",
            "127.0.0.2:7000",
            "localhost:7000.evil.example",
            "user@localhost:7000",
        ] {
            assert_eq!(check("/", &[("host", host)]), Err(ApiCode::HostNotAllowed), "{host}");
        }
        assert_eq!(check("/", &[]), Err(ApiCode::HostNotAllowed));
        let doubled = [("host", "localhost:7000"), ("host", "localhost:7000")];
        assert_eq!(check("/", &doubled), Err(ApiCode::HostNotAllowed));
    }

    #[test]
    fn an_absolute_target_cannot_disagree_with_the_host() {
        let host = [("host", "localhost:7000")];
        assert_eq!(check("http://localhost:7000/", &host), Ok(()));
        assert_eq!(check("http://evil.example/", &host), Err(ApiCode::HostNotAllowed));
    }

    #[test]
    fn only_the_origin_of_the_very_host_passes() {
        let host = ("host", "localhost:7000");
        assert_eq!(check("/", &[host, ("origin", "http://localhost:7000")]), Ok(()));
        for origin in [
            "null",
            "",
            "http://localhost:7001",
            "http://127.0.0.1:7000",
            "https://localhost:7000",
            "http://evil.example",
            "http://localhost:7000/",
        ] {
            assert_eq!(
                check("/", &[host, ("origin", origin)]),
                Err(ApiCode::OriginNotAllowed),
                "{origin}"
            );
        }
    }

    #[test]
    fn another_site_reaches_the_page_but_not_the_api() {
        let host = ("host", "localhost:7000");
        for site in ["same-site", "cross-site", "", "SAME-ORIGIN"] {
            let pairs = [host, ("sec-fetch-site", site)];
            assert_eq!(check("/api/v1/status", &pairs), Err(ApiCode::CrossSite), "{site}");
            assert_eq!(check("/", &pairs), Ok(()), "{site}: a link or a redirect file leads here");
        }
        for site in ["same-origin", "none"] {
            assert_eq!(check("/api/v1/status", &[host, ("sec-fetch-site", site)]), Ok(()));
        }
    }

    #[test]
    fn a_body_is_json_or_a_picture_to_scan() {
        let is_ours = |path: &str, pairs: &[(&'static str, &'static str)]| {
            content_is_ours(&Method::POST, path, &headers(pairs))
        };
        assert!(is_ours("/api/v1/x", &[("content-type", "application/json; charset=utf-8")]));
        assert!(is_ours("/api/v1/x", &[]));
        assert!(is_ours("/api/v1/x", &[("content-length", "0")]));
        assert!(is_ours(DECODE, &[("content-type", "image/png")]));
        let file = [("content-type", "application/octet-stream")];
        assert!(is_ours(RESTORE_FILE, &file) && !is_ours(DECODE, &file));
        for kind in [
            "application/octet-stream",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "image/png",
            "",
        ] {
            assert!(!is_ours("/api/v1/x", &[("content-type", kind)]), "{kind}");
        }
        assert!(!is_ours("/api/v1/x", &[("content-length", "2")]));
        assert!(!is_ours("/api/v1/x", &[("transfer-encoding", "chunked")]));
        assert!(!is_ours(DECODE, &[("content-type", "image/svg+xml")]));
    }
}
