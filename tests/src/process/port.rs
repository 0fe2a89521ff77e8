//! Ports that stay free while nobody listens on them.

use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt;

/// Below what systems hand out by themselves: a process that is down must find its port again,
/// and nobody's outgoing connection may have taken it.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

/// A port of the loopback address that nobody listens on.
///
/// # Errors
/// When none of many is free.
pub fn free_port() -> anyhow::Result<u16> {
    let mut rng = rand::rng();
    (0..100)
        .map(|_| rng.random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| anyhow::anyhow!("no port of {PORTS:?} is free"))
}
