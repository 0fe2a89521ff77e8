//! The socket of one allocation, as the library sees it: what may not pass is dropped here.

use std::any::Any;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::net::UdpSocket;
use webrtc_util::Conn;

use super::calls::{Lease, Way};
use super::door::Place;
use super::peers::Peers;

type Result<T> = std::result::Result<T, webrtc_util::Error>;

/// Most addresses that one allocation writes to: the candidates of a call are a few.
const MAX_PEERS: usize = 64;

/// A socket that carries for an account, within what it may use, to whom it may reach.
pub(crate) struct Relayed {
    pub(crate) socket: UdpSocket,
    /// Where others reach it.
    pub(crate) at: SocketAddr,
    pub(crate) lease: Lease,
    pub(crate) peers: Arc<Peers>,
    /// To whom its owner wrote. What comes from others costs the owner nothing, and is dropped.
    pub(crate) written_to: Mutex<HashSet<IpAddr>>,
    /// Ends its place at the door.
    pub(crate) _place: Place,
}

impl Relayed {
    fn written_to(&self) -> MutexGuard<'_, HashSet<IpAddr>> {
        self.written_to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to a peer that may be written to.
    fn way_to(&self, peer: SocketAddr) -> Option<SocketAddr> {
        let way = self.peers.way_to(peer)?;
        let mut written_to = self.written_to();
        let known = written_to.contains(&peer.ip())
            || (written_to.len() < MAX_PEERS && written_to.insert(peer.ip()));
        known.then_some(way)
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.peers.closed(&self.at);
    }
}

#[async_trait]
impl Conn for Relayed {
    async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        loop {
            let (bytes, from) = self.socket.recv_from(buffer).await?;
            let from = self.peers.sender(from);
            let awaited = self.written_to().contains(&from.ip());
            if awaited && self.lease.carry(Way::In, bytes) {
                return Ok((bytes, from));
            }
        }
    }

    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> Result<usize> {
        match self.way_to(to) {
            None => self.lease.refused_peer(),
            Some(way) => {
                if self.lease.carry(Way::Out, bytes.len()) {
                    // A datagram that the system does not take now is one that was lost: nobody waits for it.
                    let _ = self.socket.try_send_to(bytes, way);
                }
            }
        }
        Ok(bytes.len())
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn connect(&self, _: SocketAddr) -> Result<()> {
        Err(unconnected())
    }

    async fn recv(&self, _: &mut [u8]) -> Result<usize> {
        Err(unconnected())
    }

    async fn send(&self, _: &[u8]) -> Result<usize> {
        Err(unconnected())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

fn unconnected() -> webrtc_util::Error {
    std::io::Error::from(std::io::ErrorKind::Unsupported).into()
}
