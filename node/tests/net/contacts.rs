//! People: who is let in, what is carried, what is refused.

use node::net::{NetCommand, NetEnd, NetEvent, NetFailure, Path};
use protocol::contact::Address;
use protocol::ids::InviteId;
use protocol::receipt::DeliveryReceipt;
use protocol::time::Timestamp;
use protocol::wire::envelope::EnvelopeResponse;
use protocol::wire::invite::{InviteRequest, InviteResponse};

use crate::bench::{Node, deliver, ephemeral};

/// A receipt; its signature is the engine's business.
fn durable() -> EnvelopeResponse {
    let receipt =
        DeliveryReceipt { envelopes: Vec::new(), at: Timestamp(1), proof: [0; 64].into() };
    EnvelopeResponse::Durable { receipt }
}

async fn contacts() -> (Node, Node) {
    let (ada, ben) = (Node::start("ada").await, Node::start("ben").await);
    ada.know(&ben);
    ben.know(&ada);
    (ada, ben)
}

/// Where nobody listens.
fn nowhere() -> Address {
    node::net::parse_address("/ip4/127.0.0.1/tcp/1").unwrap()
}

#[tokio::test]
async fn contacts_connect_and_an_envelope_makes_the_round_trip() {
    let (mut ada, mut ben) = contacts().await;
    ada.command(NetCommand::Connect(ben.account));
    assert_eq!(ada.connected(ben.account).await, Path::Lan);
    assert_eq!(ben.connected(ada.account).await, Path::Lan);
    let ticket = ada.send(ben.account, deliver(b"sealed"));
    let (from, request) = ben.answer_envelope(durable()).await;
    assert_eq!((from, request), (ada.account, deliver(b"sealed")));
    assert_eq!(ada.envelope_done(ticket).await, Ok((Path::Lan, durable())));
}

#[tokio::test]
async fn an_envelope_dials_by_itself_and_an_ephemeral_does_not() {
    let (mut ada, mut ben) = contacts().await;
    let lost = ada.send(ben.account, ephemeral());
    assert_eq!(ada.envelope_done(lost).await, Err(NetFailure::Unreachable));
    let ticket = ada.send(ben.account, deliver(b"1"));
    ben.answer_envelope(durable()).await;
    assert!(ada.envelope_done(ticket).await.is_ok());
    let taken = ada.send(ben.account, ephemeral());
    let (_, request) = ben.answer_envelope(EnvelopeResponse::Taken).await;
    assert_eq!(request, ephemeral(), "the one that was lost was never sent");
    assert_eq!(ada.envelope_done(taken).await, Ok((Path::Lan, EnvelopeResponse::Taken)));
}

#[tokio::test]
async fn a_stranger_is_cut_off_while_there_is_no_invite() {
    let (mut eve, mut ben) = (Node::start("eve").await, Node::start("ben").await);
    eve.know(&ben);
    let ticket = eve.send(ben.account, deliver(b"spam"));
    assert!(eve.envelope_done(ticket).await.is_err());
    assert!(
        eve.invite(ben.account, InviteRequest::Bundle { invite: InviteId([1; 16]) }).await.is_err()
    );
    assert!(ben.unasked().is_empty(), "the engine never hears of it");
}

#[tokio::test]
async fn a_stranger_with_an_invite_may_redeem_it_and_nothing_else() {
    let (mut eve, mut ben) = (Node::start("eve").await, Node::start("ben").await);
    eve.know(&ben);
    ben.command(NetCommand::AdmitStrangers(true));
    let spam = eve.send(ben.account, deliver(b"spam"));
    assert_eq!(eve.envelope_done(spam).await, Ok((Path::Lan, EnvelopeResponse::Refused)));
    let invite = InviteRequest::Bundle { invite: InviteId([1; 16]) };
    let (asker, asked) = (eve.account, ben.account);
    let answering = async {
        let (from, reply) = ben
            .wait("an invite", |event| match event {
                NetEvent::Invite { from, reply, .. } => Ok((from, reply)),
                other => Err(other),
            })
            .await;
        reply.send(InviteResponse::Bundle { sealed: vec![1; 100].into() }).unwrap();
        from
    };
    let (answer, from) = tokio::join!(eve.invite(asked, invite), answering);
    assert_eq!(from, asker);
    assert_eq!(answer, Ok(InviteResponse::Bundle { sealed: vec![1; 100].into() }));
    eve.connected(ben.account).await;
    ben.command(NetCommand::AdmitStrangers(false));
    eve.disconnected(ben.account).await;
    let connected =
        ben.unasked().into_iter().any(|event| matches!(event, NetEvent::Connected { .. }));
    assert!(!connected, "a stranger is no contact");
}

#[tokio::test]
async fn a_stranger_who_becomes_a_contact_is_announced_without_a_new_connection() {
    let (mut eve, mut ben) = (Node::start("eve").await, Node::start("ben").await);
    eve.know(&ben);
    ben.command(NetCommand::AdmitStrangers(true));
    eve.command(NetCommand::Connect(ben.account));
    eve.connected(ben.account).await;
    ben.know(&eve);
    ben.connected(eve.account).await;
    ben.command(NetCommand::AdmitStrangers(false));
    let ticket = eve.send(ben.account, deliver(b"now a contact"));
    ben.answer_envelope(durable()).await;
    assert!(eve.envelope_done(ticket).await.is_ok());
}

#[tokio::test]
async fn a_forgotten_contact_is_disconnected_and_kept_out() {
    let (mut ada, mut ben) = contacts().await;
    ada.command(NetCommand::Connect(ben.account));
    ada.connected(ben.account).await;
    ben.connected(ada.account).await;
    ben.command(NetCommand::Forget(ada.account));
    ben.disconnected(ada.account).await;
    ada.disconnected(ben.account).await;
    let ticket = ada.send(ben.account, deliver(b"let me in"));
    assert!(ada.envelope_done(ticket).await.is_err());
    ben.command(NetCommand::Connect(ada.account));
    ben.unreachable(ada.account).await;
}

#[tokio::test]
async fn a_contact_without_a_living_address_is_unreachable_and_every_request_says_so() {
    let (mut ada, ben) = (Node::start("ada").await, Node::start("ben").await);
    ada.know_at(ben.account, vec![nowhere()], Vec::new());
    let tickets: Vec<_> = (0..33u8).map(|n| ada.send(ben.account, deliver(&[n]))).collect();
    let (last, waiting) = tickets.split_last().unwrap();
    assert_eq!(ada.envelope_done(*last).await, Err(NetFailure::Busy), "32 may wait");
    for ticket in waiting {
        assert_eq!(ada.envelope_done(*ticket).await, Err(NetFailure::Unreachable));
    }
    ada.command(NetCommand::Connect(ben.account));
    ada.unreachable(ben.account).await;
}

#[tokio::test]
async fn a_dropped_reply_refuses_and_too_many_open_requests_are_answered_busy() {
    let (mut ada, mut ben) = contacts().await;
    ada.command(NetCommand::Connect(ben.account));
    ada.connected(ben.account).await;
    let tickets: Vec<_> = (0..9u8).map(|n| ada.send(ben.account, deliver(&[n]))).collect();
    let mut replies = Vec::new();
    for _ in 0..8 {
        let reply = ben
            .wait("an envelope", |event| match event {
                NetEvent::Envelope { reply, .. } => Ok(reply),
                other => Err(other),
            })
            .await;
        replies.push(reply);
    }
    let busy = ada
        .wait("the ninth answer", |event| match event {
            NetEvent::EnvelopeDone { ticket, result: Ok((_, EnvelopeResponse::Busy { .. })) } => {
                Ok(ticket)
            }
            other => Err(other),
        })
        .await;
    drop(replies);
    for ticket in tickets.into_iter().filter(|ticket| *ticket != busy) {
        assert_eq!(ada.envelope_done(ticket).await, Ok((Path::Lan, EnvelopeResponse::Refused)));
    }
}

#[tokio::test]
async fn two_who_dial_each_other_at_once_end_up_connected() {
    let (mut ada, mut ben) = contacts().await;
    ada.command(NetCommand::Connect(ben.account));
    ben.command(NetCommand::Connect(ada.account));
    ada.connected(ben.account).await;
    ben.connected(ada.account).await;
    for n in 0..10u8 {
        let ticket = ada.send(ben.account, deliver(&[n]));
        ben.answer_envelope(durable()).await;
        assert!(ada.envelope_done(ticket).await.is_ok());
    }
}

#[tokio::test]
async fn a_node_that_stops_says_so_and_its_contacts_notice() {
    let (mut ada, ben) = contacts().await;
    ada.command(NetCommand::Connect(ben.account));
    ada.connected(ben.account).await;
    ben.shutdown.cancel();
    assert_eq!(ben.handle.closed().await, NetEnd::Stopped);
    assert_eq!(ben.handle.send(NetCommand::AdmitStrangers(false)), Err(NetFailure::Stopped));
    ada.disconnected(ben.account).await;
}
