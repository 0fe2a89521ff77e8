//! Every problem code of the API, provoked.

use std::collections::BTreeSet;

use node::api::ApiCode;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{Answer, Server};

/// Needs a locked vault, ten minutes, a stuck node or a bug: each has its unit test or none can be
/// provoked from outside.
const NOT_FROM_OUTSIDE: [ApiCode; 4] =
    [ApiCode::Locked, ApiCode::LoginExpired, ApiCode::Timeout, ApiCode::Internal];

async fn picture(server: &Server, kind: &str, bytes: &'static [u8]) -> Answer {
    let request =
        server.request(Method::POST, "/invites/decode").header("content-type", kind).body(bytes);
    Answer::of(request).await
}

async fn sign_in_codes(server: &Server) -> Vec<String> {
    let login = server.login();
    let exchange = async |login: &str| {
        Answer::of(server.bare(Method::POST, "/api/v1/session").json(&json!({ "login": login })))
            .await
    };
    exchange(&login).await.expect(StatusCode::CREATED);
    let mut codes = vec![exchange(&login).await.problem(), exchange("x").await.problem()];
    codes.push(Answer::of(server.bare(Method::GET, "/api/v1/status")).await.problem());
    loop {
        let answer =
            Answer::of(server.bare(Method::GET, "/api/v1/status").bearer_auth("wrong")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
            codes.push(answer.problem());
            return codes;
        }
    }
}

async fn request_codes(server: &Server) -> Vec<String> {
    let upgrade = server
        .request(Method::GET, "/events")
        .header("upgrade", "junk")
        .header("connection", "upgrade");
    let plain =
        server.request(Method::POST, "/invites").header("content-type", "text/plain").body("{}");
    let large =
        server.post("/invites", json!({"kind": "link", "label": "x".repeat(200_000)})).await;
    let keyed = async |label: &str| {
        let body = json!({"kind": "link", "label": label});
        Answer::of(
            server.request(Method::POST, "/invites").header("idempotency-key", "k").json(&body),
        )
        .await
    };
    keyed("a").await.expect(StatusCode::CREATED);
    vec![
        server.get("/nothing").await.problem(),
        Answer::of(server.request(Method::DELETE, "/status")).await.problem(),
        server.post("/invites", json!({})).await.problem(),
        server.get("/requests?direction=sideways").await.problem(),
        keyed("b").await.problem(),
        large.problem(),
        Answer::of(plain).await.problem(),
        Answer::of(upgrade).await.problem(),
        picture(server, "image/png", b"junk").await.problem(),
        picture(server, "image/x-portable-graymap", b"P5\n90000 90000\n255\n").await.problem(),
        picture(server, "image/x-portable-graymap", b"P5\n2 2\n255\n\xff\xff\xff\xff")
            .await
            .problem(),
    ]
}

/// A camera's frame of half a million pixels, as the page sends it.
#[tokio::test]
async fn a_camera_may_look_for_a_contacts_code_as_well() {
    let server = Server::start().await;
    let mut frame = b"P5\n640 480\n255\n".to_vec();
    frame.resize(frame.len() + 640 * 480, 0xff);
    let path = "/contacts/somebody/verification";
    let seen = server.request(Method::PUT, path).header("content-type", "image/x-portable-graymap");
    assert_eq!(Answer::of(seen.body(frame)).await.problem(), "no_code_found");
    let elsewhere = server.request(Method::PATCH, "/contacts/somebody");
    let elsewhere = elsewhere.header("content-type", "image/png").body("junk");
    assert_eq!(Answer::of(elsewhere).await.problem(), "unsupported_media_type");
}

async fn perimeter_codes(server: &Server) -> Vec<String> {
    let with = async |name: &str, value: &str| {
        Answer::of(server.request(Method::GET, "/status").header(name, value)).await
    };
    vec![
        with("host", "evil.example").await.problem(),
        with("origin", "null").await.problem(),
        with("sec-fetch-site", "cross-site").await.problem(),
    ]
}

async fn busy_code(server: &Server) -> String {
    let mut open = Vec::new();
    loop {
        let response = server.request(Method::GET, "/events").send().await.expect("an answer");
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let problem: serde_json::Value = response.json().await.expect("a problem");
            return problem["code"].as_str().expect("a code").to_owned();
        }
        assert!(open.len() < 1_000, "streams are not bounded");
        open.push(response);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_code_can_be_provoked_or_says_why_not() {
    let server = Server::start().await;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    seen.extend(perimeter_codes(&server).await);
    seen.extend(request_codes(&server).await);
    seen.insert(busy_code(&server).await);
    seen.extend(sign_in_codes(&server).await);
    let expected = ApiCode::ALL.into_iter().filter(|code| !NOT_FROM_OUTSIDE.contains(code));
    let expected: BTreeSet<String> = expected.map(|code| code.name().to_owned()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn every_code_is_in_the_description() {
    let document: serde_json::Value =
        serde_json::from_str(node::api::openapi_json()).expect("JSON");
    let text = document["info"]["description"].as_str().expect("a description");
    for code in ApiCode::ALL {
        assert!(
            text.contains(&format!("`{}` {}", code.name(), code.status().as_u16())),
            "{code:?}"
        );
    }
}
