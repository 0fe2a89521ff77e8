//! Where contacts' words and announcements may lead this node, and where they may not.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use protocol::contact::{Address, RelayHome};
use protocol::ids::{AccountId, RelayId};
use protocol::registration::wire::RegisterRequest;
use tokio::sync::mpsc;

use super::relays::Job;
use super::{IdentityLane, Ticket};
use crate::net::connections::Closed;
use crate::net::dial::{Route, Step};
use crate::net::event::Path;
use crate::net::processes::Processes;
use crate::net::protocols::register::Outcome;
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

/// A relay of processes that nobody runs, and those in the order in which this lane tries them.
fn relay_of(lane: &IdentityLane, count: u8) -> (RelayHome, Vec<PeerId>) {
    let (relay, _) = somebody();
    let addresses = (1..=count).map(|last| {
        let at: Multiaddr = format!("/ip4/9.9.9.{last}/tcp/1").parse().unwrap();
        Address(at.with(Protocol::P2p(somebody().1)).to_vec().into())
    });
    let home = RelayHome { relay: RelayId(relay.0), addresses: addresses.collect() };
    let processes = Processes::of(&home, &lane.local.to_bytes()).unwrap();
    let peers = processes.all().map(|process| process.peer).collect();
    (home, peers)
}

fn connect(lane: &mut IdentityLane, process: PeerId, number: usize) {
    let id = ConnectionId::new_unchecked(number);
    lane.connections.established(process, id, Path::Direct, true, Instant::now());
    lane.process_dial_done(process);
    lane.process_connected(process, None, Instant::now());
}

fn hang_up(lane: &mut IdentityLane, process: PeerId, number: usize) {
    hang_up_at(lane, process, number, Instant::now());
}

fn hang_up_at(lane: &mut IdentityLane, process: PeerId, number: usize, now: Instant) {
    let closed = lane.connections.closed(&process, ConnectionId::new_unchecked(number));
    let Closed::Last { identified } = closed else { panic!("{closed:?}") };
    lane.process_disconnected(process, identified, now);
}

fn identify(lane: &mut IdentityLane, process: PeerId) {
    lane.connections.identified(&process);
    lane.process_identified(process, Instant::now());
}

fn used(lane: &IdentityLane, home: &RelayHome) -> PeerId {
    lane.ours[&home.relay].processes.current().peer
}

#[tokio::test]
async fn a_request_goes_to_a_process_that_is_connected_already_when_the_first_is_not_reached() {
    let mut lane = lane(false);
    let (home, peers) = relay_of(&lane, 2);
    let job = Job::Register(Ticket(7), RegisterRequest::Info);
    lane.relay_job(&home, job, Instant::now());
    assert_eq!(lane.ours[&home.relay].jobs.len(), 1);
    // A contact's circuit goes over the other.
    connect(&mut lane, peers[1], 1);
    lane.process_dial_failed(peers[0], Instant::now());
    assert!(lane.ours[&home.relay].jobs.is_empty() && !lane.events.is_waiting());
    let later = Instant::now() + Duration::from_secs(600);
    let sent: Vec<Outcome> = lane.registrations.expired(later).collect();
    assert!(matches!(sent[..], [Outcome::Done(Ticket(7), Err(_))]), "it was sent");
}

#[tokio::test]
async fn a_process_that_hangs_up_before_it_says_what_it_is_is_left_for_the_next() {
    let mut lane = lane(false);
    let (home, peers) = relay_of(&lane, 3);
    lane.set_homes(std::slice::from_ref(&home), Instant::now());
    lane.advance(Instant::now());
    for (number, process) in peers.iter().enumerate() {
        assert_eq!(used(&lane, &home), *process);
        assert_eq!(lane.pinned, [*process].into());
        connect(&mut lane, *process, number);
        hang_up(&mut lane, *process, number);
        let due = lane.homes.next_deadline().unwrap();
        lane.advance(due);
    }
    // One that was in use and is lost: others look for us at the first, so it is tried first.
    lane.process_dial_failed(peers[0], Instant::now());
    connect(&mut lane, peers[1], 9);
    identify(&mut lane, peers[1]);
    assert_eq!(used(&lane, &home), peers[1]);
    hang_up_at(&mut lane, peers[1], 9, Instant::now() + Duration::from_secs(61));
    assert_eq!(used(&lane, &home), peers[0]);
    // One that says what it is and hangs up is of no use either.
    connect(&mut lane, peers[0], 10);
    identify(&mut lane, peers[0]);
    hang_up(&mut lane, peers[0], 10);
    assert_eq!(used(&lane, &home), peers[1]);
}

#[tokio::test]
async fn what_fails_for_a_contact_moves_no_home() {
    let mut lane = lane(false);
    let (home, peers) = relay_of(&lane, 2);
    let mut now = Instant::now();
    lane.set_homes(std::slice::from_ref(&home), now);
    lane.advance(now);
    for process in &peers {
        lane.process_dial_failed(*process, now);
    }
    let (paused, resumes) = (used(&lane, &home), lane.homes.next_deadline());
    now += Duration::from_millis(1);
    lane.process_unreachable(peers[0], now);
    assert_eq!((used(&lane, &home), lane.homes.next_deadline()), (paused, resumes));
    assert_eq!(lane.pinned, [paused].into(), "the one that is tried next is kept");
}

#[tokio::test]
async fn a_relay_that_is_no_home_any_more_is_let_go_of_whole() {
    let mut lane = lane(false);
    let (home, peers) = relay_of(&lane, 3);
    lane.set_homes(std::slice::from_ref(&home), Instant::now());
    lane.advance(Instant::now());
    for process in &peers {
        lane.process_dial_failed(*process, Instant::now());
    }
    assert_eq!((lane.pinned.len(), lane.links.len()), (1, 3));
    lane.set_homes(&[], Instant::now());
    lane.advance(Instant::now());
    assert!(lane.pinned.is_empty() && lane.links.is_empty() && lane.ours.is_empty());
}

#[tokio::test]
async fn no_persons_node_is_taken_for_a_process_of_a_relay() {
    let mut lane = lane(false);
    let ((ben, at_ben), (eve, at_eve)) = (somebody(), somebody());
    lane.know(ben, &[], &[]);
    let (mut home, peers) = relay_of(&lane, 2);
    for person in [at_ben, at_eve, lane.local] {
        let at: Multiaddr = "/ip4/9.9.9.9/tcp/1".parse().unwrap();
        home.addresses.push(Address(at.with(Protocol::P2p(person)).to_vec().into()));
    }
    lane.know(eve, &[], &[home]);
    let peers: BTreeSet<PeerId> = peers.into_iter().collect();
    assert_eq!(lane.links.keys().copied().collect::<BTreeSet<_>>(), peers);
    // Nor is one that was named before it was a person's.
    let (dan, at_dan) = somebody();
    let at: Multiaddr = "/ip4/9.9.9.9/tcp/1".parse().unwrap();
    let named = Address(at.with(Protocol::P2p(at_dan)).to_vec().into());
    let mut home = relay_of(&lane, 1).0;
    home.addresses = vec![named];
    lane.know(eve, &[], &[home]);
    assert!(lane.links.contains_key(&at_dan));
    lane.know(dan, &[], &[]);
    assert!(!lane.links.contains_key(&at_dan));
}
