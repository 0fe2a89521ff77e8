use super::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const RELAY: RelayId = RelayId([9; 32]);

struct Bench {
    homes: Homes,
    now: Instant,
    rng: StdRng,
    reports: Vec<RelayPhase>,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self {
            homes: Homes::default(),
            now: Instant::now(),
            rng: StdRng::seed_from_u64(3),
            reports: Vec::new(),
        };
        bench.homes.set(&[RELAY], bench.now);
        bench
    }

    /// Everything that is due, reports apart.
    fn due(&mut self) -> Vec<Action> {
        let mut due = Vec::new();
        while let Some(action) = self.homes.poll(self.now) {
            match action {
                Action::Report(_, phase) => self.reports.push(phase),
                action => due.push(action),
            }
        }
        due
    }

    fn until_identified(&mut self) {
        assert_eq!(self.due(), [Action::Dial(RELAY)]);
        self.homes.connected(RELAY, self.now);
        assert_eq!(self.due(), [], "nothing is asked before identify");
        self.homes.identified(RELAY, self.now);
        assert_eq!(self.due(), [Action::Probe(RELAY), Action::Reserve(RELAY)]);
    }

    fn until_requested(&mut self) -> ListenerId {
        self.until_identified();
        let listener = ListenerId::next();
        self.homes.requested(RELAY, Some(listener), self.now, &mut self.rng);
        assert_eq!(self.due(), []);
        listener
    }

    fn until_active(&mut self) -> ListenerId {
        let listener = self.until_requested();
        self.homes.reserved(listener, self.now);
        assert_eq!(self.due(), []);
        listener
    }

    fn wait_for_deadline(&mut self) {
        self.now = self.homes.next_deadline().expect("something is due later").max(self.now);
    }
}

#[test]
fn the_way_up_is_dial_identify_reserve() {
    let mut bench = Bench::new();
    bench.until_active();
    assert_eq!(
        bench.reports,
        [RelayPhase::Connecting, RelayPhase::Connected, RelayPhase::Reserved]
    );
}

#[test]
fn a_dropped_connection_is_dialled_and_reserved_again() {
    let mut bench = Bench::new();
    let listener = bench.until_active();
    bench.homes.disconnected(RELAY, bench.now, &mut bench.rng);
    // Its listener may be heard of only afterwards.
    bench.homes.listener_closed(listener, bench.now, &mut bench.rng);
    bench.due();
    bench.wait_for_deadline();
    bench.until_active();
    assert_eq!(bench.reports.last(), Some(&RelayPhase::Reserved));
}

#[test]
fn a_listener_that_ends_first_and_without_addresses_loses_nothing() {
    let mut bench = Bench::new();
    let listener = bench.until_active();
    bench.homes.listener_closed(listener, bench.now, &mut bench.rng);
    bench.homes.disconnected(RELAY, bench.now, &mut bench.rng);
    bench.due();
    bench.wait_for_deadline();
    bench.until_active();
}

#[test]
fn a_refused_reservation_is_asked_for_later_and_at_once_when_we_are_admitted() {
    let mut bench = Bench::new();
    let listener = bench.until_requested();
    bench.homes.listener_closed(listener, bench.now, &mut bench.rng);
    assert_eq!(bench.due(), []);
    assert_eq!(bench.reports.last(), Some(&RelayPhase::Connected));
    bench.homes.kick(RELAY, bench.now);
    assert_eq!(bench.due(), [Action::Reserve(RELAY)]);
}

#[test]
fn a_home_given_up_while_its_reservation_is_in_flight_keeps_its_listener_until_the_answer() {
    for accepted in [true, false] {
        let mut bench = Bench::new();
        let listener = bench.until_requested();
        bench.homes.set(&[], bench.now);
        assert_eq!(bench.due(), [], "removing the listener now would panic inside libp2p");
        if accepted {
            bench.homes.reserved(listener, bench.now);
            assert_eq!(bench.due(), [Action::Unlisten(listener), Action::Release(RELAY)]);
        } else {
            bench.homes.listener_closed(listener, bench.now, &mut bench.rng);
            assert_eq!(bench.due(), [Action::Release(RELAY)]);
        }
        assert!(!bench.homes.contains(RELAY));
    }
}

#[test]
fn a_home_named_again_while_it_was_leaving_stays() {
    let mut bench = Bench::new();
    let listener = bench.until_requested();
    bench.homes.set(&[], bench.now);
    bench.homes.set(&[RELAY], bench.now);
    bench.homes.reserved(listener, bench.now);
    assert_eq!(bench.due(), []);
    assert!(bench.homes.contains(RELAY));
}

#[test]
fn failing_dials_pause_longer_and_longer_and_report_once() {
    let mut bench = Bench::new();
    let mut pauses = Vec::new();
    for _ in 0..40 {
        assert_eq!(bench.due(), [Action::Dial(RELAY)]);
        bench.homes.dial_failed(RELAY, bench.now, &mut bench.rng);
        let before = bench.now;
        assert_eq!(bench.due(), []);
        bench.wait_for_deadline();
        pauses.push(bench.now - before);
    }
    assert!(pauses[0] <= FIRST_PAUSE);
    assert!(pauses[30..].iter().max().is_some_and(|pause| *pause > Duration::from_secs(60)));
    assert!(pauses.iter().all(|pause| *pause <= super::super::backoff::CEILING));
    assert_eq!(bench.reports, [RelayPhase::Connecting, RelayPhase::Unreachable]);
}

#[test]
fn a_connection_that_lasted_ends_the_doubling() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        assert_eq!(bench.due(), [Action::Dial(RELAY)]);
        bench.homes.dial_failed(RELAY, bench.now, &mut bench.rng);
        bench.due();
        bench.wait_for_deadline();
    }
    bench.until_active();
    bench.now += STABLE;
    bench.due();
    bench.homes.disconnected(RELAY, bench.now, &mut bench.rng);
    let due = bench.homes.next_deadline().expect("a next try");
    assert!(due - bench.now <= FIRST_PAUSE);
}

#[test]
fn without_a_reservation_the_relay_is_probed_often_enough_to_keep_the_connection() {
    let mut bench = Bench::new();
    let listener = bench.until_requested();
    bench.homes.listener_closed(listener, bench.now, &mut bench.rng);
    bench.due();
    bench.now += PROBE_UNRESERVED;
    assert!(bench.due().contains(&Action::Probe(RELAY)));
}
