//! Two people who begin at the same time: each scans the other's code, and each renews what both have lost.
//!
//! 1. Both have scanned; both join requests are on their way. Whoever hears the other's accepts at once.
//! 2. They write, over a bad network, and restart; their folders are put back and their sessions lost, one's
//!    or both at once.
//! 3. The network is well again, and stays so.
//!
//! Whatever happened until then:
//! * what waits is delivered, and so is what is said later, without a word that nobody said or one twice;
//! * at no time are there more sessions than [`MAX_SESSIONS`], nor more offers in a day than a node may make;
//! * a day later nobody offers any more;
//! * when both offer at the same time once more, each offers once, and one session seals for both.
//!
//! Until both are contacts, neither loses its sessions: then they would have to meet again.

use std::collections::BTreeSet;

use crypto::{Bundle, FIRST_AGREEMENT_VERSION, Session, Token, join};
use proptest::prelude::*;
use protocol::Cx;
use protocol::contact::ContactCard;
use protocol::envelope::Content;
use protocol::ids::{EnvelopeId, MessageId};
use protocol::invite::{Arrival, Attempt, Invite, Kind, MAX_LIFE, MintSpec, join_payload};
use protocol::session::{MAX_SESSIONS, Sessions};
use protocol::sim::{Link, Network};
use protocol::time::{DAY, HOUR, MINUTE, SECOND};
use protocol::wire::{decode, encode};
use rand::rngs::StdRng;

use super::peer::identity;
use super::rekeying::{End, START, Stored, TICK, envelope, link, message};

/// How often a node tries what has waited for long.
const SLOW_TICK: u64 = 5 * MINUTE;

/// What travels.
#[derive(Clone)]
enum Packet {
    Join(Vec<u8>),
    Frame(Vec<u8>),
    /// That frame is dealt with.
    Signed(EnvelopeId),
}

/// What is stored of one side.
#[derive(Clone)]
struct Folder {
    end: Stored,
    invite: Vec<u8>,
    asks: Option<Vec<u8>>,
}

/// One side, with a code that it shows and a request for the other's.
struct Person {
    end: End,
    invite: Invite,
    /// The join request, until the two are contacts.
    asks: Option<Vec<u8>>,
    copy: Option<Folder>,
}

fn card() -> ContactCard {
    ContactCard { version: 1, ..ContactCard::default() }
}

/// A code that lasts longer than any simulation.
fn mint(byte: u8, rng: &mut StdRng) -> (Invite, Token) {
    let identity = identity(byte);
    let cert = identity.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), 0);
    let spec = MintSpec {
        kind: Kind::Link,
        label: String::new(),
        life: Some(MAX_LIFE),
        relays: Vec::new(),
        name: None,
    };
    Invite::mint(&identity, &cert, spec, &mut Cx { now: START, rng }).unwrap()
}

impl Person {
    /// Has scanned `token`, and opened the bundle to it.
    fn new(byte: u8, invite: Invite, (token, bundle): (&Token, &[u8]), rng: &mut StdRng) -> Self {
        let identity = identity(byte);
        let cert = identity.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), 0);
        let bundle = Bundle::open(token, bundle).unwrap();
        let payload = join_payload([0; 32], card()).unwrap();
        let joined = join(&identity, &cert, token, &bundle, &payload, rng).unwrap();
        let mut sessions = Sessions::default();
        sessions.add(joined.session, START);
        Self { end: End::new(byte, sessions), invite, asks: Some(joined.request), copy: None }
    }

    fn store(&self) -> Folder {
        let invite = encode(&self.invite).unwrap();
        Folder { end: self.end.store(), invite, asks: self.asks.clone() }
    }

    fn start_on(&mut self, folder: Folder, cx: &Cx<'_>) {
        self.end.start_on(folder.end, cx.now);
        self.invite = decode(&folder.invite).unwrap();
        self.asks = folder.asks;
    }

    fn on_contact(&mut self) {
        self.end.on_contact();
        self.asks = None;
    }

    /// The other's request: both have said what they want. The same one gets the same answer.
    fn on_join(&mut self, request: &[u8], cx: &mut Cx<'_>) -> Vec<u8> {
        let attempt = self.invite.open(&self.end.identity, request, Arrival::Direct, cx.now);
        let opened = match attempt.unwrap() {
            Attempt::Repeat(accept) => return accept,
            Attempt::New(opened) => *opened,
        };
        let (by, hash, session) = (opened.by, opened.request_hash(), opened.session.id());
        self.end.sessions.add(opened.session, cx.now);
        let accept = envelope(message(0), Content::Accept(card()), cx.now);
        let accept = self.end.sessions.seal_with(session, &accept, cx).unwrap();
        self.invite.claim(by, hash, accept.clone());
        self.on_contact();
        accept
    }

    /// Returns whether it is signed for. Until the two are contacts, nothing counts but an acceptance.
    fn on_frame(&mut self, frame: &[u8], cx: &mut Cx<'_>) -> bool {
        if self.end.is_contact() {
            return self.end.receive(frame, cx);
        }
        let before = self.end.sessions.to_bytes().unwrap();
        let opened = self.end.sessions.open(frame, cx.now);
        let accepted = opened.is_ok_and(|(_, said)| matches!(said.content, Content::Accept(_)));
        if accepted {
            self.end.note(EnvelopeId::of(frame));
            self.on_contact();
        } else {
            self.end.sessions = Sessions::from_bytes(&before).unwrap();
        }
        accepted
    }
}

/// One of the two, or both at the same time.
type Whom = &'static [usize];

#[derive(Clone, Copy, Debug)]
enum Op {
    Say(usize),
    Restart(usize),
    Copy(Whom),
    PutBack(Whom),
    Lose(Whom),
    Cut,
    Heal,
    Wait(u64),
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        1 => Just::<Whom>(&[0]),
        1 => Just::<Whom>(&[1]),
        2 => Just::<Whom>(&[0, 1]),
    ]
}

/// What happens to two who lose nothing.
fn calm_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..2usize).prop_map(Op::Say),
        2 => (0..2usize).prop_map(Op::Restart),
        1 => Just(Op::Cut),
        2 => Just(Op::Heal),
        6 => (1..MINUTE).prop_map(Op::Wait),
        4 => (MINUTE..30 * MINUTE).prop_map(Op::Wait),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => calm_op(),
        1 => prop_oneof![
            whom().prop_map(Op::Copy),
            whom().prop_map(Op::PutBack),
            whom().prop_map(Op::Lose),
        ],
    ]
}

struct Two {
    people: [Person; 2],
    network: Network<Packet>,
    /// What each has said.
    said: [BTreeSet<MessageId>; 2],
}

impl Two {
    /// Both have scanned, and neither request has left.
    fn new(seed: u64, link: Link) -> Self {
        let mut network = Network::seeded(seed, START);
        network.set_all(link);
        let (adas, hers) = mint(1, network.rng());
        let (bens, his) = mint(2, network.rng());
        let bundle = |invite: &Invite| invite.bundle().unwrap().to_vec();
        let (for_ben, for_ada) = (bundle(&adas), bundle(&bens));
        let ada = Person::new(1, adas, (&his, for_ada.as_slice()), network.rng());
        let ben = Person::new(2, bens, (&hers, for_ben.as_slice()), network.rng());
        Self { people: [ada, ben], network, said: [BTreeSet::new(), BTreeSet::new()] }
    }

    fn with<T>(&mut self, who: usize, act: impl FnOnce(&mut Person, &mut Cx<'_>) -> T) -> T {
        let now = self.network.now();
        act(&mut self.people[who], &mut Cx { now, rng: self.network.rng() })
    }

    /// Says something, if there is a contact to say it to.
    fn say(&mut self, who: usize) {
        if !self.people[who].end.is_contact() {
            return;
        }
        let number = self.said.iter().map(BTreeSet::len).sum::<usize>() + 1;
        let id = message(u64::try_from(number).unwrap());
        self.said[who].insert(id);
        self.with(who, |person, cx| person.end.say(id, cx));
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Say(who) => self.say(who),
            Op::Restart(who) => {
                self.network.lose_arrivals(who);
                self.with(who, |person, cx| person.start_on(person.store(), cx));
            }
            Op::Copy(whom) => {
                for &who in whom {
                    let person = &mut self.people[who];
                    if person.end.is_contact() {
                        person.copy = Some(person.store());
                    }
                }
            }
            Op::PutBack(whom) => whom.iter().for_each(|&who| self.put_back(who)),
            Op::Lose(whom) if self.are_contacts() => {
                for &who in whom {
                    self.with(who, |person, cx| person.end.lose_sessions(cx.now));
                }
            }
            Op::Lose(_) => {}
            Op::Cut => self.network.cut(0, 1),
            Op::Heal => self.network.heal(0, 1),
            Op::Wait(millis) => self.run(millis, TICK),
        }
    }

    fn put_back(&mut self, who: usize) {
        if let Some(folder) = self.people[who].copy.clone() {
            // What is still on its way from here would sign for what is forgotten.
            self.network.lose_arrivals(1 - who);
            self.with(who, |person, cx| person.start_on(folder, cx));
        }
    }

    /// Each side tries everything that waits, `every` so often.
    fn run(&mut self, millis: u64, every: u64) {
        let end = self.network.now().plus(millis);
        while self.network.now() < end {
            let next = self.network.now().plus(every);
            for who in 0..2 {
                self.with(who, |person, cx| person.end.tick(cx));
                let person = &self.people[who];
                let join = person.asks.clone().map(Packet::Join);
                let frames = person.end.frames().into_iter().map(Packet::Frame);
                for packet in join.into_iter().chain(frames) {
                    self.network.send(who, 1 - who, packet);
                }
            }
            while self.network.next_at().is_some_and(|at| at <= next) {
                let arrival = self.network.next().unwrap();
                self.receive(arrival.to, arrival.message);
            }
            self.network.advance_to(next);
        }
    }

    fn receive(&mut self, who: usize, packet: Packet) {
        let answer = self.with(who, |person, cx| match packet {
            Packet::Join(request) => Some(Packet::Frame(person.on_join(&request, cx))),
            Packet::Frame(frame) => {
                let signed = person.on_frame(&frame, cx);
                signed.then(|| Packet::Signed(EnvelopeId::of(&frame)))
            }
            Packet::Signed(frame) => {
                person.end.on_signed(frame);
                None
            }
        });
        assert!(self.people[who].end.sessions.all().count() <= MAX_SESSIONS);
        if let Some(answer) = answer {
            self.network.send(who, 1 - who, answer);
        }
    }

    fn are_contacts(&self) -> bool {
        self.people.iter().all(|person| person.end.is_contact())
    }

    fn rests(&self) -> bool {
        self.people.iter().all(|person| person.end.rests())
    }

    /// How often each has offered, as far as it knows.
    fn offers(&self) -> [usize; 2] {
        self.people.each_ref().map(|person| person.end.offers.len())
    }

    /// Runs until it is `done`, which it is to be within `limit`.
    fn run_until(&mut self, limit: u64, done: impl Fn(&Self) -> bool) {
        let begun = self.network.now();
        while !done(self) {
            let past = self.network.now().since(begun);
            assert!(past < limit, "something waits for ever");
            let every = if past < HOUR { TICK } else { SLOW_TICK };
            self.run(every, every);
        }
    }

    /// The network is well from now on, and the two are contacts.
    fn heal(&mut self) {
        self.network.heal(0, 1);
        self.network.set_all(Link::GOOD);
        self.run_until(HOUR, Self::are_contacts);
    }

    /// Whatever waits now arrives, and nothing else. What a day allows may be used up, on both sides.
    fn deliver(&mut self) {
        let waiting = self.people.each_ref().map(|person| person.end.texts());
        self.run_until(3 * DAY, Self::rests);
        for (author, waited) in waiting.iter().enumerate() {
            let got = &self.people[1 - author].end.got;
            assert!(waited.iter().all(|id| got.contains(id)), "signed for, and not there");
            assert!(got.iter().all(|id| self.said[author].contains(id)), "never said");
            assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len(), "delivered twice");
        }
    }

    /// A day on which both say something now and then.
    fn talk_for_a_day(&mut self) {
        for _ in 0..6 {
            self.say(0);
            self.say(1);
            self.run(4 * HOUR, SLOW_TICK);
        }
        self.deliver();
    }

    /// Once one of the two speaks alone, both seal on the same session.
    fn assert_one_conversation(&mut self) {
        self.say(0);
        self.run(MINUTE, TICK);
        assert!(self.rests(), "a minute is enough");
        let [ada, ben] = self
            .people
            .each_ref()
            .map(|person| person.end.sessions.sealing().map(Session::id).unwrap());
        assert_eq!(ada, ben, "two conversations");
    }
}

/// How many cases: as many as `PROPTEST_CASES` asks for. Each is days of two people.
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
    fn whoever_meets_or_renews_at_the_same_time_ends_with_one_conversation(
        seed in any::<u64>(),
        link in link(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut two = Two::new(seed, link);
        ops.into_iter().for_each(|op| two.apply(op));
        two.heal();
        // Both speak, so that whatever is broken shows.
        two.say(0);
        two.say(1);
        two.deliver();
        two.talk_for_a_day();
        two.assert_one_conversation();
        let before = two.offers();
        two.talk_for_a_day();
        prop_assert_eq!(two.offers(), before, "they renew for ever");

        two.apply(Op::Lose(&[0, 1]));
        two.say(0);
        two.say(1);
        two.run(2 * MINUTE, TICK);
        prop_assert!(two.rests(), "two minutes are enough");
        let after = before.map(|offers| offers + 1);
        prop_assert_eq!(two.offers(), after);
        two.assert_one_conversation();
        two.talk_for_a_day();
        prop_assert_eq!(two.offers(), after, "they renew again");
    }

    #[test]
    fn whoever_scans_at_the_same_time_has_one_conversation_and_renews_nothing(
        seed in any::<u64>(),
        link in link(),
        ops in prop::collection::vec(calm_op(), 1..40),
    ) {
        let mut two = Two::new(seed, link);
        ops.into_iter().for_each(|op| two.apply(op));
        two.heal();
        two.deliver();
        // By then nothing is on its way any more.
        two.run(HOUR, MINUTE);
        two.assert_one_conversation();
        prop_assert_eq!(two.offers(), [0, 0]);
        let most = two.people.iter().map(|person| person.end.sessions.all().count()).max();
        prop_assert!(most <= Some(2), "one for each code");
    }
}

/// Where nothing is lost, both requests arrive, and both sessions stay.
#[test]
fn codes_that_were_scanned_at_the_same_time_make_two_sessions_of_which_one_seals() {
    let mut two = Two::new(1, Link::GOOD);
    two.run(10 * SECOND, TICK);
    assert!(two.are_contacts());
    let known = |person: &Person| -> BTreeSet<[u8; 16]> {
        person.end.sessions.all().map(Session::id).collect()
    };
    let [ada, ben] = two.people.each_ref().map(known);
    assert_eq!((ada.len(), &ada), (2, &ben));
    two.assert_one_conversation();
    two.talk_for_a_day();
    assert_eq!(two.offers(), [0, 0]);
}

/// Both lost everything and both answered; then nothing came through for longer than any crossing takes. Each
/// would replace the session on which the other seals, and neither take a step of its ratchet again.
#[test]
fn answers_that_cross_and_come_late_leave_one_conversation() {
    let mut two = Two::new(1, Link::GOOD);
    two.run(2 * HOUR, MINUTE);
    two.apply(Op::Lose(&[0, 1]));
    two.say(0);
    two.say(1);
    // Both offers are heard, and both answers wait.
    two.run(TICK, TICK);
    assert!(!two.rests());
    two.apply(Op::Cut);
    two.run(11 * MINUTE, TICK);
    two.apply(Op::Heal);
    two.run(2 * MINUTE, TICK);
    assert!(two.rests());
    two.assert_one_conversation();
    two.talk_for_a_day();
    assert_eq!(two.offers(), [1, 1]);
}
