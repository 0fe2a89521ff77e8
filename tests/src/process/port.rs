//! Ports that stay free while nobody listens on them.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use rand::RngExt;

/// Below what systems hand out by themselves: a process that is down must find its port again,
/// and nobody's outgoing connection may have taken it.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A port of the loopback address that nobody listens on, neither over TCP nor over UDP.
///
/// # Errors
/// When none of many is free.
pub fn free_port() -> anyhow::Result<u16> {
    let mut rng = rand::rng();
    (0..100)
        .map(|_| rng.random_range(PORTS))
        .find(|port| {
            let at = (Ipv4Addr::LOCALHOST, *port);
            TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
        })
        .ok_or_else(|| anyhow::anyhow!("no port of {PORTS:?} is free"))
}
