//! Relays that share a PostgreSQL database.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bootstrap::config::Postgres;
use bootstrap::{Config, Relay};
use protocol::blob::{BlobId, BlobRefusal, BlobRequest, BlobResponse};
use protocol::mailbox::wire::MailboxResponse;
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse, Told};

use futures::{FutureExt, StreamExt};
use serde_bytes::ByteBuf;

use crate::bench::{Bench, Member, Sealed};
use crate::client::{Client, soon};
use crate::server;

/// A database of a test's own.
pub(crate) async fn database() -> Postgres {
    let made = tokio::task::spawn_blocking(server::database);
    let (host, database) = soon("a database", made).await.unwrap();
    // Goes with the server's folder.
    let service = Path::new(&host).join(format!("{database}.service"));
    let options = &mut OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&service).unwrap();
    file.write_all(&rand::random::<[u8; 32]>()).unwrap();
    let user = server::USER.into();
    Postgres { host, user, database, service_file: Some(service), ..Postgres::default() }
}

/// A relay on this database, with the folder for files that all of its relays share.
pub(crate) fn share(config: &mut Config, database: &Postgres) {
    let shared = database.service_file.as_deref().and_then(Path::parent).unwrap();
    let name = format!("blobs-{}", database.database);
    config.blobs.folder = Some(shared.join(name));
    config.postgres = Some(database.clone());
}

#[tokio::test]
async fn another_relay_does_not_start_on_a_database_that_is_taken() {
    let database = database().await;
    let _first = Bench::with(|config| share(config, &database)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::development(dir.path());
    share(&mut config, &database);
    config.postgres = Some(Postgres { service_file: None, ..database });
    let error = Relay::start(config).await.unwrap_err();
    assert!(error.to_string().contains("pepper"), "{error}");
    assert_eq!(error.exit_code(), 69);
}

#[tokio::test]
async fn an_address_admits_one_account_whichever_relay_is_asked() {
    let (one, other) = two().await;
    let ada = one.member(1).await;
    let eve = Member::connect(2, &other.tcp()).await;
    let challenged = eve.challenge("person1@example.org").await;
    let code = challenged.development_code.clone().unwrap();
    assert!(matches!(eve.verify(&challenged, &code).await, RegisterResponse::Admitted { .. }));
    ada.client.closed().await;
    ada.client.dial(&one.tcp()).await.unwrap();
    assert!(matches!(ada.standing().await, Told::Displaced { .. }));
}

/// Two processes of one relay, on one database, each with a key of its own.
async fn two() -> (Bench, Bench) {
    let database = database().await;
    let relay = async || {
        Bench::with(|config| {
            share(config, &database);
            config.admin = Some(([127, 0, 0, 1], 0).into());
        })
        .await
    };
    (relay().await, relay().await)
}

#[tokio::test]
async fn a_relay_on_postgres_does_what_one_on_sled_does_and_keeps_it_over_a_restart() {
    let database = database().await;
    let bench = Bench::with(|config| share(config, &database)).await;
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    let sender = Sealed::connect(&bench.tcp()).await;
    let receipt = sender.deposit(1, b"frame").await.unwrap();
    assert_eq!(sender.deposit(1, b"frame").await.unwrap(), receipt, "a repetition");

    let bench = bench.restart().await;
    assert_eq!(Member::connect(1, &bench.tcp()).await.standing().await, Told::Admitted);
    let sender = Sealed::connect(&bench.tcp()).await;
    assert_eq!(sender.deposit(1, b"frame").await.unwrap(), receipt, "after a restart");
    let mut owner = Sealed::connect(&bench.tcp()).await;
    assert_eq!(owner.attach(1).await, [Some(1)]);
    let pushed = owner.client.pushed().await;
    assert_eq!(pushed.items[0].body.as_slice(), b"frame");
    owner.client.acknowledge(pushed).await;
    // Seen by another: what was acknowledged is gone when the relay says so.
    while Sealed::connect(&bench.tcp()).await.waiting(1).await > 0 {}
    assert_eq!(sender.deposit(1, b"frame").await.unwrap(), receipt, "remembered");
    assert_eq!(Sealed::connect(&bench.tcp()).await.waiting(1).await, 0);
}

#[tokio::test]
async fn what_is_deposited_at_one_relay_is_pushed_by_the_other_at_once() {
    let (one, other) = two().await;
    let ada = one.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    let mut owner = Sealed::connect(&other.tcp()).await;
    assert_eq!(owner.attach(1).await, [Some(0)]);
    let sender = Sealed::connect(&one.tcp()).await;
    let mut bodies = Vec::new();
    for n in 0..20u8 {
        assert!(sender.deposit(1, &[n; 100]).await.is_ok());
    }
    while bodies.len() < 20 {
        let pushed = owner.client.pushed().await;
        bodies.extend(pushed.items.iter().map(|item| item.body[0]));
        owner.client.acknowledge(pushed).await;
    }
    assert_eq!(bodies, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn both_relays_deposit_into_one_queue_without_losing_or_doubling_anything() {
    const EACH: u8 = 60;
    let (one, other) = two().await;
    let ada = one.member(1).await;
    for queue in [1, 2] {
        assert!(ada.open(queue).await == MailboxResponse::Opened);
    }
    let send = async |bench: &Bench, from: u8| {
        let sender = Sealed::connect(&bench.tcp()).await;
        for n in 0..EACH {
            // Both queues in one request, in an order of one's own.
            let queues = if from == 0 { [1, 2] } else { [2, 1] };
            let deposits = queues.map(|queue| sender.made(queue, &[queue, from, n]));
            let results = sender.send(deposits.to_vec()).await;
            assert!(results.iter().all(Result::is_ok), "{results:?}");
        }
    };
    tokio::join!(send(&one, 0), send(&other, 1));
    let mut owner = Sealed::connect(&other.tcp()).await;
    let all = u32::from(EACH) * 2;
    assert_eq!(owner.attach(1).await, [Some(all)]);
    assert_eq!(owner.attach(2).await, [Some(all)]);
    let mut got = std::collections::BTreeSet::new();
    while got.len() < 2 * all as usize {
        let pushed = owner.client.pushed().await;
        for item in &pushed.items {
            assert!(got.insert((item.receive, item.seq)), "twice");
        }
        owner.client.acknowledge(pushed).await;
    }
}

#[tokio::test]
async fn a_suspension_at_one_relay_holds_at_the_other_within_a_moment() {
    let (one, other) = two().await;
    let ada = one.member(1).await;
    let here = Member::connect(1, &other.tcp()).await;
    // She was admitted at the one; the other heard of it.
    while here.standing().await != Told::Admitted {}
    assert_eq!(here.client.reserve(&other.tcp()).await, Ok(()));

    let account = ada.account();
    crate::admin::told(&one, &["suspend", &account]).await;
    here.client.closed().await;
    here.client.dial(&other.tcp()).await.unwrap();
    assert_eq!(here.standing().await, Told::Suspended);

    // Each end of an account closes her connections, and each has to be seen.
    ada.client.closed().await;
    ada.client.dial(&one.tcp()).await.unwrap();
    assert_eq!(ada.standing().await, Told::Suspended);
    crate::admin::told(&other, &["erase", &account, "--yes"]).await;
    ada.client.closed().await;
    ada.client.dial(&one.tcp()).await.unwrap();
    assert_eq!(ada.standing().await, Told::Unknown);
    let renew = RegisterRequest::Renew { credential: ada.credential.clone() };
    let refusal = RegisterResponse::Refused(RegisterRefusal::NotRenewable);
    assert_eq!(ada.client.register(renew).await, refusal);
}

#[tokio::test]
async fn the_limits_of_a_person_are_those_of_both_relays_together() {
    let database = database().await;
    let relay = async || {
        Bench::with(|config| {
            share(config, &database);
            config.registration.account_challenges_per_day = 3;
        })
        .await
    };
    let (one, other) = (relay().await, relay().await);
    let (here, there) =
        (Member::connect(1, &one.tcp()).await, Member::connect(1, &other.tcp()).await);
    let mut sent = 0;
    for n in 0..4 {
        for member in [&here, &there] {
            let answer = member.ask_challenge(&format!("p{n}@example.org")).await;
            sent += u32::from(matches!(answer, RegisterResponse::Challenged(_)));
        }
    }
    assert_eq!(sent, 3);
}

/// A thread that listened on would keep the process from ending.
#[tokio::test]
async fn a_start_that_fails_leaves_nothing_listening() {
    let database = database().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::development(dir.path());
    share(&mut config, &database);
    config.health = Some(taken.local_addr().unwrap());
    let error = Relay::start(config).await.unwrap_err();
    assert_eq!(error.exit_code(), 69, "{error}");
}

#[tokio::test]
async fn a_file_that_one_relay_took_comes_from_the_other_until_its_owner_leaves() {
    let (one, other) = two().await;
    let ada = one.member(1).await;
    let blob = BlobId([3; 32]);
    let opened = ada.client.blob(BlobRequest::Open { blob, bytes: 3, keep: None }).await;
    assert!(matches!(opened, BlobResponse::State(_)), "{opened:?}");
    let bytes = ByteBuf::from(b"abc".to_vec());
    let put = BlobRequest::Put { blob, piece: 0, bytes: bytes.clone() };
    assert!(ada.client.blob(put).await == BlobResponse::Stored);
    let ben = Client::throwaway(&other.tcp()).await;
    let get = || ben.blob(BlobRequest::Get { blob, piece: 0 });
    assert!(get().await == BlobResponse::Piece(bytes));
    crate::admin::told(&other, &["erase", &ada.account(), "--yes"]).await;
    assert!(get().await == BlobResponse::Refused(BlobRefusal::Missing));
}

/// Waits until a process knows of two.
async fn both_are_known(at: &Bench) {
    let asker = Client::throwaway(&at.tcp()).await;
    let both = at.relay.addresses.len() * 2;
    loop {
        let info = asker.register(RegisterRequest::Info).await;
        let RegisterResponse::Info { addresses, .. } = info else { panic!("{info:?}") };
        if addresses.len() == both {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_process_that_is_stopped_sends_people_to_the_other_one_after_the_other() {
    let database = Postgres { drain_seconds: 6, ..database().await };
    let one = Bench::with(|config| share(config, &database)).await;
    // Alone, it has nowhere to send anybody.
    one.relay.drain().await;
    let other = Bench::with(|config| share(config, &database)).await;
    both_are_known(&one).await;
    let member = one.member(1).await;
    let at = one.tcp();
    let connected = [(); 9].map(|()| Client::throwaway(&at));
    let connected = futures::future::join_all(connected).await;
    let gone = connected.iter().map(Client::closed);
    let mut gone: futures::stream::FuturesUnordered<_> = gone.collect();
    let newcomer = async {
        gone.next().await.unwrap();
        assert!(
            Client::try_connect(libp2p::identity::Keypair::generate_ed25519(), &one.tcp())
                .await
                .is_err()
        );
        assert_eq!(Member::connect(1, &other.tcp()).await.standing().await, Told::Admitted);
        // Those who have gone by now, too.
        while let Some(Some(())) = gone.next().now_or_never() {}
        gone.len()
    };
    let ((), left) = tokio::join!(one.relay.drain(), newcomer);
    assert!(
        left > 0,
        "somebody was still there when the newcomer was sent away and served elsewhere"
    );
    for client in &connected {
        client.closed().await;
    }
    member.client.closed().await;
    one.relay.shutdown().await.unwrap();
}
