//! A peer that is let in and then misbehaves.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, Codec, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use node::net::{NetCommand, text_of};
use protocol::wire::Wire;
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse, MAX_EPHEMERAL, PROTOCOL};

use crate::bench::{Node, deliver};

/// Writes whatever it is given, and reads whatever comes.
#[derive(Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
    ) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.take(1 << 16).read_to_end(&mut bytes).await?;
        if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await?;
        io.flush().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        _: &mut T,
        _: Vec<u8>,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// It identifies itself, or it would be cut off for that.
#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    raw: request_response::Behaviour<Raw>,
}

type Client = Swarm<Behaviour>;

fn client() -> Client {
    let protocol = (StreamProtocol::new(PROTOCOL), ProtocolSupport::Outbound);
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new(
                "/kith/1".into(),
                key.public(),
            )),
            raw: request_response::Behaviour::new([protocol], request_response::Config::default()),
        })
        .unwrap()
        .build()
}

/// Sends raw bytes; answers raw bytes, or nothing when the stream was reset.
async fn send(client: &mut Client, to: &Node, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let peer = libp2p::identity::PublicKey::from(
        libp2p::identity::ed25519::PublicKey::try_from_bytes(&to.account.0).unwrap(),
    )
    .to_peer_id();
    let address: Multiaddr = to
        .listening
        .iter()
        .filter_map(text_of)
        .find(|text| text.contains("/tcp/"))
        .unwrap()
        .parse()
        .unwrap();
    client.behaviour_mut().raw.send_request_with_addresses(&peer, bytes, vec![address]);
    loop {
        match client.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Raw(request_response::Event::Message {
                message: request_response::Message::Response { response, .. },
                ..
            })) => return Some(response),
            SwarmEvent::Behaviour(BehaviourEvent::Raw(
                request_response::Event::OutboundFailure { error, .. },
            )) => {
                // A lost connection would prove nothing about the stream.
                assert!(matches!(error, request_response::OutboundFailure::Io(_)), "{error}");
                return None;
            }
            _ => {}
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

#[tokio::test]
async fn garbage_oversized_claims_and_broken_bounds_never_reach_the_engine() {
    let mut ben = Node::start("ben").await;
    let mut mallory = client();
    let key = mallory.local_peer_id().to_bytes();
    let account = protocol::ids::AccountId::from_slice(&key[key.len() - 32..]).unwrap();
    ben.know_at(account, Vec::new(), Vec::new());
    for garbage in [
        framed(&[0xff; 64]),
        framed(&[]),
        // A version that does not exist, and a value followed by more.
        framed(&[9, 0, 0]),
        framed(&[1, 1, 1, 7, 0]),
        // A claim over the limit, without the bytes.
        (u32::try_from(EnvelopeRequest::LIMIT).unwrap() + 1).to_be_bytes().to_vec(),
    ] {
        assert_eq!(send(&mut mallory, &ben, garbage).await, None, "the stream is reset");
    }
    let long = EnvelopeRequest::Ephemeral { sealed: vec![0; MAX_EPHEMERAL + 1].into() };
    for broken in [long, EnvelopeRequest::Deliver { frames: Vec::new() }] {
        let answer =
            send(&mut mallory, &ben, framed(&protocol::wire::encode(&broken).unwrap())).await;
        let answer = answer.expect("a decodable request is answered");
        assert_eq!(
            protocol::wire::decode::<EnvelopeResponse>(&answer[4..]),
            Ok(EnvelopeResponse::Refused)
        );
    }
    let reported: Vec<_> = ben.unasked();
    assert!(
        !reported.iter().any(|event| matches!(event, node::net::NetEvent::Envelope { .. })),
        "{reported:?}"
    );
    // The node is as well as before.
    let mut ada = Node::start("ada").await;
    ada.know(&ben);
    ben.know(&ada);
    ada.command(NetCommand::Connect(ben.account));
    ada.connected(ben.account).await;
    let ticket = ada.send(ben.account, deliver(b"still there?"));
    ben.answer_envelope(EnvelopeResponse::Refused).await;
    assert!(ada.envelope_done(ticket).await.is_ok());
}
