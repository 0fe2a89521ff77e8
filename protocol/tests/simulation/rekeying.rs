//! Two people whose nodes lose their sessions, all of them or the newest, and re-key by themselves, over a
//! network that loses, doubles and reorders.

use std::collections::BTreeSet;

use crypto::{AccountKey, DeviceCert, FIRST_AGREEMENT_VERSION, Identity, Session};
use proptest::prelude::*;
use protocol::Cx;
use protocol::envelope::{Content, Envelope, Text};
use protocol::ids::{ChatId, EnvelopeId, MessageId};
use protocol::pin::Pin;
use protocol::rekey::{Doubts, FIRST_PAUSE, GRACE, Heard, MAX_A_DAY, Me, Rekey};
use protocol::session::{OpenError, Sessions};
use protocol::sim::{Link, Network};
use protocol::time::{DAY, MINUTE, SECOND, Timestamp};
use protocol::wire::{decode, encode};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::peer::{identity, met};

pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);
/// How often a node tries what waits.
pub(crate) const TICK: u64 = 20 * SECOND;

/// A link that is bad in any way, at times as slow as a relay that is asked seldom.
pub(crate) fn link() -> impl Strategy<Value = Link> {
    let longest = prop_oneof![1..4 * SECOND, 1..20 * MINUTE];
    (0..50u8, 0..60u8, 0..100u8, longest).prop_map(|(loss, duplication, reorder, longest)| Link {
        loss,
        duplication,
        reorder,
        delay: (1, longest),
    })
}

/// The name of the message with this number.
pub(crate) fn message(number: u64) -> MessageId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    MessageId(id)
}

pub(crate) fn envelope(message: MessageId, content: Content, at: Timestamp) -> Envelope {
    let chat = ChatId([0; 16]);
    Envelope { message, chat, seq: 1, lamport: 1, at, expiry_seconds: 0, content }
}

/// What waits to be signed for.
#[derive(Clone)]
struct Waiting {
    text: Option<MessageId>,
    /// Empty while there is no session to seal it on.
    frame: Vec<u8>,
}

impl Waiting {
    fn is(&self, frame: EnvelopeId) -> bool {
        !self.frame.is_empty() && EnvelopeId::of(&self.frame) == frame
    }
}

/// What a copy of a folder has.
#[derive(Clone)]
pub(crate) struct Stored {
    sessions: Vec<u8>,
    rekey: Vec<u8>,
    waiting: Vec<Waiting>,
    got: Vec<MessageId>,
    seen: BTreeSet<EnvelopeId>,
    offers: Vec<Timestamp>,
}

/// How a session came about: by an offer of ours, made then and answered now, or by this answer of ours.
enum Made {
    ByOffer(Timestamp),
    ByAnswer(Vec<u8>),
}

/// One side, as a node drives the machines.
pub(crate) struct End {
    pub(crate) identity: Identity,
    cert: DeviceCert,
    them: AccountKey,
    pub(crate) sessions: Sessions,
    rekey: Rekey,
    doubts: Doubts,
    waiting: Vec<Waiting>,
    /// The messages that came, each once.
    pub(crate) got: Vec<MessageId>,
    seen: BTreeSet<EnvelopeId>,
    /// When it offered, as far as it knows.
    pub(crate) offers: Vec<Timestamp>,
}

impl End {
    /// The first or the second of the two.
    pub(crate) fn new(byte: u8, sessions: Sessions) -> Self {
        let identity = identity(byte);
        let cert = identity.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), 0);
        Self {
            identity,
            cert,
            them: self::identity(3 - byte).account(),
            sessions,
            rekey: Rekey::default(),
            doubts: Doubts::default(),
            waiting: Vec::new(),
            got: Vec::new(),
            seen: BTreeSet::new(),
            offers: Vec::new(),
        }
    }

    /// The two are contacts: what their sessions share is kept.
    pub(crate) fn on_contact(&mut self) {
        self.sessions.met().iter().for_each(|session| self.rekey.share(&session.reinit_psk()));
        self.rekey.on_met();
    }

    pub(crate) fn is_contact(&self) -> bool {
        !self.rekey.is_empty()
    }

    pub(crate) fn store(&self) -> Stored {
        Stored {
            sessions: self.sessions.to_bytes().unwrap().to_vec(),
            rekey: encode(&self.rekey).unwrap(),
            waiting: self.waiting.clone(),
            got: self.got.clone(),
            seen: self.seen.clone(),
            offers: self.offers.clone(),
        }
    }

    /// Starts on a copy, as if it were what it left.
    pub(crate) fn start_on(&mut self, copy: Stored, now: Timestamp) {
        self.sessions = Sessions::from_bytes(&copy.sessions).unwrap();
        self.rekey = decode(&copy.rekey).unwrap();
        self.doubts = Doubts::default();
        if self.rekey.is_lost() {
            self.doubts.be_certain(now);
        }
        (self.waiting, self.got, self.seen) = (copy.waiting, copy.got, copy.seen);
        self.offers = copy.offers;
    }

    /// Starts on a backup, which has no sessions: what waits is sealed when there is one.
    pub(crate) fn lose_sessions(&mut self, now: Timestamp) {
        self.sessions = Sessions::default();
        self.rekey.lose(0);
        self.doubts = Doubts::default();
        self.doubts.be_certain(now);
        for waiting in &mut self.waiting {
            waiting.frame.clear();
        }
        self.waiting.retain(|waiting| waiting.text.is_some());
    }

    pub(crate) fn say(&mut self, id: MessageId, cx: &mut Cx<'_>) {
        let text = Content::Text(Text { text: "words".to_owned() });
        let frame = self.sessions.seal(&envelope(id, text, cx.now), cx).unwrap_or_default();
        self.waiting.push(Waiting { text: Some(id), frame });
    }

    /// What can be sent of what waits.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        let frames = self.waiting.iter().map(|waiting| waiting.frame.clone());
        frames.filter(|frame| !frame.is_empty()).collect()
    }

    /// The messages that wait.
    pub(crate) fn texts(&self) -> Vec<MessageId> {
        self.waiting.iter().filter_map(|waiting| waiting.text).collect()
    }

    /// Whether nothing waits, of messages and of what renews the sessions.
    pub(crate) fn rests(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn on_signed(&mut self, frame: EnvelopeId) {
        self.waiting.retain(|waiting| !waiting.is(frame));
    }

    /// That frame is dealt with, and says nothing again.
    pub(crate) fn note(&mut self, frame: EnvelopeId) {
        self.seen.insert(frame);
    }

    fn on_session(&mut self, session: Session, made: Made, cx: &mut Cx<'_>) {
        let (crossed, answer) = match made {
            // An answer that crossed is still needed: with it they open what was sealed on its session.
            Made::ByOffer(offered_at) => {
                self.sessions.renew_as_offered(session, offered_at, cx.now);
                (self.rekey.answer(), None)
            }
            Made::ByAnswer(answer) => {
                self.sessions.renew(session, cx.now);
                (None, Some(answer))
            }
        };
        self.doubts.clear();
        let texts = self.texts();
        self.waiting.retain(|waiting| crossed.is_some_and(|answer| waiting.is(answer)));
        self.waiting.extend(answer.map(|frame| Waiting { text: None, frame }));
        texts.into_iter().for_each(|id| self.say(id, cx));
    }

    /// Returns whether it is signed for.
    pub(crate) fn receive(&mut self, frame: &[u8], cx: &mut Cx<'_>) -> bool {
        let id = EnvelopeId::of(frame);
        if self.seen.contains(&id) {
            return true;
        }
        let before = self.sessions.to_bytes().unwrap();
        let refused = match self.sessions.open(frame, cx.now) {
            Ok((_, envelope)) => {
                self.doubts.on_opened(id);
                let words = matches!(envelope.content, Content::Text(_));
                if words && !self.got.contains(&envelope.message) {
                    self.got.push(envelope.message);
                }
                return self.seen.insert(id);
            }
            Err(refused) => refused,
        };
        assert_eq!(*self.sessions.to_bytes().unwrap(), *before, "a refused frame changes nothing");
        let me = Me { identity: &self.identity, cert: &self.cert };
        match self.rekey.hear(me, (self.them, &Pin::default()), frame, cx) {
            Heard::Nothing => {
                self.doubts.on_unopened(id, cx.now);
                if matches!(refused, OpenError::Fault(_)) {
                    self.doubts.be_certain(cx.now.plus(GRACE));
                }
                return false;
            }
            Heard::TooSoon => return false,
            Heard::Past => unreachable!("both have one life"),
            Heard::Stale => self.doubts.be_certain(cx.now),
            Heard::Offered { answer, session, .. } => {
                self.on_session(session, Made::ByAnswer(answer), cx);
            }
            Heard::Answered { session, offered_at, .. } => {
                self.on_session(session, Made::ByOffer(offered_at), cx);
            }
        }
        self.seen.insert(id)
    }

    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        self.doubts.last_for(cx.now);
        if self.doubts.due_at().is_none_or(|at| at > cx.now) {
            return;
        }
        let me = Me { identity: &self.identity, cert: &self.cert };
        let pending = self.rekey.pending();
        let is_pending = |waiting: &Waiting| pending.is_some_and(|offer| waiting.is(offer));
        let next = if self.waiting.iter().any(is_pending) {
            cx.now.plus(FIRST_PAUSE)
        } else {
            match self.rekey.offer(me, self.them, cx) {
                Ok(frame) => {
                    self.on_offered(cx.now);
                    self.waiting.insert(0, Waiting { text: None, frame });
                    cx.now.plus(FIRST_PAUSE)
                }
                Err(at) => at.unwrap(),
            }
        };
        self.doubts.pause(next);
    }

    /// However often it is put back, there are never more in a day than it may know of.
    fn on_offered(&mut self, now: Timestamp) {
        let others = self.offers.len().checked_sub(MAX_A_DAY);
        let before = others.map(|index| self.offers[index]);
        assert!(before.is_none_or(|at| now.since(at) >= DAY), "a storm of offers");
        self.offers.push(now);
    }
}

/// What travels.
#[derive(Clone)]
enum Packet {
    Frame(Vec<u8>),
    /// That frame is dealt with.
    Signed(EnvelopeId),
}

/// Two who have met.
struct Two {
    ends: [End; 2],
    copies: [Option<Stored>; 2],
    network: Network<Packet>,
    said: u64,
}

impl Two {
    fn new(seed: u64, link: Link) -> Self {
        let mut network = Network::seeded(seed, START);
        let [adas, bens] = met(START, network.rng());
        network.set_all(link);
        let mut ends = [End::new(1, adas), End::new(2, bens)];
        ends.iter_mut().for_each(End::on_contact);
        Self { ends, copies: [None, None], network, said: 0 }
    }

    fn say(&mut self, who: usize) {
        self.said += 1;
        let mut cx = Cx { now: self.network.now(), rng: self.network.rng() };
        self.ends[who].say(message(self.said), &mut cx);
    }

    /// Time passes; each side tries everything that waits.
    fn tick(&mut self) {
        let next = self.network.now().plus(TICK);
        for who in 0..2 {
            let mut cx = Cx { now: self.network.now(), rng: self.network.rng() };
            self.ends[who].tick(&mut cx);
            for frame in self.ends[who].frames() {
                self.network.send(who, 1 - who, Packet::Frame(frame));
            }
        }
        while self.network.next_at().is_some_and(|at| at <= next) {
            let arrival = self.network.next().unwrap();
            self.receive(arrival.to, arrival.message);
        }
        self.network.advance_to(next);
    }

    fn receive(&mut self, who: usize, packet: Packet) {
        match packet {
            Packet::Frame(frame) => {
                let mut cx = Cx { now: self.network.now(), rng: self.network.rng() };
                if self.ends[who].receive(&frame, &mut cx) {
                    let signed = Packet::Signed(EnvelopeId::of(&frame));
                    self.network.send(who, 1 - who, signed);
                }
            }
            Packet::Signed(frame) => self.ends[who].on_signed(frame),
        }
    }

    fn apply(&mut self, op: Op) {
        let now = self.network.now();
        match op {
            Op::Say(who) => self.say(who),
            Op::Copy(who) => self.copies[who] = Some(self.ends[who].store()),
            Op::PutBack(who) => {
                if let Some(copy) = self.copies[who].clone() {
                    self.ends[who].start_on(copy, now);
                }
            }
            Op::Lose(who) => self.ends[who].lose_sessions(now),
            Op::Ticks(ticks) => (0..ticks).for_each(|_| self.tick()),
        }
    }

    /// Whether no message waits.
    fn is_said(&self) -> bool {
        self.ends.iter().all(|end| end.texts().is_empty())
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
        link in link(),
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let mut two = Two::new(seed, link);
        ops.into_iter().for_each(|op| two.apply(op));
        // Both speak, so that whatever is broken shows.
        two.say(0);
        two.say(1);
        let limit = two.network.now().plus(3 * DAY);
        while !two.is_said() {
            prop_assert!(two.network.now() < limit, "something waits for ever");
            two.tick();
        }
        for end in &two.ends {
            let once: BTreeSet<_> = end.got.iter().collect();
            prop_assert_eq!(once.len(), end.got.len());
        }
    }
}

#[test]
fn a_lost_session_is_replaced_within_a_minute_when_both_are_there() {
    let mut two = Two::new(1, Link::GOOD);
    two.apply(Op::Ticks(3));
    two.apply(Op::Lose(0));
    two.say(0);
    two.say(1);
    two.apply(Op::Ticks(3));
    assert!(two.is_said());
    assert_eq!(two.ends[0].offers.len(), 1);
    assert_eq!(two.ends[0].got.len() + two.ends[1].got.len(), 2);
}

/// A whole folder is put back: its node believes in a session that has moved on.
#[test]
fn a_copy_that_was_put_back_re_keys_when_nothing_opens_any_more() {
    let mut two = Two::new(2, Link::GOOD);
    let talk = |two: &mut Two| {
        for n in 0..10 {
            two.say(n % 2);
            two.tick();
        }
    };
    talk(&mut two);
    two.apply(Op::Copy(0));
    talk(&mut two);
    two.apply(Op::PutBack(0));
    for _ in 0..4 {
        two.say(0);
        two.say(1);
        two.tick();
    }
    two.apply(Op::Ticks(200));
    assert!(two.is_said());
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
        Session::import(&exported).unwrap()
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
