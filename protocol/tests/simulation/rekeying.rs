//! Two people whose nodes lose their sessions, all of them or the newest, and re-key by themselves.

use std::collections::BTreeSet;

use crypto::{DeviceCert, FIRST_AGREEMENT_VERSION, Identity};
use proptest::prelude::*;
use protocol::Cx;
use protocol::envelope::{Content, Envelope, Text};
use protocol::ids::{ChatId, EnvelopeId, MessageId};
use protocol::pin::Pin;
use protocol::rekey::{DOUBT_LIFE, Doubts, Heard, MAX_A_DAY, Me, Rekey};
use protocol::session::Sessions;
use protocol::time::{DAY, HOUR, SECOND, Timestamp};
use protocol::wire::{decode, encode};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::peer::{identity, met};

const START: Timestamp = Timestamp(1_700_000_000_000);
/// How often a node tries what waits.
const TICK: u64 = 20 * SECOND;

/// What waits to be signed for.
#[derive(Clone)]
struct Waiting {
    text: Option<MessageId>,
    frame: Vec<u8>,
}

/// What a copy of a folder has.
#[derive(Clone)]
struct Stored {
    sessions: Vec<u8>,
    rekey: Vec<u8>,
    waiting: Vec<Waiting>,
    got: Vec<MessageId>,
    seen: BTreeSet<EnvelopeId>,
}

struct End {
    identity: Identity,
    cert: DeviceCert,
    sessions: Sessions,
    rekey: Rekey,
    doubts: Doubts,
    waiting: Vec<Waiting>,
    got: Vec<MessageId>,
    seen: BTreeSet<EnvelopeId>,
    copy: Option<Stored>,
    offers: Vec<Timestamp>,
}

impl End {
    fn new(byte: u8, sessions: Sessions) -> Self {
        let identity = identity(byte);
        let cert = identity.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), 0);
        let mut rekey = Rekey::default();
        sessions.met().iter().for_each(|session| rekey.share(&session.reinit_psk()));
        Self {
            identity,
            cert,
            sessions,
            rekey,
            doubts: Doubts::default(),
            waiting: Vec::new(),
            got: Vec::new(),
            seen: BTreeSet::new(),
            copy: None,
            offers: Vec::new(),
        }
    }

    fn store(&self) -> Stored {
        Stored {
            sessions: self.sessions.to_bytes().unwrap().to_vec(),
            rekey: encode(&self.rekey).unwrap(),
            waiting: self.waiting.clone(),
            got: self.got.clone(),
            seen: self.seen.clone(),
        }
    }

    /// Starts on a copy, as if it were what it left.
    fn start_on(&mut self, copy: Stored) {
        self.sessions = Sessions::from_bytes(&copy.sessions).unwrap();
        self.rekey = decode(&copy.rekey).unwrap();
        self.doubts = Doubts::default();
        (self.waiting, self.got, self.seen) = (copy.waiting, copy.got, copy.seen);
    }

    /// Starts on a backup, which has no sessions: what waits is sealed when there is one.
    fn lose_sessions(&mut self, now: Timestamp) {
        self.sessions = Sessions::default();
        self.rekey.lose(0);
        self.doubts = Doubts::default();
        self.doubts.be_certain(now);
        for waiting in &mut self.waiting {
            waiting.frame.clear();
        }
        self.waiting.retain(|waiting| waiting.text.is_some());
    }

    fn say(&mut self, id: MessageId, cx: &mut Cx<'_>) {
        let frame = self.seal(id, cx).unwrap_or_default();
        self.waiting.push(Waiting { text: Some(id), frame });
    }

    fn seal(&mut self, id: MessageId, cx: &mut Cx<'_>) -> Option<Vec<u8>> {
        let envelope = Envelope {
            message: id,
            chat: ChatId([0; 16]),
            seq: 1,
            lamport: 1,
            at: cx.now,
            expiry_seconds: 0,
            content: Content::Text(Text { text: "words".to_owned() }),
        };
        self.sessions.seal(&envelope, cx).ok()
    }

    fn on_session(&mut self, session: crypto::Session, answer: Option<Vec<u8>>, cx: &mut Cx<'_>) {
        self.sessions.renew(session, cx.now);
        self.doubts.clear();
        let texts: Vec<MessageId> =
            self.waiting.drain(..).filter_map(|waiting| waiting.text).collect();
        self.waiting.extend(answer.map(|frame| Waiting { text: None, frame }));
        texts.into_iter().for_each(|id| self.say(id, cx));
    }

    /// Returns whether it is signed for.
    fn receive(&mut self, from: &Identity, frame: &[u8], cx: &mut Cx<'_>) -> bool {
        let id = EnvelopeId::of(frame);
        if self.seen.contains(&id) {
            return true;
        }
        let before = self.sessions.to_bytes().unwrap();
        if let Ok((_, envelope)) = self.sessions.open(frame, cx.now) {
            self.doubts.on_opened(id);
            if !self.got.contains(&envelope.message) {
                self.got.push(envelope.message);
            }
            return self.seen.insert(id);
        }
        assert_eq!(*self.sessions.to_bytes().unwrap(), *before, "a refused frame changes nothing");
        let me = Me { identity: &self.identity, cert: &self.cert };
        match self.rekey.hear(me, (from.account(), &Pin::default()), frame, cx) {
            Heard::Nothing => {
                self.doubts.on_unopened(id, cx.now);
                return false;
            }
            Heard::TooSoon => return false,
            Heard::Past => unreachable!("both have one life"),
            Heard::Stale => self.doubts.be_certain(cx.now),
            Heard::Offered { answer, session, .. } => self.on_session(session, Some(answer), cx),
            Heard::Answered { session, .. } => self.on_session(session, None, cx),
        }
        self.seen.insert(id)
    }

    fn tick(&mut self, to: &Identity, cx: &mut Cx<'_>) {
        self.doubts.last_for(cx.now);
        if self.doubts.due_at().is_none_or(|at| at > cx.now) {
            return;
        }
        let me = Me { identity: &self.identity, cert: &self.cert };
        let on_its_way = self.rekey.pending();
        if self.waiting.iter().any(|waiting| Some(EnvelopeId::of(&waiting.frame)) == on_its_way) {
            return;
        }
        match self.rekey.offer(me, to.account(), cx) {
            Ok(frame) => {
                self.offers.push(cx.now);
                self.waiting.insert(0, Waiting { text: None, frame });
                self.doubts.pause(cx.now.plus(DOUBT_LIFE / 4));
            }
            Err(at) => self.doubts.pause(at.unwrap()),
        }
    }
}

struct Two {
    ends: [End; 2],
    now: Timestamp,
    rng: StdRng,
    said: u64,
}

impl Two {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let [adas, bens] = met(START, &mut rng);
        Self { ends: [End::new(1, adas), End::new(2, bens)], now: START, rng, said: 0 }
    }

    fn say(&mut self, who: usize) {
        self.said += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.said.to_be_bytes());
        self.ends[who].say(MessageId(id), &mut Cx { now: self.now, rng: &mut self.rng });
    }

    /// Time passes; each side tries everything that waits, and so much of it is lost on its way.
    fn tick(&mut self, loss: u8) {
        self.now = self.now.plus(TICK);
        for who in 0..2 {
            let other = identity(if who == 0 { 2 } else { 1 });
            let mut cx = Cx { now: self.now, rng: &mut self.rng };
            self.ends[who].tick(&other, &mut cx);
            let author = identity(if who == 0 { 1 } else { 2 });
            let frames: Vec<Vec<u8>> =
                self.ends[who].waiting.iter().map(|waiting| waiting.frame.clone()).collect();
            for frame in frames.into_iter().filter(|frame| !frame.is_empty()) {
                if self.rng.random_range(0..100) < loss {
                    continue;
                }
                let mut cx = Cx { now: self.now, rng: &mut self.rng };
                let signed = self.ends[1 - who].receive(&author, &frame, &mut cx);
                if signed && self.rng.random_range(0..100) >= loss {
                    self.ends[who].waiting.retain(|waiting| waiting.frame != frame);
                }
            }
        }
    }

    fn rests(&self) -> bool {
        self.ends.iter().all(|end| end.waiting.iter().all(|waiting| waiting.text.is_none()))
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Say(usize),
    Copy(usize),
    PutBack(usize),
    Lose(usize),
    Ticks(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..2usize).prop_map(Op::Say),
        2 => (0..2usize).prop_map(Op::Copy),
        1 => (0..2usize).prop_map(Op::PutBack),
        1 => (0..2usize).prop_map(Op::Lose),
        6 => (1..100u16).prop_map(Op::Ticks),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_is_lost_or_put_back_everything_that_waits_arrives(
        seed in any::<u64>(),
        loss in 0u8..50,
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let mut two = Two::new(seed);
        for op in ops {
            match op {
                Op::Say(who) => two.say(who),
                Op::Copy(who) => two.ends[who].copy = Some(two.ends[who].store()),
                Op::PutBack(who) => {
                    if let Some(copy) = two.ends[who].copy.clone() {
                        two.ends[who].start_on(copy);
                    }
                }
                Op::Lose(who) => {
                    let now = two.now;
                    two.ends[who].lose_sessions(now);
                }
                Op::Ticks(ticks) => (0..ticks).for_each(|_| two.tick(loss)),
            }
        }
        // Both speak, so that whatever is broken shows.
        two.say(0);
        two.say(1);
        let limit = two.now.plus(3 * DAY);
        while !two.rests() {
            prop_assert!(two.now < limit, "something waits for ever");
            two.tick(loss);
        }
        for end in &two.ends {
            let once: BTreeSet<_> = end.got.iter().collect();
            prop_assert_eq!(once.len(), end.got.len());
            for window in end.offers.windows(MAX_A_DAY + 2) {
                // One more than a day's: a copy that was put back does not remember the last.
                prop_assert!(window[MAX_A_DAY + 1].since(window[0]) > HOUR, "a storm of offers");
            }
        }
    }
}

#[test]
fn a_lost_session_is_replaced_within_a_minute_when_both_are_there() {
    let mut two = Two::new(1);
    (0..3).for_each(|_| two.tick(0));
    let now = two.now;
    two.ends[0].lose_sessions(now);
    two.say(0);
    two.say(1);
    (0..3).for_each(|_| two.tick(0));
    assert!(two.rests());
    assert_eq!(two.ends[0].offers.len(), 1);
    assert_eq!(two.ends[0].got.len() + two.ends[1].got.len(), 2);
}

/// A whole folder is put back: its node believes in a session that has moved on.
#[test]
fn a_copy_that_was_put_back_re_keys_when_nothing_opens_any_more() {
    let mut two = Two::new(2);
    for n in 0..10 {
        two.say(n % 2);
        two.tick(0);
    }
    two.ends[0].copy = Some(two.ends[0].store());
    for n in 0..10 {
        two.say(n % 2);
        two.tick(0);
    }
    let copy = two.ends[0].copy.clone().unwrap();
    two.ends[0].start_on(copy);
    for _ in 0..4 {
        two.say(0);
        two.say(1);
        two.tick(0);
    }
    (0..200).for_each(|_| two.tick(0));
    assert!(two.rests());
    assert!(!two.ends[0].offers.is_empty() || !two.ends[1].offers.is_empty());
}

/// A clock that was a year ahead stamped the first session; then the two met again.
#[test]
fn what_was_proved_last_seals_wherever_the_clock_was_put() {
    let mut rng = StdRng::seed_from_u64(3);
    let ahead = START.plus(365 * DAY);
    let [mut sessions, _] = met(ahead, &mut rng);
    let [again, _] = met(START, &mut rng);
    let stored = again.to_bytes().unwrap();
    let session = |bytes: &[u8]| {
        let sessions = Sessions::from_bytes(bytes).unwrap();
        let exported = sessions.all().next().unwrap().export();
        crypto::Session::import(&exported).unwrap()
    };
    let newest = session(&stored);
    let id = newest.id();
    sessions.add(newest, START);
    assert_eq!(sessions.sealing().unwrap().id(), id);
    // And once more in the same millisecond.
    let [third, _] = met(START, &mut rng);
    let third = session(&third.to_bytes().unwrap());
    let id = third.id();
    sessions.renew(third, START);
    assert_eq!(sessions.sealing().unwrap().id(), id);
}
