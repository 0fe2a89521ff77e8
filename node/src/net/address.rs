//! Addresses: their two forms, what kind of way they are, and which of ours may be told.
//!
//! Contacts and relays hand us an [`Address`], bytes that nobody but this module opens. It comes
//! back as a [`Multiaddr`] without a `/p2p` ending, because whom to expect there is known from
//! elsewhere, and an address that names somebody else is refused; only a relay's may, which name
//! its processes.
//!
//! # Invariants
//! * An address over [`MAX_ADDRESS`] bytes, a circuit, or one without a transport that this node
//!   dials is dropped on the way in.
//! * Loopback, link-local and unspecified addresses are never told to anybody, except by a node
//!   that is confined to loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use protocol::contact::{Address, MAX_ADDRESS, MAX_ADDRESSES};

use super::event::Path;

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This machine only.
    Loopback,
    /// One link: usable only with an interface's name, which means nothing elsewhere.
    Link,
    /// A private network.
    Private,
    /// The internet, by number or by name.
    Public,
    /// Nothing that can be dialled.
    Nowhere,
}

/// The form in which an address travels; `None` when it is too long to.
pub(super) fn to_wire(address: &Multiaddr) -> Option<Address> {
    let bytes = without_peer(address).to_vec();
    (bytes.len() <= MAX_ADDRESS).then(|| Address(bytes.into()))
}

/// Opens an address of `whose`; `None` when it is not one that this node dials.
pub(super) fn from_wire(address: &Address, whose: &PeerId) -> Option<Multiaddr> {
    let (named, address) = open(address)?;
    named.is_none_or(|named| named == *whose).then_some(address)
}

/// Opens an address of a relay, and whose it is: that of the process that it names, or of the relay itself.
pub(super) fn of_process(address: &Address, relay: PeerId) -> Option<(PeerId, Multiaddr)> {
    let (named, address) = open(address)?;
    Some((named.unwrap_or(relay), address))
}

/// An address that this node dials, and whom it names.
fn open(address: &Address) -> Option<(Option<PeerId>, Multiaddr)> {
    if address.0.len() > MAX_ADDRESS {
        return None;
    }
    let address = Multiaddr::try_from(address.0.to_vec()).ok()?;
    let named = address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    let dialable = !is_circuit(&address) && reach(&address) != Reach::Nowhere;
    dialable.then(|| (named, without_peer(&address)))
}

/// Opens the addresses of one peer, without repetition, at most [`MAX_ADDRESSES`].
pub(super) fn all_from_wire(addresses: &[Address], whose: &PeerId) -> Vec<Multiaddr> {
    let mut opened: Vec<Multiaddr> = Vec::new();
    for address in addresses.iter().take(MAX_ADDRESSES) {
        if let Some(address) = from_wire(address, whose)
            && !opened.contains(&address)
        {
            opened.push(address);
        }
    }
    opened
}

/// Where `relay`, reached at `through`, takes circuits for us (`to` absent) or to a peer.
///
/// The relay's own id must be in it, or listening fails with an error that says nothing.
pub(super) fn circuit(through: &Multiaddr, relay: PeerId, to: Option<PeerId>) -> Multiaddr {
    let address = without_peer(through).with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
    match to {
        Some(peer) => address.with(Protocol::P2p(peer)),
        None => address,
    }
}

/// Whether an address goes over a relay.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

/// The address up to the first peer id.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// How far an address reaches.
pub(super) fn reach(address: &Multiaddr) -> Reach {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => of_ip(ip.into()),
        Some(Protocol::Ip6(ip)) => of_ip(ip.into()),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => {
            Reach::Public
        }
        _ => Reach::Nowhere,
    };
    let resolved_later = address.iter().any(|part| matches!(part, Protocol::Dnsaddr(_)));
    let carried =
        parts.any(|part| matches!(part, Protocol::Tcp(port) | Protocol::Udp(port) if port != 0));
    if carried || resolved_later { host } else { Reach::Nowhere }
}

fn of_ip(ip: IpAddr) -> Reach {
    match ip {
        IpAddr::V4(ip) => of_v4(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => of_v4(ip),
            None => of_v6(ip),
        },
    }
}

fn of_v4(ip: Ipv4Addr) -> Reach {
    // 100.64.0.0/10 is a carrier's or an overlay's private network (RFC 6598).
    let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    match ip {
        _ if ip.is_loopback() => Reach::Loopback,
        _ if ip.is_link_local() => Reach::Link,
        _ if ip.is_private() || shared => Reach::Private,
        _ if ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() => Reach::Nowhere,
        _ => Reach::Public,
    }
}

fn of_v6(ip: Ipv6Addr) -> Reach {
    match ip {
        _ if ip.is_loopback() => Reach::Loopback,
        _ if ip.is_unicast_link_local() => Reach::Link,
        _ if ip.is_unique_local() => Reach::Private,
        _ if ip.is_unspecified() || ip.is_multicast() => Reach::Nowhere,
        _ => Reach::Public,
    }
}

/// Whether an address means this machine, or this link, to whoever dials it.
#[must_use]
pub fn is_local(address: &Address) -> bool {
    Multiaddr::try_from(address.0.to_vec())
        .is_ok_and(|address| matches!(reach(&address), Reach::Loopback | Reach::Link))
}

/// Whether an address that a relay gives for itself may be taken: one that this node dials, and that does not lead
/// into a nearer network than those at which the relay is known. Where a name leads is not looked at: it counts as public
/// where it is told, and as private where it is known.
#[must_use]
pub fn leads_no_nearer(told: &Address, known: &[Address]) -> bool {
    let opened = |address| open(address).map(|(_, address)| address);
    let nearest = known.iter().filter_map(opened).map(|known| match is_name(&known) {
        true => Reach::Private,
        false => reach(&known),
    });
    let nearest = nearest.min();
    opened(told).is_some_and(|told| nearest.is_none_or(|nearest| nearest <= reach(&told)))
}

fn is_name(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Dnsaddr};
    matches!(address.iter().next(), Some(Dns(_) | Dns4(_) | Dns6(_) | Dnsaddr(_)))
}

/// Which way a connection to this address goes, before anything is known of hole punching.
pub(super) fn path(remote: &Multiaddr) -> Path {
    if is_circuit(remote) {
        return Path::Relayed;
    }
    match reach(remote) {
        Reach::Loopback | Reach::Link | Reach::Private => Path::Lan,
        Reach::Public | Reach::Nowhere => Path::Direct,
    }
}

/// Those of our own addresses that contacts may be told, the farthest-reaching first, at most
/// [`MAX_ADDRESSES`]. `loopback` is for a node that is confined to its machine.
pub(super) fn tellable<'a>(
    ours: impl Iterator<Item = &'a Multiaddr>,
    loopback: bool,
) -> Vec<Address> {
    let mut told: Vec<(Reach, Multiaddr)> = ours
        .filter(|address| !is_circuit(address))
        .map(|address| (reach(address), without_peer(address)))
        .filter(|(reach, _)| match reach {
            Reach::Public | Reach::Private => true,
            Reach::Loopback => loopback,
            Reach::Link | Reach::Nowhere => false,
        })
        .collect();
    told.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| left.as_ref().cmp(right.as_ref())));
    told.dedup();
    told.iter().filter_map(|(_, address)| to_wire(address)).take(MAX_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn kinds_of_address_are_told_apart() {
        for (text, expected) in [
            ("/ip4/127.0.0.1/tcp/1", Reach::Loopback),
            ("/ip6/::1/udp/1/quic-v1", Reach::Loopback),
            ("/ip4/169.254.1.1/tcp/1", Reach::Link),
            ("/ip6/fe80::1/tcp/1", Reach::Link),
            ("/ip4/192.168.1.2/tcp/1", Reach::Private),
            ("/ip4/100.64.0.1/tcp/1", Reach::Private),
            ("/ip6/fd00::1/tcp/1", Reach::Private),
            ("/ip4/100.128.0.1/tcp/1", Reach::Public),
            ("/ip6/2001:db8::1/tcp/1", Reach::Public),
            ("/dns4/relay.example.org/tcp/1", Reach::Public),
            ("/dnsaddr/relay.example.org", Reach::Public),
            ("/ip6/::ffff:10.0.0.1/tcp/1", Reach::Private),
            ("/ip4/0.0.0.0/tcp/1", Reach::Nowhere),
            ("/ip4/1.2.3.4/tcp/0", Reach::Nowhere),
            ("/ip4/1.2.3.4", Reach::Nowhere),
            ("/memory/7", Reach::Nowhere),
        ] {
            assert_eq!(reach(&addr(text)), expected, "{text}");
        }
    }

    #[test]
    fn an_address_survives_the_wire_without_its_peer() {
        let whose = PeerId::random();
        let address = addr("/ip4/1.2.3.4/udp/9/quic-v1");
        let wire = to_wire(&address.clone().with(Protocol::P2p(whose))).unwrap();
        assert_eq!(from_wire(&wire, &whose), Some(address));
    }

    #[test]
    fn an_address_of_somebody_else_a_circuit_and_rubbish_are_dropped() {
        let (whose, other) = (PeerId::random(), PeerId::random());
        let bytes = |address: Multiaddr| Address(address.to_vec().into());
        let elsewhere = addr("/ip4/1.2.3.4/tcp/9").with(Protocol::P2p(other));
        assert_eq!(from_wire(&bytes(elsewhere.clone()), &whose), None);
        let over = elsewhere.with(Protocol::P2pCircuit).with(Protocol::P2p(whose));
        assert_eq!(from_wire(&bytes(over), &whose), None);
        assert_eq!(from_wire(&Address(vec![0xff; 40].into()), &whose), None);
        assert_eq!(from_wire(&Address(vec![0; MAX_ADDRESS + 1].into()), &whose), None);
    }

    #[test]
    fn a_circuit_names_the_relay_and_the_peer_behind_it() {
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let through = addr("/ip4/1.2.3.4/tcp/9").with(Protocol::P2p(relay));
        assert_eq!(
            circuit(&through, relay, Some(peer)).to_string(),
            format!("/ip4/1.2.3.4/tcp/9/p2p/{relay}/p2p-circuit/p2p/{peer}")
        );
        let ours = circuit(&through, relay, None);
        assert!(ours.to_string().ends_with("/p2p-circuit"));
        assert_eq!(path(&ours), Path::Relayed);
    }

    #[test]
    fn only_addresses_that_others_can_use_are_told_the_public_ones_first() {
        let ours = [
            addr("/ip4/127.0.0.1/tcp/1"),
            addr("/ip4/192.168.1.2/tcp/1"),
            addr("/ip6/fe80::1/tcp/1"),
            addr("/ip4/9.9.9.9/tcp/1"),
            addr("/ip4/9.9.9.9/tcp/1"),
            circuit(&addr("/ip4/8.8.8.8/tcp/1"), PeerId::random(), Some(PeerId::random())),
        ];
        let whose = PeerId::random();
        let open = |told: Vec<Address>| -> Vec<String> {
            told.iter().map(|address| from_wire(address, &whose).unwrap().to_string()).collect()
        };
        assert_eq!(
            open(tellable(ours.iter(), false)),
            ["/ip4/9.9.9.9/tcp/1", "/ip4/192.168.1.2/tcp/1"]
        );
        assert_eq!(open(tellable(ours.iter(), true)).len(), 3);
        let many: Vec<Multiaddr> =
            (1..40).map(|port| addr(&format!("/ip4/9.9.9.9/tcp/{port}"))).collect();
        assert_eq!(tellable(many.iter(), false).len(), MAX_ADDRESSES);
    }
}
