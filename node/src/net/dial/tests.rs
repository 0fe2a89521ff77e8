#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use libp2p::identity::Keypair;
use rand::SeedableRng;
use rand::rngs::StdRng;

const BEN: AccountId = AccountId([2; 32]);

/// A process of a relay.
fn process(seed: u8) -> PeerId {
    Keypair::ed25519_from_bytes([seed; 32]).unwrap().public().to_peer_id()
}

fn lan() -> Multiaddr {
    "/ip4/192.168.1.7/tcp/1".parse().unwrap()
}

fn public() -> Multiaddr {
    "/ip4/9.9.9.9/tcp/1".parse().unwrap()
}

struct Bench {
    dialer: Dialer,
    now: Instant,
    rng: StdRng,
}

impl Bench {
    fn new(told: Vec<Multiaddr>, homes: Vec<PeerId>) -> Self {
        let mut dialer = Dialer::default();
        dialer.know(BEN, told, homes);
        Self { dialer, now: Instant::now(), rng: StdRng::seed_from_u64(1) }
    }

    fn poll(&mut self) -> Option<Step> {
        self.dialer.poll(self.now, &mut self.rng)
    }

    fn dial(&mut self) -> (DialId, Route) {
        match self.poll() {
            Some(Step::Dial { dial, route, .. }) => (dial, route),
            other => panic!("no dial but {other:?}"),
        }
    }

    fn wait_for_deadline(&mut self) {
        self.now = self.dialer.next_deadline().expect("something is due later");
    }
}

#[test]
fn routes_are_tried_lan_then_direct_then_each_relay() {
    let mut bench = Bench::new(vec![public(), lan()], vec![process(9), process(8)]);
    assert_eq!(bench.dialer.want(BEN, bench.now), Want::Trying);
    let mut routes = Vec::new();
    for _ in 0..4 {
        routes.push(bench.dial().1);
        assert_eq!(bench.poll(), None, "the head start is respected");
        if routes.len() < 4 {
            bench.wait_for_deadline();
        }
    }
    assert_eq!(
        routes,
        [
            Route::Addresses(vec![lan()]),
            Route::Addresses(vec![public()]),
            Route::Relay(process(9)),
            Route::Relay(process(8)),
        ]
    );
}

#[test]
fn a_failed_route_is_followed_by_the_next_at_once() {
    let mut bench = Bench::new(vec![public()], vec![process(9)]);
    bench.dialer.want(BEN, bench.now);
    let (first, _) = bench.dial();
    bench.dialer.failed(BEN, first);
    assert_eq!(bench.dial().1, Route::Relay(process(9)));
}

#[test]
fn all_routes_failing_gives_up_once_and_then_refuses_until_the_pause_is_over() {
    let mut bench = Bench::new(vec![public()], vec![]);
    bench.dialer.want(BEN, bench.now);
    let (dial, _) = bench.dial();
    bench.dialer.failed(BEN, dial);
    assert_eq!(bench.poll(), Some(Step::GiveUp(BEN)));
    assert_eq!(bench.poll(), None);
    assert_eq!(bench.dialer.want(BEN, bench.now), Want::Unreachable);
    assert_eq!(bench.dialer.want(BEN, bench.now + FIRST_PAUSE), Want::Trying);
}

#[test]
fn new_addresses_end_the_pause() {
    let mut bench = Bench::new(vec![public()], vec![]);
    bench.dialer.want(BEN, bench.now);
    let (dial, _) = bench.dial();
    bench.dialer.failed(BEN, dial);
    assert_eq!(bench.poll(), Some(Step::GiveUp(BEN)));
    bench.dialer.know(BEN, vec![lan()], vec![]);
    assert_eq!(bench.dialer.want(BEN, bench.now), Want::Trying);
}

#[test]
fn a_node_that_hangs_up_on_us_is_not_hammered() {
    let mut bench = Bench::new(vec![public()], vec![]);
    bench.dialer.want(BEN, bench.now);
    bench.dial();
    bench.dialer.connected(BEN);
    bench.dialer.turned_away(BEN, bench.now, &mut bench.rng);
    assert_eq!(bench.dialer.want(BEN, bench.now), Want::Unreachable);
    bench.dialer.identified(BEN);
    assert_eq!(bench.dialer.want(BEN, bench.now), Want::Trying);
}

#[test]
fn a_connection_ends_the_attempt_and_late_failures_change_nothing() {
    let mut bench = Bench::new(vec![public(), lan()], vec![process(9)]);
    bench.dialer.want(BEN, bench.now);
    let (first, _) = bench.dial();
    bench.dialer.connected(BEN);
    bench.dialer.failed(BEN, first);
    assert_eq!(bench.poll(), None);
    bench.dialer.want(BEN, bench.now);
    bench.dial();
    bench.dialer.failed(BEN, first);
    assert_eq!(bench.poll(), None, "a dial of an earlier attempt is not this one's");
}

#[test]
fn a_storm_of_wishes_is_dialled_in_turns() {
    let mut bench = Bench::new(vec![public()], vec![]);
    let accounts: Vec<AccountId> = (10..60).map(|n| AccountId([n; 32])).collect();
    for account in &accounts {
        bench.dialer.know(*account, vec![public()], vec![]);
        assert_eq!(bench.dialer.want(*account, bench.now), Want::Trying);
    }
    let mut given_up = 0;
    let mut open = Vec::new();
    loop {
        match bench.poll() {
            Some(Step::Dial { account, dial, .. }) => open.push((account, dial)),
            Some(Step::GiveUp(_)) => given_up += 1,
            None if open.is_empty() => break,
            None => {
                assert!(open.len() <= MAX_TRYING);
                for (account, dial) in open.drain(..) {
                    bench.dialer.failed(account, dial);
                }
            }
        }
    }
    assert_eq!(given_up, accounts.len());
}

#[test]
fn forgetting_somebody_frees_the_turn_and_the_wish() {
    let mut bench = Bench::new(vec![public()], vec![]);
    bench.dialer.want(BEN, bench.now);
    bench.dial();
    bench.dialer.forget(BEN);
    assert_eq!(bench.poll(), None);
    assert_eq!(bench.dialer.want(BEN, bench.now), Want::Unreachable);
    assert_eq!(bench.dialer.trying, 0);
}

#[test]
fn what_was_seen_on_the_local_network_is_dialled_first_and_forgotten_when_it_expires() {
    let mut bench = Bench::new(vec![public()], vec![]);
    assert!(bench.dialer.seen_on_lan(BEN, lan()));
    assert!(!bench.dialer.seen_on_lan(AccountId([77; 32]), lan()), "strangers are not kept");
    bench.dialer.want(BEN, bench.now);
    assert_eq!(bench.dial().1, Route::Addresses(vec![lan()]));
    bench.dialer.connected(BEN);
    bench.dialer.gone_from_lan(BEN, &lan());
    bench.dialer.want(BEN, bench.now);
    assert_eq!(bench.dial().1, Route::Addresses(vec![public()]));
}

#[test]
fn debug_shows_how_many_addresses_a_route_has_and_none_of_them() {
    let route = Route::Addresses(vec![lan(), public()]);
    assert_eq!(format!("{route:?}"), "Addresses(2)");
}
