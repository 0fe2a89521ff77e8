//! Whom an allocation may reach.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{PoisonError, RwLock};

use ipnet::IpNet;

use crate::config::Turn;

/// Networks that are somebody's own, nobody's or a way into another one: IANA's special-purpose registries of IPv4 and
/// IPv6 (RFC 6890), multicast (RFC 5771), and IPv6 that carries an IPv4 address (RFC 3056, RFC 4380, RFC 6052).
const SPECIAL: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/8",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/9",
    "ff00::/8",
];

/// Ports of services: datagrams to them, from this relay's address, are nobody's call.
const FIRST_PORT: u16 = 1_024;

/// The rule, and the allocations that stand.
#[derive(Debug)]
pub(crate) struct Peers {
    denied: Vec<IpNet>,
    /// Where others reach this server, and where it listens; their other ports are not reached from here.
    external: IpAddr,
    local: IpAddr,
    /// Where others reach each allocation.
    relayed: RwLock<HashSet<SocketAddr>>,
}

impl Peers {
    pub(crate) fn new(settings: &Turn) -> Self {
        let special = SPECIAL.iter().map(|net| net.parse().expect("a literal network"));
        let local = match settings.listen.ip() {
            // Where a socket on all addresses is reached from this machine.
            ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self {
            denied: special.chain(settings.denied_networks.iter().copied()).collect(),
            external: settings.external_ip(),
            local,
            relayed: RwLock::default(),
        }
    }

    /// Where a datagram to this address is to be sent; nowhere, if it is not to be reached. To another allocation of
    /// this server it goes without leaving the machine: a router in front may not let it back in.
    pub(crate) fn way_to(&self, peer: SocketAddr) -> Option<SocketAddr> {
        if self.is_relayed(&peer) {
            return Some(SocketAddr::new(self.local, peer.port()));
        }
        let ips = [peer.ip(), peer.ip().to_canonical()];
        let denied = |ip: &IpAddr| {
            *ip == self.external
                || *ip == self.local
                || self.denied.iter().any(|net| net.contains(ip))
        };
        (peer.port() >= FIRST_PORT && !ips.iter().any(denied)).then_some(peer)
    }

    /// Whom a datagram is from, as others know them.
    pub(crate) fn sender(&self, from: SocketAddr) -> SocketAddr {
        let known = SocketAddr::new(self.external, from.port());
        if from.ip() == self.local && self.is_relayed(&known) { known } else { from }
    }

    fn is_relayed(&self, peer: &SocketAddr) -> bool {
        self.relayed.read().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }

    /// An allocation stands at this address.
    pub(crate) fn opened(&self, at: SocketAddr) {
        self.relayed.write().unwrap_or_else(PoisonError::into_inner).insert(at);
    }

    /// It does no more.
    pub(crate) fn closed(&self, at: &SocketAddr) {
        self.relayed.write().unwrap_or_else(PoisonError::into_inner).remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server behind a router that has this address.
    fn peers() -> Peers {
        Peers::new(&Turn {
            listen: ([0, 0, 0, 0], 3478).into(),
            external_ip: Some([198, 200, 0, 1].into()),
            denied_networks: vec!["198.200.7.0/24".parse().expect("a network")],
            ..Turn::default()
        })
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn nobody_is_reached_who_is_not_on_the_public_internet() {
        let peers = peers();
        for to in
            ["1.1.1.1:8000", "93.184.216.34:5000", "[2606:4700::1111]:4430", "198.200.0.2:1024"]
        {
            assert_eq!(peers.way_to(address(to)), Some(address(to)));
        }
        for to in [
            "1.1.1.1:53",
            "127.0.0.1:8000",
            "10.1.2.3:8000",
            "172.16.0.1:8000",
            "172.31.255.255:8000",
            "192.168.1.1:8000",
            "169.254.169.254:8000",
            "100.64.0.1:8000",
            "0.0.0.0:8000",
            "224.0.0.1:8000",
            "255.255.255.255:8000",
            "198.200.0.1:8000",
            "198.200.7.9:8000",
            "[::1]:8000",
            "[::]:8000",
            "[::ffff:127.0.0.1]:8000",
            "[::ffff:10.0.0.1]:8000",
            "[::ffff:1.1.1.1]:8000",
            "[::ffff:198.200.0.1]:8000",
            "[::7f00:1]:8000",
            "[64:ff9b::7f00:1]:8000",
            "[2002:7f00:1::]:8000",
            "[2001:0:1::]:8000",
            "[fd00::1]:8000",
            "[fe80::1]:8000",
            "[fec0::1]:8000",
            "[ff02::1]:8000",
        ] {
            assert_eq!(peers.way_to(address(to)), None, "{to}");
        }
    }

    #[test]
    fn other_allocations_are_reached_on_this_machine_while_they_stand() {
        let peers = peers();
        let (known, here) = (address("198.200.0.1:50000"), address("127.0.0.1:50000"));
        assert_eq!((peers.way_to(known), peers.sender(here)), (None, here));
        peers.opened(known);
        assert_eq!((peers.way_to(known), peers.sender(here)), (Some(here), known));
        assert_eq!(peers.way_to(here), None, "under the address that others know only");
        let other = address("1.1.1.1:50000");
        assert_eq!(peers.sender(other), other);
        peers.closed(&known);
        assert_eq!((peers.way_to(known), peers.sender(here)), (None, here));
    }
}
