//! Relays: registration, homes, queues, deposits, pushes, and all of it over a restart.

use node::net::{NetCommand, NetEvent, NetFailure, RelayPhase};
use protocol::mailbox::wire::{DepositRefusal, MailboxRefusal, QueueKind};
use protocol::registration::wire::{RegisterRequest, RegisterResponse};
use protocol::time::{HOUR, Timestamp};

use crate::bench::{Node, Queue, TestRelay};

/// A registered node that homes on the relay, with one open queue that it is subscribed to.
async fn homed(name: &'static str, relay: &TestRelay) -> (Node, Queue) {
    let mut node = Node::start(name).await;
    node.command(NetCommand::Homes(vec![relay.home.clone()]));
    let credential = node.register(&relay.home).await;
    let queue = Queue::random();
    assert_eq!(node.open(&relay.home, &credential, queue.spec(QueueKind::Contact)).await, Ok(()));
    node.command(NetCommand::Subscribe { relay: relay.home.clone(), queues: vec![queue.owned()] });
    assert_eq!(node.subscribed(relay.home.relay).await, []);
    (node, queue)
}

/// An hour from now, by the clock that the relay has as well.
fn in_an_hour() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap()).plus(HOUR)
}

#[tokio::test]
async fn a_home_is_connected_at_first_and_reserved_once_the_relay_admits_us() {
    let relay = TestRelay::start().await;
    let mut ada = Node::start("ada").await;
    ada.command(NetCommand::Homes(vec![relay.home.clone()]));
    ada.phase(relay.home.relay, RelayPhase::Connected).await;
    ada.register(&relay.home).await;
    ada.phase(relay.home.relay, RelayPhase::Reserved).await;
}

#[tokio::test]
async fn a_relay_tells_what_it_is_without_being_a_home_and_its_clock_when_it_is() {
    let relay = TestRelay::start().await;
    let mut ada = Node::start("ada").await;
    let info = ada.register_request(&relay.home, RegisterRequest::Info).await;
    assert!(matches!(info, Ok(RegisterResponse::Info { development: true, .. })));
    ada.command(NetCommand::Homes(vec![relay.home.clone()]));
    let offset = ada
        .wait("a clock offset", |event| match event {
            NetEvent::Relay { clock_offset_ms: Some(offset), .. } => Ok(offset),
            other => Err(other),
        })
        .await;
    assert!(offset.abs() < 30_000, "one machine has one clock");
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_unreachable() {
    let mut ada = Node::start("ada").await;
    let relay = TestRelay::start().await;
    let mut home = relay.home.clone();
    home.addresses = vec![node::net::parse_address("/ip4/127.0.0.1/tcp/1").unwrap()];
    ada.command(NetCommand::Homes(vec![home.clone()]));
    ada.phase(home.relay, RelayPhase::Unreachable).await;
    let answer = ada.register_request(&home, RegisterRequest::Info).await;
    assert_eq!(answer, Err(NetFailure::Unreachable));
    let queue = Queue::random();
    assert_eq!(ada.deposit(&home, &queue, &[b"x"]).await, Err(NetFailure::Unreachable));
}

#[tokio::test]
async fn a_queue_needs_a_credential() {
    let relay = TestRelay::start().await;
    let mut ada = Node::start("ada").await;
    let spec = Queue::random().spec(QueueKind::Contact);
    let refused = ada.open(&relay.home, "not a credential", spec).await;
    assert_eq!(refused, Err(NetFailure::Refused(MailboxRefusal::NotAdmitted)));
}

#[tokio::test]
async fn what_is_deposited_is_pushed_and_what_is_acknowledged_is_gone() {
    let relay = TestRelay::start().await;
    let (mut ada, queue) = homed("ada", &relay).await;
    let mut ben = Node::start("ben").await;
    let results = ben.deposit(&relay.home, &queue, &[b"first", b"second"]).await.unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let mut bodies = Vec::new();
    while bodies.len() < 2 {
        bodies.extend(ada.collect().await.into_iter().map(|item| item.body.into_vec()));
    }
    assert_eq!(bodies, [b"first".to_vec(), b"second".to_vec()]);
    // Attached anew, the relay starts from the beginning. An acknowledgement may have been lost
    // with the connection that carried it, so what comes again is acknowledged again.
    for marker in [b"1", b"2", b"3", b"4", b"5"] {
        ada.command(NetCommand::ForgetRelay(relay.home.relay));
        let queues = vec![queue.owned()];
        ada.command(NetCommand::Subscribe { relay: relay.home.clone(), queues });
        assert_eq!(ada.subscribed(relay.home.relay).await, []);
        ben.deposit(&relay.home, &queue, &[marker]).await.unwrap()[0].as_ref().unwrap();
        let mut bodies = Vec::new();
        while bodies.last().map(Vec::as_slice) != Some(&marker[..]) {
            bodies.extend(ada.collect().await.into_iter().map(|item| item.body.into_vec()));
        }
        if !bodies.iter().any(|body| body == b"first" || body == b"second") {
            return;
        }
    }
    panic!("what was acknowledged came again and again");
}

#[tokio::test]
async fn what_is_not_acknowledged_is_pushed_again() {
    let relay = TestRelay::start().await;
    let (mut ada, queue) = homed("ada", &relay).await;
    let mut ben = Node::start("ben").await;
    ben.deposit(&relay.home, &queue, &[b"frame"]).await.unwrap()[0].as_ref().unwrap();
    let dropped = ada
        .wait("items", |event| match event {
            NetEvent::Items { items, reply, .. } => Ok((items, reply)),
            other => Err(other),
        })
        .await;
    let seq = dropped.0[0].seq;
    drop(dropped);
    assert_eq!(ada.collect().await[0].seq, seq);
}

#[tokio::test]
async fn a_wrong_key_is_denied_and_an_unknown_queue_is_missing() {
    let relay = TestRelay::start().await;
    let (mut ada, queue) = homed("ada", &relay).await;
    let mut ben = Node::start("ben").await;
    let forged = Queue::forged(queue.send);
    let results = ben.deposit(&relay.home, &forged, &[b"frame"]).await.unwrap();
    assert_eq!(results, [Err(DepositRefusal::Denied)]);
    let unknown = Queue::random();
    let queues = vec![queue.owned(), unknown.owned()];
    ada.command(NetCommand::Subscribe { relay: relay.home.clone(), queues });
    assert_eq!(ada.subscribed(relay.home.relay).await, [unknown.receive]);
}

#[tokio::test]
async fn a_closed_queue_takes_nothing_more() {
    let relay = TestRelay::start().await;
    let (mut ada, queue) = homed("ada", &relay).await;
    let of = ada.ticket();
    ada.command(NetCommand::CloseQueue {
        ticket: of,
        relay: relay.home.clone(),
        queue: queue.owned(),
    });
    let closed = ada
        .wait("the end of a queue", |event| match event {
            NetEvent::QueueDone { ticket, result } if ticket == of => Ok(result),
            other => Err(other),
        })
        .await;
    assert_eq!(closed, Ok(()));
    let mut ben = Node::start("ben").await;
    let results = ben.deposit(&relay.home, &queue, &[b"late"]).await.unwrap();
    assert_eq!(results, [Err(DepositRefusal::Denied)]);
}

#[tokio::test]
async fn the_bundle_beside_a_drop_is_for_holders_of_its_key() {
    let relay = TestRelay::start().await;
    let mut ada = Node::start("ada").await;
    let credential = ada.register(&relay.home).await;
    let queue = Queue::random();
    let kind = QueueKind::Drop { closes_at: in_an_hour(), bundle: vec![9; 500].into() };
    let opened = ada.open(&relay.home, &credential, queue.spec(kind)).await;
    assert_eq!(opened, Ok(()));
    let mut ben = Node::start("ben").await;
    for (key, expected) in [
        (queue.deposit_key(), Ok(vec![9; 500])),
        (Queue::random().deposit_key(), Err(NetFailure::Refused(MailboxRefusal::Denied))),
    ] {
        let of = ben.ticket();
        ben.command(NetCommand::FetchBundle {
            ticket: of,
            relay: relay.home.clone(),
            send: queue.send,
            key,
        });
        let bundle = ben
            .wait("a bundle", |event| match event {
                NetEvent::BundleDone { ticket, result } if ticket == of => Ok(result),
                other => Err(other),
            })
            .await;
        assert_eq!(bundle, expected);
    }
}

#[tokio::test]
async fn after_a_relays_restart_everything_is_attached_and_reserved_again_and_deposits_arrive() {
    let relay = TestRelay::start().await;
    let (mut ada, queue) = homed("ada", &relay).await;
    let id = relay.home.relay;
    ada.phase(id, RelayPhase::Reserved).await;
    let mut ben = Node::start("ben").await;
    ben.deposit(&relay.home, &queue, &[b"before"]).await.unwrap()[0].as_ref().unwrap();
    assert_eq!(&ada.collect().await[0].body[..], b"before");
    ada.unasked();
    let relay = relay.restart().await;
    assert_eq!(ada.subscribed(id).await, []);
    ada.phase(id, RelayPhase::Reserved).await;
    ben.deposit(&relay.home, &queue, &[b"after"]).await.unwrap()[0].as_ref().unwrap();
    let mut bodies = Vec::new();
    while bodies.last().map(Vec::as_slice) != Some(b"after") {
        bodies.extend(ada.collect().await.into_iter().map(|item| item.body.into_vec()));
    }
}

#[tokio::test]
async fn a_relay_that_is_no_home_any_more_is_left_and_can_be_taken_again() {
    let relay = TestRelay::start().await;
    let (mut ada, _queue) = homed("ada", &relay).await;
    let id = relay.home.relay;
    ada.phase(id, RelayPhase::Reserved).await;
    ada.command(NetCommand::Homes(Vec::new()));
    ada.command(NetCommand::ForgetRelay(id));
    ada.command(NetCommand::Homes(vec![relay.home.clone()]));
    ada.phase(id, RelayPhase::Reserved).await;
}
