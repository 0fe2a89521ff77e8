//! Who may speak to the server at all.

use data_encoding::BASE64;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};

use crate::world::{Answer, Server};

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn line_1_nothing_listens_beyond_loopback() {
    let server = Server::start().await;
    let mut found = 0;
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let Ok(text) = std::fs::read_to_string(table) else { continue };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields[1].split_once(':').expect("address:port");
            if fields[3] == "0A" && u16::from_str_radix(port, 16) == Ok(server.port) {
                let is_loopback =
                    address == "0100007F" || address == "00000000000000000000000001000000";
                assert!(is_loopback, "{table}: {address}");
                found += 1;
            }
        }
    }
    assert!(found > 0, "the listener is not in the kernel's tables");
}

#[tokio::test(flavor = "multi_thread")]
async fn line_2_only_the_loopback_names_with_our_port_are_hosts() {
    let server = Server::start().await;
    let port = server.port;
    let answer = async |host: &str| {
        server.raw(&format!("GET /healthz HTTP/1.1\r\n{host}connection: close\r\n\r\n")).await
    };
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let text = answer(&format!("host: {host}:{port}\r\n")).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{host}: {text}");
    }
    let wrong = port ^ 1;
    for host in [
        format!("host: evil.example:{port}\r\n"),
        format!("host: localhost:{wrong}\r\n"),
        "host: localhost\r\n".to_owned(),
        "host: \r\n".to_owned(),
        String::new(),
        format!("host: localhost:{port}\r\nhost: localhost:{port}\r\n"),
    ] {
        let text = answer(&host).await;
        let is_refused = text.starts_with("HTTP/1.1 403") || text.starts_with("HTTP/1.1 400");
        assert!(is_refused, "{host:?}: {text}");
        assert!(!text.contains("\"ok\""), "{host:?}");
    }
    let page =
        server.raw("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n").await;
    assert!(page.contains("host_not_allowed"), "the page is inside the perimeter as well: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn line_4_no_other_origin_reaches_the_api_or_the_stream() {
    let server = Server::start().await;
    for origin in ["null", "http://evil.example", &format!("http://127.0.0.1:{}", server.port ^ 1)]
    {
        let answer =
            Answer::of(server.request(Method::GET, "/status").header("origin", origin)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "origin_not_allowed")
        );
        let upgrade = server
            .bare(Method::GET, "/api/v1/events")
            .header("origin", origin)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(Answer::of(upgrade).await.status, StatusCode::FORBIDDEN);
    }
    let own = format!("http://127.0.0.1:{}", server.port);
    Answer::of(server.request(Method::GET, "/status").header("origin", own))
        .await
        .expect(StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_5_a_request_of_another_site_is_refused_before_the_token_is_looked_at() {
    let server = Server::start().await;
    for site in ["same-site", "cross-site"] {
        let answer =
            Answer::of(server.request(Method::GET, "/status").header("sec-fetch-site", site)).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "cross_site")
        );
    }
    Answer::of(server.request(Method::GET, "/status").header("sec-fetch-site", "same-origin"))
        .await
        .expect(StatusCode::OK);
    let absent = Answer::of(server.bare(Method::GET, "/api/v1/status")).await;
    assert_eq!(absent.problem(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_6_and_9_no_cookie_and_no_permission_for_other_origins_on_any_route() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.expect(StatusCode::OK);
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{id}", "0");
        for method in item.as_object().expect("operations").keys() {
            let method: Method = method.to_uppercase().parse().expect("a method");
            if path == "/events" || (method == Method::DELETE && path == "/session") {
                continue;
            }
            for request in [
                server.request(method.clone(), &path),
                server.bare(method, &format!("/api/v1{path}")),
            ] {
                let answer = Answer::of(request).await;
                assert!(!answer.headers.contains_key("set-cookie"), "{path}");
                assert!(
                    !answer.headers.keys().any(|name| name.as_str().starts_with("access-control")),
                    "{path}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "only {seen} requests were made");
    let preflight = server
        .bare(Method::OPTIONS, "/api/v1/invites")
        .header("access-control-request-method", "POST")
        .header("origin", "http://evil.example");
    let answer = Answer::of(preflight).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")));
}

#[tokio::test(flavor = "multi_thread")]
async fn line_9_a_form_or_a_text_body_is_refused() {
    let server = Server::start().await;
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    {
        let body = r#"{"kind":"link"}"#;
        let request =
            server.request(Method::POST, "/invites").header("content-type", kind).body(body);
        let answer = Answer::of(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        );
    }
    let untyped = Answer::of(server.request(Method::POST, "/invites").body("{}")).await;
    assert_eq!(untyped.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(flavor = "multi_thread")]
async fn line_10_the_policy_is_exact_and_its_hash_is_the_served_pages() {
    let server = Server::start().await;
    let page = Answer::of(server.bare(Method::GET, "/")).await;
    assert_eq!(page.status, StatusCode::OK);
    let (_, after) = page.text.split_once("<script type=\"importmap\">").expect("an import map");
    let (map, _) = after.split_once("</script>").expect("its end");
    let hash = BASE64.encode(&Sha256::digest(map.as_bytes()));
    assert_eq!(
        page.header("content-security-policy"),
        format!(
            "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        )
    );
    let refused = Answer::of(server.bare(Method::GET, "/api/v1/status")).await;
    for answer in [&page, &refused] {
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(
            answer.header("permissions-policy"),
            "camera=(self), microphone=(self), display-capture=(self)"
        );
        assert!(!answer.header("content-security-policy").contains("unsafe"));
    }
    let scripts = page.text.matches("<script").count();
    let loaded = page.text.matches("src=\"").count();
    assert!(scripts >= 1 && loaded >= 1, "the page loads its modules by address");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_is_revalidated_by_its_tag_and_typed_by_its_name() {
    let server = Server::start().await;
    let first = Answer::of(server.bare(Method::GET, "/vendor/preact/preact.mjs")).await;
    assert_eq!(first.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(first.header("cache-control"), "no-cache");
    let again = server
        .bare(Method::GET, "/vendor/preact/preact.mjs")
        .header("if-none-match", first.header("etag"));
    assert_eq!(Answer::of(again).await.status, StatusCode::NOT_MODIFIED);
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/.git/HEAD", "/absent.js", "/app"] {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n\r\n",
            server.port
        );
        let text = server.raw(&head).await;
        assert!(text.starts_with("HTTP/1.1 404"), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn line_18_a_body_beyond_the_limit_is_refused_and_junk_is_survived() {
    let server = Server::start().await;
    let large = format!(r#"{{"kind":"link","label":"{}"}}"#, "x".repeat(200 * 1024));
    let request = server
        .request(Method::POST, "/invites")
        .header("content-type", "application/json")
        .body(large);
    let answer = Answer::of(request).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large")
    );
    for body in
        ["", "{", "[]", "\"x\"", "nul", "{\"kind\":7}", "{\"kind\":\"link\",\"extra\":1}", "\u{0}"]
    {
        let request = server
            .request(Method::POST, "/invites")
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(Answer::of(request).await.problem(), "invalid_json", "{body:?}");
    }
    for junk in ["\r\n\r\n", "GET", "\u{16}\u{3}\u{1}junk\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(200), server.raw(junk)).await;
    }
    server.get("/status").await.expect(StatusCode::OK);
}
