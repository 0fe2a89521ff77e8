//! Signing in and out.

use std::io::Write;
use std::sync::{Arc, Mutex};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{Answer, Server};

async fn exchange(server: &Server, login: &str) -> Answer {
    Answer::of(server.bare(Method::POST, "/api/v1/session").json(&json!({ "login": login }))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn line_7_a_login_link_signs_one_browser_in_and_no_second() {
    let server = Server::start().await;
    let login = server.login();
    assert!(login.len() >= 43, "256 bits");
    let first = exchange(&server, &login).await.expect(StatusCode::CREATED);
    assert!(first["expires_at"].as_str().is_some_and(|time| time.ends_with('Z')));
    let replay = exchange(&server, &login).await;
    assert_eq!(
        (replay.status, replay.problem().as_str()),
        (StatusCode::UNAUTHORIZED, "login_used")
    );
    let forged = exchange(&server, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(forged.problem(), "login_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_operation_but_three_refuses_whoever_has_no_token() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(StatusCode::OK);
    let mut open = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            let verb: Method = method.to_uppercase().parse().expect("a method");
            let request = server.bare(verb, &format!("/api/v1{}", path.replace("{id}", "0")));
            let answer = Answer::of(request.bearer_auth("wrong")).await;
            match answer.status {
                StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => {
                    assert!(
                        ["unauthenticated", "too_many_requests"]
                            .contains(&answer.problem().as_str())
                    );
                }
                _ => open.push(format!("{method} {path}")),
            }
        }
    }
    open.sort();
    assert_eq!(open, ["get /healthz", "get /version", "post /session"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_its_browser_signs_out_and_when_another_revokes_it() {
    let server = Server::start().await;
    let (first, second) = (server.sign_in().await, server.sign_in().await);
    let with = |token: &str, method: Method, path: &str| {
        server.bare(method, &format!("/api/v1{path}")).bearer_auth(token)
    };
    Answer::of(with(&first, Method::GET, "/session")).await.expect(StatusCode::OK);
    Answer::of(with(&first, Method::DELETE, "/session")).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(
        Answer::of(with(&first, Method::GET, "/session")).await.problem(),
        "unauthenticated"
    );
    let list = Answer::of(with(&second, Method::GET, "/tokens")).await.expect(StatusCode::OK);
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), 2, "the second browser and the token file");
    assert!(!list.to_string().contains(&second) && !list.to_string().contains(&server.token));
    let own = items.iter().find(|item| item["current"] == true).expect("its own line");
    let path = format!("/tokens/{}", own["id"].as_str().expect("an id"));
    Answer::of(server.request(Method::DELETE, &path)).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(
        Answer::of(with(&second, Method::GET, "/session")).await.problem(),
        "unauthenticated"
    );
    assert_eq!(Answer::of(server.request(Method::DELETE, &path)).await.problem(), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_or_a_cookie_is_no_token() {
    let server = Server::start().await;
    let token = &server.token;
    let query =
        server.bare(Method::GET, &format!("/api/v1/status?token={token}&access_token={token}"));
    assert_eq!(Answer::of(query).await.problem(), "unauthenticated");
    let cookie =
        server.bare(Method::GET, "/api/v1/status").header("cookie", format!("token={token}"));
    assert_eq!(Answer::of(cookie).await.problem(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_file_goes_with_the_node() {
    let server = Server::start().await;
    let file = server.folder.path().join("run/api-token");
    assert!(file.is_file());
    drop(server);
    assert!(!file.exists());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_20_no_token_link_invite_or_text_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // For all threads: the server answers on others than this test's.
    tracing::subscriber::set_global_default(subscriber)
        .expect("the only subscriber of this binary");
    let server = Server::start().await;
    let login = server.login();
    let token = exchange(&server, &login).await.expect(StatusCode::CREATED)["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let invite = server
        .post("/invites", json!({"kind": "link", "label": "canary-label"}))
        .await
        .expect(StatusCode::CREATED);
    let text = invite["text"].as_str().expect("an active invite has its text").to_owned();
    server.post("/invites/decode", json!({ "text": text })).await;
    server.post("/vault/unlock", json!({ "passphrase": "canary-passphrase" })).await;
    server.post("/chats/0/messages", json!({ "text": "canary-message" })).await;
    Answer::of(server.request(Method::PATCH, "/me").json(&json!({ "name": "canary-name" }))).await;
    let written = String::from_utf8_lossy(&log.0.lock().expect("not poisoned")).into_owned();
    assert!(written.contains("answered"), "the log was captured");
    for secret in [login.as_str(), &token, &server.token, &text, "canary-"] {
        assert!(!written.contains(secret), "{secret} was logged");
    }
}
