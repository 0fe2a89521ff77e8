//! A wire that remembers: a proxy that keeps every byte of both directions, over TCP or UDP.
//!
//! Whoever comes through it comes from [`SOURCE`], an address that nothing else has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};

use super::Transport;

/// Where the connections that a proxy passes on come from.
pub const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 83, 97, 41);
/// Longest datagram.
const MAX_DATAGRAM: usize = 64 * 1024;

type Recorded = Arc<Mutex<Vec<Vec<u8>>>>;

/// Passes loopback connections on and records them. Dropping it closes its listener.
#[derive(Debug)]
pub struct Proxy {
    recorded: Recorded,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on `port` and passes on to `to`.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(transport: Transport, port: u16, to: u16) -> anyhow::Result<Self> {
        let (at, recorded) = ((Ipv4Addr::LOCALHOST, port), Recorded::default());
        let task = match transport {
            Transport::Tcp => {
                let listener = TcpListener::bind(at).await?;
                tokio::spawn(accept(listener, to, Arc::clone(&recorded)))
            }
            Transport::Quic => {
                let socket = UdpSocket::bind(at).await?;
                tokio::spawn(relay_datagrams(Arc::new(socket), to, Arc::clone(&recorded)))
            }
        };
        Ok(Self { recorded, task })
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

/// Room for one more direction.
fn another(recorded: &Recorded) -> usize {
    let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
    recorded.push(Vec::new());
    recorded.len() - 1
}

fn record(recorded: &Recorded, place: usize, bytes: &[u8]) {
    recorded.lock().unwrap_or_else(PoisonError::into_inner)[place].extend_from_slice(bytes);
}

async fn accept(listener: TcpListener, to: u16, recorded: Recorded) {
    while let Ok((near, _)) = listener.accept().await {
        // Nobody there is what the dialler finds without a proxy, too.
        let Ok(far) = connect(to).await else { continue };
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        tokio::spawn(pass(near_read, far_write, Arc::clone(&recorded)));
        tokio::spawn(pass(far_read, near_write, Arc::clone(&recorded)));
    }
}

async fn connect(to: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((SOURCE, 0).into())?;
    socket.connect((Ipv4Addr::LOCALHOST, to).into()).await
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, recorded: Recorded) {
    let place = another(&recorded);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        record(&recorded, place, &buffer[..count]);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    // The end of one direction is passed on; the other may go on.
    let _ = to.shutdown().await;
}

/// A socket of its own for everybody who sends to `near`. They end with the proxy.
async fn relay_datagrams(near: Arc<UdpSocket>, to: u16, recorded: Recorded) {
    let mut ways: HashMap<SocketAddr, (Arc<UdpSocket>, usize)> = HashMap::new();
    let mut back = JoinSet::new();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // A port that nobody listens on comes back as an error of this socket.
        let Ok((count, from)) = near.recv_from(&mut buffer).await else { continue };
        let (far, there) = match ways.entry(from) {
            Entry::Occupied(way) => way.into_mut(),
            Entry::Vacant(place) => {
                let Ok(far) = UdpSocket::bind((SOURCE, 0)).await else { continue };
                if far.connect((Ipv4Addr::LOCALHOST, to)).await.is_err() {
                    continue;
                }
                let (far, there) = (Arc::new(far), another(&recorded));
                let back_to = (Arc::clone(&far), Arc::clone(&near), from, Arc::clone(&recorded));
                back.spawn(datagrams_back(back_to));
                place.insert((far, there))
            }
        };
        record(&recorded, *there, &buffer[..count]);
        // What cannot be sent is lost, as datagrams are.
        let _ = far.send(&buffer[..count]).await;
    }
}

/// What comes from `far` goes to whoever sits at the address.
async fn datagrams_back(
    (far, near, to, recorded): (Arc<UdpSocket>, Arc<UdpSocket>, SocketAddr, Recorded),
) {
    let place = another(&recorded);
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let Ok(count) = far.recv(&mut buffer).await else { continue };
        record(&recorded, place, &buffer[..count]);
        let _ = near.send_to(&buffer[..count], to).await;
    }
}
