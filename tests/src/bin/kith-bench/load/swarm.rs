//! A node as far as a relay sees one, as light as it can be: two real libp2p connections.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, bail};
use bootstrap::codec::WireCodec;
use bootstrap::{peer, pin};
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Event, Message, ProtocolSupport, ResponseChannel};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, ping, relay, tcp,
    yamux,
};
use protocol::mailbox::wire::{self as mailbox, Item, MailboxRequest, MailboxResponse};
use protocol::registration::wire::{self as registration, RegisterRequest, RegisterResponse};

/// No answer takes longer, however many are made at once.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often a node asks whether its relay is there.
pub(super) const PING: Duration = Duration::from_secs(30);

type Asking<Req, Resp> = request_response::Behaviour<WireCodec<Req, Resp>>;

/// Under the account's key.
#[derive(NetworkBehaviour)]
pub(super) struct Identity {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    registration: Asking<RegisterRequest, RegisterResponse>,
    mailbox: Asking<MailboxRequest, MailboxResponse>,
}

/// Under a throwaway key.
#[derive(NetworkBehaviour)]
pub(super) struct Throwaway {
    ping: ping::Behaviour,
    mailbox: Asking<MailboxRequest, MailboxResponse>,
    pin: pin::Behaviour,
}

/// A connection under an account's key, with or without a reservation.
pub(super) struct Known {
    swarm: Swarm<Identity>,
    relay: PeerId,
}

impl Known {
    /// Connects to a relay, whose address ends with who it is.
    pub(super) async fn connect(keypair: Keypair, address: &Multiaddr) -> anyhow::Result<Self> {
        let (relay, _) = peer::named_in(address).context("an address without its relay")?;
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(
                tcp::Config::default().nodelay(true),
                noise::Config::new,
                yamux::Config::default,
            )?
            .with_relay_client(noise::Config::new, yamux::Config::default)?
            .with_behaviour(|keypair, relay| Identity {
                relay,
                identify: identify::Behaviour::new(identify::Config::new(
                    "/kith/1".into(),
                    keypair.public(),
                )),
                ping: ping(),
                registration: asking(registration::PROTOCOL, ProtocolSupport::Outbound),
                mailbox: asking(mailbox::PROTOCOL, ProtocolSupport::Outbound),
            })?
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        dial(&mut swarm, address).await?;
        Ok(Self { swarm, relay })
    }

    /// Asks for a place for circuits, which keeps the connection open.
    pub(super) async fn reserve(&mut self, address: &Multiaddr) -> anyhow::Result<()> {
        let circuit = peer::dialable(address).with(libp2p::multiaddr::Protocol::P2pCircuit);
        self.swarm.listen_on(circuit)?;
        until(async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(IdentityEvent::Relay(
                        relay::client::Event::ReservationReqAccepted { .. },
                    )) => return Ok(()),
                    SwarmEvent::ListenerClosed { reason, .. } => {
                        bail!("no reservation: {reason:?}")
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    pub(super) async fn register(
        &mut self,
        request: RegisterRequest,
    ) -> anyhow::Result<RegisterResponse> {
        self.swarm.behaviour_mut().registration.send_request(&self.relay, request);
        until(async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(IdentityEvent::Registration(event)) => {
                        return answer(event);
                    }
                    SwarmEvent::ConnectionClosed { cause, .. } => bail!("disconnected: {cause:?}"),
                    _ => {}
                }
            }
        })
        .await
    }

    pub(super) async fn mailbox(
        &mut self,
        request: MailboxRequest,
    ) -> anyhow::Result<MailboxResponse> {
        self.swarm.behaviour_mut().mailbox.send_request(&self.relay, request);
        until(async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::Behaviour(IdentityEvent::Mailbox(event)) => return answer(event),
                    SwarmEvent::ConnectionClosed { cause, .. } => bail!("disconnected: {cause:?}"),
                    _ => {}
                }
            }
        })
        .await
    }

    /// Stays connected until the connection ends, which it must not.
    pub(super) async fn stay(&mut self) -> anyhow::Error {
        loop {
            if let SwarmEvent::ConnectionClosed { cause, .. } = self.swarm.select_next_some().await
            {
                return anyhow::anyhow!("a node lost its relay: {cause:?}");
            }
        }
    }
}

/// A batch that a relay pushed.
pub(super) struct Pushed {
    pub(super) items: Vec<Item>,
    channel: ResponseChannel<MailboxResponse>,
}

/// A connection under a throwaway key.
pub(super) struct Unknown {
    swarm: Swarm<Throwaway>,
    relay: PeerId,
    /// What was pushed while something else was awaited: no more than a relay sends without an answer.
    pushed: VecDeque<Pushed>,
}

/// What happened on it.
pub(super) enum Happened {
    Pushed(Pushed),
    Answered(MailboxResponse),
}

impl Unknown {
    pub(super) async fn connect(address: &Multiaddr) -> anyhow::Result<Self> {
        let (relay, _) = peer::named_in(address).context("an address without its relay")?;
        let mut swarm = SwarmBuilder::with_existing_identity(Keypair::generate_ed25519())
            .with_tokio()
            .with_tcp(
                tcp::Config::default().nodelay(true),
                noise::Config::new,
                yamux::Config::default,
            )?
            .with_behaviour(|_| Throwaway {
                ping: ping(),
                mailbox: asking(mailbox::PROTOCOL, ProtocolSupport::Full),
                pin: pin::Behaviour::default(),
            })?
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        dial(&mut swarm, address).await?;
        swarm.behaviour_mut().pin.pin(relay);
        Ok(Self { swarm, relay, pushed: VecDeque::new() })
    }

    /// Sends a request; [`Self::next`] has the answer.
    pub(super) fn send(&mut self, request: MailboxRequest) -> request_response::OutboundRequestId {
        self.swarm.behaviour_mut().mailbox.send_request(&self.relay, request)
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&mut self, request: MailboxRequest) -> anyhow::Result<MailboxResponse> {
        self.send(request);
        until(async {
            loop {
                match self.next().await? {
                    (_, Happened::Answered(answer)) => return Ok(answer),
                    (_, Happened::Pushed(pushed)) => self.pushed.push_back(pushed),
                }
            }
        })
        .await
    }

    /// The next push.
    pub(super) async fn push(&mut self) -> anyhow::Result<Pushed> {
        if let Some(pushed) = self.pushed.pop_front() {
            return Ok(pushed);
        }
        loop {
            if let (_, Happened::Pushed(pushed)) = self.next().await? {
                return Ok(pushed);
            }
        }
    }

    /// Says that a batch is durable here.
    pub(super) fn acknowledge(&mut self, pushed: Pushed) {
        let items = pushed.items.iter().map(|item| (item.receive, item.seq)).collect();
        // Fails when the relay is gone: then nobody waits.
        let answer = MailboxResponse::Acknowledged { items };
        let _ = self.swarm.behaviour_mut().mailbox.send_response(pushed.channel, answer);
    }

    /// What happens next, and to which request it belongs.
    pub(super) async fn next(
        &mut self,
    ) -> anyhow::Result<(Option<request_response::OutboundRequestId>, Happened)> {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::Behaviour(ThrowawayEvent::Mailbox(Event::Message {
                    message, ..
                })) => {
                    return Ok(match message {
                        Message::Request {
                            request: MailboxRequest::Push { items },
                            channel,
                            ..
                        } => (None, Happened::Pushed(Pushed { items, channel })),
                        Message::Request { .. } => {
                            bail!("a relay asked something else than a push")
                        }
                        Message::Response { request_id, response } => {
                            (Some(request_id), Happened::Answered(response))
                        }
                    });
                }
                SwarmEvent::Behaviour(ThrowawayEvent::Mailbox(Event::OutboundFailure {
                    error,
                    ..
                })) => bail!(error),
                SwarmEvent::ConnectionClosed { cause, .. } => bail!("disconnected: {cause:?}"),
                _ => {}
            }
        }
    }
}

fn asking<Req, Resp>(name: &'static str, support: ProtocolSupport) -> Asking<Req, Resp>
where
    Req: protocol::wire::Wire + Send + 'static,
    Resp: protocol::wire::Wire + Send + 'static,
{
    let config = request_response::Config::default().with_request_timeout(DEADLINE);
    request_response::Behaviour::new([(StreamProtocol::new(name), support)], config)
}

fn ping() -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(PING).with_timeout(DEADLINE))
}

async fn dial<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    address: &Multiaddr,
) -> anyhow::Result<()> {
    swarm.dial(peer::dialable(address))?;
    until(async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
                SwarmEvent::OutgoingConnectionError { error, .. } => bail!(error),
                _ => {}
            }
        }
    })
    .await
}

async fn until<T>(event: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(DEADLINE, event).await.context("no answer in time")?
}

fn answer<Req, Resp>(event: Event<Req, Resp>) -> anyhow::Result<Resp> {
    match event {
        Event::Message { message: Message::Response { response, .. }, .. } => Ok(response),
        Event::OutboundFailure { error, .. } => bail!(error),
        _ => bail!("something else than an answer"),
    }
}
