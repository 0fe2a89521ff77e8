use protocol::ids::EnvelopeId;
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{
    DepositRefusal, MailboxRefusal, MailboxRequest, MailboxResponse, QueueKind, QueueSpec,
};
use protocol::time::{DAY, MINUTE};

use crate::bench::{Bench, Sealed, deposit_key, owner_key, spec};
use crate::client::soon;

#[tokio::test]
async fn a_frame_goes_from_deposit_to_owner_and_is_gone() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    assert!(ben.open(1).await == MailboxResponse::Opened);
    assert!(ben.open(1).await == MailboxResponse::Opened, "opening again is no error");

    let ada = Sealed::connect(&bench.quic()).await;
    let receipt = ada.deposit(1, b"before he attaches").await.unwrap();
    assert!(proof::custody_holds(&receipt, bench.relay.relay_id));
    assert_eq!(receipt.envelope, EnvelopeId::of(b"before he attaches"));
    assert_eq!(receipt.until.since(receipt.at), 14 * DAY);

    let mut owner = Sealed::connect(&bench.tcp()).await;
    assert_eq!(owner.attach(1).await, [Some(1)]);
    let first = owner.client.pushed().await;
    assert_eq!(first.items[0].body.as_slice(), b"before he attaches");
    owner.client.acknowledge(first).await;

    ada.deposit(1, b"while he is attached").await.unwrap();
    let second = owner.client.pushed().await;
    assert_eq!(second.items.len(), 1, "the first was acknowledged");
    assert_eq!(second.items[0].body.as_slice(), b"while he is attached");
    owner.client.acknowledge(second).await;
    soon("an empty queue", async { while owner.waiting(1).await > 0 {} }).await;

    // Also by asking: fetch and acknowledge.
    let held = ada.deposit(1, b"fetched").await.unwrap();
    let receive = spec(1).receive;
    let answer = owner.client.mailbox(MailboxRequest::Fetch { receive, after: 0, max: 64 }).await;
    let MailboxResponse::Items { items } = answer else { panic!("{answer:?}") };
    assert_eq!((items.len(), items[0].deposited_at), (1, held.at));
    let items = vec![(receive, items[0].seq)];
    for _ in 0..2 {
        let request = MailboxRequest::Acknowledge { items: items.clone() };
        let answer = owner.client.mailbox(request).await;
        assert!(answer == MailboxResponse::Acknowledged { items: items.clone() });
    }
    assert_eq!(owner.waiting(1).await, 0);
}

#[tokio::test]
async fn a_deposit_survives_a_restart_and_its_repetition_gets_the_same_receipt() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    assert!(ben.open(1).await == MailboxResponse::Opened);
    let ada = Sealed::connect(&bench.tcp()).await;
    let receipt = ada.deposit(1, b"frame").await.unwrap();
    assert!(ada.deposit(1, b"frame").await == Ok(receipt.clone()));

    let before = bench.relay.relay_id;
    let bench = bench.restart().await;
    assert_eq!(bench.relay.relay_id, before, "a relay keeps its identity");
    assert!(proof::custody_holds(&receipt, bench.relay.relay_id));
    let ada = Sealed::connect(&bench.tcp()).await;
    assert!(ada.deposit(1, b"frame").await == Ok(receipt.clone()));

    let mut owner = Sealed::connect(&bench.tcp()).await;
    assert_eq!(owner.attach(1).await, [Some(1)]);
    let pushed = owner.client.pushed().await;
    assert_eq!(pushed.items.len(), 1);
    owner.client.acknowledge(pushed).await;
    soon("an empty queue", async { while owner.waiting(1).await > 0 {} }).await;
    assert!(ada.deposit(1, b"frame").await == Ok(receipt), "also after it was acknowledged");
    assert_eq!(owner.waiting(1).await, 0, "and it does not come back");
}

#[tokio::test]
async fn a_full_queue_says_so_and_takes_more_when_it_is_emptied() {
    let bench = Bench::with(|config| config.mailbox.contact_items = 3).await;
    let ben = bench.member(1).await;
    ben.open(1).await;
    let ada = Sealed::connect(&bench.tcp()).await;
    let batch: Vec<_> = (0..4u8).map(|n| ada.made(1, &[n; 10])).collect();
    let results = ada.send(batch).await;
    assert!(results[..3].iter().all(Result::is_ok));
    assert_eq!(results[3], Err(DepositRefusal::Full));
    assert_eq!(ada.deposit(1, &vec![0; 32 * 1024 + 1]).await, Err(DepositRefusal::TooLarge));

    let mut owner = Sealed::connect(&bench.tcp()).await;
    owner.attach(1).await;
    let pushed = owner.client.pushed().await;
    owner.client.acknowledge(pushed).await;
    soon("an empty queue", async { while owner.waiting(1).await > 0 {} }).await;
    assert!(ada.deposit(1, &[3; 10]).await.is_ok());
}

#[tokio::test]
async fn what_nobody_fetches_expires() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    ben.open(1).await;
    let ada = Sealed::connect(&bench.tcp()).await;
    ada.deposit(1, b"frame").await.unwrap();
    bench.pass(15 * DAY);
    let mut owner = Sealed::connect(&bench.tcp()).await;
    assert!(owner.relay_now.since(protocol::time::Timestamp(0)) > 15 * DAY);
    soon("the sweep", async { while owner.waiting(1).await > 0 {} }).await;
    assert_eq!(owner.attach(1).await, [Some(0)]);
    assert!(!owner.client.has_push());
}

#[tokio::test]
async fn a_second_attach_ends_the_first() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    ben.open(1).await;
    ben.open(2).await;
    let mut first = Sealed::connect(&bench.tcp()).await;
    first.attach(1).await;
    first.attach(2).await;
    let mut second = Sealed::connect(&bench.quic()).await;
    assert_eq!(second.attach(1).await, [Some(0)]);
    let ada = Sealed::connect(&bench.tcp()).await;
    ada.deposit(1, b"for the second").await.unwrap();
    ada.deposit(2, b"for the first").await.unwrap();
    let pushed = second.client.pushed().await;
    assert_eq!(pushed.items[0].body.as_slice(), b"for the second");
    // Pushes to one connection keep their order, so nothing of queue 1 came before this.
    let pushed = first.client.pushed().await;
    assert_eq!(pushed.items[0].body.as_slice(), b"for the first");
    let fetch = MailboxRequest::Fetch { receive: spec(1).receive, after: 0, max: 1 };
    let answer = first.client.mailbox(fetch).await;
    assert!(answer == MailboxResponse::Refused(MailboxRefusal::Denied));
}

#[tokio::test]
async fn tampered_replayed_and_foreign_proofs_get_the_answer_of_a_missing_queue() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    ben.open(1).await;
    let (ada, eve) = (Sealed::connect(&bench.tcp()).await, Sealed::connect(&bench.tcp()).await);
    let good = ada.made(1, b"frame");
    let mut other_body = good.clone();
    other_body.body[0] ^= 1;
    let mut other_proof = good.clone();
    other_proof.proof[7] ^= 1;
    let elsewhere = Binding { relay: protocol::ids::RelayId([3; 32]), nonce: &ada.nonce };
    let other_relay =
        proof::deposit(&deposit_key(1), spec(1).send, b"frame".to_vec(), 0, elsewhere);
    let foreign_key =
        proof::deposit(&deposit_key(2), spec(1).send, b"frame".to_vec(), 0, ada.binding());
    let by_owner = proof::deposit(&owner_key(1), spec(1).send, b"frame".to_vec(), 0, ada.binding());
    let missing = ada.made(9, b"frame");
    let bad = vec![other_body, other_proof, other_relay, foreign_key, by_owner, missing];
    assert!(ada.send(bad).await.iter().all(|result| *result == Err(DepositRefusal::Denied)));
    assert_eq!(eve.send(vec![good.clone()]).await, [Err(DepositRefusal::Denied)], "replayed");
    assert!(ada.send(vec![good]).await[0].is_ok());

    let replayed = ada.claim(1);
    let answer = eve.client.mailbox(MailboxRequest::Close { claim: replayed }).await;
    assert!(answer == MailboxResponse::Refused(MailboxRefusal::Denied));
    let by_depositor = proof::claim(&deposit_key(1), spec(1).receive, eve.binding());
    let answer = eve.client.mailbox(MailboxRequest::Attach { claims: vec![by_depositor] }).await;
    assert!(answer == MailboxResponse::Attached { waiting: vec![None] });
}

#[tokio::test]
async fn a_drop_hands_out_its_bundle_and_takes_join_requests_until_it_closes() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    let closes_at = Sealed::connect(&bench.tcp()).await.relay_now.plus(10 * MINUTE);
    let queue =
        QueueSpec { kind: QueueKind::Drop { closes_at, bundle: vec![7; 2_000].into() }, ..spec(1) };
    let open = MailboxRequest::Open { credential: ben.credential.clone(), queue };
    assert!(ben.client.mailbox(open).await == MailboxResponse::Opened);

    let ada = Sealed::connect(&bench.tcp()).await;
    let send = spec(1).send;
    let proof = proof::bundle(&deposit_key(1), send, ada.binding());
    let answer = ada.client.mailbox(MailboxRequest::Bundle { send, proof }).await;
    let MailboxResponse::Bundle { sealed } = answer else { panic!("{answer:?}") };
    assert_eq!(sealed.as_slice(), [7; 2_000]);
    assert!(ada.deposit(1, &[1; 8 * 1024]).await.is_ok());
    let wrong = proof::bundle(&deposit_key(2), send, ada.binding());
    let answer = ada.client.mailbox(MailboxRequest::Bundle { send, proof: wrong }).await;
    assert!(answer == MailboxResponse::Refused(MailboxRefusal::Denied));

    bench.pass(11 * MINUTE);
    assert_eq!(ada.deposit(1, b"too late").await, Err(DepositRefusal::Denied));
    let answer = ada.client.mailbox(MailboxRequest::Bundle { send, proof }).await;
    assert!(answer == MailboxResponse::Refused(MailboxRefusal::Denied));
    let mut owner = Sealed::connect(&bench.tcp()).await;
    assert_eq!(owner.attach(1).await, [Some(1)], "its owner can still read it");
    assert_eq!(owner.client.pushed().await.items[0].body.len(), 8 * 1024);
}

#[tokio::test]
async fn closing_a_queue_forgets_it_and_blocks_its_depositor() {
    let bench = Bench::start().await;
    let ben = bench.member(1).await;
    ben.open(1).await;
    let ada = Sealed::connect(&bench.tcp()).await;
    ada.deposit(1, b"frame").await.unwrap();
    let owner = Sealed::connect(&bench.tcp()).await;
    let claim = owner.claim(1);
    let answer = owner.client.mailbox(MailboxRequest::Close { claim }).await;
    assert!(answer == MailboxResponse::Closed);
    assert_eq!(ada.deposit(1, b"frame").await, Err(DepositRefusal::Denied));
    assert_eq!(owner.attach(1).await, [None]);
}

#[tokio::test]
async fn two_hundred_throwaway_keys_of_one_address_are_served_and_their_frames_arrive_once() {
    const CLIENTS: usize = 200;
    let bench = Bench::with(|config| config.mailbox.contact_items = 1_000).await;
    let ben = bench.member(1).await;
    ben.open(1).await;
    let mut owner = Sealed::connect(&bench.tcp()).await;
    owner.attach(1).await;
    let relay = bench.tcp();
    let senders: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let relay = relay.clone();
            tokio::spawn(async move {
                let ada = Sealed::connect(&relay).await;
                ada.deposit(1, &n.to_be_bytes()).await.unwrap();
            })
        })
        .collect();
    let mut bodies = std::collections::BTreeSet::new();
    let mut pushes = 0;
    while bodies.len() < CLIENTS {
        let pushed = owner.client.pushed().await;
        pushes += pushed.items.len();
        bodies.extend(pushed.items.iter().map(|item| item.body.to_vec()));
        owner.client.acknowledge(pushed).await;
    }
    assert_eq!(pushes, CLIENTS, "each once");
    for sender in senders {
        sender.await.unwrap();
    }
}
