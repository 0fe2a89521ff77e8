#![allow(clippy::unwrap_used, reason = "tests")]

use crypto::{AgreementKey, DeviceCertSpec, FIRST_AGREEMENT_VERSION, Seed};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::wire::{decode, encode};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// What the two have shared since they met.
const KEY: [u8; 32] = [0xA7; 32];

struct Party {
    identity: Identity,
    cert: DeviceCert,
    rekey: Rekey,
    rng: StdRng,
}

impl Party {
    /// The certificate is over after `expires`, seconds; never, if that is 0.
    fn new(byte: u8, expires: u64) -> Self {
        let identity = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])));
        let cert = identity.primary_cert(FIRST_AGREEMENT_VERSION, NOW.seconds(), expires);
        let mut rekey = Rekey::default();
        rekey.share(&Secret::from_bytes(KEY));
        Self { identity, cert, rekey, rng: StdRng::seed_from_u64(u64::from(byte)) }
    }

    fn account(&self) -> AccountKey {
        self.identity.account()
    }

    fn offer(&mut self, to: &Self, now: Timestamp) -> Result<Vec<u8>, Option<Timestamp>> {
        let me = Me { identity: &self.identity, cert: &self.cert };
        self.rekey.offer(me, to.account(), &mut Cx { now, rng: &mut self.rng })
    }

    /// An offer with this counter, whatever clock and pauses say.
    fn numbered(&mut self, counter: u64, to: &Self) -> Vec<u8> {
        let prekeys = RekeyPrekeys::generate(&self.cert, counter, &mut self.rng);
        let me = (&self.identity, &self.cert);
        Offer::seal(me, &prekeys, to.account(), &Secret::from_bytes(KEY), &mut self.rng)
    }

    fn hear(&mut self, from: &Self, frame: &[u8], now: Timestamp) -> Heard {
        self.hear_holding(&Pin::default(), from, frame, now)
    }

    fn hear_holding(&mut self, pin: &Pin, from: &Self, frame: &[u8], now: Timestamp) -> Heard {
        let me = Me { identity: &self.identity, cert: &self.cert };
        self.rekey.hear(me, (from.account(), pin), frame, &mut Cx { now, rng: &mut self.rng })
    }
}

fn two() -> [Party; 2] {
    [Party::new(1, 0), Party::new(2, 0)]
}

fn name(heard: &Heard) -> &'static str {
    match heard {
        Heard::Nothing => "nothing",
        Heard::TooSoon => "too soon",
        Heard::Stale => "stale",
        Heard::Past => "past",
        Heard::Offered { .. } => "offered",
        Heard::Answered { .. } => "answered",
    }
}

fn offered(heard: Heard) -> (Vec<u8>, Session, DeviceCert) {
    let Heard::Offered { answer, session, cert } = heard else { panic!("no offer to answer") };
    (answer, session, cert)
}

fn answered(heard: Heard) -> (Session, DeviceCert) {
    let Heard::Answered { session, cert, .. } = heard else { panic!("no answer") };
    (session, cert)
}

/// Both sides of one session: each opens what the other seals.
fn talk(one: &mut Session, other: &mut Session) {
    let (now, mut rng) = (NOW.seconds(), StdRng::seed_from_u64(99));
    assert_eq!(one.id(), other.id());
    let there = one.encrypt(b"there", now, &mut rng).unwrap();
    assert_eq!(other.decrypt(&there, now).unwrap(), b"there");
    let back = other.encrypt(b"back", now, &mut rng).unwrap();
    assert_eq!(one.decrypt(&back, now).unwrap(), b"back");
}

#[test]
fn the_numbers_are_those_of_the_spec() {
    assert_eq!((MAX_SHARED, MAX_PENDING, MAX_A_DAY), (4, 2, 5));
    assert_eq!((DOUBTS_DUE, MAX_DOUBTS), (3, 64));
    assert_eq!([FIRST_PAUSE, ANSWER_PAUSE, RELAY_CLOCK], [600_000, 300_000, 120_000]);
    assert_eq!([GRACE, LONE_GRACE, DOUBT_LIFE], [60_000, 900_000, 3_600_000]);
    assert_eq!((COUNTER_AHEAD, OFFER_LIFE), (86_400, 3_888_000_000));
}

#[test]
fn an_offer_and_its_answer_make_one_session_on_both_sides() {
    let [mut ada, mut ben] = two();
    ada.rekey.lose(0);
    let offer = ada.offer(&ben, NOW).unwrap();
    let shown = "Rekey { shared: 1, answered: 0, offered: 1700000000, pending: 1, lost: true, .. }";
    assert_eq!(format!("{:?}", ada.rekey), shown, "numbers, and no keys");
    assert_eq!(ada.rekey.pending(), Some(EnvelopeId::of(&offer)));
    let (answer, mut bens, cert) = offered(ben.hear(&ada, &offer, NOW));
    assert_eq!((offer.len(), answer.len()), (2048, 2048));
    assert_eq!((bens.peer(), cert), (ada.account(), ada.cert.clone()));
    assert_eq!((ben.rekey.answer(), ben.rekey.pending()), (Some(EnvelopeId::of(&answer)), None));
    // She starts again, and they meet, before she hears it.
    ada.rekey = decode(&encode(&ada.rekey).unwrap()).unwrap();
    ada.rekey.share(&Secret::from_bytes([8; 32]));
    let (mut adas, cert) = answered(ada.hear(&ben, &answer, NOW));
    assert_eq!((adas.peer(), cert), (ben.account(), ben.cert.clone()));
    talk(&mut bens, &mut adas);
    assert!(!ada.rekey.is_lost() && ada.rekey.pending().is_none() && ada.rekey.answer().is_none());
    assert_eq!(name(&ada.hear(&ben, &answer, NOW)), "nothing", "the prekeys are gone");
    let (before, after) = (Rekey::default().renewed_at(), ada.rekey.renewed_at());
    assert_eq!((before, after), (None, Some(NOW)));
}

#[test]
fn offers_that_cross_are_both_answered() {
    let [mut ada, mut ben] = two();
    [&mut ada, &mut ben].into_iter().for_each(|party| party.rekey.lose(0));
    let (adas, bens) = (ada.offer(&ben, NOW).unwrap(), ben.offer(&ada, NOW).unwrap());
    let (from_ben, mut first_at_ben, _) = offered(ben.hear(&ada, &adas, NOW));
    let (from_ada, mut second_at_ada, _) = offered(ada.hear(&ben, &bens, NOW));
    assert!(!ada.rekey.is_lost() && !ben.rekey.is_lost());
    let (mut first_at_ada, _) = answered(ada.hear(&ben, &from_ben, NOW));
    let (mut second_at_ben, _) = answered(ben.hear(&ada, &from_ada, NOW));
    talk(&mut first_at_ben, &mut first_at_ada);
    talk(&mut second_at_ada, &mut second_at_ben);
    assert_ne!(first_at_ada.id(), second_at_ada.id());
    assert_eq!(ada.rekey.answer(), Some(EnvelopeId::of(&from_ada)), "it may still be on its way");
}

#[test]
fn an_answer_ends_its_offer_and_older_ones_and_leaves_a_newer_one() {
    let [mut ada, mut ben] = two();
    let later = NOW.plus(FIRST_PAUSE);
    let older = ada.offer(&ben, NOW).unwrap();
    let newer = ada.offer(&ben, later).unwrap();
    assert_eq!(ada.rekey.pending(), Some(EnvelopeId::of(&newer)));
    let (to_older, mut older_at_ben, _) = offered(ben.hear(&ada, &older, NOW));
    let (to_newer, mut newer_at_ben, _) = offered(ben.hear(&ada, &newer, later));
    let before = ada.rekey.clone();
    let (mut older_at_ada, _) = answered(ada.hear(&ben, &to_older, later));
    talk(&mut older_at_ben, &mut older_at_ada);
    assert_eq!(ada.rekey.pending(), Some(EnvelopeId::of(&newer)));
    assert_eq!(name(&ada.hear(&ben, &to_older, later)), "nothing");
    let (mut newer_at_ada, _) = answered(ada.hear(&ben, &to_newer, later));
    talk(&mut newer_at_ben, &mut newer_at_ada);
    assert_eq!(ada.rekey.pending(), None);
    ada.rekey = before;
    assert_eq!(name(&ada.hear(&ben, &to_newer, later)), "answered");
    assert_eq!(name(&ada.hear(&ben, &to_older, later)), "nothing");
}

#[test]
fn the_two_newest_offers_can_be_answered_unless_they_are_of_45_days_ago() {
    let second = 10 * MINUTE;
    for (third, heard) in [
        (30 * MINUTE, ["nothing", "answered", "answered"]),
        (second + 45 * DAY - 1, ["nothing", "answered", "answered"]),
        (second + 45 * DAY, ["nothing", "nothing", "answered"]),
    ] {
        let [mut ada, mut ben] = two();
        let answers = [0, second, third].map(|at| {
            let offer = ada.offer(&ben, NOW.plus(at)).unwrap();
            offered(ben.hear(&ada, &offer, NOW.plus(at))).0
        });
        let names = answers.map(|answer| name(&ada.hear(&ben, &answer, NOW.plus(third))));
        assert_eq!(names, heard, "{third}");
    }
}

#[test]
fn an_offer_is_answered_once_and_none_that_is_not_newer() {
    let [mut ada, mut ben] = two();
    let (last, later) = (NOW.seconds(), NOW.plus(ANSWER_PAUSE));
    let offer = ada.numbered(last, &ben);
    assert_eq!(name(&ben.hear(&ada, &offer, NOW)), "offered");
    let before = encode(&ben.rekey).unwrap();
    assert_eq!(name(&ben.hear(&ada, &offer, NOW)), "stale");
    assert_eq!(name(&ben.hear(&ada, &offer, later)), "stale");
    for counter in [0, last - 1, last] {
        let offer = ada.numbered(counter, &ben);
        assert_eq!(name(&ben.hear(&ada, &offer, later)), "stale", "{counter}");
    }
    assert_eq!(encode(&ben.rekey).unwrap(), before);
    let newer = ada.numbered(last + 1, &ben);
    assert_eq!(name(&ben.hear(&ada, &newer, later)), "offered");
}

#[test]
fn an_offer_of_a_clock_more_than_a_day_ahead_is_not_answered() {
    let day = 24 * 3600;
    let cases = [(day - 1, "offered"), (day, "offered"), (day + 1, "stale"), (2 * day, "stale")];
    for (ahead, heard) in cases {
        let [mut ada, mut ben] = two();
        let offer = ada.numbered(NOW.seconds() + ahead, &ben);
        assert_eq!(name(&ben.hear(&ada, &offer, NOW)), heard, "{ahead}");
    }
}

#[test]
fn a_certificate_counts_until_a_day_after_its_end() {
    let end = NOW.plus(DAY);
    for (now, to_offer, to_answer) in [
        (end, "offered", "answered"),
        (end.plus(999), "offered", "answered"),
        (end.plus(1000), "stale", "nothing"),
    ] {
        let [mut ada, mut ben] = [Party::new(1, 0), Party::new(2, NOW.seconds())];
        let bens = ben.offer(&ada, NOW).unwrap();
        assert_eq!(name(&ada.hear(&ben, &bens, now)), to_offer, "{now:?}");
        let adas = ada.offer(&ben, NOW).unwrap();
        let (answer, ..) = offered(ben.hear(&ada, &adas, NOW));
        assert_eq!(name(&ada.hear(&ben, &answer, now)), to_answer, "{now:?}");
        assert_eq!(ada.rekey.pending().is_some(), to_answer == "nothing", "{now:?}");
    }
}

#[test]
fn an_offer_with_keys_that_nobody_draws_is_done_with() {
    let [mut ada, mut ben] = two();
    let low = AgreementKey::from_bytes([0; 32]);
    let spec = DeviceCertSpec { agreement_key: low, ..ada.cert.spec().clone() };
    ada.cert = ada.identity.certify(&spec);
    let offer = ada.offer(&ben, NOW).unwrap();
    let before = encode(&ben.rekey).unwrap();
    assert_eq!(name(&ben.hear(&ada, &offer, NOW)), "stale");
    assert_eq!(encode(&ben.rekey).unwrap(), before);
}

#[test]
fn what_is_no_offer_and_no_answer_of_theirs_is_nothing_and_so_is_all_before_two_have_met() {
    let [mut ada, mut ben] = two();
    let mut carol = Party::new(3, 0);
    let (offer, carols) = (ada.offer(&ben, NOW).unwrap(), carol.offer(&ben, NOW).unwrap());
    let longer = [&offer[..], &[0]].concat();
    let frames: [&[u8]; 5] = [&[], &offer[..2047], &longer, &[1; 2048], &carols];
    for frame in frames {
        assert_eq!(name(&ben.hear(&ada, frame, NOW)), "nothing", "{}", frame.len());
    }
    assert_eq!(name(&ben.hear(&carol, &offer, NOW)), "nothing");
    assert_eq!(name(&carol.hear(&ada, &offer, NOW)), "nothing");
    assert_eq!(name(&ada.hear(&ben, &offer, NOW)), "nothing", "our own, thrown back");
    let met = std::mem::take(&mut ben.rekey);
    assert!(ben.rekey.is_empty() && !met.is_empty());
    assert_eq!(name(&ben.hear(&ada, &offer, NOW)), "nothing");
    assert_eq!(ben.offer(&ada, NOW), Err(None));
    ben.rekey = met;
    assert_eq!(name(&ben.hear(&ada, &offer, NOW)), "offered");
}

#[test]
fn the_newest_of_four_keys_seals_and_all_four_open() {
    let [mut ada, mut ben] = two();
    let key = |byte: u8| Secret::from_bytes([byte; 32]);
    [1, 2, 3, 4, 5, 4].into_iter().for_each(|byte| ben.rekey.share(&key(byte)));
    let mut now = NOW;
    for byte in 1..=5 {
        ada.rekey = Rekey::default();
        ada.rekey.share(&key(byte));
        let offer = ada.offer(&ben, now).unwrap();
        let heard = if byte == 1 { "nothing" } else { "offered" };
        assert_eq!(name(&ben.hear(&ada, &offer, now)), heard, "{byte}");
        now = now.plus(ANSWER_PAUSE);
    }
    let offer = ben.offer(&ada, now).unwrap();
    assert!(Offer::open(&offer, ben.account(), ada.account(), &key(5)).is_ok());
}

#[test]
fn offers_wait_twice_as_long_each_time_and_after_the_fifth_until_the_first_is_a_day_old() {
    let [mut ada, ben] = two();
    assert!(ada.offer(&ben, NOW).is_ok());
    for minutes in [10, 30, 70, 150, 24 * 60] {
        let due = NOW.plus(minutes * MINUTE);
        assert_eq!(ada.offer(&ben, due.minus(1)), Err(Some(due)));
        assert!(ada.offer(&ben, due).is_ok(), "{minutes}");
    }
}

#[test]
fn answers_wait_five_minutes_and_after_the_fifth_until_the_first_is_a_day_old() {
    let [mut ada, mut ben] = two();
    let first = ada.numbered(1, &ben);
    assert_eq!(name(&ben.hear(&ada, &first, NOW)), "offered");
    for number in 2..=5 {
        let (offer, due) = (ada.numbered(number, &ben), NOW.plus((number - 1) * 5 * MINUTE));
        assert_eq!(name(&ben.hear(&ada, &offer, due.minus(1))), "too soon", "{number}");
        assert_eq!(name(&ben.hear(&ada, &offer, due)), "offered", "{number}");
    }
    let sixth = ada.numbered(6, &ben);
    for now in [NOW.plus(25 * MINUTE), NOW.plus(DAY - 1)] {
        assert_eq!(name(&ben.hear(&ada, &sixth, now)), "too soon");
    }
    assert_eq!(name(&ben.hear(&ada, &sixth, NOW.plus(DAY))), "offered");
}

#[test]
fn another_life_is_answered_at_once_and_five_a_day_all_the_same() {
    let [mut ada, mut ben] = two();
    let mut held = Pin::default();
    // All that is answered to one life is used up before.
    for number in 1..=5 {
        let offer = ada.numbered(number, &ben);
        let at = NOW.minus((6 - number) * 5 * MINUTE);
        assert_eq!(name(&ben.hear_holding(&held, &ada, &offer, at)), "offered");
    }
    held.renew(&ada.cert, NOW);
    for life in 1..=5 {
        ada.cert = ada.identity.primary_cert(FIRST_AGREEMENT_VERSION, NOW.seconds() + life, 0);
        let offer = ada.numbered(10 + 2 * life, &ben);
        assert_eq!(name(&ben.hear_holding(&held, &ada, &offer, NOW)), "offered", "{life}");
        held.renew(&ada.cert, NOW);
        let same_life = ada.numbered(10 + 2 * life + 1, &ben);
        assert_eq!(name(&ben.hear_holding(&held, &ada, &same_life, NOW)), "too soon", "{life}");
    }
    ada.cert = ada.identity.primary_cert(FIRST_AGREEMENT_VERSION, NOW.seconds() + 6, 0);
    let sixth = ada.numbered(30, &ben);
    for now in [NOW, NOW.plus(DAY - 1)] {
        assert_eq!(name(&ben.hear_holding(&held, &ada, &sixth, now)), "too soon");
    }
    assert_eq!(name(&ben.hear_holding(&held, &ada, &sixth, NOW.plus(DAY))), "offered");
}

#[test]
fn what_was_noted_a_day_ago_or_by_a_clock_that_was_ahead_is_forgotten() {
    let kept = [NOW.minus(DAY - 1), NOW.minus(1), NOW];
    let mut times = vec![NOW.minus(2 * DAY), NOW.minus(DAY), NOW.plus(1), NOW.plus(2 * DAY)];
    times.extend(kept);
    of_today(&mut times, NOW);
    assert_eq!(times, kept);
}

#[test]
fn counters_rise_wherever_the_clock_is_put_and_over_backups() {
    let [mut ada, ben] = two();
    let (from, to) = (ada.account(), ben.account());
    let counter = |offer: Result<Vec<u8>, Option<Timestamp>>| {
        Offer::open(&offer.unwrap(), from, to, &Secret::from_bytes(KEY)).unwrap().counter()
    };
    let (first, back) = (NOW.seconds(), NOW.minus(DAY));
    assert_eq!(counter(ada.offer(&ben, NOW)), first);
    assert_eq!(counter(ada.offer(&ben, back)), first + 1);
    ada.rekey = ada.rekey.for_backup();
    ada.rekey.lose(0);
    assert_eq!(counter(ada.offer(&ben, back)), first + 2, "a backup knows of no pause");
    ada.rekey.lose(first + 100);
    assert_eq!(counter(ada.offer(&ben, back.plus(FIRST_PAUSE))), first + 101);
    assert_eq!(counter(ada.offer(&ben, NOW.plus(DAY))), first + 24 * 3600);
}

#[test]
fn what_is_lost_is_under_way_no_more_and_a_backup_has_only_keys_and_counters() {
    let [mut ada, mut ben] = two();
    let bens = ben.offer(&ada, NOW).unwrap();
    assert_eq!(name(&ada.hear(&ben, &bens, NOW)), "offered");
    let adas = ada.offer(&ben, NOW).unwrap();
    let (answer, ..) = offered(ben.hear(&ada, &adas, NOW));
    let before = ada.rekey.for_backup();
    assert!(!ada.rekey.is_lost() && ada.rekey.answer().is_some());
    ada.rekey.lose(0);
    assert_eq!((ada.rekey.is_lost(), ada.rekey.pending()), (true, None));
    assert_eq!(name(&ada.hear(&ben, &answer, NOW)), "nothing", "its prekeys are gone");
    assert_eq!(ada.offer(&ben, NOW), Err(Some(NOW.plus(FIRST_PAUSE))));
    for backup in [before, ada.rekey.for_backup()] {
        ada.rekey = backup;
        assert!(!ada.rekey.is_empty() && !ada.rekey.is_past(Timestamp(0), NOW));
        let state = (ada.rekey.is_lost(), ada.rekey.pending(), ada.rekey.answer());
        assert_eq!(state, (false, None, None));
        assert_eq!(name(&ada.hear(&ben, &answer, NOW)), "nothing");
        assert_eq!(name(&ada.hear(&ben, &bens, NOW)), "stale", "it was answered");
        assert!(ada.offer(&ben, NOW).is_ok());
    }
    assert!(!ada.rekey.on_met());
    ada.rekey.lose(0);
    assert!(ada.rekey.on_met() && !ada.rekey.is_lost() && !ada.rekey.on_met(), "they met");
}

#[test]
fn what_a_relay_took_before_the_last_renewal_is_past() {
    let [mut ada, mut ben] = two();
    let offer = ada.offer(&ben, NOW).unwrap();
    let (answer, ..) = offered(ben.hear(&ada, &offer, NOW));
    assert!(!ada.rekey.is_past(Timestamp(0), NOW), "an offer alone renews nothing");
    assert_eq!(name(&ada.hear(&ben, &answer, NOW)), "answered");
    let edge = NOW.plus(2 * MINUTE);
    for (deposited_at, now, past) in [
        (Timestamp(0), NOW, true),
        (Timestamp(0), NOW.plus(DAY), true),
        (Timestamp(0), NOW.minus(1), false),
        (edge.minus(1), NOW, true),
        (edge, NOW, false),
        (edge.plus(1), NOW.plus(DAY), false),
    ] {
        for rekey in [&ada.rekey, &ben.rekey] {
            assert_eq!(rekey.is_past(deposited_at, now), past, "{deposited_at:?} {now:?}");
        }
    }
}

fn frame(n: u8) -> EnvelopeId {
    EnvelopeId([n; 16])
}

/// So many frames that do not open, a millisecond apart.
fn doubted(frames: u8) -> Doubts {
    let mut doubts = Doubts::default();
    (0..frames).for_each(|n| doubts.on_unopened(frame(n), NOW.plus(u64::from(n))));
    doubts
}

#[test]
fn three_frames_are_given_a_minute_to_open_and_fewer_a_quarter_of_an_hour() {
    let (minute, quarter) = (Some(NOW.plus(MINUTE)), Some(NOW.plus(15 * MINUTE)));
    for (frames, due) in [(0, None), (1, quarter), (2, quarter), (3, minute), (4, minute)] {
        assert_eq!(doubted(frames).due_at(), due, "{frames}");
        assert_eq!(doubted(frames).is_empty(), frames == 0);
    }
    let mut doubts = doubted(3);
    let later = |millis: u64| Some(NOW.plus(15 * MINUTE + millis));
    for (opened, due) in [(9, minute), (0, later(1)), (1, later(2)), (2, None)] {
        doubts.on_opened(frame(opened));
        assert_eq!((doubts.due_at(), doubts.is_empty()), (due, due.is_none()));
    }
}

#[test]
fn offers_and_answers_of_a_life_that_is_over_are_past() {
    let [mut ada, mut ben] = two();
    let newer = ben.identity.primary_cert(FIRST_AGREEMENT_VERSION, NOW.seconds() + 1, 0);
    let mut pin = Pin::default();
    pin.renew(&newer, NOW);
    let offer = ben.offer(&ada, NOW).unwrap();
    assert_eq!(name(&ada.hear_holding(&pin, &ben, &offer, NOW)), "past");
    let ours = ada.offer(&ben, NOW).unwrap();
    let (answer, ..) = offered(ben.hear(&ada, &ours, NOW));
    assert_eq!(name(&ada.hear_holding(&pin, &ben, &answer, NOW)), "past");
    assert!(ada.rekey.pending().is_some(), "the life that goes on may answer");
    // One of a day that has not come is none either, offered or answered.
    for (created, heard) in [(86_400, ["answered", "offered"]), (86_401, ["past", "stale"])] {
        let [mut ada, mut ben] = two();
        let created = NOW.seconds() + created;
        ben.cert = ben.identity.primary_cert(FIRST_AGREEMENT_VERSION, created, 0);
        let ours = ada.offer(&ben, NOW).unwrap();
        let (answer, ..) = offered(ben.hear(&ada, &ours, NOW));
        let offer = ben.offer(&ada, NOW).unwrap();
        let frames = [answer, offer];
        assert_eq!(frames.map(|frame| name(&ada.hear_holding(&pin, &ben, &frame, NOW))), heard);
    }
    // With the newer certificate, the same two are taken.
    ben.cert = newer;
    let offer = ben.numbered(NOW.seconds() + 2, &ada);
    assert_eq!(name(&ada.hear_holding(&pin, &ben, &offer, NOW)), "offered");
}

#[test]
fn an_answer_that_comes_after_45_days_opens_nothing_and_its_keys_are_gone() {
    let [mut ada, mut ben] = two();
    // The second was made while the clock was a day ahead: it counts from when that was put right.
    let first = ada.offer(&ben, NOW).unwrap();
    ada.offer(&ben, NOW.plus(DAY)).unwrap();
    let (answer, ..) = offered(ben.hear(&ada, &first, NOW));
    assert!(!ada.rekey.forget_over(NOW.plus(45 * DAY - 1)));
    assert_eq!(name(&ada.hear(&ben, &answer, NOW.plus(45 * DAY))), "nothing");
    assert_eq!(ada.rekey.pending.len(), 1);
    assert!(ada.rekey.forget_over(NOW.plus(46 * DAY)) && ada.rekey.pending.is_empty());
    ada.offer(&ben, NOW.plus(100 * DAY)).unwrap();
    assert!(!ada.rekey.forget_over(NOW) && ada.rekey.forget_over(NOW.plus(45 * DAY)));
}

#[test]
fn frames_that_a_clock_noted_that_was_ahead_are_forgotten_like_others() {
    let mut doubts = Doubts::default();
    (0..64).for_each(|n| doubts.on_unopened(frame(n), NOW.plus(DAY)));
    assert!(doubts.last_for(NOW), "the clock was put right");
    assert_eq!(doubts.due_at(), Some(NOW.plus(GRACE)));
    assert!(doubts.last_for(NOW.plus(HOUR - 1)) && !doubts.last_for(NOW.plus(HOUR)));
}

#[test]
fn a_doubt_ends_when_its_frame_has_not_come_again_for_an_hour() {
    let mut doubts = doubted(2);
    assert!(doubts.last_for(NOW.plus(HOUR - 1)));
    assert_eq!(doubts.due_at(), Some(NOW.plus(LONE_GRACE)));
    assert!(doubts.last_for(NOW.plus(HOUR)));
    assert_eq!(doubts.due_at(), Some(NOW.plus(1).plus(LONE_GRACE)), "the second alone");
    doubts.on_unopened(frame(1), NOW.plus(HOUR));
    assert_eq!(doubts.due_at(), Some(NOW.plus(1).plus(LONE_GRACE)), "it is given no more time");
    assert!(doubts.last_for(NOW.plus(2 * HOUR - 1)));
    assert!(!doubts.last_for(NOW.plus(2 * HOUR)) && doubts.is_empty());
    let (mut doubts, back) = (doubted(1), NOW.minus(DAY));
    doubts.on_unopened(frame(0), back);
    assert_eq!(doubts.due_at(), Some(back.plus(LONE_GRACE)), "the clock was put back");
    assert!(doubts.last_for(back.plus(HOUR - 1)) && !doubts.last_for(back.plus(HOUR)));
}

#[test]
fn no_more_than_64_frames_are_doubted() {
    let mut doubts = doubted(65);
    (0..63).for_each(|n| doubts.on_opened(frame(n)));
    assert!(!doubts.is_empty(), "the 64th is");
    doubts.on_opened(frame(63));
    assert!(doubts.is_empty(), "the 65th is not");
    let mut full = doubted(64);
    full.on_unopened(frame(0), NOW.plus(HOUR));
    assert!(full.last_for(NOW.plus(HOUR + 64)), "one of the 64 came again");
}

#[test]
fn certainty_needs_no_grace_and_the_earliest_counts() {
    let mut doubts = doubted(1);
    for (minutes, due) in [(20, 15), (5, 5), (10, 5), (2, 2)] {
        doubts.be_certain(NOW.plus(minutes * MINUTE));
        assert_eq!(doubts.due_at(), Some(NOW.plus(due * MINUTE)));
    }
    doubts.on_opened(frame(0));
    assert!(!doubts.is_empty() && doubts.last_for(NOW.plus(DAY)), "no frame ends it");
    assert_eq!(doubts.due_at(), Some(NOW.plus(2 * MINUTE)));
    doubts.clear();
    assert!(doubts.is_empty() && doubts.due_at().is_none());
}

#[test]
fn a_pause_puts_off_what_is_due_until_there_is_a_new_session() {
    let mut doubts = doubted(3);
    for (until, due) in [(HOUR, HOUR), (MINUTE + 1, MINUTE + 1), (MINUTE - 1, MINUTE)] {
        doubts.pause(NOW.plus(until));
        assert_eq!(doubts.due_at(), Some(NOW.plus(due)));
    }
    doubts.pause(NOW.plus(HOUR));
    doubts.clear();
    doubts.on_unopened(frame(0), NOW);
    assert_eq!(doubts.due_at(), Some(NOW.plus(LONE_GRACE)));
}

#[test]
fn what_a_clock_that_was_ahead_put_off_is_due_within_two_days() {
    let limit = NOW.plus(2 * DAY);
    for (at, paused_until, certain) in [
        (limit.minus(1), limit.minus(1), limit.minus(1)),
        (limit, limit, limit),
        (limit.plus(1), NOW, limit),
        (limit.plus(365 * DAY), NOW, limit),
    ] {
        let mut doubts = Doubts::default();
        doubts.pause(at);
        doubts.be_certain(NOW);
        assert!(doubts.last_for(NOW));
        assert_eq!(doubts.due_at(), Some(paused_until), "{at:?}");
        let mut doubts = Doubts::default();
        doubts.be_certain(at);
        assert!(doubts.last_for(NOW));
        assert_eq!(doubts.due_at(), Some(certain), "{at:?}");
    }
}
