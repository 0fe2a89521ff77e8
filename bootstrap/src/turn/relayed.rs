//! The socket of one allocation, as the library sees it: what may not pass is dropped here.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::UdpSocket;
use webrtc_util::Conn;

use super::calls::Lease;
use super::peers::Peers;

type Result<T> = std::result::Result<T, webrtc_util::Error>;

/// A socket that carries for an account, within what it may use, to whom it may reach.
pub(crate) struct Relayed {
    pub(crate) socket: UdpSocket,
    /// Where others reach it.
    pub(crate) at: SocketAddr,
    pub(crate) lease: Lease,
    pub(crate) peers: Arc<Peers>,
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
            if self.lease.carry(bytes) {
                return Ok((bytes, from));
            }
        }
    }

    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> Result<usize> {
        if !self.peers.may_reach(&to) {
            self.lease.refused_peer();
        } else if self.lease.carry(bytes.len()) {
            // A datagram that the system does not take is one that was lost.
            let _ = self.socket.send_to(bytes, to).await;
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
