#![allow(clippy::unwrap_used, reason = "tests")]

use super::frame::{Inside, Record};
use super::*;
use crate::agreement::LowOrderKey;
use crate::fixtures::{NOW, TestRng, sessions};
use crate::kdf::sha256;
use crate::kem::KemSecret;
use crate::session::{MAX_SESSION_LEN, Session};

struct Pair {
    bob: Session,
    alice: Session,
    rng: TestRng,
}

fn pair(name: &'static str) -> Pair {
    let mut rng = TestRng::new(name);
    let (bob, alice) = sessions(&mut rng);
    Pair { bob, alice, rng }
}

impl Pair {
    /// One message each way, both delivered.
    fn round(&mut self, now: u64) {
        let there = self.bob.encrypt(b"there", now, &mut self.rng).unwrap();
        assert_eq!(self.alice.decrypt(&there, now).unwrap(), b"there");
        let back = self.alice.encrypt(b"back", now, &mut self.rng).unwrap();
        assert_eq!(self.bob.decrypt(&back, now).unwrap(), b"back");
    }

    fn bob_sends(&mut self, count: u32) -> Vec<Vec<u8>> {
        (0..count)
            .map(|i| self.bob.encrypt(&i.to_be_bytes(), NOW, &mut self.rng).unwrap())
            .collect()
    }
}

fn refused(session: &mut Session, frame: &[u8], now: u64) -> DecryptError {
    let before = session.export();
    let error = session.decrypt(frame, now).unwrap_err();
    assert_eq!(session.export(), before, "a refused frame changed the state");
    error
}

#[test]
fn messages_arrive_in_any_order_and_each_once() {
    let mut p = pair("order");
    let frames = p.bob_sends(20);
    for i in [5, 0, 19, 7, 1, 18, 2, 3, 4, 6, 8, 17, 9, 10, 11, 16, 12, 13, 14, 15] {
        let n = u32::try_from(i).unwrap();
        assert_eq!(p.alice.decrypt(&frames[i], NOW).unwrap(), n.to_be_bytes());
        assert_eq!(refused(&mut p.alice, &frames[i], NOW), DecryptError::KeyGone);
    }
    assert_eq!(p.alice.ratchet.skipped_len(), 0);
}

#[test]
fn messages_of_earlier_chains_arrive_late() {
    let mut p = pair("late");
    let mut late = Vec::new();
    for _ in 0..4 {
        late.extend(p.bob_sends(2));
        p.round(NOW);
    }
    assert_eq!(p.alice.ratchet.retired.len(), 3, "the current chain keeps its own keys");
    for frame in late.iter().rev() {
        p.alice.decrypt(frame, NOW).unwrap();
    }
    assert_eq!(p.alice.ratchet.skipped_len(), 0);
    assert!(p.alice.ratchet.retired.is_empty());
    // The chains are forgotten with their last key, so a duplicate does not even open.
    assert_eq!(refused(&mut p.alice, &late[0], NOW), DecryptError::UnknownHeader);
}

#[test]
fn only_the_five_latest_chains_are_remembered() {
    let mut p = pair("chains");
    let mut late = Vec::new();
    for _ in 0..6 {
        late.extend(p.bob_sends(1));
        p.round(NOW);
    }
    assert_eq!(p.alice.ratchet.retired.len(), MAX_RECEIVE_CHAINS - 1);
    assert_eq!(refused(&mut p.alice, &late[0], NOW), DecryptError::UnknownHeader);
    for frame in &late[1..] {
        p.alice.decrypt(frame, NOW).unwrap();
    }
}

#[test]
fn a_jump_of_a_thousand_is_taken_and_one_more_is_refused() {
    let mut p = pair("jump");
    // Number 0 of this chain travelled inside the join request.
    let frames = p.bob_sends(MAX_JUMP + 2);
    let frame = frames.last().unwrap();
    assert_eq!(refused(&mut p.alice, frame, NOW), DecryptError::TooFarAhead);
    p.alice.decrypt(&frames[1000], NOW).unwrap();
    assert_eq!(p.alice.ratchet.skipped_len(), 1000);
    p.alice.decrypt(frame, NOW).unwrap();
}

#[test]
fn skipped_keys_are_bounded_and_the_oldest_go_first() {
    let mut p = pair("bounded");
    let frames = p.bob_sends(2503);
    for last in [1000, 2001, 2502] {
        p.alice.decrypt(&frames[last], NOW).unwrap();
    }
    assert_eq!(p.alice.ratchet.skipped_len(), MAX_SKIPPED_KEYS);
    assert_eq!(refused(&mut p.alice, &frames[0], NOW), DecryptError::KeyGone);
    assert_eq!(refused(&mut p.alice, &frames[499], NOW), DecryptError::KeyGone);
    let stored = p.alice.export();
    assert_eq!(Session::import(&stored).unwrap().export(), stored, "all of them are one chain's");
    assert!(p.alice.decrypt(&frames[500], NOW).is_ok());
    assert!(p.alice.export().len() <= MAX_SESSION_LEN);
}

#[test]
fn when_the_oldest_chain_has_no_key_left_the_next_one_gives_way() {
    let mut p = pair("chain by chain");
    let oldest = p.bob_sends(3);
    p.alice.decrypt(&oldest[2], NOW).unwrap();
    p.round(NOW);
    let second = p.bob_sends(1001);
    p.alice.decrypt(&second[1000], NOW).unwrap();
    let turn = p.alice.encrypt(b"turn", NOW, &mut p.rng).unwrap();
    p.bob.decrypt(&turn, NOW).unwrap();
    let current = p.bob_sends(1004);
    for last in [996, 999] {
        p.alice.decrypt(&current[last], NOW).unwrap();
    }
    assert_eq!(p.alice.ratchet.skipped_len(), MAX_SKIPPED_KEYS, "2, 1000 and 998");
    p.alice.decrypt(&current[1003], NOW).unwrap();
    assert_eq!(p.alice.ratchet.skipped_len(), MAX_SKIPPED_KEYS, "three more, and three less");
    for gone in [&oldest[0], &oldest[1], &second[0]] {
        assert_eq!(refused(&mut p.alice, gone, NOW), DecryptError::KeyGone);
    }
    for kept in [&second[1], &current[0], &current[1002]] {
        p.alice.decrypt(kept, NOW).unwrap();
    }
}

#[test]
fn the_bounds_are_those_of_the_spec() {
    assert_eq!((MAX_JUMP, MAX_SKIPPED_KEYS, MAX_RECEIVE_CHAINS), (1000, 2000, 5));
    assert_eq!(SKIPPED_KEY_LIFETIME, 1_814_400);
    assert_eq!((PQ_EPOCH_STEPS, PQ_EPOCH_SECONDS), (20, 86_400));
}

#[test]
fn a_first_message_that_does_not_fit_its_frame_is_refused() {
    let mut p = pair("first");
    let len = 682;
    let mut sealed = |content: usize| {
        let content = vec![7; content];
        p.bob.ratchet.encrypt_first(&[0; 32], &content, len, &mut p.rng)
    };
    let longest = len - FRAME_OVERHEAD - 2;
    assert_eq!(sealed(longest).unwrap().len(), len);
    assert_eq!(sealed(longest + 1), Err(EncryptError::TooLong));
}

/// The fullest state: four retired chains, all skipped keys, an open epoch.
#[test]
fn the_largest_state_stays_below_its_published_bound() {
    let mut p = pair("largest");
    for _ in 0..11 {
        p.round(NOW);
    }
    for _ in 0..5 {
        let frames = p.bob_sends(500);
        p.alice.decrypt(&frames[499], NOW).unwrap();
        p.round(NOW);
    }
    assert_eq!(p.alice.ratchet.skipped_len(), MAX_SKIPPED_KEYS);
    let stored = p.alice.export();
    assert_eq!(p.alice.ratchet.stored_len_max(), 2560 + 2000 * 44, "no more than it takes");
    assert!(stored.len() <= MAX_SESSION_LEN, "{}", stored.len());
    assert!(stored.len() <= 150 + p.alice.ratchet.stored_len_max(), "the buffer moved");
    assert_eq!(Session::import(&stored).unwrap().export(), stored);
}

#[test]
fn a_skipped_key_is_good_for_21_days() {
    let mut p = pair("expiry");
    let frames = p.bob_sends(4);
    p.alice.decrypt(&frames[3], NOW).unwrap();
    let limit = NOW + SKIPPED_KEY_LIFETIME;
    p.alice.decrypt(&frames[0], limit).unwrap();
    assert_eq!(refused(&mut p.alice, &frames[1], limit + 1), DecryptError::KeyGone);
    assert_eq!(p.alice.ratchet.skipped_len(), 2);
    let next = p.bob.encrypt(b"x", limit + 1, &mut p.rng).unwrap();
    p.alice.decrypt(&next, limit + 1).unwrap();
    assert_eq!(p.alice.ratchet.skipped_len(), 0, "the next success erases what expired");
}

#[test]
fn a_clock_that_goes_backwards_erases_nothing() {
    let mut p = pair("backwards");
    let frames = p.bob_sends(3);
    p.alice.decrypt(&frames[2], NOW).unwrap();
    p.alice.decrypt(&frames[1], 0).unwrap();
    p.alice.decrypt(&frames[0], NOW).unwrap();
}

#[test]
fn a_header_key_is_the_peers_and_the_session_s() {
    let mut p = pair("header");
    let mut q = pair("other header");
    let frame = p.bob_sends(1).remove(0);
    assert_eq!(refused(&mut q.alice, &frame, NOW), DecryptError::UnknownHeader);
}

#[test]
fn each_answer_brings_a_new_ratchet_key_and_a_monologue_none() {
    let mut p = pair("turns");
    let key = |s: &Session| s.ratchet.sending.as_ref().map(|sending| sending.dh);
    p.round(NOW);
    let before = key(&p.bob);
    let _ = p.bob_sends(1);
    let after = key(&p.bob);
    assert_ne!(before, after);
    let _ = p.bob_sends(3);
    assert_eq!(key(&p.bob), after);
}

/// What an attacker who stole Alice's whole state can still read.
#[test]
fn a_stolen_state_reads_nothing_from_before_and_nothing_after_a_round() {
    let mut p = pair("stolen");
    let old = p.bob_sends(1).remove(0);
    p.alice.decrypt(&old, NOW).unwrap();
    let mut thief = Session::import(&p.alice.export()).unwrap();
    assert_eq!(refused(&mut thief, &old, NOW), DecryptError::KeyGone);
    p.round(NOW);
    p.round(NOW);
    let healed = p.bob_sends(1).remove(0);
    assert_eq!(refused(&mut thief, &healed, NOW), DecryptError::UnknownHeader);
}

#[test]
fn an_epoch_is_mixed_about_every_twenty_root_steps_by_either_side_in_turn() {
    let mut p = pair("epochs");
    let mut epochs = Vec::new();
    for _ in 0..80 {
        p.round(NOW);
        assert!(p.bob.pq_epoch().abs_diff(p.alice.pq_epoch()) <= 1);
        epochs.push(p.bob.pq_epoch());
    }
    assert!(epochs.windows(2).all(|w| w[1] - w[0] <= 1));
    // 160 root steps; an epoch takes 20 to fall due and a few to complete.
    assert!((6..=8).contains(&p.bob.pq_epoch()), "{}", p.bob.pq_epoch());
}

#[test]
fn a_day_of_use_makes_an_epoch_due_and_silence_does_not() {
    let mut p = pair("day");
    p.round(NOW);
    p.round(NOW + PQ_EPOCH_SECONDS - 1);
    assert!(p.bob.ratchet.pq.record().is_none());
    let frame = p.bob.encrypt(b"x", NOW + PQ_EPOCH_SECONDS, &mut p.rng).unwrap();
    assert_eq!(frame.len(), 2048, "it carries an offer");
    p.alice.decrypt(&frame, NOW).unwrap();
    for _ in 0..3 {
        p.round(NOW + PQ_EPOCH_SECONDS);
    }
    assert_eq!((p.bob.pq_epoch(), p.alice.pq_epoch()), (1, 1));
}

/// Frames with records vanish for a while; the offer and the answer repeat byte for byte.
#[test]
fn loss_and_reordering_do_not_deadlock_an_epoch() {
    let mut p = pair("loss");
    for round in 0_u32..400 {
        let lose_there = round % 3 == 0;
        let lose_back = round % 5 == 1;
        let frames = p.bob_sends(2);
        if !lose_there {
            p.alice.decrypt(&frames[1], NOW).unwrap();
            p.alice.decrypt(&frames[0], NOW).unwrap();
        }
        let back = p.alice.encrypt(b"back", NOW, &mut p.rng).unwrap();
        if !lose_back {
            p.bob.decrypt(&back, NOW).unwrap();
        }
    }
    assert!(p.bob.pq_epoch() >= 8, "{}", p.bob.pq_epoch());
}

#[test]
fn a_record_waits_when_the_content_fills_the_largest_frame() {
    let mut p = pair("full");
    for _ in 0..10 {
        p.round(NOW);
    }
    let full = vec![1; MAX_PLAINTEXT];
    let frame = p.bob.encrypt(&full, NOW, &mut p.rng).unwrap();
    assert!(p.bob.ratchet.pq.record().is_some());
    assert_eq!(p.alice.decrypt(&frame, NOW).unwrap(), full);
    for _ in 0..3 {
        p.round(NOW);
    }
    assert_eq!(p.alice.pq_epoch(), 1);
}

#[test]
fn a_text_of_six_hundred_bytes_and_a_record_share_the_second_class() {
    let mut p = pair("share");
    for _ in 0..10 {
        p.round(NOW);
    }
    let offer = p.bob.encrypt(&[1; 600], NOW, &mut p.rng).unwrap();
    assert!(matches!(p.bob.ratchet.pq.record(), Some(Record::Offer { epoch: 1, .. })));
    assert_eq!(offer.len(), 2048);
    p.alice.decrypt(&offer, NOW).unwrap();
    let answer = p.alice.encrypt(&[1; 600], NOW, &mut p.rng).unwrap();
    assert!(matches!(p.alice.ratchet.pq.record(), Some(Record::Answer { epoch: 1, .. })));
    assert_eq!(answer.len(), 2048);
}

/// The secret must matter: a responder with another one cannot follow.
#[test]
fn the_mixed_secret_decides_the_chain() {
    let mut p = pair("matters");
    for _ in 0..10 {
        p.round(NOW);
    }
    p.round(NOW);
    assert!(p.alice.ratchet.pq.record().is_some());
    let frame = p.bob.encrypt(b"mixed", NOW, &mut p.rng).unwrap();
    assert_eq!(p.bob.pq_epoch(), 1);
    let leap = forge(&p.bob, &|h| h.epoch = 2, None);
    assert_eq!(refused(&mut p.alice, &leap, NOW), DecryptError::Pq(PqViolation::Epoch));
    let mut stored = p.alice.export().to_vec();
    let last = stored.len() - 1;
    stored[last] ^= 1; // the stored shared secret is the last field
    let mut broken = Session::import(&stored).unwrap();
    assert_eq!(refused(&mut broken, &frame, NOW), DecryptError::Body);
    assert!(p.alice.decrypt(&frame, NOW).is_ok());
}

/// Seals a frame by the book, but with a record or header of the test's choosing.
fn forge(session: &Session, header: &dyn Fn(&mut Header), record: Option<Record<'_>>) -> Vec<u8> {
    let sending = session.ratchet.sending.as_ref().unwrap();
    let mut forged = Header {
        dh: sending.dh,
        pn: sending.previous_len,
        n: sending.chain.n,
        epoch: sending.epoch,
        flags: 0,
    };
    header(&mut forged);
    let transcript = &session.shared.transcript;
    let cx = Context { transcript, direction: session.role().direction() };
    let key = sending.chain.message_key();
    Outgoing { header: forged, record, content: b"forged", len: 2048 }.seal(
        cx,
        &sending.header_key,
        &key,
        &[5; 24],
    )
}

#[test]
fn an_authentic_header_that_contradicts_its_chain_is_the_peers_fault() {
    let mut p = pair("contradict");
    p.round(NOW);
    let _ = p.bob_sends(1);
    let known = p.bob_sends(1).remove(0);
    p.alice.decrypt(&known, NOW).unwrap();
    let edits: [&dyn Fn(&mut Header); 3] =
        [&|h| h.flags = 1, &|h| h.dh = AgreementKey::from_bytes([9; 32]), &|h| h.epoch = 1];
    for edit in edits {
        let error = refused(&mut p.alice, &forge(&p.bob, edit, None), NOW);
        assert_eq!(error, DecryptError::Header);
        assert!(error.is_peer_fault());
    }
}

#[test]
fn a_new_chain_with_an_impossible_header_is_refused() {
    let mut p = pair("new chain");
    p.round(NOW);
    let _ = p.bob_sends(1);
    type Edit<'a> = (&'a dyn Fn(&mut Header), DecryptError);
    let edits: [Edit<'_>; 5] = [
        (&|h| h.pn = 0, DecryptError::Header),
        (&|h| h.pn += MAX_JUMP + 1, DecryptError::TooFarAhead),
        (&|h| h.pn = u32::MAX, DecryptError::TooFarAhead),
        (&|h| h.epoch = 1, DecryptError::Pq(PqViolation::Epoch)),
        (&|h| h.dh = AgreementKey::from_bytes([0; 32]), DecryptError::PeerKey(LowOrderKey)),
    ];
    for (edit, expected) in edits {
        assert_eq!(refused(&mut p.alice, &forge(&p.bob, edit, None), NOW), expected);
    }
    let far = forge(&p.bob, &|h| h.n = u32::MAX, None);
    assert_eq!(refused(&mut p.alice, &far, NOW), DecryptError::TooFarAhead);
}

#[test]
fn post_quantum_records_out_of_order_or_turn_are_fatal_and_change_nothing() {
    let mut p = pair("violations");
    p.round(NOW);
    let known = p.bob_sends(1).remove(0);
    p.alice.decrypt(&known, NOW).unwrap();
    let secret = KemSecret::random(&mut p.rng);
    let key = secret.public();
    let hash = sha256(&[&*key]);
    let malformed = [0xFF; crate::kem::KEM_KEY_LEN];
    let ciphertext = [0; crate::kem::KEM_CIPHERTEXT_LEN];
    let same = |_: &mut Header| ();
    for (record, violation) in [
        (Record::Offer { epoch: 2, key: &key }, PqViolation::Epoch),
        (Record::Offer { epoch: 1, key: &malformed }, PqViolation::MalformedKey),
        (Record::Answer { epoch: 2, key_hash: &hash, ciphertext: &ciphertext }, PqViolation::Epoch),
        (Record::Answer { epoch: 1, key_hash: &hash, ciphertext: &ciphertext }, PqViolation::Turn),
    ] {
        let error = refused(&mut p.alice, &forge(&p.bob, &same, Some(record)), NOW);
        assert_eq!(error, DecryptError::Pq(violation));
        assert!(error.is_peer_fault());
    }
    // Epoch 1 is the initiator's to offer, never the responder's.
    let back = p.alice.encrypt(b"x", NOW, &mut p.rng).unwrap();
    p.bob.decrypt(&back, NOW).unwrap();
    let wrong_side = forge(&p.alice, &same, Some(Record::Offer { epoch: 1, key: &key }));
    assert_eq!(refused(&mut p.bob, &wrong_side, NOW), DecryptError::Pq(PqViolation::Turn));
}

#[test]
fn a_key_that_changes_within_an_epoch_is_fatal_and_the_same_key_is_not() {
    let mut p = pair("changed");
    for _ in 0..10 {
        p.round(NOW);
    }
    let offer = p.bob_sends(1).remove(0);
    p.alice.decrypt(&offer, NOW).unwrap();
    let again = p.bob_sends(1).remove(0);
    p.alice.decrypt(&again, NOW).unwrap();
    let other = KemSecret::random(&mut p.rng).public();
    let same = |_: &mut Header| ();
    let changed = forge(&p.bob, &same, Some(Record::Offer { epoch: 1, key: &other }));
    let violation = DecryptError::Pq(PqViolation::KeyChanged);
    assert_eq!(refused(&mut p.alice, &changed, NOW), violation);
    // And an answer to a key that was never offered, before the true one and after it.
    let hash = [7; 32];
    let ciphertext = [0; crate::kem::KEM_CIPHERTEXT_LEN];
    let wrong = || Some(Record::Answer { epoch: 1, key_hash: &hash, ciphertext: &ciphertext });
    let early = forge(&p.alice, &same, wrong());
    assert_eq!(refused(&mut p.bob, &early, NOW), violation);
    let back = p.alice.encrypt(b"x", NOW, &mut p.rng).unwrap();
    p.bob.decrypt(&back, NOW).unwrap();
    let late = forge(&p.alice, &same, wrong());
    assert_eq!(refused(&mut p.bob, &late, NOW), violation);
}

#[test]
fn records_of_an_epoch_that_is_past_say_nothing() {
    let mut p = pair("past");
    for _ in 0..10 {
        p.round(NOW);
    }
    let offers = p.bob_sends(2);
    p.alice.decrypt(&offers[0], NOW).unwrap();
    let answer = p.alice.encrypt(b"answer", NOW, &mut p.rng).unwrap();
    p.bob.decrypt(&answer, NOW).unwrap();
    // The frame that completes the epoch: what it says of that epoch is past already.
    let completing = p.bob.encrypt(b"mixed", NOW, &mut p.rng).unwrap();
    let other = KemSecret::random(&mut p.rng).public();
    let offer = Some(Record::Offer { epoch: 1, key: &other });
    let next = forge(&p.bob, &|_| (), offer);
    p.alice.decrypt(&next, NOW).unwrap();
    assert_eq!((p.alice.pq_epoch(), p.bob.pq_epoch()), (1, 1));
    // And one that comes late.
    p.alice.decrypt(&offers[1], NOW).unwrap();
    p.alice.decrypt(&completing, NOW).unwrap();
}

#[test]
fn the_first_chain_of_all_closes_none() {
    let mut p = pair("first chain");
    p.alice.encrypt(b"not sent", NOW, &mut p.rng).unwrap();
    let closing = forge(&p.alice, &|h| h.pn = 1, None);
    assert_eq!(refused(&mut p.bob, &closing, NOW), DecryptError::Header);
    p.bob.decrypt(&forge(&p.alice, &|_| (), None), NOW).unwrap();
}

#[test]
fn a_body_has_four_records_at_most() {
    let body = |count: u8| {
        let mut body = vec![count];
        for _ in 0..count {
            body.extend_from_slice(&[0x80, 0, 1, 7]);
        }
        body.extend_from_slice(b"content");
        crate::layout::pad(&mut body, 256);
        body
    };
    let (fullest, over) = (body(4), body(5));
    assert_eq!(fullest[Inside::parse(&fullest).unwrap().content], *b"content");
    assert_eq!(Inside::parse(&over).unwrap_err(), DecryptError::Content);
}

#[test]
fn a_post_quantum_epoch_is_frozen() {
    let mut p = pair("frozen epoch");
    let mut frozen = String::new();
    for round in 0..13 {
        for way in ["there", "back"] {
            let (sender, receiver) = if way == "there" {
                (&mut p.bob, &mut p.alice)
            } else {
                (&mut p.alice, &mut p.bob)
            };
            let frame = sender.encrypt(way.as_bytes(), NOW, &mut p.rng).unwrap();
            assert_eq!(receiver.decrypt(&frame, NOW).unwrap(), way.as_bytes());
            frozen += &format!(
                "{round:2} {way:5} {:4} {} epoch {}\n",
                frame.len(),
                data_encoding::HEXLOWER.encode(&sha256(&[&frame])),
                sender.pq_epoch(),
            );
        }
    }
    assert_eq!(p.alice.pq_epoch(), 1);
    insta::assert_snapshot!("post_quantum_epoch", frozen);
}

#[test]
fn an_exhausted_chain_refuses_to_send() {
    let mut p = pair("exhausted");
    p.bob.ratchet.sending.as_mut().unwrap().chain.n = u32::MAX;
    let before = p.bob.export();
    assert_eq!(p.bob.encrypt(b"x", NOW, &mut p.rng), Err(EncryptError::ChainExhausted));
    assert_eq!(p.bob.export(), before);
}

#[test]
fn a_malformed_inside_is_refused_without_a_panic() {
    let parse = |bytes: &[u8]| Inside::parse(bytes).map(|inside| inside.content);
    assert_eq!(parse(&[]), Err(DecryptError::Content));
    assert_eq!(parse(&[0; 16]), Err(DecryptError::Content));
    assert_eq!(parse(&[0x80, 0]), Err(DecryptError::Content));
    assert_eq!(parse(&[5, 0x80]), Err(DecryptError::Content), "too many records");
    assert_eq!(parse(&[1, 1, 0, 9, 0, 0x80]), Err(DecryptError::Content), "cut record");
    assert_eq!(parse(&[1, 3, 0, 0, 0x80]), Err(DecryptError::Content), "unknown record");
    assert_eq!(parse(&[1, 0x80, 0, 1, 7, b'x', 0x80, 0]), Ok(5..6), "optional record");
    assert_eq!(parse(&[0, b'h', b'i', 0x80, 0, 0]), Ok(1..3));
}

/// Bob writes words in Alice's name with nothing but what receiving hers gave him. Whoever has his
/// state cannot tell them from hers, so he cannot show anybody that hers are hers.
#[test]
fn whoever_received_a_message_could_have_written_it() {
    let mut p = pair("deniable");
    for _ in 0..3 {
        p.round(NOW);
    }
    let genuine = p.alice.encrypt(&[0; 1900], NOW, &mut p.rng).unwrap();
    let judge = p.bob.export();
    p.bob.decrypt(&genuine, NOW).unwrap();

    // Her sending chain is the chain on which he receives.
    let theirs = p.bob.ratchet.receiving.take().unwrap();
    p.bob.ratchet.role = p.bob.ratchet.role.peer();
    p.bob.ratchet.sending = Some(SendingChain {
        header_key: theirs.view.header_key,
        chain: theirs.chain,
        dh: theirs.view.dh,
        previous_len: 1,
        epoch: theirs.view.epoch,
    });
    let forged = forge(&p.bob, &|_| {}, None);
    assert_eq!(forged.len(), genuine.len());
    for order in [[&genuine, &forged], [&forged, &genuine]] {
        let mut judge = Session::import(&judge).unwrap();
        for frame in order {
            let words = judge.decrypt(frame, NOW).unwrap();
            assert!(words == [0; 1900] || words == b"forged");
        }
    }
}
