//! A node as far as a relay sees one.

use std::collections::HashMap;
use std::time::Duration;

use bootstrap::codec::WireCodec;
use bootstrap::pin;
use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{
    self, Message, OutboundRequestId, ProtocolSupport, ResponseChannel,
};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise, relay, tcp, yamux,
};
use protocol::blob::wire::{self as blob, BlobRequest, BlobResponse};
use protocol::mailbox::wire::{self as mailbox, Item, MailboxRequest, MailboxResponse};
use protocol::registration::wire::{self as registration, RegisterRequest, RegisterResponse};
use protocol::turn::{self, TurnRequest, TurnResponse};
use tokio::sync::{mpsc, oneshot};

/// No event of a test takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for an event, but not for ever.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    registration: request_response::Behaviour<WireCodec<RegisterRequest, RegisterResponse>>,
    mailbox: request_response::Behaviour<WireCodec<MailboxRequest, MailboxResponse>>,
    blobs: request_response::Behaviour<WireCodec<BlobRequest, BlobResponse>>,
    turn: request_response::Behaviour<WireCodec<TurnRequest, TurnResponse>>,
    pin: pin::Behaviour,
}

enum Command {
    Connect(Multiaddr, oneshot::Sender<Result<PeerId, String>>),
    Register(PeerId, RegisterRequest, oneshot::Sender<Result<RegisterResponse, String>>),
    Mailbox(PeerId, MailboxRequest, oneshot::Sender<Result<MailboxResponse, String>>),
    Blob(PeerId, BlobRequest, oneshot::Sender<Result<BlobResponse, String>>),
    Turn(PeerId, oneshot::Sender<Result<TurnResponse, String>>),
    Acknowledge(ResponseChannel<MailboxResponse>, Vec<Item>),
    Reserve(Multiaddr, oneshot::Sender<Result<(), String>>),
    Closed(oneshot::Sender<()>),
}

/// A batch that a relay pushed, to be acknowledged.
pub(crate) struct Pushed {
    pub(crate) items: Vec<Item>,
    channel: ResponseChannel<MailboxResponse>,
}

pub(crate) struct Client {
    pub(crate) peer: PeerId,
    relay: PeerId,
    commands: mpsc::Sender<Command>,
    pushes: mpsc::Receiver<Pushed>,
}

impl Client {
    /// Connects with this key.
    pub(crate) async fn connect(keypair: Keypair, relay: &Multiaddr) -> Self {
        Self::try_connect(keypair, relay).await.unwrap()
    }

    /// The same with a relay that may not be there.
    pub(crate) async fn try_connect(keypair: Keypair, relay: &Multiaddr) -> Result<Self, String> {
        let (relay_peer, _) = bootstrap::peer::named_in(relay).expect("a relay's address");
        let peer = keypair.public().to_peer_id();
        let (commands, inbox) = mpsc::channel(16);
        let (pushed, pushes) = mpsc::channel(64);
        tokio::spawn(Task::new(swarm(keypair), pushed).run(inbox));
        let client = Self { peer, relay: relay_peer, commands, pushes };
        client.dial(relay).await?;
        Ok(client)
    }

    /// Connects with a key that nobody will see again.
    pub(crate) async fn throwaway(relay: &Multiaddr) -> Self {
        Self::connect(Keypair::generate_ed25519(), relay).await
    }

    pub(crate) async fn dial(&self, address: &Multiaddr) -> Result<PeerId, String> {
        let (done, result) = oneshot::channel();
        let circuit = address.iter().any(|part| part == Protocol::P2pCircuit);
        let address = if circuit { address.clone() } else { bootstrap::peer::dialable(address) };
        self.commands.send(Command::Connect(address, done)).await.unwrap();
        soon("a connection", result).await.unwrap()
    }

    pub(crate) async fn register(&self, request: RegisterRequest) -> RegisterResponse {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Register(self.relay, request, done)).await.unwrap();
        soon("a registration answer", result).await.unwrap().unwrap()
    }

    pub(crate) async fn mailbox(&self, request: MailboxRequest) -> MailboxResponse {
        self.try_mailbox(request).await.unwrap()
    }

    /// The same with a relay that may go away.
    pub(crate) async fn try_mailbox(
        &self,
        request: MailboxRequest,
    ) -> Result<MailboxResponse, String> {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Mailbox(self.relay, request, done)).await.unwrap();
        soon("a mailbox answer", result).await.unwrap()
    }

    pub(crate) async fn blob(&self, request: BlobRequest) -> BlobResponse {
        self.try_blob(request).await.unwrap()
    }

    /// The same with a relay that may go away.
    pub(crate) async fn try_blob(&self, request: BlobRequest) -> Result<BlobResponse, String> {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Blob(self.relay, request, done)).await.unwrap();
        soon("an answer about a file", result).await.unwrap()
    }

    /// Asks for what opens TURN for a call.
    pub(crate) async fn turn(&self) -> TurnResponse {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Turn(self.relay, done)).await.unwrap();
        soon("an answer about a call", result).await.unwrap().unwrap()
    }

    pub(crate) async fn pushed(&mut self) -> Pushed {
        soon("a push", self.pushes.recv()).await.unwrap()
    }

    /// The next push, if one comes before the connection ends.
    pub(crate) async fn push_or_end(&mut self) -> Option<Pushed> {
        let (done, closed) = oneshot::channel();
        self.commands.send(Command::Closed(done)).await.unwrap();
        tokio::select! {
            biased;
            pushed = self.pushes.recv() => pushed,
            _ = closed => None,
        }
    }

    /// Whether a push has come in that nobody looked at.
    pub(crate) fn has_push(&mut self) -> bool {
        self.pushes.try_recv().is_ok()
    }

    pub(crate) async fn acknowledge(&self, pushed: Pushed) {
        self.commands.send(Command::Acknowledge(pushed.channel, pushed.items)).await.unwrap();
    }

    /// Waits until no connection is left.
    pub(crate) async fn closed(&self) {
        let (done, closed) = oneshot::channel();
        self.commands.send(Command::Closed(done)).await.unwrap();
        soon("the end of the connection", closed).await.unwrap();
    }

    /// Asks for a reservation.
    pub(crate) async fn reserve(&self, relay: &Multiaddr) -> Result<(), String> {
        let (done, result) = oneshot::channel();
        let circuit = bootstrap::peer::dialable(relay).with(Protocol::P2pCircuit);
        self.commands.send(Command::Reserve(circuit, done)).await.unwrap();
        soon("a reservation", result).await.unwrap()
    }
}

fn swarm(keypair: Keypair) -> Swarm<Behaviour> {
    SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_quic()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Behaviour {
            relay,
            identify: identify::Behaviour::new(identify::Config::new(
                bootstrap::PROTOCOL_VERSION.into(),
                key.public(),
            )),
            registration: request_response::Behaviour::new(
                [(StreamProtocol::new(registration::PROTOCOL), ProtocolSupport::Outbound)],
                request_response::Config::default(),
            ),
            mailbox: request_response::Behaviour::new(
                [(StreamProtocol::new(mailbox::PROTOCOL), ProtocolSupport::Full)],
                request_response::Config::default(),
            ),
            blobs: request_response::Behaviour::new(
                [(StreamProtocol::new(blob::PROTOCOL), ProtocolSupport::Outbound)],
                request_response::Config::default(),
            ),
            turn: request_response::Behaviour::new(
                [(StreamProtocol::new(turn::PROTOCOL), ProtocolSupport::Outbound)],
                request_response::Config::default(),
            ),
            pin: pin::Behaviour::default(),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
        .build()
}

type Answers<T> = HashMap<OutboundRequestId, oneshot::Sender<Result<T, String>>>;

struct Task {
    swarm: Swarm<Behaviour>,
    pushed: mpsc::Sender<Pushed>,
    dialling: Vec<oneshot::Sender<Result<PeerId, String>>>,
    registering: Answers<RegisterResponse>,
    asking: Answers<MailboxResponse>,
    filing: Answers<BlobResponse>,
    calling: Answers<TurnResponse>,
    reserving: Option<(ListenerId, oneshot::Sender<Result<(), String>>)>,
    closing: Vec<oneshot::Sender<()>>,
}

impl Task {
    fn new(swarm: Swarm<Behaviour>, pushed: mpsc::Sender<Pushed>) -> Self {
        Self {
            swarm,
            pushed,
            dialling: Vec::new(),
            registering: HashMap::new(),
            asking: HashMap::new(),
            filing: HashMap::new(),
            calling: HashMap::new(),
            reserving: None,
            closing: Vec::new(),
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.event(event),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Connect(address, done) => match self.swarm.dial(address) {
                Ok(()) => self.dialling.push(done),
                Err(error) => drop(done.send(Err(error.to_string()))),
            },
            Command::Register(peer, request, done) => {
                let id = self.swarm.behaviour_mut().registration.send_request(&peer, request);
                self.registering.insert(id, done);
            }
            Command::Mailbox(peer, request, done) => {
                let id = self.swarm.behaviour_mut().mailbox.send_request(&peer, request);
                self.asking.insert(id, done);
            }
            Command::Blob(peer, request, done) => {
                let id = self.swarm.behaviour_mut().blobs.send_request(&peer, request);
                self.filing.insert(id, done);
            }
            Command::Turn(peer, done) => {
                let request = TurnRequest::Credentials;
                let id = self.swarm.behaviour_mut().turn.send_request(&peer, request);
                self.calling.insert(id, done);
            }
            Command::Acknowledge(channel, items) => {
                let items = items.iter().map(|item| (item.receive, item.seq)).collect();
                let answer = MailboxResponse::Acknowledged { items };
                let _ = self.swarm.behaviour_mut().mailbox.send_response(channel, answer);
            }
            Command::Closed(done) => match self.swarm.connected_peers().next() {
                Some(_) => self.closing.push(done),
                None => done.send(()).unwrap(),
            },
            Command::Reserve(circuit, done) => {
                self.reserving = Some((self.swarm.listen_on(circuit).unwrap(), done));
            }
        }
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } if endpoint.is_dialer() => {
                if let Some(done) = self.dialling.pop() {
                    let _ = done.send(Ok(peer_id));
                }
            }
            SwarmEvent::ConnectionClosed { num_established: 0, .. } => {
                for done in self.closing.drain(..) {
                    let _ = done.send(());
                }
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                if let Some(done) = self.dialling.pop() {
                    let _ = done.send(Err(error.to_string()));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Relay(
                relay::client::Event::ReservationReqAccepted { .. },
            )) => {
                if let Some((_, done)) = self.reserving.take() {
                    let _ = done.send(Ok(()));
                }
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some((_, done)) = self.reserving.take_if(|(id, _)| *id == listener_id) {
                    let _ = done.send(Err(format!("{reason:?}")));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Registration(event)) => {
                answer(&mut self.registering, event);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Blobs(event)) => {
                answer(&mut self.filing, event);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Turn(event)) => {
                answer(&mut self.calling, event);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Mailbox(event)) => {
                if let Some((MailboxRequest::Push { items }, channel)) =
                    answer(&mut self.asking, event)
                {
                    let _ = self.pushed.try_send(Pushed { items, channel });
                }
            }
            _ => {}
        }
    }
}

/// Passes an answer on; returns a request, if it is one.
fn answer<Req, Resp>(
    waiting: &mut Answers<Resp>,
    event: request_response::Event<Req, Resp>,
) -> Option<(Req, ResponseChannel<Resp>)> {
    use request_response::Event;
    match event {
        Event::Message { message: Message::Request { request, channel, .. }, .. } => {
            return Some((request, channel));
        }
        Event::Message { message: Message::Response { request_id, response }, .. } => {
            if let Some(done) = waiting.remove(&request_id) {
                let _ = done.send(Ok(response));
            }
        }
        Event::OutboundFailure { request_id, error, .. } => {
            if let Some(done) = waiting.remove(&request_id) {
                let _ = done.send(Err(error.to_string()));
            }
        }
        _ => {}
    }
    None
}
