//! Where contacts' words and announcements may lead this node, and where they may not.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use protocol::contact::Address;
use protocol::ids::AccountId;
use tokio::sync::mpsc;

use super::IdentityLane;
use crate::net::dial::{Route, Step};
use crate::net::{address_text, peer, swarm};

/// A lane that is not run: it dials nobody.
fn lane(loopback: bool) -> IdentityLane {
    let swarm = swarm::identity(Keypair::generate_ed25519(), false, false).unwrap();
    let (_, commands) = mpsc::channel(1);
    let (events, _) = mpsc::channel(1);
    IdentityLane::new(swarm, commands, events, loopback)
}

fn somebody() -> (AccountId, PeerId) {
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    (peer::account(&peer).unwrap(), peer)
}

fn told(text: &str) -> Address {
    address_text::parse_address(text).unwrap()
}

/// Every address that the lane would dial for this account.
fn would_dial(lane: &mut IdentityLane, account: AccountId) -> Vec<String> {
    lane.dialer.want(account, Instant::now());
    let mut dialled = Vec::new();
    let mut later = Instant::now();
    // Each route in its turn, as if none answered.
    while let Some(step) = lane.dialer.poll(later, &mut lane.rng) {
        later += Duration::from_secs(60);
        if let Step::Dial { route: Route::Addresses(addresses), .. } = step {
            dialled.extend(addresses.iter().map(Multiaddr::to_string));
        }
    }
    dialled.sort();
    dialled
}

/// What a contact or a stranger with a code says of its own node.
#[tokio::test]
async fn what_somebody_says_of_their_node_leads_to_no_service_of_this_machine() {
    let local = [
        "/ip4/127.0.0.1/tcp/6379",
        "/ip4/127.7.7.7/udp/53/quic-v1",
        "/ip6/::1/tcp/22",
        "/ip6/::ffff:127.0.0.1/tcp/22",
        "/ip4/169.254.169.254/tcp/80",
        "/ip6/fe80::1/tcp/80",
    ];
    let far = ["/ip4/10.1.2.3/tcp/4701", "/ip4/203.0.113.7/tcp/4701"];
    let all: Vec<Address> = local.into_iter().chain(far).map(told).collect();
    assert!(all.len() <= protocol::contact::MAX_ADDRESSES, "all of them are looked at");
    let (account, _) = somebody();
    let mut open = lane(false);
    open.know(account, &all, &[]);
    assert_eq!(would_dial(&mut open, account), far);
    // A node that is confined to its machine has nobody anywhere else.
    let mut confined = lane(true);
    confined.know(account, &all, &[]);
    let dialled = would_dial(&mut confined, account);
    assert!(dialled.contains(&local[0].to_owned()), "{dialled:?}");
}

#[tokio::test]
async fn an_announcement_leads_to_the_local_network_only_and_to_contacts_only() {
    let (contact, announced) = somebody();
    let (stranger, unknown) = somebody();
    let mut lane = lane(false);
    lane.know(contact, &[], &[]);
    for text in [
        "/ip4/203.0.113.7/tcp/4701",
        "/ip6/2001:db8::7/tcp/4701",
        "/dns4/lure.example.org/tcp/4701",
        "/ip4/127.0.0.1/tcp/6379",
        "/ip6/fe80::1/tcp/80",
        "/ip4/192.168.1.7/tcp/4701",
    ] {
        let address: Multiaddr = text.parse().unwrap();
        lane.on_seen(&announced, &address, Instant::now());
        lane.on_seen(&unknown, &address, Instant::now());
    }
    assert_eq!(would_dial(&mut lane, contact), ["/ip4/192.168.1.7/tcp/4701"]);
    assert_eq!(would_dial(&mut lane, stranger), Vec::<String>::new());
}

#[tokio::test]
async fn without_discovery_nothing_is_announced_and_nothing_is_heard() {
    for lan in [false, true] {
        let swarm = swarm::identity(Keypair::generate_ed25519(), lan, false).unwrap();
        assert_eq!(swarm.behaviour().mdns.is_enabled(), lan);
    }
}
