//! The stream of events.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use node::engine::{Clock, Command, Ctx, Effect, Engine, Event, Input, SystemClock};
use protocol::ids::ChatId;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use crate::world::{Answer, Profile, Server, offline_node};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A deadline for what has to happen; no claim about how fast.
const DEADLINE: Duration = Duration::from_secs(20);

async fn connect(server: &Server) -> Socket {
    let (socket, _) = connect_async(format!("ws://127.0.0.1:{}/api/v1/events", server.port))
        .await
        .expect("upgrades");
    socket
}

async fn say(socket: &mut Socket, value: &Value) {
    socket.send(Message::text(value.to_string())).await.expect("sends");
}

/// The next text as JSON, or the code of the close.
async fn hear(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        match tokio::time::timeout(DEADLINE, socket.next()).await.expect("in time") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
            Some(Ok(Message::Close(frame))) => {
                return Err(frame.map_or(0, |frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(0),
        }
    }
}

async fn follow(server: &Server, since: Option<u64>) -> (Socket, u64) {
    let mut socket = connect(server).await;
    say(&mut socket, &json!({"type": "auth", "token": server.token, "since": since})).await;
    let hello = hear(&mut socket).await.expect("hello");
    assert_eq!(hello["type"], "hello");
    assert_eq!(hello["build"], node::api::build());
    (socket, hello["cursor"].as_u64().expect("a cursor"))
}

async fn invite(server: &Server) -> String {
    let body = json!({"kind": "link"});
    let answer = server.post("/invites", body).await.expect(StatusCode::CREATED);
    answer["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn line_8_whoever_does_not_prove_themselves_first_hears_nothing() {
    let server = Server::start().await;
    let wrong = json!({"type": "auth", "token": "wrong"}).to_string();
    let unnamed = json!({"token": server.token}).to_string();
    let query = format!("ws://127.0.0.1:{}/api/v1/events?token={}", server.port, server.token);
    for first in [
        Message::text(wrong),
        Message::text(unnamed),
        Message::text("{"),
        Message::binary(vec![0, 1]),
    ] {
        let mut socket = connect(&server).await;
        socket.send(first).await.expect("sends");
        invite(&server).await;
        assert_eq!(hear(&mut socket).await, Err(4401));
    }
    let (mut socket, _) = connect_async(query).await.expect("upgrades");
    invite(&server).await;
    assert_eq!(hear(&mut socket).await, Err(4401), "silence ends after five seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_every_tab() {
    let server = Server::start().await;
    let ((mut first, _), (mut second, cursor)) =
        (follow(&server, None).await, follow(&server, None).await);
    let id = invite(&server).await;
    for socket in [&mut first, &mut second] {
        let event = hear(socket).await.expect("an event");
        assert_eq!(
            (event["type"].as_str(), event["data"]["id"].as_str()),
            (Some("invite.changed"), Some(id.as_str()))
        );
        assert!(event["seq"].as_u64().is_some_and(|seq| seq > cursor));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_comes_back_hears_what_it_missed_once() {
    let server = Server::start().await;
    let (mut socket, _) = follow(&server, None).await;
    let (first, second) = (invite(&server).await, invite(&server).await);
    let event = hear(&mut socket).await.expect("an event");
    assert_eq!(event["data"]["id"], first);
    let seq = event["seq"].as_u64();
    drop(socket);
    let (mut again, _) = follow(&server, seq).await;
    assert_eq!(hear(&mut again).await.expect("an event")["data"]["id"], second);
    let third = invite(&server).await;
    assert_eq!(hear(&mut again).await.expect("an event")["data"]["id"], third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_elsewhere_is_answered_with_a_reset() {
    let server = Server::start().await;
    let (mut socket, _) = follow(&server, Some(1_000_000)).await;
    assert_eq!(hear(&mut socket).await, Ok(json!({"type": "reset"})));
    assert_eq!(hear(&mut socket).await, Err(4205));
}

/// The number of a row that this engine tells of.
fn told(engine: &mut Engine) -> u64 {
    let tell = Input::Command(Box::new(|ctx| {
        ctx.emit(Event::MeChanged);
        Ok(())
    }));
    let effects = engine.step([tell], SystemClock.now(), &mut rand::rng()).expect("a step");
    let news = effects.into_iter().find_map(|effect| match effect {
        Effect::News(news) => Some(news.last),
        _ => None,
    });
    news.expect("news")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_something_that_a_crash_undid_begins_anew() {
    let profile = Profile::new();
    let (mut engine, _) = profile.engine();
    let seq = told(&mut engine);
    // No word of a stop: the rows that it may have told of and lost are not known.
    drop(engine);
    let server = Server::of(&profile).await;
    for since in [seq, seq + 1, seq + 999] {
        let (mut socket, _) = follow(&server, Some(since)).await;
        assert_eq!(hear(&mut socket).await, Ok(json!({"type": "reset"})), "after {since}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_with_its_node() {
    let shutdown = CancellationToken::new();
    let (node, _net) = offline_node(&Profile::new(), &shutdown);
    let mut feed = node.events().subscribe(None).await.expect("a feed");
    shutdown.cancel();
    let end = tokio::time::timeout(DEADLINE, feed.next()).await.expect("in time");
    assert!(end.is_none(), "{end:?}");
}

#[test]
fn no_number_is_told_twice_however_often_the_node_crashes() {
    let profile = Profile::new();
    let (mut engine, _) = profile.engine();
    let mut last = told(&mut engine);
    for _ in 0..3 {
        // A run that tells nothing of its own, and one that does.
        drop(profile.engine());
        let (mut engine, _) = profile.engine();
        let next = told(&mut engine);
        assert!(next > last + 2_000, "{next} after {last}");
        last = next;
    }
}

#[test]
fn what_changes_again_after_a_look_is_told_again() {
    let (mut engine, _) = Profile::new().engine();
    let change = |ctx: &mut Ctx<'_>| {
        ctx.emit(Event::ChatChanged(ChatId([1; 16])));
        Ok(())
    };
    let (given, cursor) = std::sync::mpsc::sync_channel(1);
    let look = move |ctx: &mut Ctx<'_>| {
        given.send(ctx.cursor()).expect("a receiver");
        Ok(())
    };
    let inputs: [Command; 4] =
        [Box::new(change), Box::new(change), Box::new(look), Box::new(change)];
    let inputs = inputs.map(Input::Command);
    let effects = engine.step(inputs, SystemClock.now(), &mut rand::rng()).expect("a step");
    let last = effects.into_iter().find_map(|effect| match effect {
        Effect::News(news) => Some(news.last),
        _ => None,
    });
    assert_eq!(last, cursor.recv().ok().map(|cursor| cursor + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_outlives_a_node_that_was_stopped() {
    let profile = Profile::new();
    let (mut engine, _) = profile.engine();
    let seq = told(&mut engine);
    engine.stop(&mut rand::rng()).expect("it stops");
    let server = Server::of(&profile).await;
    let (mut socket, _) = follow(&server, Some(seq)).await;
    let id = invite(&server).await;
    assert_eq!(hear(&mut socket).await.expect("an event")["data"]["id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_and_stopping_end_the_stream() {
    let server = Server::start().await;
    let token = server.sign_in().await;
    let mut socket = connect(&server).await;
    say(&mut socket, &json!({"type": "auth", "token": token})).await;
    hear(&mut socket).await.expect("hello");
    let out = server.bare(Method::DELETE, "/api/v1/session").bearer_auth(&token);
    Answer::of(out).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(hear(&mut socket).await, Err(4401));
    let (mut other, _) = follow(&server, None).await;
    server.stop();
    assert_eq!(hear(&mut other).await, Err(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_resumes_by_the_last_id() {
    let server = Server::start().await;
    let (first, second) = (invite(&server).await, invite(&server).await);
    let read = async |name: &str, value: &str, wanted: usize| {
        let request = server
            .request(Method::GET, &format!("/events{}", if name.is_empty() { value } else { "" }));
        let request = if name.is_empty() { request } else { request.header(name, value) };
        let response = request.send().await.expect("an answer");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let (mut text, mut stream) = (String::new(), response.bytes_stream());
        while text.matches("data:").count() < wanted {
            let chunk = tokio::time::timeout(DEADLINE, stream.next()).await.expect("in time");
            text.push_str(&String::from_utf8_lossy(&chunk.expect("a chunk").expect("a chunk")));
        }
        text
    };
    let all = read("", "?since=0", 3).await;
    assert!(all.contains(&first) && all.contains(&second), "{all}");
    assert!(all.contains("\"type\":\"hello\""), "{all}");
    let id = all
        .lines()
        .find_map(|line| line.strip_prefix("id: ").or(line.strip_prefix("id:")))
        .expect("an id");
    let rest = read("last-event-id", id, 2).await;
    assert!(!rest.contains(&first) && rest.contains(&second), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn line_18_malformed_frames_end_one_connection_and_nothing_else() {
    let server = Server::start().await;
    let (mut socket, _) = follow(&server, None).await;
    let huge = Message::text("x".repeat(64 * 1024));
    // The server may close before it has read all of it.
    let _ = socket.send(huge).await;
    assert!(hear(&mut socket).await.is_err());
    let (mut other, _) = follow(&server, None).await;
    say(&mut other, &json!({"type": "anything"})).await;
    let id = invite(&server).await;
    assert_eq!(hear(&mut other).await.expect("an event")["data"]["id"], id);
}
