//! The stream of events, as WebSocket and as `text/event-stream`.
//!
//! 1. A WebSocket proves itself in its first text frame, within five seconds; `text/event-stream`
//!    and bots by `Authorization`; 2. `hello` names the build and the cursor; 3. what the journal
//!    has after `since` follows, then what happens; 4. a ping every 20 s, and a peer that answers
//!    none is dropped.
//!
//! # Invariants
//! * Nothing is sent before the token was right.
//! * A slow reader is dropped with a code, never buffered for without bound.
//! * The end of a session, the vault's lock and the node's stop end its streams.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, interval_at, timeout};
use utoipa::IntoParams;

use super::auth::session_of;
use super::dto::{Event, EventBody, Hello};
use super::error::{ApiCode, ApiError, ApiResult};
use super::extract::ApiQuery;
use super::sessions::SessionRef;
use super::state::{Api, build};
use crate::handle::EventFeed;

/// For the first frame to arrive.
const FIRST_FRAME: Duration = Duration::from_secs(5);
/// Between pings; two unanswered ones end the connection.
const PING: Duration = Duration::from_secs(20);
/// For one frame to be taken.
const SEND: Duration = Duration::from_secs(10);
/// What a client may send in one message, in bytes: it has only its token to say.
const INBOUND_BYTES: usize = 4 * 1024;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why the node closed a WebSocket. The reason's text is a problem code.
mod close {
    /// No valid token in time, or the session ended.
    pub(super) const UNAUTHENTICATED: (u16, &str) = (4401, "unauthenticated");
    /// The vault is locked.
    pub(super) const LOCKED: (u16, &str) = (4423, "locked");
    /// The client read too slowly; it may resume.
    pub(super) const LAGGED: (u16, &str) = (4408, "lagged");
    /// Too many requests or streams.
    pub(super) const TOO_MANY: (u16, &str) = (4429, "too_many_requests");
    /// The journal cannot be read.
    pub(super) const INTERNAL: (u16, &str) = (1011, "internal");
    /// After `reset`: read `/sync` and come back.
    pub(super) const RESET: (u16, &str) = (4205, "reset");
    /// The node stops.
    pub(super) const GOING_AWAY: (u16, &str) = (1001, "stopping");
}

type Close = (u16, &'static str);

/// Where to resume.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// The last `seq` that was seen.
    since: Option<u64>,
}

/// What a WebSocket may begin with. An enum, because serde reads no tag of a struct.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FirstFrame {
    Auth {
        token: String,
        #[serde(default)]
        since: Option<u64>,
    },
}

/// Streams events: a WebSocket when the request upgrades, otherwise `text/event-stream`.
///
/// A browser's first text frame is `{"type":"auth","token":"…","since":123}`, within five seconds.
/// Each frame is `hello`, then events; `reset` means that `/sync` has to be read again.
#[utoipa::path(get, path = "/events", tag = "events", params(Since,
    ("last-event-id" = Option<u64>, Header, description = "As `since`, for text/event-stream.")),
    responses((status = 101, description = "A WebSocket of `hello` and events."),
        (status = 200, body = Event, content_type = "text/event-stream", description = "`hello`, then events.")))]
pub(super) async fn events(
    State(api): State<Api>,
    session: Option<axum::Extension<SessionRef>>,
    ApiQuery(query): ApiQuery<Since>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> ApiResult<Response> {
    let session = session.map(|axum::Extension(session)| session);
    let permit = api.streams().clone().try_acquire_owned().map_err(|_| ApiCode::Busy)?;
    if headers.contains_key(header::UPGRADE) {
        let upgrade = upgrade.map_err(|_| ApiCode::InvalidUpgrade)?;
        let upgrade = upgrade.max_message_size(INBOUND_BYTES).max_frame_size(INBOUND_BYTES);
        return Ok(
            upgrade.on_upgrade(move |socket| converse(api, socket, session, query.since, permit))
        );
    }
    let session = session.ok_or(ApiCode::Unauthenticated)?;
    let last_id = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    server_sent(&api, session, query.since.or(last_id), permit).await
}

async fn converse(
    api: Api,
    mut socket: WebSocket,
    session: Option<SessionRef>,
    since: Option<u64>,
    permit: OwnedSemaphorePermit,
) {
    let reason = match admit(&api, &mut socket, session, since).await {
        Ok((session, since)) => match api.node().events().subscribe(since).await {
            Ok(feed) => pump(&api, &mut socket, &session, feed).await,
            Err(_) if api.node().vault().locked() => Some(close::LOCKED),
            Err(_) => Some(close::INTERNAL),
        },
        Err(reason) => Some(reason),
    };
    if let Some((code, reason)) = reason {
        let frame = Frame::Close(Some(CloseFrame { code, reason: reason.into() }));
        // The other side may be gone already; there is nobody left to tell.
        let _ = timeout(SEND, socket.send(frame)).await;
    }
    drop(permit);
}

/// Waits for the token where the upgrade had none. Sends nothing.
async fn admit(
    api: &Api,
    socket: &mut WebSocket,
    session: Option<SessionRef>,
    since: Option<u64>,
) -> Result<(SessionRef, Option<u64>), Close> {
    let admitted = match session {
        Some(session) => (session, since),
        None => {
            let first = tokio::select! {
                () = api.shutdown().cancelled() => return Err(close::GOING_AWAY),
                first = timeout(FIRST_FRAME, socket.recv()) => first,
            };
            let Ok(Some(Ok(Frame::Text(text)))) = first else { return Err(close::UNAUTHENTICATED) };
            let FirstFrame::Auth { token, since } =
                serde_json::from_str(&text).map_err(|_| close::UNAUTHENTICATED)?;
            let session =
                session_of(api, &token).map_err(|refusal| match refusal.status.as_u16() {
                    429 => close::TOO_MANY,
                    _ => close::UNAUTHENTICATED,
                })?;
            (session, since)
        }
    };
    if api.node().vault().locked() { Err(close::LOCKED) } else { Ok(admitted) }
}

/// Carries events until something ends; `None` when the client went away.
async fn pump(
    api: &Api,
    socket: &mut WebSocket,
    session: &SessionRef,
    mut feed: EventFeed,
) -> Option<Close> {
    let hello = Hello { build: build().to_owned(), cursor: feed.cursor() };
    send(socket, &hello).await.ok()?;
    let mut ping = interval_at(Instant::now() + PING, PING);
    let mut unanswered = 0u8;
    loop {
        // What ends it goes first: after a lock, nothing more is told.
        tokio::select! { biased;
            () = api.shutdown().cancelled() => return Some(close::GOING_AWAY),
            () = session.ended.cancelled() => return Some(ended(api)),
            event = feed.next() => {
                let Some(event) = event else {
                    return Some(match (feed.lagged(), api.node().vault().locked()) {
                        (true, _) => close::LAGGED,
                        (false, true) => close::LOCKED,
                        (false, false) => close::GOING_AWAY,
                    });
                };
                send(socket, &event).await.ok()?;
                if event.body == EventBody::Reset {
                    return Some(close::RESET);
                }
            }
            _ = ping.tick() => {
                unanswered += 1;
                if unanswered > 2 {
                    return None;
                }
                timeout(SEND, socket.send(Frame::Ping(Vec::new().into()))).await.ok()?.ok()?;
            }
            frame = socket.recv() => match frame {
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => unanswered = 0,
            },
        }
    }
}

fn ended(api: &Api) -> Close {
    if api.node().vault().locked() { close::LOCKED } else { close::UNAUTHENTICATED }
}

async fn send<T: serde::Serialize + Sync>(
    socket: &mut WebSocket,
    value: &T,
) -> Result<(), axum::Error> {
    let text = serde_json::to_string(value).map_err(axum::Error::new)?;
    timeout(SEND, socket.send(Frame::Text(text.into()))).await.map_err(axum::Error::new)?
}

async fn server_sent(
    api: &Api,
    session: SessionRef,
    since: Option<u64>,
    permit: OwnedSemaphorePermit,
) -> ApiResult<Response> {
    let feed = api.node().events().subscribe(since).await.map_err(ApiError::from)?;
    let lines =
        Lines { api: api.clone(), session, feed, said_hello: false, ended: false, _permit: permit };
    let keep_alive = KeepAlive::new().interval(PING).text("ping");
    Ok(Sse::new(lines.into_stream()).keep_alive(keep_alive).into_response())
}

/// A `text/event-stream` being written.
struct Lines {
    api: Api,
    session: SessionRef,
    feed: EventFeed,
    said_hello: bool,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Lines {
    fn into_stream(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        futures::stream::unfold(self, |mut lines| async move {
            let line = lines.line().await?;
            Some((Ok(line), lines))
        })
    }

    async fn line(&mut self) -> Option<sse::Event> {
        if !self.said_hello {
            self.said_hello = true;
            let hello = Hello { build: build().to_owned(), cursor: self.feed.cursor() };
            return sse::Event::default().json_data(hello).ok();
        }
        if self.ended {
            return None;
        }
        let event = tokio::select! { biased;
            () = self.api.shutdown().cancelled() => None,
            () = self.session.ended.cancelled() => None,
            event = self.feed.next() => event,
        }?;
        self.ended = event.body == EventBody::Reset;
        let line = sse::Event::default().json_data(&event).ok()?;
        Some(match event.seq {
            Some(seq) => line.id(seq.to_string()),
            None => line,
        })
    }
}
