#![allow(clippy::unwrap_used, reason = "tests")]

use crypto::rekey::{self, Offer, RekeyPrekeys};
use crypto::{FIRST_AGREEMENT_VERSION, Identity, MAX_SESSION_LEN, Secret, Seed};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Kind::{Met, Renewed, Replaced};
use super::*;
use crate::envelope::{Content, MAX_TEXT, Text};
use crate::ids::{ChatId, EnvelopeId, MessageId};
use crate::time::SECOND;
use crate::wire::DecodeError;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The same session under the id `[n; 16]`, which is behind 38 bytes of its stored form.
fn named(n: u8, session: &Session) -> Session {
    let mut exported = session.export();
    exported[38..54].fill(n);
    Session::import(&exported).unwrap()
}

/// Both ends of session `n`, ours first.
fn pair(n: u8) -> [Session; 2] {
    let mut rng = StdRng::seed_from_u64(u64::from(n));
    let psk = Secret::from_bytes([n; 32]);
    let [me, them] =
        [1, 2].map(|byte| Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32]))));
    let [mine, theirs] =
        [&me, &them].map(|who| who.primary_cert(FIRST_AGREEMENT_VERSION, NOW.seconds(), 0));
    let prekeys = RekeyPrekeys::generate(&theirs, 1, &mut rng);
    let sealed = Offer::seal((&them, &theirs), &prekeys, me.account(), &psk, &mut rng);
    let offer = Offer::open(&sealed, them.account(), me.account(), &psk).unwrap();
    let answered = rekey::answer(&me, &mine, &offer, &psk, &mut rng).unwrap();
    let done = rekey::complete(&them, &prekeys, me.account(), &psk, &answered.answer).unwrap();
    [named(n, &answered.session), named(n, &done.session)]
}

/// Our end of session `n`.
fn end(n: u8) -> Session {
    let [ours, _] = pair(n);
    ours
}

/// Our side and theirs after so many meetings: session 1 is of 1 ms after [`NOW`], 2 of 2 ms.
fn met(count: u8) -> [Sessions; 2] {
    let mut sides = [Sessions::default(), Sessions::default()];
    for n in 1..=count {
        for (side, session) in sides.iter_mut().zip(pair(n)) {
            side.add(session, NOW.plus(u64::from(n)));
        }
    }
    sides
}

fn envelope(seq: u64) -> Envelope {
    let (message, chat, content) = (MessageId([1; 16]), ChatId([2; 16]), Content::Cancel);
    Envelope { message, chat, seq, lamport: 4, at: NOW, expiry_seconds: 0, content }
}

/// Seals on session `on`, or on the one that seals.
fn seal(side: &mut Sessions, on: Option<u8>, what: &Envelope) -> Result<Vec<u8>, SealError> {
    let mut rng = StdRng::seed_from_u64(what.seq);
    let mut cx = Cx { now: NOW, rng: &mut rng };
    match on {
        Some(n) => side.seal_with([n; 16], what, &mut cx),
        None => side.seal(what, &mut cx),
    }
}

/// What session `n` of this side seals.
fn frame(side: &mut Sessions, n: u8, seq: u64) -> Vec<u8> {
    seal(side, Some(n), &envelope(seq)).unwrap()
}

/// We open at `now` what session `n` of their side seals.
fn hear([ours, theirs]: &mut [Sessions; 2], n: u8, seq: u64, now: Timestamp) {
    let sealed = frame(theirs, n, seq);
    assert_eq!(ours.open(&sealed, now), Ok(([n; 16], envelope(seq))));
}

/// Which there are, the one that seals first.
fn names(sessions: &Sessions) -> Vec<u8> {
    sessions.all().map(|session| session.id()[0]).collect()
}

fn kinds(sessions: &Sessions) -> Vec<(u8, Kind)> {
    sessions.live.iter().map(|live| (live.session.id()[0], live.kind)).collect()
}

fn bytes(sessions: &Sessions) -> Vec<u8> {
    sessions.to_bytes().unwrap().to_vec()
}

/// A session as it is stored: what is behind its export are times, and its kind if there is one.
fn stored(session: &Session, times: &[Timestamp], kind: &[u8]) -> Vec<u8> {
    let exported = session.export();
    let mut bytes = vec![251];
    bytes.extend(u16::try_from(exported.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(&exported);
    for time in times {
        bytes.push(253);
        bytes.extend(time.0.to_le_bytes());
    }
    bytes.extend_from_slice(kind);
    bytes
}

#[test]
fn the_bounds_are_those_that_were_decided_and_four_of_the_longest_sessions_fit_the_store() {
    assert_eq!((MAX_SESSIONS, CROSSING, RECEIVE_ONLY_LIFE), (4, 600_000, 2_592_000_000));
    assert_eq!((Stored::LIMIT, StoredBefore::LIMIT), (368_896, 368_768));
    let longest = || ByteBuf::from(vec![0xFF; MAX_SESSION_LEN]);
    let (at, kind) = (Timestamp(u64::MAX), Replaced);
    let session = |_| StoredSession { session: longest(), last_opened: at, made_at: at, kind };
    for (count, fits) in [(4, true), (5, false)] {
        let live = (0..count).map(session).collect();
        assert_eq!(encode(&Stored { live }).is_ok(), fits);
        let live = (0..count).map(|_| (longest(), at)).collect();
        assert_eq!(encode(&StoredBefore { live }).is_ok(), fits);
    }
    for (over, error) in [(0, DecodeError::Trailing), (1, DecodeError::TooLong)] {
        assert_eq!(decode::<Stored>(&vec![1; 368_896 + over]).err(), Some(error));
        assert_eq!(decode::<StoredBefore>(&vec![1; 368_768 + over]).err(), Some(error));
    }
}

#[test]
fn a_frame_that_opens_makes_its_session_seal_wherever_the_clock_was_put() {
    let mut sides = met(2);
    assert_eq!(names(&sides[0]), [2, 1], "the last meeting's");
    for (seq, (n, now, order)) in (1..).zip([
        (1, NOW.plus(10), [1, 2]),
        (2, NOW.plus(10), [2, 1]),
        (1, NOW.plus(10), [1, 2]),
        (2, NOW.plus(5), [2, 1]),
        (1, NOW.minus(DAY), [1, 2]),
        (2, Timestamp(0), [2, 1]),
        (1, Timestamp(0), [1, 2]),
    ]) {
        hear(&mut sides, n, seq, now);
        assert_eq!(names(&sides[0]), order, "{seq}");
    }
}

#[test]
fn a_renewal_replaces_what_was_not_made_in_the_ten_minutes_before_it() {
    let made_at = NOW.plus(1);
    for (now, kind, order) in [
        (made_at.minus(1), Replaced, [2, 1]),
        (made_at, Met, [1, 2]),
        (made_at.plus(CROSSING - 1), Met, [1, 2]),
        (made_at.plus(CROSSING), Replaced, [2, 1]),
        (made_at.plus(CROSSING + 1), Replaced, [2, 1]),
    ] {
        let mut sides = met(1);
        sides[0].renew(end(2), now);
        assert_eq!(kinds(&sides[0]), [(2, Renewed), (1, kind)], "{now:?}");
        hear(&mut sides, 1, 1, now);
        assert_eq!(names(&sides[0]), order, "what was replaced only opens: {now:?}");
    }
}

/// However long ago that was.
#[test]
fn the_answer_to_an_offer_replaces_what_was_made_before_the_offer() {
    let (made_at, now) = (NOW.plus(1), NOW.plus(DAY));
    for (offered_at, now, kind) in [
        (made_at.minus(1), now, Met),
        (made_at, now, Met),
        (made_at.plus(1), now, Replaced),
        (made_at.plus(CROSSING), now, Replaced),
        (made_at.minus(2), made_at.minus(1), Replaced),
        (made_at.minus(2), made_at, Met),
    ] {
        let mut sides = met(1);
        sides[0].renew_as_offered(end(2), offered_at, now);
        assert_eq!(kinds(&sides[0]), [(2, Renewed), (1, kind)], "{offered_at:?}, {now:?}");
    }
}

#[test]
fn a_renewal_judges_each_session_by_itself_and_a_meeting_replaces_none() {
    let [mut ours, _] = met(1);
    ours.renew(end(2), NOW.plus(5 * MINUTE));
    assert_eq!(kinds(&ours), [(2, Renewed), (1, Met)]);
    ours.renew(end(3), NOW.plus(11 * MINUTE));
    assert_eq!(kinds(&ours), [(3, Renewed), (2, Renewed), (1, Replaced)]);
    ours.add(end(4), NOW.plus(40 * MINUTE));
    assert_eq!(kinds(&ours), [(4, Met), (3, Renewed), (2, Renewed), (1, Replaced)]);
    ours.renew(end(5), NOW.plus(60 * MINUTE));
    assert_eq!(kinds(&ours), [(5, Renewed), (4, Replaced), (3, Replaced), (2, Replaced)]);
}

#[test]
fn renewals_that_crossed_are_one_session_again_once_one_side_speaks_alone() {
    let [mut ours, mut theirs] = [Sessions::default(), Sessions::default()];
    let [[one, one_there], [two, two_there]] = [pair(1), pair(2)];
    ours.renew(one, NOW);
    theirs.renew(two_there, NOW);
    ours.renew(two, NOW.plus(1));
    theirs.renew(one_there, NOW.plus(1));
    assert_eq!([names(&ours), names(&theirs)], [[2, 1], [1, 2]]);
    let there = seal(&mut ours, None, &envelope(1)).unwrap();
    let back = seal(&mut theirs, None, &envelope(2)).unwrap();
    assert_eq!(theirs.open(&there, NOW.plus(9)), Ok(([2; 16], envelope(1))));
    assert_eq!(ours.open(&back, NOW.plus(9)), Ok(([1; 16], envelope(2))));
    assert_eq!([names(&ours), names(&theirs)], [[1, 2], [2, 1]], "they changed over");
    let alone = seal(&mut ours, None, &envelope(3)).unwrap();
    assert_eq!(theirs.open(&alone, NOW.plus(20)), Ok(([1; 16], envelope(3))));
    assert_eq!([names(&ours), names(&theirs)], [[1, 2], [1, 2]]);
}

#[test]
fn of_more_than_four_the_one_that_opened_nothing_for_longest_goes() {
    let mut sides = met(4);
    assert_eq!(names(&sides[0]), [4, 3, 2, 1]);
    hear(&mut sides, 1, 1, NOW.plus(MINUTE));
    sides[0].add(end(5), NOW.plus(MINUTE));
    assert_eq!(names(&sides[0]), [5, 1, 4, 3]);
    sides[0].renew(end(6), NOW.plus(2 * MINUTE));
    assert_eq!(names(&sides[0]), [6, 5, 1, 4]);
    // Here it is not the last: 1 was replaced after it had opened something.
    let mut sides = met(1);
    sides[0].add(end(2), NOW.plus(5 * MINUTE));
    hear(&mut sides, 1, 1, NOW.plus(6 * MINUTE));
    sides[0].renew(end(3), NOW.plus(11 * MINUTE));
    sides[0].add(end(4), NOW.plus(12 * MINUTE));
    assert_eq!(kinds(&sides[0]), [(4, Met), (3, Renewed), (2, Met), (1, Replaced)]);
    sides[0].add(end(5), NOW.plus(13 * MINUTE));
    hear(&mut sides, 1, 2, NOW.plus(14 * MINUTE));
    assert_eq!(names(&sides[0]), [5, 4, 3, 1]);
}

#[test]
fn with_another_life_of_the_other_side_nothing_of_the_last_one_opens() {
    let [mut ours, mut theirs] = met(4);
    let late = [1, 2, 3, 4].map(|n| frame(&mut theirs, n, 1));
    ours.begin_anew(end(5), NOW.plus(4));
    assert_eq!(kinds(&ours), [(5, Renewed)]);
    for frame in &late {
        assert_eq!(ours.open(frame, NOW.plus(4)), Err(OpenError::NotOpened));
    }
}

#[test]
fn when_another_life_is_met_the_meetings_of_the_ten_minutes_before_stay_and_nothing_else() {
    for (apart, left) in [(CROSSING - 1, vec![3, 1]), (CROSSING, vec![3]), (CROSSING + 1, vec![3])]
    {
        let mut ours = Sessions::default();
        ours.add(end(1), NOW);
        // Younger than the last meeting of all, and no meeting.
        ours.renew(end(2), NOW.plus(1));
        ours.add(end(3), NOW.plus(apart));
        ours.keep_latest_meetings();
        assert_eq!(kinds(&ours), left.iter().map(|n| (*n, Met)).collect::<Vec<_>>(), "{apart}");
    }
}

#[test]
fn a_session_is_found_by_its_id_until_it_is_removed() {
    assert!(Sessions::default().is_empty() && Sessions::default().sealing().is_none());
    let [mut ours, _] = met(3);
    for n in 1..=3 {
        assert_eq!(ours.get([n; 16]).map(Session::id), Some([n; 16]));
    }
    for (n, left) in [(4, vec![3, 2, 1]), (2, vec![3, 1]), (3, vec![1]), (1, vec![])] {
        ours.remove([n; 16]);
        assert_eq!(names(&ours), left, "without {n}");
        assert!(ours.get([n; 16]).is_none());
        assert_eq!(ours.is_empty(), n == 1);
    }
    let [mut ours, _] = met(1);
    ours.renew(end(2), NOW.plus(DAY));
    ours.remove([2; 16]);
    assert_eq!(kinds(&ours), [(1, Replaced)]);
    assert_eq!(ours.sealing().map(Session::id), Some([1; 16]), "there is no other");
}

#[test]
fn the_sessions_of_meetings_come_in_the_order_of_the_meetings() {
    let meetings = |sides: &[Sessions; 2]| -> Vec<u8> {
        sides[0].met().iter().map(|session| session.id()[0]).collect()
    };
    let mut sides = met(2);
    sides[0].renew(end(3), NOW.plus(3));
    sides[0].add(end(4), NOW.plus(4));
    assert_eq!(meetings(&sides), [1, 2, 4]);
    hear(&mut sides, 1, 1, NOW.plus(10));
    assert_eq!((names(&sides[0]), meetings(&sides)), (vec![1, 4, 3, 2], vec![1, 2, 4]));
    sides[0].renew(end(5), NOW.plus(2 + CROSSING));
    assert_eq!((names(&sides[0]), meetings(&sides)), (vec![5, 4, 3, 1], vec![4]));
}

#[test]
fn an_envelope_is_sealed_on_the_first_session_or_on_the_one_that_is_named() {
    let [mut ours, mut theirs] = met(3);
    for (seq, (on, id)) in (1..).zip([(Some(1), 1), (Some(2), 2), (Some(3), 3), (None, 3)]) {
        let sealed = seal(&mut ours, on, &envelope(seq)).unwrap();
        assert_eq!(theirs.open(&sealed, NOW.plus(9)), Ok(([id; 16], envelope(seq))));
    }
    assert_eq!(names(&ours), [3, 2, 1], "what we seal proves nothing");
}

#[test]
fn what_cannot_be_sealed_changes_nothing() {
    let [mut ours, _] = met(2);
    let before = bytes(&ours);
    let mut long = envelope(1);
    long.content = Content::Text(Text { text: "x".repeat(MAX_TEXT + 1) });
    for on in [None, Some(1)] {
        let refused = seal(&mut ours, on, &long);
        assert!(matches!(refused, Err(SealError::Envelope(EncodeError::TooLong))));
    }
    assert!(matches!(seal(&mut ours, Some(3), &envelope(1)), Err(SealError::NoSession)));
    assert_eq!(bytes(&ours), before);
    let none = seal(&mut Sessions::default(), None, &envelope(1));
    assert!(matches!(none, Err(SealError::NoSession)));
}

#[test]
fn a_frame_that_no_session_opens_changes_nothing() {
    let [mut ours, mut theirs] = met(2);
    let known = frame(&mut theirs, 1, 1);
    ours.open(&known, NOW.plus(10)).unwrap();
    let our_own = frame(&mut ours, 1, 2);
    let fresh = frame(&mut theirs, 1, 3);
    let [_, mut strangers] = met(3);
    let mut refused = vec![Vec::new(), known, our_own, frame(&mut strangers, 3, 1)];
    refused.extend([vec![1; fresh.len()], fresh[1..].to_vec(), [&fresh[..], &[0]].concat()]);
    // Version, nonce, header, body and tag.
    refused.extend([0, 1, 25, 89, fresh.len() - 1].map(|index| {
        let mut altered = fresh.clone();
        altered[index] ^= 1;
        altered
    }));
    let before = bytes(&ours);
    for frame in &refused {
        assert_eq!(ours.open(frame, NOW.plus(20)), Err(OpenError::NotOpened));
        assert_eq!(bytes(&ours), before);
    }
    assert_eq!(ours.open(&fresh, NOW.plus(20)), Ok(([1; 16], envelope(3))));
}

/// 1, 2 and 3 are one session under three ids.
#[test]
fn sessions_are_tried_in_their_order_and_a_fault_is_told_if_none_opens_the_frame() {
    let [one, other] = pair(1);
    let [mut ours, mut theirs] = [Sessions::default(), Sessions::default()];
    for n in 1..=3 {
        ours.add(named(n, &one), NOW.plus(u64::from(n)));
    }
    theirs.add(other, NOW);
    let mut put_back = Sessions::from_bytes(&bytes(&theirs)).unwrap();
    let [heard, broken] = [frame(&mut theirs, 1, 1), frame(&mut put_back, 1, 2)];
    assert_eq!(ours.open(&heard, NOW.plus(10)), Ok(([3; 16], envelope(1))));
    assert_eq!(ours.open(&heard, NOW.plus(20)), Ok(([2; 16], envelope(1))), "3 has had it");
    assert_eq!(ours.open(&broken, NOW.plus(30)), Ok(([1; 16], envelope(2))), "2 and 3 accuse");
    assert_eq!(names(&ours), [1, 2, 3]);
    let (before, fault) = (bytes(&ours), Err(OpenError::Fault(DecryptError::Header)));
    assert_eq!(ours.open(&heard, NOW.plus(40)), fault, "1 accuses, 2 and 3 have had it");
    assert_eq!(bytes(&ours), before);
    ours.add(end(4), NOW.plus(50));
    assert_eq!(ours.open(&heard, NOW.plus(60)), fault, "4 knows nothing of it");
}

#[test]
fn what_is_no_envelope_is_consumed_and_proves_its_session() {
    let plaintexts: [(&[u8], EnvelopeError); 2] =
        [(b"", EnvelopeError::Truncated), (b"no", EnvelopeError::UnknownVersion(b'n'))];
    for (plaintext, error) in plaintexts {
        let [mut ours, mut theirs] = met(2);
        let mut rng = StdRng::seed_from_u64(0);
        let one = &mut theirs.live[1].session;
        let sealed = one.encrypt(plaintext, NOW.seconds(), &mut rng).unwrap();
        assert_eq!(ours.open(&sealed, NOW.plus(10)), Err(OpenError::Envelope(error)));
        assert_eq!(names(&ours), [1, 2]);
        assert_eq!(ours.open(&sealed, NOW.plus(20)), Err(OpenError::NotOpened));
    }
}

#[test]
fn a_frame_that_was_overtaken_opens_for_as_many_seconds_as_its_key_is_kept() {
    let life = crypto::SKIPPED_KEY_LIFETIME * SECOND;
    for (late, opens) in [(life, true), (life + SECOND - 1, true), (life + SECOND, false)] {
        let mut sides = met(1);
        let overtaken = frame(&mut sides[1], 1, 1);
        hear(&mut sides, 1, 2, NOW);
        assert_eq!(sides[0].open(&overtaken, NOW.plus(late)).is_ok(), opens, "{late}");
    }
}

#[test]
fn an_ephemeral_of_any_session_opens_for_a_minute_and_changes_nothing() {
    let [mut ours, theirs] = met(2);
    ours.renew(end(3), NOW.plus(CROSSING + 2));
    assert_eq!(kinds(&ours), [(3, Renewed), (2, Replaced), (1, Replaced)]);
    let (before, [_, stranger]) = (bytes(&ours), pair(4));
    let sealed = |session: &Session| {
        let mut rng = StdRng::seed_from_u64(0);
        session.seal_ephemeral(b"typing", NOW.seconds(), &mut rng).unwrap()
    };
    for n in [1, 2] {
        let sealed = sealed(theirs.get([n; 16]).unwrap());
        for (now, fresh) in [
            (NOW.minus(60 * SECOND + 1), false),
            (NOW.minus(60 * SECOND), true),
            (NOW.plus(61 * SECOND - 1), true),
            (NOW.plus(61 * SECOND), false),
        ] {
            let opened = fresh.then(|| (EnvelopeId::of(&sealed).0, b"typing".to_vec()));
            assert_eq!(ours.open_ephemeral(&sealed, now), opened, "{n} at {now:?}");
        }
        assert_eq!(ours.open_ephemeral(&sealed[1..], NOW), None);
    }
    for session in [ours.get([1; 16]).unwrap(), &stranger] {
        assert_eq!(ours.open_ephemeral(&sealed(session), NOW), None);
    }
    assert_eq!(bytes(&ours), before);
}

#[test]
fn what_opened_nothing_for_thirty_days_is_forgotten_unless_it_seals() {
    let over = NOW.plus(1 + RECEIVE_ONLY_LIFE);
    for (now, left) in [
        (Timestamp(0), vec![2, 1]),
        (over.minus(1), vec![2, 1]),
        (over, vec![2]),
        (over.plus(10 * RECEIVE_ONLY_LIFE), vec![2]),
    ] {
        let mut sides = met(2);
        sides[0].prune(now);
        assert_eq!(names(&sides[0]), left, "at {now:?}");
        let mut sides = met(2);
        hear(&mut sides, 2, 1, now);
        assert_eq!(names(&sides[0]), left, "with a frame at {now:?}");
    }
    let mut sides = met(2);
    hear(&mut sides, 1, 1, over.minus(1));
    for (now, left) in [(over, vec![1, 2]), (over.plus(1), vec![1])] {
        sides[0].prune(now);
        assert_eq!(names(&sides[0]), left, "2 opened nothing, 1 just did: {now:?}");
    }
    // What a clock stamped that was ahead counts as of now.
    let mut ours = Sessions::default();
    ours.add(end(1), NOW.plus(365 * DAY));
    ours.add(end(2), NOW);
    for (life, left) in [(RECEIVE_ONLY_LIFE - 1, vec![2, 1]), (RECEIVE_ONLY_LIFE, vec![2])] {
        ours.prune(NOW.plus(life));
        assert_eq!(names(&ours), left, "{life}");
    }
}

#[test]
fn the_stored_form_is_frozen_and_comes_back_whole() {
    assert_eq!(bytes(&Sessions::default()), [1, 0]);
    assert!(Sessions::from_bytes(&[1, 0]).unwrap().is_empty());
    let (mut sessions, later) = (Sessions::default(), NOW.plus(CROSSING));
    sessions.add(end(1), NOW);
    sessions.renew(end(2), later);
    sessions.add(end(3), later);
    let three = stored(&end(3), &[later.plus(1), later], &[0]);
    let two = stored(&end(2), &[later, later], &[1]);
    let expected = [vec![1, 3], three, two, stored(&end(1), &[NOW, NOW], &[2])].concat();
    assert_eq!(bytes(&sessions), expected);
    let restored = Sessions::from_bytes(&expected).unwrap();
    assert_eq!(kinds(&restored), [(3, Met), (2, Renewed), (1, Replaced)]);
    assert_eq!(bytes(&restored), expected);
}

#[test]
fn sessions_of_schema_1_were_made_by_meetings_when_they_last_opened() {
    let later = NOW.plus(1);
    let old = [vec![1, 2], stored(&end(2), &[later], &[]), stored(&end(1), &[NOW], &[])].concat();
    let [two, one] = [(2, later), (1, NOW)].map(|(n, at)| stored(&end(n), &[at, at], &[0]));
    let new = [vec![1, 2], two, one].concat();
    assert_eq!(bytes(&Sessions::from_bytes_of_schema_1(&old).unwrap()), new);
    assert!(Sessions::from_bytes(&old).is_err());
    assert!(Sessions::from_bytes_of_schema_1(&new).is_err());
}

#[test]
fn stored_bytes_that_are_cut_longer_or_damaged_are_refused() {
    type Read = fn(&[u8]) -> Result<Sessions, RestoreError>;
    let now = [vec![1, 1], stored(&end(1), &[NOW, NOW], &[2])].concat();
    let before = [vec![1, 1], stored(&end(1), &[NOW], &[])].concat();
    let with = |good: &[u8], index: usize, byte: u8| {
        let mut damaged = good.to_vec();
        damaged[index] = byte;
        damaged
    };
    for (read, good) in
        [(Sessions::from_bytes as Read, &now), (Sessions::from_bytes_of_schema_1 as Read, &before)]
    {
        assert!(read(good).is_ok());
        for cut in 0..good.len() {
            assert!(read(&good[..cut]).is_err(), "cut at {cut}");
        }
        // Version and count; version and role of the session inside.
        for (index, byte) in [(0, 0), (0, 2), (1, 0), (1, 2), (5, 0), (5, 2), (6, 0), (6, 3)] {
            assert!(read(&with(good, index, byte)).is_err(), "{byte} at {index}");
        }
        assert!(read(&[&good[..], &[0]].concat()).is_err());
        let claim = (1_u64 << 50).to_le_bytes();
        assert!(read(&[&[1_u8, 253][..], &claim].concat()).is_err());
    }
    let kinds = [0, 1, 2, 3].map(|kind| with(&now, now.len() - 1, kind));
    let known = kinds.map(|bytes| Sessions::from_bytes(&bytes).is_ok());
    assert_eq!(known, [true, true, true, false]);
}

#[test]
fn sessions_of_one_moment_and_of_a_clock_that_is_put_back_keep_their_order() {
    let mut sessions = Sessions::default();
    (1..=3).for_each(|n| sessions.add(end(n), NOW));
    assert_eq!(names(&sessions), [3, 2, 1]);
    sessions.add(end(4), NOW.minus(DAY));
    assert_eq!(names(&sessions), [4, 3, 2, 1]);
}
