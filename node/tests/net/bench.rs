//! Nodes and relays for the tests: started on loopback, waited for by their events.

use std::collections::VecDeque;
use std::time::Duration;

use bootstrap::config::Config;
use bootstrap::{Relay, RelayHandle};
use crypto::identity::{Purpose, SigningKey};
use crypto::secret::Secret;
use node::net::{
    self, NetCommand, NetConfig, NetEvent, NetFailure, NetHandle, OwnedQueue, Path, RelayPhase,
    SealedDeposit, Ticket,
};
use protocol::contact::{Address, RelayHome};
use protocol::ids::{AccountId, QueueId, RelayId};
use protocol::mailbox::wire::{CustodyReceipt, DepositRefusal, Item, Proof, QueueKind, QueueSpec};
use protocol::registration::wire::{IdentifierKind, RegisterRequest, RegisterResponse};
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use protocol::wire::invite::{InviteRequest, InviteResponse};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// No event is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(40);

/// A node's network task, and the events that it reported and nobody asked for yet.
pub(crate) struct Node {
    name: &'static str,
    pub(crate) account: AccountId,
    pub(crate) handle: NetHandle,
    pub(crate) listening: Vec<Address>,
    pub(crate) shutdown: CancellationToken,
    key: SigningKey,
    events: mpsc::Receiver<NetEvent>,
    passed: VecDeque<NetEvent>,
    tickets: u64,
}

impl Node {
    /// Starts a node and waits until it knows where it listens.
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_with(name, true).await
    }

    /// As [`start`](Self::start); without hole punching, circuits stay circuits.
    pub(crate) async fn start_with(name: &'static str, hole_punching: bool) -> Self {
        Self::start_as(name, Secret::random(&mut rand::rng()), hole_punching).await
    }

    /// As [`start`](Self::start), as this account.
    pub(crate) async fn start_as(
        name: &'static str,
        seed: Secret<32>,
        hole_punching: bool,
    ) -> Self {
        let key = SigningKey::from_seed(&seed);
        let account = AccountId(*key.verifying_key().as_bytes());
        let (sender, events) = mpsc::channel(64);
        let shutdown = CancellationToken::new();
        let config = NetConfig { hole_punching, ..NetConfig::loopback(seed) };
        let handle = net::start(config, sender, shutdown.clone()).unwrap();
        let (listening, passed) = (Vec::new(), VecDeque::new());
        let mut node =
            Self { name, account, handle, listening, shutdown, key, events, passed, tickets: 0 };
        node.listening = node
            .wait("its addresses", |event| match event {
                NetEvent::Listening(addresses) if addresses.len() >= 2 => Ok(addresses),
                other => Err(other),
            })
            .await;
        node
    }

    /// Waits for an event; what does not fit stays for later.
    pub(crate) async fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(NetEvent) -> Result<T, NetEvent>,
    ) -> T {
        for _ in 0..self.passed.len() {
            let event = self.passed.pop_front().unwrap();
            match pick(event) {
                Ok(found) => return found,
                Err(event) => self.passed.push_back(event),
            }
        }
        loop {
            let Ok(event) = tokio::time::timeout(DEADLINE, self.events.recv()).await else {
                panic!("{} waits for {what}; it has seen {:?}", self.name, self.passed);
            };
            match pick(event.expect("the lanes are running")) {
                Ok(found) => return found,
                Err(event) => self.passed.push_back(event),
            }
        }
    }

    /// Everything reported so far that nobody asked for.
    pub(crate) fn unasked(&mut self) -> Vec<NetEvent> {
        while let Ok(event) = self.events.try_recv() {
            self.passed.push_back(event);
        }
        self.passed.drain(..).collect()
    }

    pub(crate) fn command(&self, command: NetCommand) {
        self.handle.send(command).expect("the lane takes commands");
    }

    pub(crate) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Learns where another node is.
    pub(crate) fn know(&self, other: &Node) {
        self.know_at(other.account, other.listening.clone(), Vec::new());
    }

    pub(crate) fn know_at(
        &self,
        account: AccountId,
        addresses: Vec<Address>,
        homes: Vec<RelayHome>,
    ) {
        self.command(NetCommand::Know { account, addresses, homes });
    }

    /// Waits until the other is connected, and says how.
    pub(crate) async fn connected(&mut self, to: AccountId) -> Path {
        self.wait("a connection", |event| match event {
            NetEvent::Connected { account, path } if account == to => Ok(path),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn disconnected(&mut self, from: AccountId) {
        self.wait("a disconnection", |event| match event {
            NetEvent::Disconnected(account) if account == from => Ok(()),
            other => Err(other),
        })
        .await;
    }

    pub(crate) async fn unreachable(&mut self, whom: AccountId) {
        self.wait("unreachability", |event| match event {
            NetEvent::Unreachable(account) if account == whom => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// Sends a request to a contact's node.
    pub(crate) fn send(&mut self, to: AccountId, request: EnvelopeRequest) -> Ticket {
        let ticket = self.ticket();
        self.command(NetCommand::Envelope { ticket, to, request });
        ticket
    }

    pub(crate) async fn envelope_done(
        &mut self,
        of: Ticket,
    ) -> Result<(Path, EnvelopeResponse), NetFailure> {
        self.wait("an envelope's answer", |event| match event {
            NetEvent::EnvelopeDone { ticket, result } if ticket == of => Ok(result),
            other => Err(other),
        })
        .await
    }

    /// Waits for a contact's request and answers it.
    pub(crate) async fn answer_envelope(
        &mut self,
        answer: EnvelopeResponse,
    ) -> (AccountId, EnvelopeRequest) {
        let (from, request, reply) = self
            .wait("an envelope", |event| match event {
                NetEvent::Envelope { from, request, reply, .. } => Ok((from, request, reply)),
                other => Err(other),
            })
            .await;
        reply.send(answer).unwrap();
        (from, request)
    }

    pub(crate) async fn invite(
        &mut self,
        to: AccountId,
        request: InviteRequest,
    ) -> Result<InviteResponse, NetFailure> {
        let of = self.ticket();
        self.command(NetCommand::Invite { ticket: of, to, request });
        self.wait("an invite's answer", |event| match event {
            NetEvent::InviteDone { ticket, result } if ticket == of => Ok(result),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn phase(&mut self, of: RelayId, wanted: RelayPhase) {
        self.wait("a phase of its home", |event| match event {
            NetEvent::Relay { relay, phase, .. } if relay == of && phase == wanted => Ok(()),
            other => Err(other),
        })
        .await;
    }

    pub(crate) async fn register_request(
        &mut self,
        relay: &RelayHome,
        request: RegisterRequest,
    ) -> Result<RegisterResponse, NetFailure> {
        let of = self.ticket();
        self.command(NetCommand::Register { ticket: of, relay: relay.clone(), request });
        self.wait("a registrar's answer", |event| match event {
            NetEvent::RegisterDone { ticket, result } if ticket == of => Ok(result),
            other => Err(other),
        })
        .await
    }

    /// Registers by a code; answers the credential.
    pub(crate) async fn register(&mut self, relay: &RelayHome) -> String {
        let identifier = format!("{}-{}@example.org", self.name, self.account.short());
        let request = RegisterRequest::Challenge { kind: IdentifierKind::Email, identifier };
        let Ok(RegisterResponse::Challenged(challenged)) =
            self.register_request(relay, request).await
        else {
            panic!("{} is sent no code", self.name);
        };
        let fields: [&[u8]; 2] = [&challenged.nonce, &relay.relay.0];
        let request = RegisterRequest::Verify {
            challenge: challenged.challenge,
            code: challenged.development_code.expect("a development relay shows its codes"),
            proof: Proof::new(*self.key.sign(Purpose::Register, &fields).as_bytes()),
        };
        match self.register_request(relay, request).await {
            Ok(RegisterResponse::Admitted { credential, .. }) => credential,
            other => panic!("{} is not admitted but {other:?}", self.name),
        }
    }

    pub(crate) async fn open(
        &mut self,
        relay: &RelayHome,
        credential: &str,
        queue: QueueSpec,
    ) -> Result<(), NetFailure> {
        let of = self.ticket();
        self.command(NetCommand::OpenQueue {
            ticket: of,
            relay: relay.clone(),
            credential: credential.to_owned().into(),
            queue,
        });
        self.wait("a queue", |event| match event {
            NetEvent::QueueDone { ticket, result } if ticket == of => Ok(result),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn subscribed(&mut self, to: RelayId) -> Vec<QueueId> {
        self.wait("a subscription", |event| match event {
            NetEvent::Subscribed { relay, missing } if relay == to => Ok(missing),
            other => Err(other),
        })
        .await
    }

    pub(crate) async fn deposit(
        &mut self,
        relay: &RelayHome,
        queue: &Queue,
        bodies: &[&[u8]],
    ) -> Result<Vec<Result<CustodyReceipt, DepositRefusal>>, NetFailure> {
        let of = self.ticket();
        let deposits = bodies.iter().map(|body| queue.sealed(body)).collect();
        self.command(NetCommand::Deposit { ticket: of, relay: relay.clone(), deposits });
        self.wait("custody", |event| match event {
            NetEvent::DepositDone { ticket, result } if ticket == of => Ok(result),
            other => Err(other),
        })
        .await
    }

    /// Waits for pushed items and acknowledges them.
    pub(crate) async fn collect(&mut self) -> Vec<Item> {
        let (items, reply) = self
            .wait("items", |event| match event {
                NetEvent::Items { items, reply, .. } => Ok((items, reply)),
                other => Err(other),
            })
            .await;
        reply.send(items.iter().map(|item| (item.receive, item.seq)).collect()).unwrap();
        items
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A queue and both its keys.
pub(crate) struct Queue {
    pub(crate) receive: QueueId,
    pub(crate) send: QueueId,
    owner: Secret<32>,
    deposit: Secret<32>,
}

impl Queue {
    pub(crate) fn random() -> Self {
        let mut rng = rand::rng();
        Self {
            receive: QueueId::random(&mut rng),
            send: QueueId::random(&mut rng),
            owner: Secret::random(&mut rng),
            deposit: Secret::random(&mut rng),
        }
    }

    /// Keys of one's own to somebody else's queue.
    pub(crate) fn forged(send: QueueId) -> Self {
        Self { send, ..Self::random() }
    }

    pub(crate) fn spec(&self, kind: QueueKind) -> QueueSpec {
        let public = |seed| *SigningKey::from_seed(seed).verifying_key().as_bytes();
        QueueSpec {
            receive: self.receive,
            send: self.send,
            owner_key: public(&self.owner),
            deposit_key: public(&self.deposit),
            kind,
        }
    }

    pub(crate) fn owned(&self) -> OwnedQueue {
        OwnedQueue { receive: self.receive, key: self.owner.duplicate() }
    }

    pub(crate) fn deposit_key(&self) -> Secret<32> {
        self.deposit.duplicate()
    }

    fn sealed(&self, body: &[u8]) -> SealedDeposit {
        SealedDeposit {
            send: self.send,
            key: self.deposit.duplicate(),
            ttl_seconds: 3_600,
            reserved: false,
            body: body.to_vec(),
        }
    }
}

/// A development relay that can be restarted where it was.
pub(crate) struct TestRelay {
    pub(crate) home: RelayHome,
    handle: RelayHandle,
    config: Config,
    _data: tempfile::TempDir,
}

impl TestRelay {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::development(data.path());
        let handle = Relay::start(config.clone()).await.unwrap();
        let homes: Vec<RelayHome> = handle
            .addresses
            .iter()
            .map(|address| net::parse_relay(&address.to_string()).unwrap())
            .collect();
        let addresses = homes.iter().flat_map(|home| home.addresses.clone()).collect();
        let home = RelayHome { relay: homes[0].relay, addresses };
        // The same ports after a restart.
        config.network.listen = home
            .addresses
            .iter()
            .map(|address| net::text_of(address).unwrap().parse().unwrap())
            .collect();
        Self { home, handle, config, _data: data }
    }

    /// Stops the relay, and starts it again on the same ports with the same store.
    pub(crate) async fn restart(self) -> Self {
        let Self { home, handle, config, _data } = self;
        handle.shutdown().await.unwrap();
        // QUIC gives its socket back a moment after its swarm is gone, and nothing says when.
        let handle = tokio::time::timeout(DEADLINE, async {
            loop {
                match Relay::start(config.clone()).await {
                    Ok(handle) => break handle,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        })
        .await
        .expect("the ports become free");
        Self { home, handle, config, _data }
    }
}

/// A request with one frame.
pub(crate) fn deliver(frame: &[u8]) -> EnvelopeRequest {
    EnvelopeRequest::Deliver { frames: vec![frame.to_vec().into()] }
}

/// Presence or typing.
pub(crate) fn ephemeral() -> EnvelopeRequest {
    EnvelopeRequest::Ephemeral { sealed: vec![7; 64].into() }
}
