//! Which process of a relay a throwaway lane uses, and what becomes of what waits.

#![allow(clippy::unwrap_used, reason = "tests")]

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use protocol::contact::Address;
use protocol::ids::QueueId;
use protocol::time::Timestamp;

use super::*;
use crate::net::command::Ticket;
use crypto::secret::Secret;

/// A lane that is not run: it dials nobody.
fn lane() -> ThrowawayLane {
    let (_, commands) = mpsc::channel(1);
    let (events, _) = mpsc::channel(1);
    ThrowawayLane::new(commands, events).unwrap()
}

fn key() -> PeerId {
    Keypair::generate_ed25519().public().to_peer_id()
}

fn named(relay: PeerId, processes: &[PeerId]) -> RelayHome {
    let at = |process: &PeerId| {
        let at: Multiaddr = "/ip4/9.9.9.9/tcp/1".parse().unwrap();
        Address(at.with(Protocol::P2p(*process)).to_vec().into())
    };
    RelayHome { relay: peer::relay(&relay).unwrap(), addresses: processes.iter().map(at).collect() }
}

fn queue(byte: u8) -> OwnedQueue {
    OwnedQueue { receive: QueueId([byte; 16]), key: Secret::from_bytes([byte; 32]) }
}

fn item(byte: u8) -> Item {
    Item {
        receive: QueueId([byte; 16]),
        seq: 1,
        deposited_at: Timestamp(1),
        body: Vec::new().into(),
    }
}

fn bundle(lane: &mut ThrowawayLane, home: &RelayHome) {
    lane.job(
        home,
        Job::Bundle(Ticket(1), QueueId([1; 16]), Secret::from_bytes([1; 32])),
        Instant::now(),
    );
}

fn used(lane: &ThrowawayLane, home: &RelayHome) -> PeerId {
    lane.relays[&home.relay].peer()
}

/// Lets the pause before the next try pass.
fn go_on(lane: &mut ThrowawayLane, home: &RelayHome) {
    let due = lane.relays[&home.relay].link.next_deadline();
    lane.advance(due.unwrap_or_else(Instant::now));
}

#[tokio::test]
async fn one_that_hangs_up_is_left_for_the_next_and_after_all_what_waited_fails() {
    let mut lane = lane();
    let home = named(key(), &[key(), key()]);
    bundle(&mut lane, &home);
    go_on(&mut lane, &home);
    let first = used(&lane, &home);
    lane.connected(home.relay, Instant::now());
    lane.disconnected(&first, Instant::now());
    let second = used(&lane, &home);
    assert!(second != first && !lane.events.is_waiting(), "the other is tried");
    go_on(&mut lane, &home);
    lane.connected(home.relay, Instant::now());
    lane.disconnected(&second, Instant::now());
    assert!(lane.events.is_waiting(), "what waited has an answer");
    assert!(!lane.relays[&home.relay].link.has_jobs());
}

#[tokio::test]
async fn a_nonce_of_a_process_for_which_its_relay_does_not_vouch_is_not_taken() {
    use crypto::identity::SigningKey;
    let mut lane = lane();
    let seed = Secret::from_bytes([7; 32]);
    let relay = SigningKey::from_seed(&seed);
    let process = key();
    let home =
        named(peer::of_relay(RelayId(*relay.verifying_key().as_bytes())).unwrap(), &[process]);
    bundle(&mut lane, &home);
    go_on(&mut lane, &home);
    lane.connected(home.relay, Instant::now());
    let hello = |process| MailboxResponse::Hello {
        nonce: [1; 32],
        now: Timestamp(1),
        max_ttl_seconds: 1,
        process,
    };
    let own = peer::key_of(&process).unwrap();
    let of_another = proof::process(&relay, &peer::key_of(&key()).unwrap());
    let by_another = proof::process(&SigningKey::from_seed(&Secret::from_bytes([8; 32])), &own);
    for word in [of_another, by_another] {
        lane.connected(home.relay, Instant::now());
        lane.answered(Sent::Hello(home.relay, process), hello(word), Instant::now());
        assert!(!lane.relays[&home.relay].link.is_ready());
    }
    let word = proof::process(&relay, &own);
    lane.connected(home.relay, Instant::now());
    lane.answered(Sent::Hello(home.relay, process), hello(word), Instant::now());
    assert!(lane.relays[&home.relay].link.is_ready());
}

#[tokio::test]
async fn what_is_pushed_is_of_the_relay_that_has_the_queue_whatever_other_name_the_process_was_given()
 {
    let mut lane = lane();
    let process = key();
    let mut homes = [named(process, &[process]), named(key(), &[process])];
    for _ in 0..2 {
        lane.subscribe(&homes[0], vec![queue(1)], Instant::now());
        lane.subscribe(&homes[1], vec![queue(2)], Instant::now());
        assert_eq!(lane.pushed_by(&process, &[item(1)]), Some(homes[0].relay));
        assert_eq!(lane.pushed_by(&process, &[item(2)]), Some(homes[1].relay));
        assert_eq!(lane.pushed_by(&key(), &[item(1)]), None);
        homes.reverse();
    }
    // One name is given up: the process is kept for the other.
    lane.subscribe(&homes[1], Vec::new(), Instant::now());
    assert_eq!(lane.pinned, [process].into());
    lane.subscribe(&homes[0], Vec::new(), Instant::now());
    assert!(lane.pinned.is_empty());
}

#[tokio::test]
async fn a_dial_that_nobody_waits_for_moves_nothing() {
    let mut lane = lane();
    let home = named(key(), &[key(), key()]);
    lane.subscribe(&home, vec![queue(1)], Instant::now());
    let first = used(&lane, &home);
    lane.dial_failed(home.relay, Instant::now());
    assert_eq!(used(&lane, &home), first);
    go_on(&mut lane, &home);
    assert_eq!((lane.dials.len(), &lane.pinned), (1, &[first].into()));
    lane.dial_failed(home.relay, Instant::now());
    let second = used(&lane, &home);
    assert_eq!((second == first, &lane.pinned), (false, &[second].into()), "one is kept");
    lane.forget(home.relay);
    assert!(lane.dials.is_empty() && lane.pinned.is_empty());
}

#[tokio::test]
async fn a_new_key_tries_processes_in_an_order_of_its_own() {
    let mut lane = lane();
    let processes: Vec<PeerId> = (0..4).map(|_| key()).collect();
    let home = named(key(), &processes);
    lane.subscribe(&home, vec![queue(1)], Instant::now());
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..40 {
        firsts.insert(used(&lane, &home));
        lane.rotate(Instant::now());
        assert_eq!(lane.pinned, [used(&lane, &home)].into());
    }
    assert!(firsts.len() > 1, "always the same first one would know the next key again");
}

#[tokio::test]
async fn who_is_given_a_false_name_for_a_relay_does_not_lose_that_relay() {
    let mut lane = lane();
    let process = key();
    let (home, false_name) = (named(process, &[process]), named(key(), &[process]));
    for relay in [&home, &false_name] {
        bundle(&mut lane, relay);
        lane.connected(relay.relay, Instant::now());
    }
    let up = |lane: &ThrowawayLane, home: &RelayHome| lane.relays[&home.relay].link.is_up();
    lane.failed(Sent::Hello(false_name.relay, process), NetFailure::Unexpected, Instant::now());
    assert_eq!((up(&lane, &home), up(&lane, &false_name)), (true, false));
    assert!(lane.relays[&home.relay].link.has_jobs());
    // An answer that comes late says nothing of the process that is in use now.
    lane.failed(Sent::Hello(home.relay, key()), NetFailure::TimedOut, Instant::now());
    assert!(up(&lane, &home));
}
