//! What a relay learns from the connections that collect and deposit: a hostile one, which writes
//! down who asks it what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bootstrap::codec::WireCodec;
use crypto::identity::SigningKey;
use crypto::secret::Secret;
use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::{self, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use node::net::{NetCommand, NetFailure, parse_relay};
use protocol::contact::{Address, RelayHome};
use protocol::ids::RelayId;
use protocol::mailbox::proof;
use protocol::mailbox::wire::{MailboxRefusal, MailboxRequest, MailboxResponse, PROTOCOL, Proof};
use protocol::time::Timestamp;

use crate::bench::{Node, Queue};

/// Nothing is waited for longer than this.
const DEADLINE: Duration = Duration::from_secs(40);

type Behaviour = request_response::Behaviour<WireCodec<MailboxRequest, MailboxResponse>>;

/// A relay that answers just enough to be asked more.
struct Watcher {
    swarm: Swarm<Behaviour>,
    home: RelayHome,
    /// What it says for itself.
    word: Proof,
    /// Who connected, and what each asked for.
    seen: BTreeMap<PeerId, Vec<&'static str>>,
    /// Who is connected.
    connected: BTreeSet<PeerId>,
}

impl Watcher {
    async fn start() -> Self {
        let seed: Secret<32> = Secret::random(&mut rand::rng());
        let key = SigningKey::from_seed(&seed);
        let word = proof::process(&key, key.verifying_key().as_bytes());
        let keypair = Keypair::ed25519_from_bytes(*seed.expose()).unwrap();
        let protocol = (StreamProtocol::new(PROTOCOL), ProtocolSupport::Full);
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| Behaviour::new([protocol], request_response::Config::default()))
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(DEADLINE))
            .build();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let home = parse_relay(&format!("{address}/p2p/{}", swarm.local_peer_id())).unwrap();
        Self { swarm, home, word, seen: BTreeMap::new(), connected: BTreeSet::new() }
    }

    /// Poses as a process of another relay, as somebody would who gives their own address beside that relay's name.
    fn pose_as(&mut self, relay: RelayId) {
        let own = Protocol::P2p(*self.swarm.local_peer_id());
        let at: Multiaddr = self.swarm.listeners().next().unwrap().clone().with(own);
        self.home = RelayHome { relay, addresses: vec![Address(at.to_vec().into())] };
    }

    /// Answers until `done` says that enough was seen.
    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let watching = async {
            while !done(self) {
                let event = self.swarm.select_next_some().await;
                self.watch(event);
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, watching).await;
        assert!(in_time.is_ok(), "only this was seen: {:?}", self.seen);
    }

    fn watch(
        &mut self,
        event: SwarmEvent<request_response::Event<MailboxRequest, MailboxResponse>>,
    ) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                self.seen.entry(peer_id).or_default();
                self.connected.insert(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.connected.remove(&peer_id);
            }
            SwarmEvent::Behaviour(request_response::Event::Message {
                peer,
                message: Message::Request { request, channel, .. },
                ..
            }) => {
                let (what, answer) = answer(&request, &self.word);
                self.seen.entry(peer).or_default().push(what);
                let _ = self.swarm.behaviour_mut().send_response(channel, answer);
            }
            _ => {}
        }
    }

    fn has_seen(&self, what: &str) -> bool {
        self.seen.values().flatten().any(|seen| *seen == what)
    }
}

fn answer(request: &MailboxRequest, word: &Proof) -> (&'static str, MailboxResponse) {
    match request {
        MailboxRequest::Hello => {
            let hello = MailboxResponse::Hello {
                nonce: [7; 32],
                now: Timestamp(1_795_000_000_000),
                max_ttl_seconds: 3_600,
                process: *word,
            };
            ("hello", hello)
        }
        MailboxRequest::Attach { claims } => {
            ("collect", MailboxResponse::Attached { waiting: vec![Some(0); claims.len()] })
        }
        MailboxRequest::Deposit { .. } => {
            ("deposit", MailboxResponse::Refused(MailboxRefusal::NotAdmitted))
        }
        _ => ("other", MailboxResponse::Refused(MailboxRefusal::Malformed)),
    }
}

/// Collects and deposits at the watcher until it has seen both.
async fn use_it(node: &mut Node, watcher: &mut Watcher) {
    let relay = watcher.home.clone();
    let queues = vec![Queue::random().owned()];
    node.command(NetCommand::Subscribe { relay: relay.clone(), queues });
    let theirs = Queue::random();
    let both = |watcher: &Watcher| watcher.has_seen("collect") && watcher.has_seen("deposit");
    let (refused, ()) =
        tokio::join!(node.deposit(&relay, &theirs, &[b"frame"]), watcher.until(both));
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_relay_sees_neither_who_deposits_nor_who_collects_nor_that_they_are_one() {
    let mut watcher = Watcher::start().await;
    let mut runs = Vec::new();
    let seed: Secret<32> = Secret::random(&mut rand::rng());
    for _ in 0..2 {
        let mut ada = Node::start_as("ada", seed.duplicate(), true).await;
        use_it(&mut ada, &mut watcher).await;
        let account = ada.account;
        // Until all that it ever connected with is gone again.
        drop(ada);
        watcher.until(|watcher| watcher.connected.is_empty()).await;
        let seen = std::mem::take(&mut watcher.seen);
        let asked = |what: &str| -> Vec<PeerId> {
            let by = seen.iter().filter(|(_, asked)| asked.contains(&what));
            by.map(|(peer, _)| *peer).collect()
        };
        let (collects, deposits) = (asked("collect"), asked("deposit"));
        assert_eq!((collects.len(), deposits.len()), (1, 1), "{seen:?}");
        assert_ne!(collects, deposits, "one key does both");
        assert_eq!(seen.len(), 2, "nobody else connected: {seen:?}");
        let account = libp2p::identity::PublicKey::from(
            libp2p::identity::ed25519::PublicKey::try_from_bytes(&account.0).unwrap(),
        )
        .to_peer_id();
        assert!(!seen.contains_key(&account), "the account's key was shown");
        runs.extend(seen.into_keys());
    }
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 4, "the same account used a key again after a restart");
}

#[tokio::test]
async fn a_process_for_which_its_relay_does_not_vouch_is_given_nothing() {
    let mut watcher = Watcher::start().await;
    let relay = SigningKey::from_seed(&Secret::from_bytes([9; 32]));
    watcher.pose_as(RelayId(*relay.verifying_key().as_bytes()));
    let mut ada = Node::start("ada").await;
    let (home, theirs) = (watcher.home.clone(), Queue::random());
    let refused = tokio::select! {
        refused = ada.deposit(&home, &theirs, &[b"frame"]) => refused,
        () = watcher.until(|_| false) => unreachable!("it fails when its time is over"),
    };
    assert_eq!(refused, Err(NetFailure::Unreachable));
    assert!(watcher.has_seen("hello") && !watcher.has_seen("deposit"), "{:?}", watcher.seen);
    // The same one, with the relay's word, is.
    let own = peer_key(watcher.swarm.local_peer_id());
    watcher.word = proof::process(&relay, &own);
    let (_, ()) = tokio::join!(
        ada.deposit(&home, &theirs, &[b"frame"]),
        watcher.until(|watcher| watcher.has_seen("deposit"))
    );
}

fn peer_key(peer: &PeerId) -> [u8; 32] {
    bootstrap::peer::ed25519_of(peer).unwrap()
}
