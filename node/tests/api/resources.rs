//! What the endpoints answer for a node without a network.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{Answer, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_node_answers_every_list_and_its_snapshot() {
    let server = Server::start().await;
    for path in [
        "/contacts",
        "/requests",
        "/requests?direction=incoming",
        "/invites",
        "/chats",
        "/presence",
    ] {
        let body = server.get(path).await.expect(StatusCode::OK);
        assert_eq!(body["items"], json!([]), "{path}");
    }
    let sync = server.get("/sync").await.expect(StatusCode::OK);
    assert_eq!(sync["me"], server.get("/me").await.expect(StatusCode::OK));
    assert_eq!(sync["registration"]["state"], "none");
    let status = server.get("/status").await.expect(StatusCode::OK);
    assert_eq!(
        (status["profile"].as_str(), status["locked"].as_bool()),
        (Some("test"), Some(false))
    );
    assert_eq!(status["account"], sync["me"]["account"]);
    assert_eq!(server.get("/readyz").await.expect(StatusCode::OK)["status"], "ok");
    let root = Answer::of(server.bare(Method::GET, "/healthz")).await.expect(StatusCode::OK);
    assert_eq!(root, json!({"status": "ok"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_changed_in_part() {
    let server = Server::start().await;
    let patch = async |body| {
        Answer::of(server.request(Method::PATCH, "/me").json(&body)).await.expect(StatusCode::OK)
    };
    assert_eq!(patch(json!({"name": "Ada"})).await["name"], "Ada");
    let me = patch(json!({"about": "Here."})).await;
    assert_eq!((me["name"].as_str(), me["about"].as_str()), (Some("Ada"), Some("Here.")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_creation_gives_the_same_answer_and_makes_nothing_new() {
    let server = Server::start().await;
    let create = async |key: &str, label: &str| {
        let body = json!({"kind": "link", "label": label});
        Answer::of(
            server.request(Method::POST, "/invites").header("idempotency-key", key).json(&body),
        )
        .await
    };
    let (first, again) = tokio::join!(create("key-1", "a"), create("key-1", "a"));
    assert_eq!(
        first.expect(StatusCode::CREATED),
        again.expect(StatusCode::CREATED),
        "even at the same time"
    );
    let other = create("key-1", "b").await;
    assert_eq!(
        (other.status, other.problem().as_str()),
        (StatusCode::CONFLICT, "idempotency_conflict")
    );
    create("key-2", "a").await.expect(StatusCode::CREATED);
    let list = server.get("/invites").await.expect(StatusCode::OK);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(create(&"k".repeat(200), "a").await.problem(), "invalid_parameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invites_code_reads_back_as_the_persons_own_until_it_is_taken_back() {
    let server = Server::start().await;
    let invite =
        server.post("/invites", json!({"kind": "in_person"})).await.expect(StatusCode::CREATED);
    let id = invite["id"].as_str().expect("an id");
    let svg = server.get(&format!("/invites/{id}/qr.svg")).await;
    assert_eq!((svg.status, svg.header("content-type")), (StatusCode::OK, "image/svg+xml"));
    let png = server
        .request(Method::GET, &format!("/invites/{id}/qr.png?size=600"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(png.headers()["content-type"], "image/png");
    let png = png.bytes().await.expect("a picture");
    let decode = server
        .request(Method::POST, "/invites/decode")
        .header("content-type", "image/png")
        .body(png);
    let decoded = Answer::of(decode).await.expect(StatusCode::OK);
    assert_eq!(
        (decoded["text"].clone(), decoded["verdict"].as_str()),
        (invite["text"].clone(), Some("own"))
    );
    let by_text = server
        .post("/invites/decode", json!({"text": invite["text"]}))
        .await
        .expect(StatusCode::OK);
    assert_eq!(by_text, decoded);
    let path = format!("/invites/{id}");
    Answer::of(server.request(Method::DELETE, &path)).await.expect(StatusCode::NO_CONTENT);
    let gone = server.get(&path).await.expect(StatusCode::OK);
    assert_eq!((gone["state"].as_str(), gone["text"].is_null()), (Some("revoked"), true));
    assert_eq!(server.get(&format!("{path}/qr.svg")).await.problem(), "not_found");
    assert_eq!(server.get(&format!("{path}/qr.png?size=9")).await.problem(), "invalid_parameter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_that_is_not_there_is_not_found() {
    let server = Server::start().await;
    let account = "00".repeat(32);
    let id = "00".repeat(16);
    for path in [
        format!("/contacts/{account}"),
        format!("/chats/{id}"),
        format!("/chats/{id}/messages"),
        format!("/messages/{id}"),
        format!("/invites/{id}"),
        "/contacts/junk".to_owned(),
        "/nothing".to_owned(),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not_found"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_one_direction_and_a_bounded_size() {
    let server = Server::start().await;
    for query in ["limit=0", "limit=201", "limit=x", "before=a&after=b"] {
        let answer = server.get(&format!("/chats/{}/messages?{query}", "00".repeat(16))).await;
        assert_eq!(answer.problem(), "invalid_parameter", "{query}");
    }
}
