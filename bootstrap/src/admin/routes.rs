//! The paths of the operator's interface.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use protocol::ids::AccountId;
use protocol::registration::wire::{IdentifierKind, MAX_IDENTIFIER, SentVia};
use protocol::registration::{Account, Identifier, Standing};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Admin;
use crate::health::Health;
use crate::registration::accounts::{AccountError, Erased};

/// Most accounts in one answer, and how many there are if nothing is said.
const MAX_PAGE: usize = 1_000;
/// Longest body of a request in bytes.
const MAX_REQUEST: usize = MAX_IDENTIFIER * 8;

#[derive(Serialize)]
struct Status {
    name: String,
    relay: String,
    version: &'static str,
    running_seconds: u64,
    dead_letters: u64,
    #[serde(flatten)]
    health: Health,
}

/// An account as it is told: times in seconds since 1970.
#[derive(Serialize)]
struct Told {
    account: String,
    standing: &'static str,
    created: u64,
    renewed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    displaced: Option<u64>,
}

#[derive(Serialize)]
struct Page {
    accounts: Vec<Told>,
    /// To be given as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Letter {
    at: u64,
    via: &'static str,
    tries: u8,
    why: String,
}

#[derive(Serialize)]
struct Letters {
    ever: u64,
    kept: Vec<Letter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    identifier: String,
}

/// Why a request is not done.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    NoSuchAccount,
    Displaced,
    NotAnAccount,
    NotAnAddress,
    Malformed(String),
    Unavailable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::NoSuchAccount => {
                (StatusCode::NOT_FOUND, "no_such_account", "There is no such account.".to_owned())
            }
            Self::Displaced => (
                StatusCode::CONFLICT,
                "displaced",
                "Another key has this account's address: it is not admitted as it is. Suspend that one, or erase this."
                    .to_owned(),
            ),
            Self::NotAnAccount => (
                StatusCode::BAD_REQUEST,
                "not_an_account",
                "An account is 64 hexadecimal digits; “find” tells them for an address.".to_owned(),
            ),
            Self::NotAnAddress => (
                StatusCode::BAD_REQUEST,
                "not_an_address",
                "That is no e-mail address and no telephone number that begins with +.".to_owned(),
            ),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, "malformed", why),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The store failed, or the relay is stopping; its log says which.".to_owned(),
            ),
        };
        let body = serde_json::json!({ "code": code, "message": message });
        (status, Json(body)).into_response()
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        tracing::error!(%error, "the operator's interface");
        Self::Unavailable
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::Malformed(rejection.body_text())
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self::Malformed(rejection.body_text())
    }
}

type Answer<T> = Result<Json<T>, Refusal>;

/// All paths, behind the token.
pub(super) fn router(admin: Admin, token: Zeroizing<String>) -> Router {
    let token = Arc::new(token);
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/accounts", get(page))
        .route("/v1/accounts/find", post(find))
        .route("/v1/accounts/{account}", get(show).delete(erase))
        .route("/v1/accounts/{account}/suspension", put(suspend).delete(restore))
        .route("/v1/dead-letters", get(dead_letters))
        .layer(DefaultBodyLimit::max(MAX_REQUEST))
        .with_state(admin)
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let token = Arc::clone(&token);
            async move {
                match bears(&request, &token) {
                    true => next.run(request).await,
                    false => StatusCode::UNAUTHORIZED.into_response(),
                }
            }
        }))
}

fn bears(request: &Request, token: &str) -> bool {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    given.is_some_and(|given| given.ct_eq(token.as_bytes()).into())
}

async fn status(State(admin): State<Admin>) -> Json<Status> {
    Json(Status {
        running_seconds: admin.clock.now().since(admin.started) / 1_000,
        dead_letters: admin.dead_letters.ever(),
        health: admin.watched.health(),
        version: env!("CARGO_PKG_VERSION"),
        name: admin.name,
        relay: admin.relay,
    })
}

async fn page(
    State(admin): State<Admin>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer<Page> {
    let Query(Asked { after, limit }) = asked?;
    let after = after.map(|text| account_of(&text)).transpose()?;
    let limit = limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let accounts = admin.accounts.page(after, limit).await?;
    let more = accounts.len() == limit;
    let next = accounts.last().filter(|_| more).map(|last| last.account.to_string());
    Ok(Json(Page { accounts: accounts.iter().map(told).collect(), next }))
}

async fn find(
    State(admin): State<Admin>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Answer<Page> {
    let Json(Wanted { identifier }) = wanted?;
    let kind = match identifier.contains('@') {
        true => IdentifierKind::Email,
        false => IdentifierKind::Phone,
    };
    let identifier = Identifier::parse(kind, &identifier).map_err(|_| Refusal::NotAnAddress)?;
    let hash = admin.hash(&identifier);
    let found = admin.accounts.of_identifier(hash).await?;
    match found.is_empty() {
        true => Err(Refusal::NoSuchAccount),
        false => Ok(Json(Page { accounts: found.iter().map(told).collect(), next: None })),
    }
}

async fn show(State(admin): State<Admin>, Path(account): Path<String>) -> Answer<Told> {
    let account = admin.accounts.account(account_of(&account)?).await?;
    account.as_ref().map(told).map(Json).ok_or(Refusal::NoSuchAccount)
}

async fn suspend(State(admin): State<Admin>, Path(account): Path<String>) -> Answer<Told> {
    set_suspended(&admin, &account, true).await
}

async fn restore(State(admin): State<Admin>, Path(account): Path<String>) -> Answer<Told> {
    set_suspended(&admin, &account, false).await
}

async fn set_suspended(admin: &Admin, account: &str, suspended: bool) -> Answer<Told> {
    let account = admin.accounts.suspend(account_of(account)?, suspended).await?;
    let account = account.ok_or(Refusal::NoSuchAccount)?;
    match account.standing {
        Standing::Displaced { .. } => Err(Refusal::Displaced),
        Standing::Good | Standing::Suspended => Ok(Json(told(&account))),
    }
}

async fn erase(
    State(admin): State<Admin>,
    Path(account): Path<String>,
) -> Result<StatusCode, Refusal> {
    match admin.accounts.erase(account_of(&account)?, true).await? {
        Erased::Gone => Ok(StatusCode::NO_CONTENT),
        Erased::Nothing | Erased::Suspended => Err(Refusal::NoSuchAccount),
    }
}

async fn dead_letters(State(admin): State<Admin>) -> Json<Letters> {
    let kept = admin.dead_letters.all().into_iter().map(|letter| Letter {
        at: letter.at.seconds(),
        via: match letter.via {
            SentVia::Console => "console",
            SentVia::Email => "email",
            SentVia::Sms => "sms",
        },
        tries: letter.tries,
        why: letter.why,
    });
    Json(Letters { ever: admin.dead_letters.ever(), kept: kept.collect() })
}

fn account_of(text: &str) -> Result<AccountId, Refusal> {
    text.parse().map_err(|_| Refusal::NotAnAccount)
}

fn told(account: &Account) -> Told {
    let seconds = Timestamp::seconds;
    let (standing, displaced) = match account.standing {
        Standing::Good => ("good", None),
        Standing::Suspended => ("suspended", None),
        Standing::Displaced { at } => ("displaced", Some(seconds(at))),
    };
    Told {
        account: account.account.to_string(),
        standing,
        created: seconds(account.created),
        renewed: seconds(account.renewed),
        displaced,
    }
}
