//! Whom an allocation may reach.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock};

use ipnet::IpNet;

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

/// The rule, and the allocations that stand.
#[derive(Debug)]
pub(crate) struct Peers {
    special: Vec<IpNet>,
    /// Where others reach this server; its other ports are not reached from here.
    own: IpAddr,
    relayed: RwLock<HashSet<SocketAddr>>,
}

impl Peers {
    pub(crate) fn new(own: IpAddr) -> Self {
        let special = SPECIAL.iter().map(|net| net.parse().expect("a literal network")).collect();
        Self { special, own, relayed: RwLock::default() }
    }

    /// Whether an allocation may send to this address.
    pub(crate) fn may_reach(&self, peer: &SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        let special = || self.special.iter().any(|net| net.contains(&ip));
        let relayed = || self.relayed.read().unwrap_or_else(PoisonError::into_inner).contains(peer);
        relayed() || (ip != self.own && !special())
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

    #[test]
    fn nobody_is_reached_who_is_not_on_the_public_internet() {
        let peers = Peers::new("198.200.0.1".parse().expect("an address"));
        let reached = |to: &str| peers.may_reach(&to.parse().expect("an address"));
        for to in ["1.1.1.1:80", "93.184.216.34:5000", "[2606:4700::1111]:443", "198.200.0.2:1"] {
            assert!(reached(to), "{to}");
        }
        for to in [
            "127.0.0.1:80",
            "10.1.2.3:80",
            "172.16.0.1:80",
            "172.31.255.255:80",
            "192.168.1.1:80",
            "169.254.169.254:80",
            "100.64.0.1:80",
            "0.0.0.0:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "198.200.0.1:22",
            "[::1]:80",
            "[::]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.0.0.1]:80",
            "[::7f00:1]:80",
            "[64:ff9b::7f00:1]:80",
            "[2002:7f00:1::]:80",
            "[2001:0:1::]:80",
            "[fd00::1]:80",
            "[fe80::1]:80",
            "[fec0::1]:80",
            "[ff02::1]:80",
        ] {
            assert!(!reached(to), "{to}");
        }
    }

    #[test]
    fn other_allocations_are_reached_while_they_stand() {
        let peers = Peers::new("127.0.0.1".parse().expect("an address"));
        let at = "127.0.0.1:50000".parse().expect("an address");
        assert!(!peers.may_reach(&at));
        peers.opened(at);
        assert!(peers.may_reach(&at));
        peers.closed(&at);
        assert!(!peers.may_reach(&at));
    }
}
