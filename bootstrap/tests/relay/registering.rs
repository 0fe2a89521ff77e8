use libp2p::identity::Keypair;
use protocol::mailbox::wire::{MailboxRefusal, MailboxRequest, MailboxResponse};
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse, SentVia};
use protocol::time::DAY;

use crate::bench::{Bench, Member, spec};
use crate::client::Client;

fn refused(why: RegisterRefusal) -> RegisterResponse {
    RegisterResponse::Refused(why)
}

fn other_than(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_node_registers_by_code_and_renews_by_key() {
    let bench = Bench::start().await;
    let ada = Member::connect(1, &bench.quic()).await;
    let info = ada.client.register(RegisterRequest::Info).await;
    let RegisterResponse::Info { name, development, .. } = info else { panic!("{info:?}") };
    assert_eq!((name.as_str(), development), ("Development relay", true));

    let told = ada.challenge(" Ada@Example.org ").await;
    assert_eq!((told.sent_via, told.attempts_left), (SentVia::Console, 5));
    let answer = ada.verify(&told, told.development_code.as_deref().unwrap()).await;
    let RegisterResponse::Admitted { credential, expires_at } = answer else {
        panic!("{answer:?}")
    };

    bench.pass(DAY);
    let answer = ada.client.register(RegisterRequest::Renew { credential }).await;
    let RegisterResponse::Admitted { credential, expires_at: later } = answer else {
        panic!("{answer:?}")
    };
    assert!(later.since(expires_at) >= DAY - 1_000);
    bench.pass(8 * DAY);
    let late = ada.client.register(RegisterRequest::Renew { credential }).await;
    assert_eq!(late, refused(RegisterRefusal::NotRenewable));
}

#[tokio::test]
async fn five_wrong_codes_burn_the_challenge() {
    let bench = Bench::start().await;
    let ada = Member::connect(1, &bench.tcp()).await;
    let told = ada.challenge("ada@example.org").await;
    let right = told.development_code.clone().unwrap();
    for attempts_left in (0..5).rev() {
        let answer = ada.verify(&told, &other_than(&right)).await;
        assert_eq!(answer, refused(RegisterRefusal::WrongCode { attempts_left }));
    }
    assert_eq!(ada.verify(&told, &right).await, refused(RegisterRefusal::NoChallenge));
}

#[tokio::test]
async fn a_code_is_worth_nothing_to_another_key() {
    let bench = Bench::start().await;
    let ada = Member::connect(1, &bench.tcp()).await;
    let eve = Member::connect(2, &bench.tcp()).await;
    let told = ada.challenge("ada@example.org").await;
    let code = told.development_code.clone().unwrap();
    assert_eq!(eve.verify(&told, &code).await, refused(RegisterRefusal::NoChallenge));
    assert!(matches!(ada.verify(&told, &code).await, RegisterResponse::Admitted { .. }));
}

#[tokio::test]
async fn a_credential_is_worth_nothing_on_another_key() {
    let bench = Bench::start().await;
    let ada = bench.member(1).await;
    let eve = Client::connect(Keypair::generate_ed25519(), &bench.tcp()).await;
    let stolen = MailboxRequest::Open { credential: ada.credential.clone(), queue: spec(1) };
    let answer = eve.mailbox(stolen).await;
    assert!(answer == MailboxResponse::Refused(MailboxRefusal::NotAdmitted));
    let renewal = RegisterRequest::Renew { credential: ada.credential.clone() };
    assert_eq!(eve.register(renewal).await, refused(RegisterRefusal::NotRenewable));
    assert!(ada.open(1).await == MailboxResponse::Opened);
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_answer() {
    let bench = Bench::start().await;
    let _known = bench.member(7).await;
    let eve = Member::connect(9, &bench.tcp()).await;
    let known = eve.challenge("person7@example.org").await;
    let unknown = eve.challenge("nobody@example.org").await;
    assert_eq!(known.attempts_left, unknown.attempts_left);
    assert_eq!(known.sent_via, unknown.sent_via);
    assert_eq!(
        known.expires_at.since(known.resend_after),
        unknown.expires_at.since(unknown.resend_after)
    );
    assert!(known.expires_at > known.resend_after, "else this compares nothing");
}

#[tokio::test]
async fn the_limits_of_a_relay_in_production_hold_over_the_network() {
    let bench = Bench::with(|config| {
        config.registration.challenges_per_hour = 3;
        config.registration.prefix_challenges_per_day = 5;
    })
    .await;
    for byte in 1..=3 {
        let asker = Member::connect(byte, &bench.tcp()).await;
        asker.challenge("ada@example.org").await;
    }
    let fourth = Member::connect(4, &bench.tcp()).await;
    let answer = fourth.ask_challenge("ada@example.org").await;
    assert!(matches!(answer, RegisterResponse::Refused(RegisterRefusal::TooSoon { .. })));
    assert!(fourth.challenge("ben@example.org").await.development_code.is_some());
    let sixth = fourth.ask_challenge("cleo@example.org").await;
    assert!(matches!(sixth, RegisterResponse::Refused(RegisterRefusal::TooSoon { .. })));
    let invalid = Member::connect(5, &bench.tcp()).await.ask_challenge("no address").await;
    assert!(matches!(invalid, RegisterResponse::Refused(_)));
}
