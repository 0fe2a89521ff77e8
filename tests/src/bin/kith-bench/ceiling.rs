//! The network's ceiling: bare libp2p request-response between two swarms on loopback, with the
//! transports and the codec that nodes use, and nothing stored on either side.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use bootstrap::codec::WireCodec;
use futures::StreamExt;
use libp2p::request_response::{self, Event, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::runtime::Handle;

use crate::Transport;

/// Bytes of a request: those of a short message's frame.
const REQUEST: usize = 512;
/// Bytes of an answer: about those of a signed receipt for one frame.
const ANSWER: usize = 96;

#[derive(Serialize, Deserialize)]
struct Payload(ByteBuf);

impl Wire for Payload {
    const LIMIT: usize = 4_096;
}

impl Payload {
    fn of(len: usize) -> Self {
        Self(ByteBuf::from(vec![7; len]))
    }
}

type Behaviour = request_response::Behaviour<WireCodec<Payload, Payload>>;

/// A client that is connected to a server on another runtime.
pub(crate) struct Ceiling {
    client: Swarm<Behaviour>,
    server: PeerId,
    serving: tokio::task::JoinHandle<()>,
}

impl Ceiling {
    /// Starts both; the server on `elsewhere`.
    pub(crate) async fn start(elsewhere: &Handle, transport: Transport) -> anyhow::Result<Self> {
        let (mut server, mut client) = (swarm()?, swarm()?);
        let peer = *server.local_peer_id();
        let listen = match transport {
            Transport::Tcp => "/ip4/127.0.0.1/tcp/0",
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        let address = elsewhere
            .spawn(async move {
                server.listen_on(listen.parse()?)?;
                let address = loop {
                    if let SwarmEvent::NewListenAddr { address, .. } =
                        server.select_next_some().await
                    {
                        break address;
                    }
                };
                anyhow::Ok((server, address))
            })
            .await??;
        let (server, address): (Swarm<Behaviour>, Multiaddr) = address;
        let serving = elsewhere.spawn(serve(server));
        client.dial(address)?;
        loop {
            match client.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => anyhow::bail!(error),
                _ => {}
            }
        }
        Ok(Self { client, server: peer, serving })
    }

    /// Times of `count` requests, one after the other.
    pub(crate) async fn serial(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        self.exchange(count, 1, |time| times.push(time)).await?;
        Ok(times)
    }

    /// Requests per second with `in_flight` under way.
    pub(crate) async fn flood(&mut self, count: usize, in_flight: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.exchange(count, in_flight, |_| ()).await?;
        Ok(count as f64 / began.elapsed().as_secs_f64())
    }

    async fn exchange(
        &mut self,
        count: usize,
        in_flight: usize,
        mut answered: impl FnMut(Duration),
    ) -> anyhow::Result<()> {
        let (mut sent, mut done, mut under_way) = (0, 0, HashMap::new());
        while done < count {
            while sent < count && under_way.len() < in_flight {
                let request = Payload::of(REQUEST);
                let began = Instant::now();
                let id = self.client.behaviour_mut().send_request(&self.server, request);
                under_way.insert(id, began);
                sent += 1;
            }
            match self.client.select_next_some().await {
                SwarmEvent::Behaviour(Event::Message {
                    message: Message::Response { request_id, .. },
                    ..
                }) => {
                    let began = under_way.remove(&request_id).context("an answer twice")?;
                    answered(began.elapsed());
                    done += 1;
                }
                SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => {
                    anyhow::bail!(error)
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut server: Swarm<Behaviour>) {
    loop {
        if let SwarmEvent::Behaviour(Event::Message {
            message: Message::Request { channel, .. },
            ..
        }) = server.select_next_some().await
        {
            // Fails when the client is gone: then nobody waits.
            let _ = server.behaviour_mut().send_response(channel, Payload::of(ANSWER));
        }
    }
}

fn swarm() -> anyhow::Result<Swarm<Behaviour>> {
    let protocol = (StreamProtocol::new("/kith/bench/1"), ProtocolSupport::Full);
    let config = request_response::Config::default().with_max_concurrent_streams(1_024);
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_behaviour(|_| request_response::Behaviour::new([protocol], config))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build())
}
