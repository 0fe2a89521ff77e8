//! Two people, their sessions and what renews them, and a network that the fuzzer drives: they say something,
//! offer and answer; frames are delivered in any order, repeated, damaged and lost; a side restarts, is put back,
//! loses its sessions, begins another life, or has its clock put.
//!
//! What is delivered was sent by the other side; once, unless a side was put back. What is heard as an offer or an
//! answer is one. What is refused leaves the sessions as they were, and accuses nobody who was not put back. What
//! is stored is read as it was, and stays bounded.

use std::collections::BTreeSet;

use crypto::{AccountKey, DeviceCert, FIRST_AGREEMENT_VERSION, Identity, MAX_SESSION_LEN, Session};
use protocol::Cx;
use protocol::envelope::{Content, Envelope, Text};
use protocol::ids::{ChatId, EnvelopeId, MessageId};
use protocol::pin::{MAX_CHANGES, Pin};
use protocol::rekey::{Doubts, Heard, Me, Rekey};
use protocol::session::{MAX_SESSIONS, OpenError, Sessions};
use protocol::time::{MINUTE, Timestamp};
use protocol::wire::{decode, encode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{NOW, WORLD};

/// Most steps of one run, frames under way, and snapshots of a side.
const STEPS: usize = 128;
const FRAMES: usize = 64;
const SNAPSHOTS: usize = 4;
/// By so much, milliseconds, a clock is put.
const SIX_HOURS: i64 = 6 * 3_600_000;

/// What a frame under way is.
#[derive(Clone)]
enum What {
    Said(Envelope),
    Offer,
    /// With the id of the session that it makes.
    Answer([u8; 16]),
}

#[derive(Clone)]
struct Frame {
    to: usize,
    what: What,
    bytes: Vec<u8>,
}

/// What a side has on its disk.
#[derive(Clone)]
struct Stored {
    sessions: Vec<u8>,
    rekey: Vec<u8>,
    pin: Pin,
    cert: DeviceCert,
}

struct Side {
    identity: &'static Identity,
    cert: DeviceCert,
    sessions: Sessions,
    rekey: Rekey,
    pin: Pin,
    doubts: Doubts,
    snapshots: Vec<Stored>,
    /// Frames that said something to it.
    taken: BTreeSet<EnvelopeId>,
    put_back: bool,
    /// How far its clock is off, milliseconds.
    skew: i64,
}

impl Side {
    /// Who has met `other`, which led to `session`.
    fn new(identity: &'static Identity, other: &Identity, session: &Session) -> Self {
        let now = Timestamp::from_seconds(NOW);
        let cert = |of: &Identity| of.primary_cert(FIRST_AGREEMENT_VERSION, NOW, 0);
        let mut side = Self {
            identity,
            cert: cert(identity),
            sessions: Sessions::default(),
            rekey: Rekey::default(),
            pin: Pin::default(),
            doubts: Doubts::default(),
            snapshots: Vec::new(),
            taken: BTreeSet::new(),
            put_back: false,
            skew: 0,
        };
        side.sessions.add(Session::import(&session.export()).expect("our own export"), now);
        side.rekey.share(&session.reinit_psk());
        side.pin.meet(&cert(other));
        side.pin.on_met(now);
        side
    }

    fn clock(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add_signed(self.skew))
    }

    fn stored_sessions(&self) -> Vec<u8> {
        self.sessions.to_bytes().expect("sessions are bounded").to_vec()
    }

    fn store(&self) -> Stored {
        Stored {
            sessions: self.stored_sessions(),
            rekey: encode(&self.rekey).expect("what renews them is bounded"),
            pin: self.pin.clone(),
            cert: self.cert.clone(),
        }
    }

    /// Starts on what is, or was, on its disk.
    fn start_on(&mut self, stored: Stored) {
        self.sessions = Sessions::from_bytes(&stored.sessions).expect("our own row");
        self.rekey = decode(&stored.rekey).expect("our own row");
        assert_eq!(self.stored_sessions(), stored.sessions);
        assert_eq!(encode(&self.rekey), Ok(stored.rekey));
        (self.pin, self.cert) = (stored.pin, stored.cert);
        self.doubts = Doubts::default();
    }

    /// Starts on a backup that was just made, as another life.
    fn begin_anew(&mut self, now: Timestamp) {
        let life = now.seconds().max(self.cert.spec().created.saturating_add(1));
        self.rekey = self.rekey.for_backup();
        self.lose(life);
        self.cert = self.identity.primary_cert(FIRST_AGREEMENT_VERSION, life, 0);
    }

    fn lose(&mut self, counter: u64) {
        self.sessions = Sessions::default();
        self.rekey.lose(counter);
        self.doubts = Doubts::default();
    }

    /// Takes a frame; `what` is what it is, if it is as it was sent to this side. `honest` if nobody was put back.
    /// Returns what answers it, and the session that the answer makes.
    fn receive(
        &mut self,
        from: AccountKey,
        bytes: &[u8],
        (what, honest): (Option<&What>, bool),
        cx: &mut Cx<'_>,
    ) -> Option<(Vec<u8>, [u8; 16])> {
        let before = self.stored_sessions();
        match self.sessions.open(bytes, cx.now) {
            Ok((_, envelope)) => {
                let said = matches!(what, Some(What::Said(said)) if *said == envelope);
                assert!(said, "what was not sent was delivered");
                self.doubts.on_opened(EnvelopeId::of(bytes));
                self.take(bytes);
                return None;
            }
            Err(OpenError::NotOpened) => {}
            Err(error) => assert!(!honest, "an honest side is accused: {error}"),
        }
        assert_eq!(self.stored_sessions(), before, "a refusal changed something");
        let me = Me { identity: self.identity, cert: &self.cert };
        match self.rekey.hear(me, (from, &self.pin), bytes, cx) {
            Heard::Nothing => self.doubts.on_unopened(EnvelopeId::of(bytes), cx.now),
            Heard::TooSoon | Heard::Stale | Heard::Past => {
                assert!(matches!(what, Some(What::Offer | What::Answer(_))), "never sent");
            }
            Heard::Offered { answer, session, cert } => {
                assert!(matches!(what, Some(What::Offer)), "what was no offer was answered");
                let id = session.id();
                self.take(bytes);
                self.renew((session, None), &cert, cx.now);
                return Some((answer, id));
            }
            Heard::Answered { session, offered_at, cert } => {
                let answered = matches!(what, Some(What::Answer(id)) if *id == session.id());
                assert!(answered, "the two have different sessions");
                self.take(bytes);
                self.renew((session, Some(offered_at)), &cert, cx.now);
            }
        }
        None
    }

    fn take(&mut self, bytes: &[u8]) {
        assert!(self.taken.insert(EnvelopeId::of(bytes)) || self.put_back, "taken twice");
    }

    fn renew(
        &mut self,
        (session, offered_at): (Session, Option<Timestamp>),
        cert: &DeviceCert,
        now: Timestamp,
    ) {
        self.doubts.clear();
        match (self.pin.renew(cert, now), offered_at) {
            (true, _) => self.sessions.begin_anew(session, now),
            (false, Some(at)) => self.sessions.renew_as_offered(session, at, now),
            (false, None) => self.sessions.renew(session, now),
        }
    }

    fn check(&self) {
        assert!(self.sessions.all().count() <= MAX_SESSIONS);
        assert!(self.sessions.all().all(|session| session.export().len() <= MAX_SESSION_LEN));
        assert!(self.sessions.to_bytes().is_ok(), "sessions exceed their row");
        assert!(encode(&self.rekey).is_ok(), "what renews them exceeds its row");
        assert!(self.pin.changes().len() <= MAX_CHANGES);
    }
}

struct Two {
    sides: [Side; 2],
    network: Vec<Frame>,
    now: Timestamp,
    rng: StdRng,
    said: u64,
}

impl Two {
    fn new() -> Self {
        let world = &*WORLD;
        let alice = Side::new(&world.alice, &world.bob, &world.alice_session);
        let bob = Side::new(&world.bob, &world.alice, &world.bob_session);
        Self {
            sides: [alice, bob],
            network: Vec::new(),
            now: Timestamp::from_seconds(NOW),
            rng: StdRng::seed_from_u64(2),
            said: 0,
        }
    }

    fn step(&mut self, [kind, argument]: [u8; 2]) {
        let who = usize::from(kind & 1);
        let chosen = usize::from(argument) % self.network.len().max(1);
        let now = self.sides[who].clock(self.now);
        match kind >> 1 & 15 {
            0..=2 => self.say(who, argument),
            3 | 4 if !self.network.is_empty() => {
                let frame = self.network.remove(chosen);
                self.deliver(&frame);
            }
            5 if !self.network.is_empty() => {
                let frame = self.network[chosen].clone();
                self.deliver(&frame);
            }
            6 if !self.network.is_empty() => self.damage(chosen, [kind, argument]),
            7 if !self.network.is_empty() => drop(self.network.remove(chosen)),
            8 => {
                while !self.network.is_empty() {
                    let frame = self.network.remove(0);
                    self.deliver(&frame);
                }
            }
            9 => self.offer(who),
            10 => self.restart(who),
            11 => self.put_back(who, argument),
            12 => self.sides[who].begin_anew(now),
            13 => self.sides[who].lose(0),
            14 => {
                self.now = self.now.plus(u64::from(argument).pow(2) * MINUTE);
                for side in &mut self.sides {
                    let now = side.clock(self.now);
                    side.doubts.last_for(now);
                    side.sessions.prune(now);
                }
            }
            15 => {
                self.sides[who].skew = match i8::from_be_bytes([argument]) {
                    i8::MIN => i64::MIN,
                    i8::MAX => i64::MAX,
                    steps => i64::from(steps) * SIX_HOURS,
                }
            }
            _ => {}
        }
        self.sides[who].check();
    }

    fn send(&mut self, to: usize, what: What, bytes: Vec<u8>) {
        self.network.push(Frame { to, what, bytes });
        if self.network.len() > FRAMES {
            self.network.remove(0);
        }
    }

    fn say(&mut self, who: usize, length: u8) {
        self.said += 1;
        let mut message = [0; 16];
        message[..8].copy_from_slice(&self.said.to_be_bytes());
        let side = &mut self.sides[who];
        let mut cx = Cx { now: side.clock(self.now), rng: &mut self.rng };
        let envelope = Envelope {
            message: MessageId(message),
            chat: ChatId([0; 16]),
            seq: self.said,
            lamport: self.said,
            at: cx.now,
            expiry_seconds: 0,
            // Longer ones reach the larger classes.
            content: Content::Text(Text { text: "x".repeat(usize::from(length) * 12) }),
        };
        let sealed = side.sessions.seal(&envelope, &mut cx);
        if let Ok(bytes) = sealed {
            self.send(1 - who, What::Said(envelope), bytes);
        }
    }

    fn offer(&mut self, who: usize) {
        let to = self.sides[1 - who].identity.account();
        let side = &mut self.sides[who];
        let mut cx = Cx { now: side.clock(self.now), rng: &mut self.rng };
        let me = Me { identity: side.identity, cert: &side.cert };
        let offered = side.rekey.offer(me, to, &mut cx);
        if let Ok(bytes) = offered {
            self.send(1 - who, What::Offer, bytes);
        }
    }

    fn deliver(&mut self, frame: &Frame) {
        self.hand(frame.to, &frame.bytes, Some(&frame.what));
    }

    /// What was altered is taken by nobody, and what was not, not by who sent it.
    fn damage(&mut self, chosen: usize, [kind, argument]: [u8; 2]) {
        let Frame { to, bytes, .. } = self.network[chosen].clone();
        let mut damaged = bytes.clone();
        let at = usize::from(u16::from_be_bytes([kind, argument])) % damaged.len();
        damaged[at] ^= argument | 1;
        self.hand(to, &damaged, None);
        self.hand(1 - to, &bytes, None);
    }

    fn hand(&mut self, to: usize, bytes: &[u8], what: Option<&What>) {
        let honest = !self.sides.iter().any(|side| side.put_back);
        let from = self.sides[1 - to].identity.account();
        let side = &mut self.sides[to];
        let mut cx = Cx { now: side.clock(self.now), rng: &mut self.rng };
        let answered = side.receive(from, bytes, (what, honest), &mut cx);
        side.check();
        if let Some((answer, session)) = answered {
            self.send(1 - to, What::Answer(session), answer);
        }
    }

    fn restart(&mut self, who: usize) {
        let side = &mut self.sides[who];
        let stored = side.store();
        side.start_on(stored.clone());
        side.snapshots.push(stored);
        if side.snapshots.len() > SNAPSHOTS {
            side.snapshots.remove(0);
        }
    }

    fn put_back(&mut self, who: usize, which: u8) {
        let side = &mut self.sides[who];
        let count = side.snapshots.len();
        let earlier = side.snapshots.get(usize::from(which) % count.max(1)).cloned();
        if let Some(earlier) = earlier {
            side.start_on(earlier);
            side.put_back = true;
        }
    }
}

/// Drives them, two bytes a step.
pub fn conversation(data: &[u8]) {
    let mut two = Two::new();
    for step in data.as_chunks::<2>().0.iter().take(STEPS) {
        two.step(*step);
    }
}
