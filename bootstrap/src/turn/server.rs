//! The server's socket: what it gets is looked at, limited, and given to the library one by one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stun::attributes::{
    ATTR_EVEN_PORT, ATTR_MESSAGE_INTEGRITY, ATTR_NONCE, ATTR_RESERVATION_TOKEN,
    ATTR_XOR_PEER_ADDRESS,
};
use stun::message::{CLASS_INDICATION, CLASS_REQUEST, METHOD_BINDING, Message};
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use turn::Error;
use turn::allocation::allocation_manager::{Manager, ManagerConfig};
use turn::proto::chandata::ChannelData;
use turn::relay::RelayAddressGenerator;
use turn::server::request::Request;
use webrtc_util::Conn;

use super::calls::{Calls, NoRoom};
use super::door::Door;
use super::peers::Peers;
use super::relayed::Relayed;
use crate::config::Turn;
use crate::rates::{Limiter, MAX_KEYS, prefix};

/// The realm of the long-term credentials (RFC 8489 §9.2).
const REALM: &str = "kith";
/// Largest datagram that is looked at: an Ethernet frame's. The library reads no more.
const MAX_DATAGRAM: usize = 1_500;
/// Largest request: what a peer's address and credentials need.
const MAX_REQUEST: usize = 512;
/// How long a nonce can be used (RFC 8656 §5 recommends an hour at most).
const NONCE_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Most nonces. Beyond it the older half is forgotten: their owners are given new ones with their next request.
const MAX_NONCES: usize = 100_000;
/// How often it is looked what is over.
const SWEEP: Duration = Duration::from_secs(2);
/// Sweeps between two searches of the limiters.
const SEARCH_SWEEPS: u32 = 30;
/// Tries to find a free port.
const PORT_TRIES: usize = 32;
/// Longest time for one request, or for closing what is over.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause after the socket failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Binds the server's socket; says where others reach it.
pub(crate) async fn bind(settings: &Turn) -> std::io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(settings.listen).await?;
    let at = SocketAddr::new(settings.external_ip(), socket.local_addr()?.port());
    Ok((socket, at))
}

/// STUN and TURN on one socket.
pub(crate) struct Server {
    socket: Arc<UdpSocket>,
    manager: Arc<Manager>,
    door: Arc<Door>,
    nonces: Arc<tokio::sync::Mutex<HashMap<String, Instant>>>,
    standing: Limiter<SocketAddr>,
    addresses: Limiter<IpAddr>,
    strangers: Limiter<()>,
    sweeps: u32,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("calls", &self.door.calls).finish_non_exhaustive()
    }
}

/// What a datagram is, as far as limits need it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Data of an allocation.
    Data,
    /// A request, with its nonce if it is signed.
    Request { nonce: Option<String> },
    /// Nothing that this server answers.
    Nothing,
}

impl Server {
    pub(crate) fn new(settings: &Turn, socket: UdpSocket, calls: Arc<Calls>) -> Self {
        let door = Arc::new(Door::new(calls));
        let ports = Ports {
            settings: settings.clone(),
            peers: Arc::new(Peers::new(settings)),
            door: Arc::clone(&door),
        };
        let manager = Manager::new(ManagerConfig {
            relay_addr_generator: Box::new(ports),
            alloc_close_notify: None,
        });
        Self {
            socket: Arc::new(socket),
            manager: Arc::new(manager),
            door,
            nonces: Arc::default(),
            standing: Limiter::of(settings.requests_per_allocation, MAX_KEYS),
            addresses: Limiter::of(settings.requests_per_address, MAX_KEYS),
            strangers: Limiter::of(settings.requests_of_strangers, 1),
            sweeps: 0,
        }
    }

    /// Answers until it is told to stop; allocations end with it.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut buffer = vec![0; MAX_DATAGRAM + 1];
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                // The end and what is over are not kept waiting by what comes in.
                biased;
                () = shutdown.cancelled() => break,
                _ = sweep.tick() => self.sweep().await,
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((bytes, from)) => {
                        self.take(buffer.get(..bytes).unwrap_or_default(), from).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the socket for calls");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        patiently(self.manager.close()).await;
    }

    async fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        if !self.has_room(kind(datagram), from).await {
            return;
        }
        let mut request = Request {
            conn: Arc::<UdpSocket>::clone(&self.socket),
            src_addr: from,
            buff: datagram.to_vec(),
            allocation_manager: Arc::clone(&self.manager),
            nonces: Arc::clone(&self.nonces),
            auth_handler: Arc::<Door>::clone(&self.door),
            realm: REALM.into(),
            channel_bind_timeout: turn::proto::lifetime::DEFAULT_LIFETIME,
        };
        // What was wrong is the sender's business, and was answered where there is an answer.
        patiently(request.handle_request()).await;
    }

    /// Whether a datagram is to be looked at.
    async fn has_room(&mut self, kind: Kind, from: SocketAddr) -> bool {
        let stands = self.door.stands(&from);
        match kind {
            Kind::Data => stands,
            Kind::Request { .. } if stands => self.standing.take(&from, NonZeroU32::MIN).is_ok(),
            // One address first: of what all strangers have it gets no more than it may.
            Kind::Request { nonce } => {
                self.addresses.take(&prefix(from.ip(), 32), NonZeroU32::MIN).is_ok()
                    && (self.gave(nonce).await || self.strangers.take(&(), NonZeroU32::MIN).is_ok())
            }
            Kind::Nothing => false,
        }
    }

    /// Whether a nonce is one of ours: who sends it has heard from us, at that address or another.
    async fn gave(&self, nonce: Option<String>) -> bool {
        match nonce {
            Some(nonce) => self.nonces.lock().await.contains_key(&nonce),
            None => false,
        }
    }

    async fn sweep(&mut self) {
        for username in self.door.calls.sweep() {
            patiently(self.manager.delete_allocations_by_username(&username)).await;
        }
        let mut nonces = self.nonces.lock().await;
        nonces.retain(|_, since| since.elapsed() < NONCE_LIFETIME);
        if nonces.len() > MAX_NONCES {
            let mut given: Vec<Instant> = nonces.values().copied().collect();
            let middle = given.len() / 2;
            let (_, middle, _) = given.select_nth_unstable(middle);
            let middle = *middle;
            nonces.retain(|_, since| *since > middle);
        }
        self.sweeps = self.sweeps.wrapping_add(1);
        if self.sweeps.is_multiple_of(SEARCH_SWEEPS) {
            self.addresses.sweep();
            self.standing.sweep();
        }
    }
}

/// Gives the library's work up that takes too long: it can wait for itself, when a permission is renewed in the moment in
/// which it ends.
async fn patiently(work: impl Future) {
    if tokio::time::timeout(PATIENCE, work).await.is_err() {
        tracing::warn!("a request about a call was given up");
    }
}

fn kind(datagram: &[u8]) -> Kind {
    if datagram.len() > MAX_DATAGRAM {
        return Kind::Nothing;
    }
    if ChannelData::is_channel_data(datagram) {
        return Kind::Data;
    }
    let mut message = Message { raw: datagram.to_vec(), ..Message::default() };
    if message.decode().is_err() {
        return Kind::Nothing;
    }
    match message.typ.class {
        CLASS_INDICATION => Kind::Data,
        CLASS_REQUEST if datagram.len() <= MAX_REQUEST && is_plain(&message) => {
            // A binding request is a stranger's, signed or not.
            let signed =
                message.typ.method != METHOD_BINDING && message.contains(ATTR_MESSAGE_INTEGRITY);
            let nonce = message.get(ATTR_NONCE).ok().filter(|_| signed);
            Kind::Request { nonce: nonce.and_then(|nonce| String::from_utf8(nonce).ok()) }
        }
        _ => Kind::Nothing,
    }
}

/// Whether a request has none of what no browser sends and the library does badly: even ports, which it looks for without
/// an end, and several peers at once, of which it takes the first each time.
fn is_plain(message: &Message) -> bool {
    let even = [ATTR_EVEN_PORT, ATTR_RESERVATION_TOKEN].iter().any(|name| message.contains(*name));
    let peers = message.attributes.0.iter().filter(|one| one.typ == ATTR_XOR_PEER_ADDRESS).count();
    !even && peers <= 1
}

/// Gives allocations their ports.
struct Ports {
    settings: Turn,
    peers: Arc<Peers>,
    door: Arc<Door>,
}

impl Ports {
    async fn allocate(&self) -> Result<Relayed, NoRoom> {
        let (username, place) = self.door.enter().ok_or(NoRoom::NoCall)?;
        let lease = self.door.calls.allocate(&username)?;
        let socket = self.bind().await.ok_or(NoRoom::Server)?;
        let port = socket.local_addr().map_err(|_| NoRoom::Server)?.port();
        let at = SocketAddr::new(self.settings.external_ip(), port);
        self.peers.opened(at);
        let (peers, written_to) = (Arc::clone(&self.peers), Mutex::default());
        Ok(Relayed { socket, at, lease, peers, written_to, _place: place })
    }

    /// Any port that is free.
    async fn bind(&self) -> Option<UdpSocket> {
        let Turn { listen, first_port, last_port, .. } = &self.settings;
        for _ in 0..PORT_TRIES {
            let port = match *first_port {
                0 => 0,
                first => rand::RngExt::random_range(&mut rand::rng(), first..=*last_port),
            };
            if let Ok(socket) = UdpSocket::bind((listen.ip(), port)).await {
                return Some(socket);
            }
        }
        None
    }
}

#[async_trait]
impl RelayAddressGenerator for Ports {
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn allocate_conn(
        &self,
        use_ipv4: bool,
        _: u16,
    ) -> Result<(Arc<dyn Conn + Send + Sync>, SocketAddr), Error> {
        if !use_ipv4 {
            return Err(Error::ErrInvalidRequestedFamilyValue);
        }
        let made = self.allocate().await;
        self.door.calls.count(&made);
        let relayed = made.map_err(|error| Error::Other(error.to_string()))?;
        let at = relayed.at;
        Ok((Arc::new(relayed), at))
    }
}

#[cfg(test)]
mod tests;
