use bootstrap::{Config, Relay, RelayError, StoreError};
use libp2p::multiaddr::Protocol;
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

#[tokio::test]
async fn health_is_served_without_names() {
    let bench = Bench::with(|config| config.health = Some(([127, 0, 0, 1], 0).into())).await;
    let _client = Sealed::connect(&bench.tcp()).await;
    let mut stream = tokio::net::TcpStream::connect(bench.relay.health.unwrap()).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""status":"ok","connections":1"#), "{answer}");
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
