#![allow(clippy::unwrap_used, reason = "tests")]
use std::sync::atomic::{AtomicU64, Ordering};

use libp2p::identity::Keypair;
use protocol::registration::{Account as Registered, IdentifierHash, Standing};

use super::*;
use crate::config::{Config, Turn};
use crate::peer;

const NOW: u64 = 1_000 * DAY;
const CALL: u64 = 3_600 * SECOND;

/// One relay's calls, its clock, and a key that is admitted.
struct Bench {
    calls: Arc<Calls>,
    clock: Arc<AtomicU64>,
    admission: Admission,
    ada: PeerId,
}

fn current(settings: Turn) -> Current {
    Current::of(Config { turn: Some(settings), ..Config::development("unused") }).1
}

impl Bench {
    fn new() -> Self {
        Self::with(Turn::default())
    }

    fn with(settings: Turn) -> Self {
        let clock = Arc::new(AtomicU64::new(NOW));
        let hands = Arc::clone(&clock);
        let admission = Admission::default();
        let ada = Keypair::generate_ed25519().public().to_peer_id();
        let settings = Turn {
            credential_seconds: 60,
            call_seconds: CALL / SECOND,
            max_allocations: 3,
            max_allocations_per_account: 2,
            account_bytes_per_second: 10_000,
            account_bytes_per_day: 25_000,
            ..settings
        };
        let calls = Arc::new(Calls::new(
            current(settings),
            Zeroizing::new(b"secret".to_vec()),
            vec!["turn:192.0.2.1:3478".into()],
            admission.clone(),
            Arc::default(),
            Clock::new(move || Timestamp(hands.load(Ordering::Relaxed))),
        ));
        let bench = Self { calls, clock, admission, ada };
        bench.stand(&ada, Standing::Good);
        bench
    }

    fn stand(&self, peer: &PeerId, standing: Standing) {
        let account = Registered {
            account: peer::account_of(peer).unwrap(),
            identifier: IdentifierHash([0; 32]),
            created: Timestamp(0),
            renewed: Timestamp(NOW),
            standing,
        };
        self.admission.apply(&account, 7 * DAY);
    }

    fn pass(&self, milliseconds: u64) {
        self.clock.fetch_add(milliseconds, Ordering::Relaxed);
    }

    fn call(&self, peer: &PeerId) -> String {
        match self.calls.grant(peer) {
            TurnResponse::Granted(credentials) => credentials.username,
            TurnResponse::Refused(why) => panic!("{why}"),
        }
    }
}

#[test]
fn passwords_are_those_of_the_rest_api() {
    let bench = Bench::new();
    let TurnResponse::Granted(first) = bench.calls.grant(&bench.ada) else { panic!("refused") };
    let (end, call) = first.username.split_once(':').unwrap();
    assert_eq!((end.parse(), call.len()), (Ok(NOW / SECOND + 60), 32));
    assert_eq!(first.expires_at, Timestamp(NOW + 60 * SECOND));
    assert_eq!(bench.calls.password_of(&first.username), Some(first.password));
    // python3 -c "import hmac,base64;print(base64.b64encode(hmac.digest(b'secret',b'1:x','sha1')))"
    assert_eq!(bench.calls.password("1:x"), "dgLXMxSJfMxjMmUxmMsTgnQC/jQ=");
    assert_ne!(bench.call(&bench.ada), first.username, "each call has its own");
}

#[test]
fn strangers_get_nothing() {
    let bench = Bench::new();
    let eve = Keypair::generate_ed25519().public().to_peer_id();
    let refused = TurnResponse::Refused(TurnRefusal::NotAdmitted);
    assert_eq!(bench.calls.grant(&eve), refused);
    bench.stand(&bench.ada, Standing::Suspended);
    assert_eq!(bench.calls.grant(&bench.ada), refused);
    let made_up = format!("{}:{}", NOW / SECOND + 60, "0".repeat(32));
    assert_eq!(bench.calls.password_of(&made_up), None);
    assert_eq!(bench.calls.allocate(&made_up).err(), Some(NoRoom::NoCall));
}

#[test]
fn a_call_outlasts_what_opened_it_and_ends() {
    let bench = Bench::new();
    let (used, unused) = (bench.call(&bench.ada), bench.call(&bench.ada));
    let lease = bench.calls.allocate(&used).unwrap();
    bench.pass(60 * SECOND);
    assert!(bench.calls.password_of(&used).is_some(), "it refreshes");
    assert_eq!(bench.calls.allocate(&used).err(), Some(NoRoom::NoCall), "and no more than that");
    assert_eq!(bench.calls.password_of(&unused), None);
    assert!(bench.calls.sweep().is_empty());
    assert_eq!(bench.calls.table().calls.len(), 1);
    bench.pass(CALL);
    assert_eq!(bench.calls.password_of(&used), None);
    assert_eq!(bench.calls.sweep(), [used]);
    drop(lease);
    assert!(bench.calls.sweep().is_empty() && bench.calls.table().calls.is_empty());
}

#[test]
fn a_call_ends_with_its_accounts_admission() {
    let bench = Bench::new();
    let call = bench.call(&bench.ada);
    let _lease = bench.calls.allocate(&call).unwrap();
    bench.stand(&bench.ada, Standing::Displaced { at: Timestamp(NOW) });
    assert_eq!(bench.calls.password_of(&call), None);
    assert_eq!(bench.calls.sweep(), [call]);
}

#[test]
fn allocations_are_counted_for_each_account_and_for_all() {
    let bench = Bench::new();
    let ben = Keypair::generate_ed25519().public().to_peer_id();
    bench.stand(&ben, Standing::Good);
    let (first, second) = (bench.call(&bench.ada), bench.call(&bench.ada));
    let of_ben = bench.call(&ben);
    let lease = bench.calls.allocate(&first).unwrap();
    let _kept = bench.calls.allocate(&second).unwrap();
    assert_eq!(bench.calls.allocate(&first).err(), Some(NoRoom::Account));
    let _bens = bench.calls.allocate(&of_ben).unwrap();
    assert_eq!(bench.calls.allocate(&of_ben).err(), Some(NoRoom::Server));
    drop(lease);
    assert_eq!(bench.calls.metrics.allocations.get(), 2);
    assert!(bench.calls.allocate(&of_ben).is_ok());
}

#[test]
fn bytes_are_counted_for_each_second_and_each_day() {
    let bench = Bench::new();
    let call = bench.call(&bench.ada);
    let (first, second) =
        (bench.calls.allocate(&call).unwrap(), bench.calls.allocate(&call).unwrap());
    assert!(first.carry(Way::Out, 9_952));
    assert!(!second.carry(Way::Out, 9_952), "a second has not passed for the account");
    assert!(second.carry(Way::In, 5_000), "the other way has its own");
    bench.pass(DAY / 2);
    assert!(second.carry(Way::In, 4_000));
    for _ in 0..3 {
        // 48 bytes go with each datagram, however small it is.
        assert!(second.carry(Way::In, 0));
    }
    assert_eq!(bench.calls.metrics.carried.get(), 18_952);
    let used = || first.used.lock().unwrap().bytes;
    assert_eq!(used(), 18_952 + 6 * 48);
    first.used.lock().unwrap().bytes = 24_990;
    assert!(!second.carry(Way::In, 1), "the account has none left for today");
    bench.pass(DAY);
    assert!(second.carry(Way::In, 1));
    assert_eq!(used(), 49);
}

#[test]
fn a_server_of_another_make_is_trusted_with_its_own_calls() {
    let servers = vec!["turns:turn.example.org:443".to_owned()];
    let bench = Bench::with(Turn { servers, ..Turn::default() });
    let call = bench.call(&bench.ada);
    assert!(bench.calls.table().calls.is_empty());
    assert_eq!(bench.calls.allocate(&call).err(), Some(NoRoom::NoCall));
}

pub(crate) mod testing {
    use super::*;

    /// Calls of a relay, and two that were asked for.
    pub(crate) fn two_calls() -> (Arc<Calls>, [String; 2]) {
        let bench = Bench::new();
        let calls = [bench.call(&bench.ada), bench.call(&bench.ada)];
        (bench.calls, calls)
    }
}
