//! A wire that remembers: a TCP proxy that keeps every byte of both directions.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Recorded = Arc<Mutex<Vec<Vec<u8>>>>;

/// Passes loopback connections on and records them. Dropping it closes its listener.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    recorded: Recorded,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on `port` and passes on to `to`.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(port: u16, to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = listener.local_addr()?.port();
        let recorded = Recorded::default();
        let task = tokio::spawn(accept(listener, to, Arc::clone(&recorded)));
        Ok(Self { port, recorded, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What went over it: one entry per connection and direction.
    #[must_use]
    pub fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, to: u16, recorded: Recorded) {
    while let Ok((near, _)) = listener.accept().await {
        // Nobody there is what the dialler finds without a proxy, too.
        let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { continue };
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        tokio::spawn(pass(near_read, far_write, Arc::clone(&recorded)));
        tokio::spawn(pass(far_read, near_write, Arc::clone(&recorded)));
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, recorded: Recorded) {
    let place = {
        let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.push(Vec::new());
        recorded.len() - 1
    };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        recorded.lock().unwrap_or_else(PoisonError::into_inner)[place]
            .extend_from_slice(&buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The end of one direction is passed on; the other may go on.
    let _ = to.shutdown().await;
}
