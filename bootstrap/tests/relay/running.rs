use bootstrap::config::Bucket;
use bootstrap::{Config, Relay, RelayError, Reloaded, StoreError};
use libp2p::multiaddr::Protocol;
use protocol::blob::{BlobId, BlobRequest, BlobResponse};
use protocol::mailbox::wire::MailboxResponse;
use protocol::registration::wire::RegisterResponse;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::bench::{Bench, Member, Sealed};
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

#[tokio::test]
async fn limits_change_while_a_relay_runs_and_nobody_is_disconnected() {
    let bench = Bench::with(|config| {
        config.mailbox.account_queues = 1;
        config.blobs.blob_bytes = 10;
        config.registration.challenges_per_hour = 1;
        config.rates.peer = Bucket::new(128, 3_600_000);
    })
    .await;
    let ada = bench.member(1).await;
    let other = Member::connect(2, &bench.tcp()).await;
    let opened = async || {
        ada.open(1).await == MailboxResponse::Opened && ada.open(2).await == MailboxResponse::Opened
    };
    let filed = async || {
        let open = BlobRequest::Open { blob: BlobId([1; 32]), bytes: 11, keep: None };
        matches!(ada.client.blob(open).await, BlobResponse::State(_))
    };
    let asked = async || {
        let answer = other.ask_challenge("person1@example.org").await;
        matches!(answer, RegisterResponse::Challenged(_))
    };
    assert!(!opened().await && !filed().await && !asked().await);
    // What she may ask is used up.
    while ada.standing_or_busy().await {}

    let mut config = bench.config.clone();
    config.mailbox.account_queues = 2;
    config.blobs.blob_bytes = 11;
    config.registration.challenges_per_hour = 2;
    config.rates = Config::development("unused").rates;
    assert_eq!(bench.relay.reload(&config).unwrap(), Reloaded::Whole);
    // The network task takes it up when it does.
    soon("room", async { while !ada.standing_or_busy().await {} }).await;
    assert!(opened().await && filed().await && asked().await);

    config.name = "Another name".into();
    config.mailbox.account_queues = 3;
    assert_eq!(bench.relay.reload(&config).unwrap(), Reloaded::LimitsOnly);
    assert!(ada.open(3).await == MailboxResponse::Opened);
    config.mailbox.account_queues = 4;
    config.name.clear();
    assert!(bench.relay.reload(&config).is_err());
    assert!(ada.open(4).await != MailboxResponse::Opened, "nothing has changed");
}

#[cfg(unix)]
#[tokio::test]
async fn a_relay_reads_its_file_again_when_it_is_asked_to_and_survives_a_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("relay.toml");
    let mut config = Config::development(dir.path().join("data"));
    let write = |config: &Config| std::fs::write(&file, toml::to_string(config).unwrap()).unwrap();
    config.mailbox.account_queues = 1;
    write(&config);
    let mut child = Command::new(env!("CARGO_BIN_EXE_kith-relay"))
        .args(["run", "--config"])
        .arg(&file)
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let pid = child.id().unwrap().to_string();
    let mut asked = async |says: &str| {
        assert!(
            std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success()
        );
        let line = async {
            loop {
                let line = log.next_line().await.unwrap().expect("it runs");
                if line.contains("read again") {
                    break line;
                }
            }
        };
        let line = soon("a word about it", line).await;
        assert!(line.contains(says), "{line}");
    };
    let address = soon("its address", out.next_line()).await.unwrap().expect("it started");
    std::fs::write(&file, "[mailbox]\naccount_queue = 2").unwrap();
    asked("nothing has changed").await;
    config.mailbox.account_queues = 2;
    write(&config);
    asked("the configuration was read again").await;
    let ada = Member::registered(1, &address.parse().unwrap()).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    assert!(ada.open(2).await == MailboxResponse::Opened);
}
