//! Repeating a creating request safely.
//!
//! 1. A POST carries `Idempotency-Key`; 2. the first one runs to its end even if its client goes
//!    away; 3. its answer is kept for 24 hours; 4. a repetition receives the same answer and
//!    changes nothing, and one that arrives meanwhile waits for it.
//!
//! # Invariants
//! * One key stands for one method, path, type and body; anything else answers 409.
//! * Refusals that may pass (429, 423, 5xx) are not kept.
//! * At most [`KEPT`] answers of at most [`ANSWER_BYTES`] are kept; the oldest makes way.
//!
//! The cache does not outlive the process. What has to, has the key in its own record: a
//! message's `client_key`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::time::{DAY, Timestamp};
use sha2::{Digest, Sha256};

use super::error::{ApiCode, ApiError};
use super::extract::ClientKey;
use super::limits::JSON_BYTES;
use super::perimeter::API;
use super::state::{Api, now};

/// How long an answer is kept, in milliseconds.
const LIFE: u64 = DAY;
/// How many are kept.
const KEPT: usize = 4_096;
/// The largest answer that is kept, in bytes.
const ANSWER_BYTES: usize = 256 * 1024;
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

type Fingerprint = [u8; 32];
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// An answer that can be given again.
#[derive(Clone)]
struct Kept {
    status: StatusCode,
    kind: Option<HeaderValue>,
    refusal: Option<ApiError>,
    body: Bytes,
}

impl IntoResponse for Kept {
    fn into_response(self) -> Response {
        let mut response = match self.refusal {
            Some(refusal) => refusal.into_response(),
            None => (self.status, self.body).into_response(),
        };
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if let Some(kind) = self.kind {
            headers.insert(header::CONTENT_TYPE, kind);
        }
        response
    }
}

struct Entry {
    fingerprint: Fingerprint,
    slot: Slot,
}

#[derive(Default)]
struct Table {
    entries: BTreeMap<String, Entry>,
    order: VecDeque<(Timestamp, String)>,
}

/// The answers that are kept.
#[derive(Default)]
pub(super) struct Answers(Mutex<Table>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers(..)")
    }
}

impl Answers {
    /// The place of a key's answer, made when there is none.
    fn slot(&self, key: &str, fingerprint: Fingerprint, now: Timestamp) -> Result<Slot, ApiCode> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.drop_old(now);
        if let Some(entry) = table.entries.get(key) {
            let same = entry.fingerprint == fingerprint;
            return if same { Ok(entry.slot.clone()) } else { Err(ApiCode::IdempotencyConflict) };
        }
        let slot = Slot::default();
        table.entries.insert(key.to_owned(), Entry { fingerprint, slot: slot.clone() });
        table.order.push_back((now, key.to_owned()));
        Ok(slot)
    }

    /// Forgets every answer: the vault was locked, and there is text in them. What makes messages knows its
    /// keys by itself.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Table::default();
    }

    /// Forgets a key whose request may be tried again.
    fn forget(&self, key: &str) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entries.remove(key);
        table.order.retain(|(_, kept)| kept != key);
    }
}

impl Table {
    fn drop_old(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.order.front() {
            if now.since(*at) < LIFE && self.order.len() < KEPT {
                break;
            }
            if let Some((_, key)) = self.order.pop_front() {
                self.entries.remove(&key);
            }
        }
    }
}

/// Whether an endpoint creates something, so that repeating it has to be safe.
fn creates(method: &Method, path: &str) -> bool {
    let Some(path) = path.strip_prefix(API).filter(|_| *method == Method::POST) else {
        return false;
    };
    matches!(path, "/invites" | "/invites/redeem" | "/registration/challenges")
        || (path.starts_with("/chats/") && path.ends_with("/messages"))
}

/// The layer.
pub(super) async fn repeat(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !creates(request.method(), request.uri().path()) {
        return Ok(next.run(request).await);
    }
    let ClientKey(Some(key)) = ClientKey::of(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, JSON_BYTES).await.map_err(|_| ApiCode::BodyTooLarge)?;
    let slot = api.answers().slot(&key, fingerprint(&parts, &body), now())?;
    let request = Request::from_parts(parts, Body::from(body));
    // A task of its own: a client that goes away must not stop what it began.
    let first = api.tasks().spawn(run(api.clone(), key, slot, request, next));
    first.await.unwrap_or_else(|_| Err(ApiCode::Internal.into()))
}

async fn run(
    api: Api,
    key: String,
    slot: Slot,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let mut place = slot.lock().await;
    if let Some(kept) = place.clone() {
        let mut response = kept.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        return Ok(response);
    }
    let response = next.run(request).await;
    let status = response.status();
    let may_pass = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::LOCKED | StatusCode::UNAUTHORIZED
        );
    if may_pass {
        api.answers().forget(&key);
        return Ok(response);
    }
    let refusal = response.extensions().get::<ApiError>().cloned();
    let kind = response.headers().get(header::CONTENT_TYPE).cloned();
    let body = to_bytes(response.into_body(), ANSWER_BYTES).await.map_err(|_| ApiCode::Internal)?;
    let kept = Kept { status, kind, refusal, body };
    *place = Some(kept.clone());
    Ok(kept.into_response())
}

fn fingerprint(parts: &Parts, body: &[u8]) -> Fingerprint {
    let kind = content_type(&parts.headers);
    let mut hash = Sha256::new();
    for field in [parts.method.as_str().as_bytes(), parts.uri.path().as_bytes(), kind, body] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

fn content_type(headers: &HeaderMap) -> &[u8] {
    headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_means_one_request() {
        let answers = Answers::default();
        let now = Timestamp(DAY);
        let first = answers.slot("k", [1; 32], now).expect("a fresh key");
        let again = answers.slot("k", [1; 32], now).expect("the same request");
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(answers.slot("k", [2; 32], now).err(), Some(ApiCode::IdempotencyConflict));
    }

    #[test]
    fn a_key_is_free_again_after_a_day_and_after_a_passing_refusal() {
        let answers = Answers::default();
        answers.slot("k", [1; 32], Timestamp(0)).expect("a fresh key");
        assert!(answers.slot("k", [2; 32], Timestamp(DAY - 1)).is_err());
        answers.slot("k", [2; 32], Timestamp(DAY)).expect("a day later");
        answers.forget("k");
        answers.slot("k", [3; 32], Timestamp(DAY)).expect("forgotten");
    }

    #[test]
    fn the_number_of_answers_is_bounded() {
        let answers = Answers::default();
        for n in 0..KEPT + 10 {
            answers.slot(&n.to_string(), [0; 32], Timestamp(1)).expect("a fresh key");
        }
        let table = answers.0.lock().expect("not poisoned");
        assert_eq!(table.entries.len(), KEPT);
        assert_eq!(table.order.len(), KEPT);
    }

    #[test]
    fn only_creating_endpoints_are_repeated() {
        assert!(creates(&Method::POST, "/api/v1/chats/abc/messages"));
        assert!(creates(&Method::POST, "/api/v1/invites"));
        for path in
            ["/api/v1/session", "/api/v1/invites/decode", "/api/v1/vault/unlock", "/invites"]
        {
            assert!(!creates(&Method::POST, path), "{path}");
        }
        assert!(!creates(&Method::GET, "/api/v1/invites"));
    }
}
