//! Codes by e-mail, through a real mail server (aiosmtpd, of Debian's packages), and by text message, through a stand-in
//! for a gateway.

use std::collections::BTreeMap;

use bootstrap::Config;
use bootstrap::config::{EmailWay, Encryption, PhoneWay, Sms, Smtp};
use protocol::registration::wire::{
    IdentifierKind, RegisterRefusal, RegisterRequest, RegisterResponse, SentVia,
};
use serde::Deserialize;

use crate::bench::{Bench, Member};
use crate::stand_in::StandIn;

/// What the mail server was handed.
#[derive(Debug, Deserialize)]
struct Letter {
    from: String,
    to: Vec<String>,
    content: String,
    encrypted: bool,
}

fn mail_server(encryption: Encryption, answers: &[&str]) -> StandIn {
    let how = if encryption == Encryption::Tls { "tls" } else { "starttls" };
    StandIn::start("mail_server.py", &[how], answers)
}

fn smtp(server: &StandIn, encryption: Encryption) -> Smtp {
    Smtp {
        host: "localhost".into(),
        port: Some(server.port),
        encryption,
        user: Some("kith".into()),
        password_file: Some(server.file("secret")),
        from: "Lindgarden <kith@example.org>".into(),
        ca_file: Some(server.file("ca.pem")),
    }
}

fn by_mail(smtp: Smtp) -> impl FnOnce(&mut Config) {
    move |config| {
        config.name = "Lindgården".into();
        config.registration.email = EmailWay::Smtp;
        config.registration.smtp = Some(smtp);
    }
}

fn sms(gateway: &StandIn) -> Sms {
    Sms {
        url: format!("https://localhost:{}/2010-04-01/Accounts/AC1/Messages.json", gateway.port),
        user: "AC1".into(),
        password_file: Some(gateway.file("secret")),
        from: "+15005550006".into(),
        ca_file: Some(gateway.file("ca.pem")),
    }
}

fn by_text(sms: Sms) -> impl FnOnce(&mut Config) {
    move |config| {
        config.registration.phone = PhoneWay::Sms;
        config.registration.sms = Some(sms);
    }
}

async fn ask(member: &Member, kind: IdentifierKind) -> RegisterResponse {
    let identifier = match kind {
        IdentifierKind::Email => " Ada@Example.org ",
        IdentifierKind::Phone => "+49 (1512) 345-6789",
    };
    member.client.register(RegisterRequest::Challenge { kind, identifier: identifier.into() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_comes_by_e_mail_and_registers() {
    for encryption in [Encryption::Tls, Encryption::Starttls] {
        let mut server = mail_server(encryption, &[]);
        let bench = Bench::with(by_mail(smtp(&server, encryption))).await;
        let ada = Member::connect(1, &bench.tcp()).await;
        let answer = ask(&ada, IdentifierKind::Email).await;
        let RegisterResponse::Challenged(told) = answer else { panic!("{answer:?}") };
        assert_eq!(told.sent_via, SentVia::Email);
        let letter: Letter = server.taken();
        assert_eq!((letter.from.as_str(), letter.encrypted), ("kith@example.org", true));
        assert_eq!(letter.to, ["Ada@example.org"]);
        let (headers, text) = letter.content.split_once("\r\n\r\n").unwrap();
        for header in ["Auto-Submitted: auto-generated", "Subject: ", "Date: ", "From: Lindgarden"]
        {
            assert!(headers.contains(header), "{headers}");
        }
        let code = told.development_code.clone().unwrap();
        assert!(text.contains(&code), "{text}");
        assert!(matches!(ada.verify(&told, &code).await, RegisterResponse::Admitted { .. }));
        assert_eq!(bench.relay.dead_letters.ever(), 0);
        assert_eq!(server.end(), "", "one letter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_comes_by_text_message_and_registers() {
    for from in ["+15005550006", "MG0123456789"] {
        let mut gateway = StandIn::start("sms_gateway.py", &[], &[]);
        let bench = Bench::with(by_text(Sms { from: from.into(), ..sms(&gateway) })).await;
        let ada = Member::connect(1, &bench.tcp()).await;
        let answer = ask(&ada, IdentifierKind::Phone).await;
        let RegisterResponse::Challenged(told) = answer else { panic!("{answer:?}") };
        assert_eq!(told.sent_via, SentVia::Sms);
        let message: BTreeMap<String, String> = gateway.taken();
        assert_eq!(message["To"], "+4915123456789");
        let sender = if from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        assert_eq!(message[sender], from);
        let code = told.development_code.clone().unwrap();
        assert!(message["Body"].contains(&code), "{message:?}");
        assert!(matches!(ada.verify(&told, &code).await, RegisterResponse::Admitted { .. }));
        assert_eq!(gateway.end(), "", "one message");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_patience_is_asked_again() {
    let busy = "451 4.7.1 <ada@example.org> come back later";
    let mut server = mail_server(Encryption::Starttls, &[busy, busy]);
    let mut gateway = StandIn::start("sms_gateway.py", &[], &["429 20429", "503 20500"]);
    let (mail, text) = (by_mail(smtp(&server, Encryption::Starttls)), by_text(sms(&gateway)));
    let bench = Bench::with(|config| {
        mail(config);
        text(config);
    })
    .await;
    let (ada, ben) =
        (Member::connect(1, &bench.tcp()).await, Member::connect(2, &bench.tcp()).await);
    for (member, kind) in [(&ada, IdentifierKind::Email), (&ben, IdentifierKind::Phone)] {
        let answer = ask(member, kind).await;
        assert!(matches!(answer, RegisterResponse::Challenged(_)), "{answer:?}");
    }
    let _: Letter = server.taken();
    let _: BTreeMap<String, String> = gateway.taken();
    assert_eq!(bench.relay.dead_letters.ever(), 0);
}

/// What became of a code: the way, the tries and the reason of its dead letter.
async fn failure(change: impl FnOnce(&mut Config), kind: IdentifierKind) -> String {
    let bench = Bench::with(change).await;
    let ada = Member::connect(1, &bench.tcp()).await;
    let answer = ask(&ada, kind).await;
    assert_eq!(answer, RegisterResponse::Refused(RegisterRefusal::SendFailed));
    let letters = bench.relay.dead_letters.all();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    format!("{:?} {} {}", letter.via, letter.tries, letter.why)
}

fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_does_not_leave_is_said_and_kept_without_the_address() {
    let encryption = Encryption::Tls;
    let server = mail_server(encryption, &["550 5.1.1 <ada@example.org> unknown"]);
    let known = smtp(&server, encryption);
    for (smtp, why) in [
        (known.clone(), "1 refused: the mail server answered 550"),
        (
            Smtp { ca_file: None, ..known.clone() },
            "3 not now: the mail server's certificate is not trusted, or its encryption failed",
        ),
        (
            Smtp { password_file: Some(server.file("wrong")), ..known.clone() },
            "1 refused: the mail server answered 535",
        ),
        (
            Smtp { port: Some(closed_port()), ..known },
            "3 not now: the mail server was not reached, or the connection broke off",
        ),
    ] {
        let told = failure(by_mail(smtp), IdentifierKind::Email).await;
        assert_eq!(told, format!("Email {why}"));
    }
    assert_eq!(server.end(), "", "nothing was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_does_not_leave_is_said_and_kept_without_the_number() {
    let gateway = StandIn::start("sms_gateway.py", &[], &["400 21211", "307 30700", "500 20500"]);
    let known = sms(&gateway);
    let closed = format!("https://localhost:{}/", closed_port());
    for (sms, why) in [
        (known.clone(), "1 refused: the gateway answered 400, error 21211"),
        (known.clone(), "1 refused: the gateway answered 307, error 30700"),
        // It may have left, and would be paid for twice.
        (known.clone(), "1 it may have left: the gateway answered 500, error 20500"),
        (
            Sms { ca_file: None, ..known.clone() },
            "3 not now: the gateway's certificate is not trusted, or its encryption failed",
        ),
        (
            Sms { password_file: Some(gateway.file("wrong")), ..known.clone() },
            "1 refused: the gateway answered 401, error 20003",
        ),
        (Sms { url: closed, ..known }, "3 not now: the gateway was not reached"),
    ] {
        let told = failure(by_text(sms), IdentifierKind::Phone).await;
        assert_eq!(told, format!("Sms {why}"));
    }
    assert_eq!(gateway.end(), "", "nothing was taken");
}
