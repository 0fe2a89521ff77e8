//! Contacts who can only meet over a relay.

use node::net::{NetCommand, Path, RelayPhase};
use protocol::wire::envelope::EnvelopeResponse;

use crate::bench::{Node, TestRelay, deliver};

async fn reserved(name: &'static str, relay: &TestRelay, punch: bool) -> Node {
    let mut node = Node::start_with(name, punch).await;
    node.command(NetCommand::Homes(vec![relay.home.clone()]));
    node.register(&relay.home).await;
    node.phase(relay.home.relay, RelayPhase::Reserved).await;
    node
}

/// Ada and Ben, who know of each other nothing that works but the relay.
async fn apart(relay: &TestRelay, punch: bool) -> (Node, Node) {
    let (ada, ben) = (reserved("ada", relay, punch).await, reserved("ben", relay, punch).await);
    let dead = node::net::parse_address("/ip4/127.0.0.1/tcp/1").unwrap();
    ada.know_at(ben.account, vec![dead], vec![relay.home.clone()]);
    ben.know_at(ada.account, Vec::new(), Vec::new());
    (ada, ben)
}

#[tokio::test]
async fn a_contact_with_dead_addresses_is_reached_over_its_relay() {
    let relay = TestRelay::start().await;
    let (mut ada, mut ben) = apart(&relay, false).await;
    ada.command(NetCommand::Connect(ben.account));
    assert_eq!(ada.connected(ben.account).await, Path::Relayed);
    assert_eq!(ben.connected(ada.account).await, Path::Relayed);
    let ticket = ada.send(ben.account, deliver(b"over the relay"));
    let (from, _) = ben.answer_envelope(EnvelopeResponse::Refused).await;
    assert_eq!(from, ada.account);
    let answer = ada.envelope_done(ticket).await;
    assert_eq!(answer, Ok((Path::Relayed, EnvelopeResponse::Refused)));
}

#[tokio::test]
async fn a_relayed_connection_gives_way_to_a_punched_one() {
    let relay = TestRelay::start().await;
    let (mut ada, mut ben) = apart(&relay, true).await;
    ada.command(NetCommand::Connect(ben.account));
    // On one machine punching succeeds, perhaps before the relayed path was worth a word.
    while ada.connected(ben.account).await == Path::Relayed {}
    while ben.connected(ada.account).await == Path::Relayed {}
    let mut path = Path::Relayed;
    while path == Path::Relayed {
        let ticket = ada.send(ben.account, deliver(b"directly, once the circuit is closed"));
        ben.answer_envelope(EnvelopeResponse::Refused).await;
        path = ada.envelope_done(ticket).await.unwrap().0;
    }
    assert_eq!(path, Path::Lan);
}

#[tokio::test]
async fn a_contact_who_is_away_is_unreachable_over_the_relay_as_well() {
    let relay = TestRelay::start().await;
    let mut ada = reserved("ada", &relay, true).await;
    let ben = Node::start("ben").await;
    ada.know_at(ben.account, Vec::new(), vec![relay.home.clone()]);
    ada.command(NetCommand::Connect(ben.account));
    ada.unreachable(ben.account).await;
}

#[tokio::test]
async fn a_stranger_is_cut_off_on_a_circuit_too() {
    let relay = TestRelay::start().await;
    let mut eve = reserved("eve", &relay, true).await;
    let mut ben = reserved("ben", &relay, true).await;
    ben.unasked();
    eve.know_at(ben.account, Vec::new(), vec![relay.home.clone()]);
    let ticket = eve.send(ben.account, deliver(b"spam"));
    assert!(eve.envelope_done(ticket).await.is_err());
    assert!(ben.unasked().is_empty());
}
