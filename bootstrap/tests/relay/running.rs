use bootstrap::{Config, Relay, RelayError, StoreError};
use libp2p::multiaddr::Protocol;
use protocol::mailbox::wire::MailboxResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::{Bench, Sealed};
use crate::client::soon;

#[tokio::test]
async fn a_store_in_use_is_refused_with_its_own_exit_code() {
    let bench = Bench::start().await;
    let error = Relay::start(Config::development(bench.dir.path())).await.unwrap_err();
    assert!(matches!(error, RelayError::Store(StoreError::Locked { .. })), "{error}");
    assert_eq!(error.exit_code(), 75);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let bench = Bench::start().await;
    for taken in [bench.tcp(), bench.quic()] {
        let other = tempfile::tempdir().unwrap();
        let mut config = Config::development(other.path());
        let taken = taken.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        config.network.listen = vec![taken];
        let error = Relay::start(config).await.unwrap_err();
        assert!(matches!(error, RelayError::AddressInUse { .. }), "{error}");
        assert_eq!(error.exit_code(), 69);
    }
}

/// What the health listener answers.
pub(crate) async fn health(bench: &Bench, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(bench.relay.health.unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

#[tokio::test]
async fn health_and_metrics_are_served_without_names() {
    let bench = Bench::with(|config| config.health = Some(([127, 0, 0, 1], 0).into())).await;
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    let sealed = Sealed::connect(&bench.tcp()).await;
    assert!(sealed.deposit(1, b"frame").await.is_ok());
    let answer = health(&bench, "/healthz").await;
    assert!(answer.contains(r#""status":"ok","connections":2"#), "{answer}");
    assert!(health(&bench, "/readyz").await.ends_with("ready\n"));
    let metrics = health(&bench, "/metrics").await;
    for line in [
        "kith_relay_connections 2",
        "kith_relay_admitted 1",
        r#"kith_relay_deposits_total{end="taken"} 1"#,
        r#"kith_relay_codes_total{via="console",end="verified"} 1"#,
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in\n{metrics}");
    }
    for name in ["person1", &ada.client.peer.to_string(), "127.0.0.1"] {
        assert!(!metrics.contains(name), "{name} is in\n{metrics}");
    }
}

#[tokio::test]
async fn shutting_down_closes_the_store_and_frees_the_ports() {
    let mut bench = Bench::start().await;
    let mut config = bench.config.clone();
    config.network.listen = bench
        .relay
        .addresses
        .iter()
        .map(|at| at.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect())
        .collect();
    for _ in 0..3 {
        bench.config = config.clone();
        bench = bench.restart().await;
        let _client = Sealed::connect(&bench.tcp()).await;
    }
}

#[tokio::test]
async fn half_a_request_does_not_keep_a_relay_from_stopping() {
    let bench = Bench::with(|config| config.health = Some(([127, 0, 0, 1], 0).into())).await;
    let mut stream = tokio::net::TcpStream::connect(bench.relay.health.unwrap()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x").await.unwrap();
    // It was taken, for it came before one that was answered.
    health(&bench, "/healthz").await;
    soon("the end", bench.relay.shutdown()).await.unwrap();
}
