//! The web UI's files.
//!
//! They are part of the program; `--ui-dir` reads them from a folder instead, for whoever works
//! on them. Every file carries an `ETag` and `no-cache`, so that after an upgrade no old module
//! meets a new one.
//!
//! # Invariants
//! * Nothing outside the folder is served: no `..`, no hidden file, no symbolic link out of it.
//! * The policy allows exactly the import map of the page that is served.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, HEXLOWER};
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::error::{ApiCode, ApiError};
use super::perimeter::is_api;
use super::respond::content_security_policy;
use super::state::Api;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../web-ui");

/// The page.
const INDEX: &str = "index.html";
/// The only inline script of the page, up to its text.
const IMPORT_MAP: &str = "<script type=\"importmap\">";
/// A file of the folder that is larger is not ours.
const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Where the files come from.
pub(super) enum Assets {
    /// From the program.
    Embedded {
        /// By path, without the leading slash.
        files: BTreeMap<String, Asset>,
        /// Computed once.
        policy: HeaderValue,
    },
    /// From a folder, read anew each time.
    OnDisk(PathBuf),
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { files, .. } => write!(f, "Embedded({} files)", files.len()),
            Self::OnDisk(path) => write!(f, "OnDisk({})", path.display()),
        }
    }
}

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    body: Bytes,
    etag: HeaderValue,
    kind: &'static str,
}

impl Asset {
    fn new(path: &str, body: Bytes) -> Self {
        let digest = HEXLOWER.encode(&Sha256::digest(&body)[..16]);
        let etag = HeaderValue::from_str(&format!("\"{digest}\""))
            .expect("hexadecimal in quotes is a header value");
        Self { body, etag, kind: content_type(path) }
    }
}

impl Assets {
    /// The files inside the program.
    #[must_use]
    pub(super) fn embedded() -> Self {
        let mut files = BTreeMap::new();
        collect(&EMBEDDED, &mut files);
        let policy = policy_of(files.get(INDEX).map(|index| index.body.as_ref()));
        Self::Embedded { files, policy }
    }

    /// The files of a folder.
    #[must_use]
    pub(super) fn on_disk(folder: PathBuf) -> Self {
        Self::OnDisk(folder)
    }

    /// The content security policy that goes with the page as it is now.
    #[must_use]
    pub(super) fn policy(&self) -> HeaderValue {
        match self {
            Self::Embedded { policy, .. } => policy.clone(),
            Self::OnDisk(folder) => {
                policy_of(read(folder, INDEX).as_ref().map(|index| index.body.as_ref()))
            }
        }
    }

    fn get(&self, path: &str) -> Option<Cow<'_, Asset>> {
        match self {
            Self::Embedded { files, .. } => files.get(path).map(Cow::Borrowed),
            Self::OnDisk(folder) => read(folder, path).map(Cow::Owned),
        }
    }
}

fn collect(folder: &'static Dir<'static>, files: &mut BTreeMap<String, Asset>) {
    for file in folder.files() {
        if let Some(path) = file.path().to_str().filter(|path| is_plain(path)) {
            files.insert(path.to_owned(), Asset::new(path, Bytes::from_static(file.contents())));
        }
    }
    for inner in folder.dirs() {
        collect(inner, files);
    }
}

/// A file of a folder on disk. Following links it must still be inside.
fn read(folder: &Path, path: &str) -> Option<Asset> {
    let root = folder.canonicalize().ok()?;
    let full = root.join(path).canonicalize().ok().filter(|full| full.starts_with(&root))?;
    let is_fit = full.metadata().is_ok_and(|data| data.is_file() && data.len() <= FILE_BYTES);
    let body = is_fit.then(|| std::fs::read(&full).ok()).flatten()?;
    Some(Asset::new(path, Bytes::from(body)))
}

/// Whether every segment of a path is an ordinary name.
fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|segment| !segment.is_empty() && !segment.starts_with('.'))
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_'))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

fn policy_of(index: Option<&[u8]>) -> HeaderValue {
    let hash = index.and_then(import_map).map(|map| BASE64.encode(&Sha256::digest(map)));
    HeaderValue::from_str(&content_security_policy(hash.as_deref()))
        .expect("the policy is plain ASCII")
}

/// The text of the page's import map, byte for byte.
fn import_map(index: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(index).ok()?;
    let (_, after) = text.split_once(IMPORT_MAP)?;
    after.split_once("</script>").map(|(map, _)| map.as_bytes())
}

/// Serves a file. The API's own unknown paths end here as well.
pub(super) async fn serve(State(api): State<Api>, request: Request) -> Result<Response, ApiError> {
    if is_api(request.uri().path()) {
        return Err(ApiCode::NotFound.into());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiCode::MethodNotAllowed.into());
    }
    let path = match request.uri().path().trim_start_matches('/') {
        "" => INDEX,
        path => path,
    };
    let asset =
        is_plain(path).then(|| api.assets().get(path)).flatten().ok_or(ApiCode::NotFound)?;
    let is_known =
        request.headers().get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == asset.etag);
    Ok(answer(asset.into_owned(), is_known))
}

fn answer(asset: Asset, is_known: bool) -> Response {
    let headers = [
        (header::ETAG, asset.etag),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Body::from(asset.body)).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_import_map_is_hashed_byte_for_byte() {
        let page = b"<head><script type=\"importmap\">\n{ }\n</script><script type=\"module\" src=\"/x.js\"></script>";
        assert_eq!(import_map(page), Some(&b"\n{ }\n"[..]));
        let hash = BASE64.encode(&Sha256::digest(b"\n{ }\n"));
        assert!(policy_of(Some(page)).to_str().unwrap().contains(&format!("'sha256-{hash}'")));
        assert!(!policy_of(None).to_str().unwrap().contains("sha256"));
    }

    #[test]
    fn no_path_leads_outside_or_to_hidden_files() {
        for path in [
            "../Cargo.toml",
            "a/../../x",
            ".git/config",
            "a/.b",
            "a//b",
            "%2e%2e/x",
            "a\\b",
            "",
            "/etc/passwd",
        ] {
            assert!(!is_plain(path), "{path}");
        }
        assert!(is_plain("app/ui/h.js"));
    }

    #[test]
    fn a_link_out_of_the_folder_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(folder.path().join("in.txt"), "in").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out.txt")).unwrap();
        assert!(read(folder.path(), "in.txt").is_some());
        assert!(read(folder.path(), "out.txt").is_none());
        assert!(read(folder.path(), "absent.txt").is_none());
    }

    #[test]
    fn the_page_is_inside_the_program_with_a_module_type_for_its_scripts() {
        let Assets::Embedded { files, .. } = Assets::embedded() else { panic!("embedded") };
        assert!(files.keys().any(|path| path.starts_with("vendor/")));
        assert_eq!(content_type("vendor/preact/preact.mjs"), "text/javascript; charset=utf-8");
    }
}
