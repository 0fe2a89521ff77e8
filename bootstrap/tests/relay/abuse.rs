//! What people try on a relay, in one run: what was tried, how often, what happened.
//!
//! The limits are those of a relay in production; codes are in the answers, so that the attacker has them where that
//! is what is tried. `--no-capture` prints the table (docs/EVIDENCE.md has one).

use std::time::{Duration, Instant};

use bootstrap::Config;
use libp2p::multiaddr::Protocol;
use protocol::mailbox::wire::{DepositRefusal, MailboxRefusal, MailboxRequest, MailboxResponse};
use protocol::registration::wire::{
    Challenged, IdentifierKind, RegisterRefusal, RegisterRequest, RegisterResponse, Told,
};
use protocol::time::{HOUR, MINUTE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::{Bench, Member, Sealed, deposit_key, spec};
use crate::calls;
use crate::client::{Client, soon};

/// Loopback is one address: where somebody has many, their own limit is lifted.
const PLENTY: u32 = 1_000_000;

pub(crate) fn production(config: &mut Config) {
    let shipped = Config::default();
    config.registration = shipped.registration;
    config.circuits = shipped.circuits;
    config.rates = shipped.rates;
    config.mailbox = shipped.mailbox;
}

async fn relay() -> Bench {
    Bench::with(production).await
}

async fn relay_for_many_addresses() -> Bench {
    Bench::with(|config| {
        production(config);
        config.registration.prefix_challenges_per_day = PLENTY;
        config.network.max_connections_per_prefix = PLENTY;
    })
    .await
}

pub(crate) fn row(what: &str, tried: impl std::fmt::Display, happened: &str) {
    println!("{what:44} {tried:>6}  {happened}");
}

async fn ask(member: &Member, address: &str) -> Result<Challenged, RegisterRefusal> {
    let kind = match address.contains('@') {
        true => IdentifierKind::Email,
        false => IdentifierKind::Phone,
    };
    let request = RegisterRequest::Challenge { kind, identifier: address.into() };
    match member.client.register(request).await {
        RegisterResponse::Challenged(told) => Ok(told),
        RegisterResponse::Refused(why) => Err(why),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_people_try_and_what_happens() {
    println!("{:44} {:>6}  what happened", "what was tried", "tried");
    guessing().await;
    enumeration().await;
    Box::pin(pumping()).await;
    replay().await;
    stolen_credentials().await;
    floods().await;
    open_proxy().await;
    calls::abuse().await;
    slow_loris().await;
}

/// Six digits are a million: what counts is how many tries there are.
async fn guessing() {
    let bench = relay_for_many_addresses().await;
    let (mut tried, mut looked_at) = (0u32, 0u32);
    for hour in 0..24u8 {
        for asker in 0..4u8 {
            let eve = Member::connect(1 + hour * 4 + asker, &bench.tcp()).await;
            tried += 1;
            let Ok(told) = ask(&eve, "ada@example.org").await else { continue };
            let right = told.development_code.clone().unwrap();
            for guess in 0..8u32 {
                let guess =
                    format!("{:06}", (right.parse::<u32>().unwrap() + 1 + guess) % 1_000_000);
                let answer = eve.verify(&told, &guess).await;
                looked_at += u32::from(matches!(
                    answer,
                    RegisterResponse::Refused(RegisterRefusal::WrongCode { .. })
                ));
            }
        }
        bench.pass(HOUR);
    }
    assert!(looked_at <= 50, "{looked_at} guesses in a day");
    let odds = 1_000_000 / looked_at;
    row(
        "guess Ada's code, a day, 96 keys",
        tried * 8,
        &format!("{looked_at} guesses were looked at: one in {odds} for a day"),
    );
}

async fn enumeration() {
    let bench = relay_for_many_addresses().await;
    let _ada = bench.member(1).await;
    let known =
        |n: u8| (n.is_multiple_of(2), if n.is_multiple_of(2) { "person1" } else { "nobody" });
    let (mut answers, mut times) = (Vec::new(), [Vec::new(), Vec::new()]);
    for n in 0..60u8 {
        let eve = Member::connect(100 + n, &bench.tcp()).await;
        let (is_known, name) = known(n);
        // An address has three an hour.
        bench.pass(HOUR);
        let begun = Instant::now();
        let Ok(told) = ask(&eve, &format!("{name}@example.org")).await else { continue };
        times[usize::from(is_known)].push(begun.elapsed());
        let life = told.expires_at.since(told.resend_after);
        answers.push((is_known, (told.sent_via, told.attempts_left, life)));
    }
    let of_known = answers.iter().filter(|(known, _)| *known).count();
    let of_unknown = answers.len() - of_known;
    assert!(of_known >= 8 && of_unknown >= 8, "{of_known} {of_unknown}");
    let first = &answers[0].1;
    assert!(answers.iter().all(|(_, answer)| answer == first), "answers differ");
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let [unknown, known] = &mut times;
    row(
        "ask for codes of a known and an unknown one",
        answers.len(),
        &format!(
            "the same answer; median {:.2} ms and {:.2} ms (no account is looked at)",
            median(known).as_secs_f64() * 1e3,
            median(unknown).as_secs_f64() * 1e3
        ),
    );
    let eve = Member::connect(250, &bench.tcp()).await;
    let answer = eve.client.register(RegisterRequest::Standing).await;
    assert!(
        matches!(answer, RegisterResponse::Standing(told) if told == protocol::registration::wire::Told::Unknown)
    );
    row("ask how somebody stands", 1, "one is told of the own key only");
}

async fn pumping() {
    let bench = relay_for_many_addresses().await;
    let mut sent = [0u32; 2];
    // Numbers of one range, then of a country; nobody types a code.
    for (which, count) in [(0, 200u32), (1, 400)] {
        for n in 0..count {
            let number = match which {
                0 => format!("+49151234{:05}", 50_000 + n % 10_000),
                _ => format!("+4366{:08}", 41_234_567 + n * 10_007),
            };
            let eve = Member::connect((n % 250) as u8, &bench.tcp()).await;
            sent[which] += u32::from(ask(&eve, &number).await.is_ok());
            if n % 4 == 3 {
                bench.pass(12 * MINUTE);
            }
        }
    }
    assert!(sent[0] <= 20 && sent[1] <= 260, "{sent:?}");
    row(
        "texts to one range, 200 numbers, 10 h",
        200,
        &format!("{} were sent: one an hour once nobody had typed eight", sent[0]),
    );
    row(
        "texts to one country, 400 ranges, 20 h",
        400,
        &format!("{} were sent: ten an hour once nobody had typed fifty", sent[1]),
    );

    let bench = relay().await;
    let mut sent = 0;
    for n in 0..60u8 {
        let eve = Member::connect(1 + n, &bench.tcp()).await;
        sent += u32::from(ask(&eve, &format!("p{n}@example.org")).await.is_ok());
    }
    assert_eq!(sent, 20);
    row("codes from one address, 60 keys", 60, "20 were sent, as many as a /24 has in a day");
}

async fn replay() {
    let bench = relay().await;
    let ada = Member::connect(1, &bench.tcp()).await;
    let told = ada.challenge("ada@example.org").await;
    let code = told.development_code.clone().unwrap();
    assert!(matches!(ada.verify(&told, &code).await, RegisterResponse::Admitted { .. }));
    let refused = RegisterResponse::Refused(RegisterRefusal::NoChallenge);
    // Somebody else proves the address: what had proved it before takes nothing back.
    let eve = Member::connect(2, &bench.tcp()).await;
    let hers = eve.challenge("ada@example.org").await;
    let taken = eve.verify(&hers, hers.development_code.as_deref().unwrap()).await;
    assert!(matches!(taken, RegisterResponse::Admitted { .. }));
    ada.client.closed().await;
    ada.client.dial(&bench.tcp()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ada.verify(&told, &code).await, refused);
    }
    assert_eq!(eve.standing().await, Told::Admitted);
    let other = ada.challenge("ada@example.net").await;
    assert_eq!(eve.verify(&other, other.development_code.as_deref().unwrap()).await, refused);
    bench.pass(11 * MINUTE);
    assert_eq!(ada.verify(&other, other.development_code.as_deref().unwrap()).await, refused);
    row("a code again, by another key, too late", 5, "none was taken");
}

async fn stolen_credentials() {
    let bench = relay().await;
    let ada = bench.member(1).await;
    let eve = Member::connect(2, &bench.tcp()).await;
    let renewal = RegisterRequest::Renew { credential: ada.credential.clone() };
    let not_renewable = RegisterResponse::Refused(RegisterRefusal::NotRenewable);
    assert_eq!(eve.client.register(renewal.clone()).await, not_renewable);
    let open = MailboxRequest::Open { credential: ada.credential.clone(), queue: spec(9) };
    let refused = MailboxResponse::Refused(MailboxRefusal::NotAdmitted);
    assert!(eve.client.mailbox(open.clone()).await == refused);
    // Her own, once the account is erased.
    assert_eq!(ada.client.register(RegisterRequest::Erase).await, RegisterResponse::Erased);
    assert_eq!(ada.client.register(renewal).await, not_renewable);
    assert!(ada.client.mailbox(open).await == refused);
    row("a credential on another key, or after its end", 4, "none was taken");
}

async fn floods() {
    let bench = relay().await;
    let (mut asked, mut granted) = (0, 0);
    for _ in 0..40 {
        let stranger = Client::throwaway(&bench.tcp()).await;
        asked += 1;
        granted += u32::from(stranger.reserve(&bench.tcp()).await.is_ok());
    }
    assert_eq!(granted, 0);
    row("reservations, strangers", asked, "none was granted");

    // A contact who has the key of one queue.
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    assert!(ada.open(2).await == MailboxResponse::Opened);
    let contact = Sealed::connect(&bench.tcp()).await;
    let (mut taken, mut full, mut busy) = (0u32, 0, 0);
    for n in 0..1_000u32 {
        let mut body = vec![0; 32 * 1024];
        body[..4].copy_from_slice(&n.to_be_bytes());
        let deposits = vec![contact.made(1, &body)];
        match contact.client.mailbox(MailboxRequest::Deposit { deposits }).await {
            MailboxResponse::Deposited { results } => match results[0] {
                Ok(_) => taken += 1,
                Err(DepositRefusal::Full) => full += 1,
                Err(other) => panic!("{other:?}"),
            },
            MailboxResponse::Refused(MailboxRefusal::Busy { .. }) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 128);
    let other = Sealed::connect(&bench.tcp()).await;
    assert!(other.deposit(2, b"from somebody else").await.is_ok(), "her other contacts reach her");
    let told = format!(
        "{taken} were taken, {full} found it full, {busy} had to wait; others still reach her"
    );
    row("deposits of 32 KiB by a contact", 1_000, &told);

    // A stranger, who has no key.
    let stranger = Sealed::connect(&bench.tcp()).await;
    let (mut denied, mut busy) = (0u32, 0);
    for n in 0..1_000u32 {
        let binding = stranger.binding();
        let key = deposit_key(9);
        let made = protocol::mailbox::proof::deposit(
            &key,
            spec(1).send,
            n.to_be_bytes().to_vec(),
            0,
            binding,
        );
        match stranger.client.mailbox(MailboxRequest::Deposit { deposits: vec![made] }).await {
            MailboxResponse::Deposited { results } => {
                assert_eq!(results[0], Err(DepositRefusal::Denied));
                denied += 1;
            }
            MailboxResponse::Refused(MailboxRefusal::Busy { .. }) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    row(
        "deposits by a stranger",
        1_000,
        &format!("none was taken: {denied} denied, {busy} had to wait"),
    );
}

async fn open_proxy() {
    let bench = relay().await;
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    assert_eq!(ben.client.reserve(&bench.tcp()).await, Ok(()));
    let to = |peer| bench.tcp().with(Protocol::P2pCircuit).with(Protocol::P2p(peer));
    let mut through = 0;
    for _ in 0..20 {
        let stranger = Client::throwaway(&bench.tcp()).await;
        through += u32::from(stranger.dial(&to(ben.client.peer)).await.is_ok());
    }
    assert_eq!(through, 0);
    row("circuits to a member, by strangers", 20, "none was opened");
    // To somebody who did not ask to be reached: anybody connected, or somewhere else.
    let stranger = Client::throwaway(&bench.tcp()).await;
    assert!(ada.client.dial(&to(stranger.peer)).await.is_err());
    assert!(ada.client.dial(&to(libp2p::PeerId::random())).await.is_err());
    row("circuits to whom no reservation is, by a member", 2, "none was opened");
    assert_eq!(ada.client.dial(&to(ben.client.peer)).await, Ok(ben.client.peer));
    row("a circuit to a member, by a member", 1, "was opened: 30 min and 64 MiB at most");
}

/// Connections that say nothing, or half of something. Somebody honest is served meanwhile.
async fn slow_loris() {
    let bench = Bench::with(|config| {
        production(config);
        config.network.max_connections_per_prefix = PLENTY;
    })
    .await;
    let address = bench.tcp();
    let parts: Vec<_> = address.iter().collect();
    let [Protocol::Ip4(ip), Protocol::Tcp(port), ..] = parts.as_slice() else {
        panic!("{parts:?}")
    };
    let mut silent = Vec::new();
    for n in 0..300u32 {
        let mut stream = TcpStream::connect((*ip, *port)).await.unwrap();
        if n.is_multiple_of(2) {
            // The beginning of multistream-select's greeting, and no more.
            stream.write_all(b"\x13/multistr").await.unwrap();
        }
        silent.push(stream);
    }
    let begun = Instant::now();
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    assert!(Sealed::connect(&bench.tcp()).await.deposit(1, b"frame").await.is_ok());
    let honest = begun.elapsed();
    let closed = async {
        for stream in &mut silent {
            let mut byte = [0; 64];
            while stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
        }
    };
    soon("the end of silent connections", closed).await;
    let told = format!(
        "all closed within {:.0} s; registering, opening and depositing took {} ms meanwhile",
        begun.elapsed().as_secs_f64(),
        honest.as_millis()
    );
    row("connections that say nothing, or half a word", 300, &told);
}
