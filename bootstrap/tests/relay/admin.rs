//! The operator's interface: the real command line against a relay that runs here.

use std::process::{Command, Output};

use bootstrap::token_file;
use protocol::mailbox::wire::{DepositRefusal, MailboxResponse};
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse, Told};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::{Bench, Sealed};
use crate::client::soon;

async fn bench() -> Bench {
    Bench::with(|config| config.admin = Some(([127, 0, 0, 1], 0).into())).await
}

/// `kith-relay admin` with these words.
async fn admin(bench: &Bench, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kith-relay"));
    command.arg("admin").arg("--data-dir").arg(bench.dir.path()).args(words);
    let ran = tokio::task::spawn_blocking(move || command.output());
    soon("the command line", ran).await.unwrap().unwrap()
}

/// What it prints when it succeeds.
pub(crate) async fn told(bench: &Bench, words: &[&str]) -> String {
    let output = admin(bench, words).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says when it fails.
async fn refused(bench: &Bench, words: &[&str]) -> String {
    let output = admin(bench, words).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn an_operator_suspends_a_person_by_their_address_and_serves_them_again() {
    let bench = bench().await;
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    let sender = Sealed::connect(&bench.tcp()).await;
    assert!(sender.deposit(1, b"before").await.is_ok());

    let words = told(&bench, &["suspend", "Person1@EXAMPLE.org"]).await;
    assert!(words.contains("standing  suspended"), "{words}");
    ada.client.closed().await;
    ada.client.dial(&bench.tcp()).await.unwrap();
    assert_eq!(ada.standing().await, Told::Suspended);
    let renew = RegisterRequest::Renew { credential: ada.credential.clone() };
    let answer = ada.client.register(renew.clone()).await;
    assert_eq!(answer, RegisterResponse::Refused(RegisterRefusal::Suspended));
    assert!(ada.client.reserve(&bench.tcp()).await.is_err());
    assert_eq!(sender.deposit(1, b"after").await, Err(DepositRefusal::Full));

    let account = ada.account();
    let words = told(&bench, &["restore", &account]).await;
    assert!(words.contains("standing  good"), "{words}");
    ada.client.closed().await;
    ada.client.dial(&bench.tcp()).await.unwrap();
    assert!(matches!(ada.client.register(renew).await, RegisterResponse::Admitted { .. }));
    assert!(sender.deposit(1, b"after").await.is_ok());
    assert_eq!(Sealed::connect(&bench.tcp()).await.attach(1).await, [Some(2)]);
}

#[tokio::test]
async fn an_operator_erases_an_account_only_if_they_mean_it() {
    let bench = bench().await;
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    let why = refused(&bench, &["erase", "person1@example.org"]).await;
    assert!(why.contains("--yes") && why.contains(&ada.account()), "{why}");
    assert_eq!(ada.standing().await, Told::Admitted);

    told(&bench, &["erase", "person1@example.org", "--yes"]).await;
    ada.client.closed().await;
    let sender = Sealed::connect(&bench.tcp()).await;
    assert_eq!(sender.deposit(1, b"frame").await, Err(DepositRefusal::Denied));
    let why = refused(&bench, &["show", "person1@example.org"]).await;
    assert!(why.contains("There is no such account"), "{why}");
}

#[tokio::test]
async fn what_the_command_line_says_is_for_people_and_for_programs() {
    let bench = bench().await;
    assert!(told(&bench, &["accounts"]).await.contains("Nobody has registered yet"));
    let people = [bench.member(1).await, bench.member(2).await];
    let words = told(&bench, &["accounts"]).await;
    assert!(words.contains("2 accounts"), "{words}");
    assert!(people.iter().all(|member| words.contains(&member.account())), "{words}");
    let words = told(&bench, &["status"]).await;
    assert!(words.contains("Development relay") && words.contains("connections   2"), "{words}");
    let json: serde_json::Value =
        serde_json::from_str(&told(&bench, &["--json", "accounts"]).await).unwrap();
    assert_eq!(json["accounts"].as_array().map(Vec::len), Some(2));
    assert!(told(&bench, &["dead-letters"]).await.contains("Every code has left"));
    for (wrong, why) in [
        ("no account", "64 hexadecimal digits"),
        ("nobody@example.org", "no such account"),
        ("@", "no e-mail address"),
        ("../status", "64 hexadecimal digits"),
        ("", "64 hexadecimal digits"),
    ] {
        let said = refused(&bench, &["show", wrong]).await;
        assert!(said.contains(why), "{wrong}: {said}");
    }
}

#[tokio::test]
async fn the_interface_answers_nobody_without_its_token_and_leaves_none_behind() {
    let bench = bench().await;
    let address = bench.relay.admin.unwrap();
    for (path, token) in [("/v1/status", "wrong"), ("/v1/nothing", "wrong"), ("/v1/status", "")] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let dir = bench.dir;
    bench.relay.shutdown().await.unwrap();
    let folder = dir.path().join(bootstrap::admin::RUN_FOLDER);
    assert!(token_file::read(&folder, bootstrap::admin::TOKEN_FILES).is_none());
}
