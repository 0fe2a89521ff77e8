//! Contacts who can only meet over a relay.

use node::net::{NetCommand, Path, RelayPhase};
use protocol::wire::envelope::EnvelopeResponse;

use crate::bench::{Node, TestRelay, deliver};

async fn reserved(name: &'static str, relay: &TestRelay) -> Node {
    let mut node = Node::start(name).await;
    node.command(NetCommand::Homes(vec![relay.home.clone()]));
    node.register(&relay.home).await;
    node.phase(relay.home.relay, RelayPhase::Reserved).await;
    node
}

#[tokio::test]
async fn a_contact_with_dead_addresses_is_reached_over_its_relay_and_then_directly() {
    let relay = TestRelay::start().await;
    let mut ada = reserved("ada", &relay).await;
    let mut ben = reserved("ben", &relay).await;
    let dead = node::net::parse_address("/ip4/127.0.0.1/tcp/1").unwrap();
    ada.know_at(ben.account, vec![dead], vec![relay.home.clone()]);
    ben.know_at(ada.account, Vec::new(), Vec::new());
    ada.command(NetCommand::Connect(ben.account));
    assert_eq!(ada.connected(ben.account).await, Path::Relayed);
    let ticket = ada.send(ben.account, deliver(b"over the relay"));
    let (from, _) = ben.answer_envelope(EnvelopeResponse::Refused).await;
    assert_eq!(from, ada.account);
    assert!(ada.envelope_done(ticket).await.is_ok());
    // Both are on one machine, so hole punching succeeds and the circuit is given up.
    assert_eq!(ada.connected(ben.account).await, Path::Lan);
    let ticket = ada.send(ben.account, deliver(b"directly"));
    ben.answer_envelope(EnvelopeResponse::Refused).await;
    assert!(ada.envelope_done(ticket).await.is_ok());
}

#[tokio::test]
async fn a_contact_who_is_away_is_unreachable_over_the_relay_as_well() {
    let relay = TestRelay::start().await;
    let mut ada = reserved("ada", &relay).await;
    let ben = Node::start("ben").await;
    ada.know_at(ben.account, Vec::new(), vec![relay.home.clone()]);
    ada.command(NetCommand::Connect(ben.account));
    ada.unreachable(ben.account).await;
}

#[tokio::test]
async fn a_stranger_is_cut_off_on_a_circuit_too() {
    let relay = TestRelay::start().await;
    let mut eve = reserved("eve", &relay).await;
    let mut ben = reserved("ben", &relay).await;
    ben.unasked();
    eve.know_at(ben.account, Vec::new(), vec![relay.home.clone()]);
    let ticket = eve.send(ben.account, deliver(b"spam"));
    assert!(eve.envelope_done(ticket).await.is_err());
    assert!(ben.unasked().is_empty());
}
