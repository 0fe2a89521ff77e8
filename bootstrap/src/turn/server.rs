//! The server's socket: what it gets is looked at, limited, and given to the library one by one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use stun::attributes::ATTR_MESSAGE_INTEGRITY;
use stun::message::{CLASS_INDICATION, CLASS_REQUEST, Message};
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use turn::Error;
use turn::allocation::allocation_manager::{Manager, ManagerConfig};
use turn::auth::{AuthHandler, generate_auth_key};
use turn::proto::chandata::ChannelData;
use turn::relay::RelayAddressGenerator;
use turn::server::request::Request;
use webrtc_util::Conn;

use super::calls::Calls;
use super::peers::Peers;
use super::relayed::Relayed;
use crate::config::Turn;
use crate::rates::{Limiter, MAX_KEYS, prefix};

/// The realm of the long-term credentials (RFC 8489 §9.2).
const REALM: &str = "kith";
/// Largest datagram that is looked at: an Ethernet frame's. The library reads no more.
const MAX_DATAGRAM: usize = 1_500;
/// Largest request: what a peer's address and credentials need, and not a hundred addresses at once.
const MAX_REQUEST: usize = 512;
/// How long a nonce can be used (RFC 8656 §5 recommends an hour at most).
const NONCE_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Most nonces. At the bound all are forgotten: their owners are given new ones with their next request.
const MAX_NONCES: usize = 100_000;
/// How often it is looked what is over.
const SWEEP: Duration = Duration::from_secs(2);
/// Sweeps between two searches of the limiters.
const SEARCH_SWEEPS: u32 = 30;
/// Tries to find a free port.
const PORT_TRIES: usize = 32;
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
    doorman: Arc<Doorman>,
    nonces: Arc<tokio::sync::Mutex<HashMap<String, Instant>>>,
    addresses: Limiter<std::net::IpAddr>,
    strangers: Limiter<()>,
    sweeps: u32,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("calls", &self.doorman.calls).finish_non_exhaustive()
    }
}

/// What a datagram is, as far as limits need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Data of an allocation: nothing happens without one.
    Data,
    /// A request, by somebody who claims to know a password or does not.
    Request { signed: bool },
    /// Nothing that a server answers.
    Nothing,
}

impl Server {
    pub(crate) fn new(settings: &Turn, socket: UdpSocket, calls: Arc<Calls>) -> Self {
        let doorman = Arc::new(Doorman { calls, current: Mutex::default() });
        let ports = Ports {
            settings: settings.clone(),
            peers: Arc::new(Peers::new(settings.external_ip())),
            doorman: Arc::clone(&doorman),
        };
        let manager = Manager::new(ManagerConfig {
            relay_addr_generator: Box::new(ports),
            alloc_close_notify: None,
        });
        Self {
            socket: Arc::new(socket),
            manager: Arc::new(manager),
            doorman,
            nonces: Arc::default(),
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
                () = shutdown.cancelled() => break,
                _ = sweep.tick() => self.sweep().await,
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((bytes, from)) => self.take(buffer.get(..bytes).unwrap_or_default(), from).await,
                    Err(error) => {
                        tracing::warn!(%error, "the socket for calls");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        let _ = self.manager.close().await;
    }

    async fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        let room = match kind(datagram) {
            Kind::Data => true,
            Kind::Request { signed } => {
                (signed || self.strangers.take(&(), NonZeroU32::MIN).is_ok())
                    && self.addresses.take(&prefix(from.ip(), 32), NonZeroU32::MIN).is_ok()
            }
            Kind::Nothing => false,
        };
        if !room {
            return;
        }
        let mut request = Request {
            conn: Arc::<UdpSocket>::clone(&self.socket),
            src_addr: from,
            buff: datagram.to_vec(),
            allocation_manager: Arc::clone(&self.manager),
            nonces: Arc::clone(&self.nonces),
            auth_handler: Arc::<Doorman>::clone(&self.doorman),
            realm: REALM.into(),
            channel_bind_timeout: turn::proto::lifetime::DEFAULT_LIFETIME,
        };
        // What was wrong is the sender's business, and was answered where there is an answer.
        let _ = request.handle_request().await;
    }

    async fn sweep(&mut self) {
        for username in self.doorman.calls.sweep() {
            self.manager.delete_allocations_by_username(&username).await;
        }
        let mut nonces = self.nonces.lock().await;
        nonces.retain(|_, since| since.elapsed() < NONCE_LIFETIME);
        if nonces.len() > MAX_NONCES {
            nonces.clear();
        }
        self.sweeps = self.sweeps.wrapping_add(1);
        if self.sweeps.is_multiple_of(SEARCH_SWEEPS) {
            self.addresses.sweep();
        }
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
        CLASS_REQUEST if datagram.len() <= MAX_REQUEST => {
            Kind::Request { signed: message.contains(ATTR_MESSAGE_INTEGRITY) }
        }
        _ => Kind::Nothing,
    }
}

/// Knows passwords, and whose request is being handled: the library says it to the one, and asks the other for a port.
/// Requests are handled one after the other.
struct Doorman {
    calls: Arc<Calls>,
    current: Mutex<String>,
}

impl AuthHandler for Doorman {
    fn auth_handle(&self, username: &str, realm: &str, _: SocketAddr) -> Result<Vec<u8>, Error> {
        let password = self.calls.password_of(username).ok_or(Error::ErrNoSuchUser)?;
        username.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(generate_auth_key(username, realm, &password))
    }
}

/// Gives allocations their ports.
struct Ports {
    settings: Turn,
    peers: Arc<Peers>,
    doorman: Arc<Doorman>,
}

impl Ports {
    /// The port that is asked for, or any that is free.
    async fn bind(&self, requested: u16) -> Option<UdpSocket> {
        let Turn { listen, first_port, last_port, .. } = &self.settings;
        let (first, last) = (*first_port, *last_port);
        for _ in 0..PORT_TRIES {
            let port = match requested {
                0 if first == 0 => 0,
                0 => rand::RngExt::random_range(&mut rand::rng(), first..=last),
                _ => requested,
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
        requested_port: u16,
    ) -> Result<(Arc<dyn Conn + Send + Sync>, SocketAddr), Error> {
        if use_ipv4 != self.settings.external_ip().is_ipv4() {
            return Err(Error::ErrInvalidRequestedFamilyValue);
        }
        let username = self.doorman.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lease = self
            .doorman
            .calls
            .allocate(&username)
            .map_err(|error| Error::Other(error.to_string()))?;
        let socket = self.bind(requested_port).await.ok_or(Error::ErrMaxRetriesExceeded)?;
        let at = SocketAddr::new(self.settings.external_ip(), socket.local_addr()?.port());
        self.peers.opened(at);
        let peers = Arc::clone(&self.peers);
        Ok((Arc::new(Relayed { socket, at, lease, peers }), at))
    }
}

#[cfg(test)]
mod tests;
