//! Two sessions and a network that drops, shuffles, repeats and damages, with restarts in between, and with
//! sides that are put back to what they were before.
//!
//! Whatever happens:
//! * what is delivered was sent, by the other side, byte for byte;
//! * it is delivered once, as far as the side that receives it remembers: one that was put back has forgotten
//!   what came since;
//! * a refused frame leaves the exported state as it was;
//! * the state stays bounded;
//! * no two frames are sealed with one key stream: the nonce that goes into each is drawn, and is in no state.
//!
//! Unless a side was put back:
//! * nobody is blamed for having broken the rules;
//! * once the network heals, everything sent from then on arrives.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crypto::{
    Bundle, BundleInfo, ENVELOPE_ID_LEN, Identity, InviteKind, InvitePrekeys, MAX_SESSION_LEN,
    Secret, Seed, Session, Token, TokenSpec, envelope_id, join, respond,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const START: u64 = 1_767_225_600;
/// Bytes of the nonce, behind a frame's first byte.
const NONCE_LEN: usize = 24;

/// One step of a scenario; `usize`s choose among what is there, modulo its number.
#[derive(Debug, Clone)]
enum Step {
    Send {
        side: usize,
        len: usize,
    },
    Deliver {
        side: usize,
        which: usize,
    },
    /// Delivers and keeps a copy in the network.
    Repeat {
        side: usize,
        which: usize,
    },
    Drop {
        side: usize,
        which: usize,
    },
    Damage {
        side: usize,
        which: usize,
        bit: usize,
    },
    Restart {
        side: usize,
    },
    Wait {
        seconds: u64,
    },
    /// Keeps a copy of what a side is now.
    Copy {
        side: usize,
    },
    /// A side goes on from one of its copies.
    PutBack {
        side: usize,
        which: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2_usize;
    prop_oneof![
        6 => (side.clone(), prop_oneof![4 => 0..300_usize, 1 => 300..9000_usize])
            .prop_map(|(side, len)| Step::Send { side, len }),
        6 => (side.clone(), any::<usize>()).prop_map(|(side, which)| Step::Deliver { side, which }),
        1 => (side.clone(), any::<usize>()).prop_map(|(side, which)| Step::Repeat { side, which }),
        1 => (side.clone(), any::<usize>()).prop_map(|(side, which)| Step::Drop { side, which }),
        1 => (side.clone(), any::<usize>(), any::<usize>())
            .prop_map(|(side, which, bit)| Step::Damage { side, which, bit }),
        1 => side.prop_map(|side| Step::Restart { side }),
        1 => (0..100_000_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// Puts a side back so seldom that the two get somewhere in between.
fn step_or_put_back() -> impl Strategy<Value = Step> {
    let side = 0..2_usize;
    prop_oneof![
        50 => step(),
        2 => side.clone().prop_map(|side| Step::Copy { side }),
        1 => (side, any::<usize>()).prop_map(|(side, which)| Step::PutBack { side, which }),
    ]
}

/// What a side may be put back to.
#[derive(Clone)]
struct Snapshot {
    session: Vec<u8>,
    received: BTreeSet<u64>,
}

struct Party {
    session: Session,
    /// Numbers of the messages that it knows it received.
    received: BTreeSet<u64>,
    /// Frames on their way to it.
    inbox: Vec<Vec<u8>>,
    /// The length of every message that it ever sent, by number.
    sent: Vec<usize>,
    snapshots: Vec<Snapshot>,
}

struct World {
    parties: [Party; 2],
    rng: StdRng,
    now: u64,
    /// A side went on from a state that was not its last.
    rolled_back: bool,
    /// The nonce and the name of every frame that was ever sealed.
    nonces: BTreeSet<[u8; NONCE_LEN]>,
    names: BTreeSet<[u8; ENVELOPE_ID_LEN]>,
}

/// `side ‖ number ‖ filler`, so that a delivery tells where it comes from.
fn content(side: usize, number: u64, len: usize) -> Vec<u8> {
    let mut content = vec![u8::try_from(side).unwrap()];
    content.extend_from_slice(&number.to_be_bytes());
    content.resize(content.len() + len, 0xEE);
    content
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let alice = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([1; 32])));
        let bob = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([2; 32])));
        let spec = TokenSpec {
            kind: InviteKind::Contact,
            approval: true,
            expires_minutes: u32::MAX,
            relays: Vec::new(),
        };
        let token = Token::mint(&alice, spec, &mut rng).unwrap();
        let cert = alice.primary_cert(1, START, 0);
        let prekeys = InvitePrekeys::generate(&cert, &token, &mut rng);
        let bundle = Bundle::sign(&alice, &cert, &token, &prekeys, BundleInfo::default()).unwrap();
        let cert = bob.primary_cert(1, START, 0);
        let joined = join(&bob, &cert, &token, &bundle, b"", &mut rng).unwrap();
        let responded = respond(&alice, &token, &prekeys, &joined.request).unwrap();
        let party = |session| Party {
            session,
            received: BTreeSet::new(),
            inbox: Vec::new(),
            sent: Vec::new(),
            snapshots: Vec::new(),
        };
        Self {
            parties: [party(joined.session), party(responded.session)],
            rng,
            now: START,
            rolled_back: false,
            nonces: BTreeSet::new(),
            names: BTreeSet::new(),
        }
    }

    fn send(&mut self, side: usize, len: usize) -> u64 {
        let party = &mut self.parties[side];
        let number = u64::try_from(party.sent.len()).unwrap();
        party.sent.push(len);
        let content = content(side, number, len);
        let frame = party.session.encrypt(&content, self.now, &mut self.rng).unwrap();
        assert!(party.session.export().len() <= MAX_SESSION_LEN);
        let nonce: [u8; NONCE_LEN] = frame[1..=NONCE_LEN].try_into().unwrap();
        assert!(self.nonces.insert(nonce), "two frames with one nonce");
        assert!(self.names.insert(envelope_id(&frame)), "two frames with one name");
        self.parties[1 - side].inbox.push(frame);
        number
    }

    /// Whether the frame was accepted; checks every invariant on the way.
    fn deliver(&mut self, side: usize, frame: &[u8]) -> bool {
        let party = &mut self.parties[side];
        let before = party.session.export();
        match party.session.decrypt(frame, self.now) {
            Ok(delivered) => {
                assert_eq!(usize::from(delivered[0]), 1 - side, "reflected");
                let number = u64::from_be_bytes(delivered[1..9].try_into().unwrap());
                assert!(party.received.insert(number), "delivered twice");
                assert!(party.session.export().len() <= MAX_SESSION_LEN);
                let sent = &self.parties[1 - side].sent;
                let len = sent.get(usize::try_from(number).unwrap());
                let sent = len.map(|len| content(1 - side, number, *len));
                assert!(sent == Some(delivered), "never sent");
                true
            }
            Err(error) => {
                let blamed = error.is_peer_fault() && !self.rolled_back;
                assert!(!blamed, "an honest peer was blamed: {error}");
                assert_eq!(party.session.export(), before, "a refusal changed the state");
                false
            }
        }
    }

    fn take(&mut self, side: usize, which: usize) -> Option<Vec<u8>> {
        let inbox = &mut self.parties[side].inbox;
        (!inbox.is_empty()).then(|| inbox.swap_remove(which % inbox.len()))
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send { side, len } => {
                self.send(side, len);
            }
            Step::Deliver { side, which } => {
                if let Some(frame) = self.take(side, which) {
                    self.deliver(side, &frame);
                }
            }
            Step::Repeat { side, which } => {
                if let Some(frame) = self.take(side, which) {
                    self.deliver(side, &frame);
                    assert!(!self.deliver(side, &frame), "accepted twice");
                    self.parties[side].inbox.push(frame);
                }
            }
            Step::Drop { side, which } => {
                self.take(side, which);
            }
            Step::Damage { side, which, bit } => {
                if let Some(mut frame) = self.take(side, which) {
                    let bit = bit % (frame.len() * 8);
                    frame[bit / 8] ^= 1 << (bit % 8);
                    assert!(!self.deliver(side, &frame), "accepted a damaged frame");
                    frame[bit / 8] ^= 1 << (bit % 8);
                    self.parties[side].inbox.push(frame);
                }
            }
            Step::Restart { side } => {
                let party = &mut self.parties[side];
                party.session = Session::import(&party.session.export()).unwrap();
            }
            Step::Wait { seconds } => self.now += seconds,
            Step::Copy { side } => {
                let party = &mut self.parties[side];
                let session = party.session.export().to_vec();
                party.snapshots.push(Snapshot { session, received: party.received.clone() });
            }
            Step::PutBack { side, which } => self.put_back(side, which),
        }
    }

    fn put_back(&mut self, side: usize, which: usize) {
        let party = &mut self.parties[side];
        if party.snapshots.is_empty() {
            return;
        }
        let snapshot = party.snapshots[which % party.snapshots.len()].clone();
        // Where nothing has happened since, it is a restart.
        self.rolled_back |= *party.session.export() != snapshot.session;
        party.session = Session::import(&snapshot.session).unwrap();
        party.received = snapshot.received;
    }

    /// Both go on, though one of them is not what it was: nobody promises that anything arrives.
    fn go_on(&mut self) {
        for _ in 0..30 {
            for side in [0, 1] {
                self.send(side, 10);
                let frame = self.parties[1 - side].inbox.pop().unwrap();
                self.deliver(1 - side, &frame);
            }
        }
    }

    /// The network heals: each side's new messages arrive, in both directions.
    fn heal(&mut self) {
        for _ in 0..30 {
            for side in [0, 1] {
                let number = self.send(side, 10);
                let frame = self.parties[1 - side].inbox.pop().unwrap();
                assert!(self.deliver(1 - side, &frame), "lost on a healed network");
                assert!(self.parties[1 - side].received.contains(&number));
            }
        }
        let [bob, alice] = &self.parties;
        assert!(bob.session.pq_epoch().abs_diff(alice.session.pq_epoch()) <= 1);
        assert!(alice.session.pq_epoch() >= 1, "thirty rounds complete an epoch");
    }
}

/// How many cases: as many as `PROPTEST_CASES` asks for. Each is a whole conversation.
fn cases() -> u32 {
    // proptest's own reading of it; 256 is what it says when nobody asks.
    match ProptestConfig::default().cases {
        256 => 96,
        asked => asked,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_the_network_does_messages_arrive_once_and_the_session_heals(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 0..250),
    ) {
        let mut world = World::new(seed);
        for step in &steps {
            world.step(step);
        }
        world.heal();
    }

    #[test]
    fn whoever_is_put_back_nothing_is_made_up_or_delivered_twice_and_no_key_stream_is_used_again(
        seed in any::<u64>(),
        steps in proptest::collection::vec(step_or_put_back(), 0..250),
    ) {
        let mut world = World::new(seed);
        for step in &steps {
            world.step(step);
        }
        if world.rolled_back {
            world.go_on();
        } else {
            world.heal();
        }
    }

    #[test]
    fn no_decoder_panics_on_arbitrary_bytes(
        bytes in proptest::collection::vec(any::<u8>(), 0..5000),
        text in "\\PC{0,600}",
    ) {
        let world = World::new(1);
        let [mut bob, _] = world.parties;
        let before = bob.session.export();
        assert!(bob.session.decrypt(&bytes, START).is_err());
        assert!(bob.session.open_ephemeral(&bytes, START).is_err());
        assert_eq!(bob.session.export(), before);
        assert!(Token::decode(&bytes).is_err());
        assert!(Token::parse(&text).is_err());
        assert!(Session::import(&bytes).is_err());
        assert!(crypto::DeviceCert::decode(&bytes).is_err());
    }
}
