#![allow(clippy::unwrap_used, reason = "tests")]

use data_encoding::HEXLOWER;

use super::*;
use crate::fixtures::{NOW, TestRng, sessions};
use crate::ratchet::{MAX_FRAME, MAX_PLAINTEXT};

#[test]
fn frames_come_in_five_sizes_and_the_longest_content_fits() {
    let mut rng = TestRng::new("classes");
    let (mut bob, mut alice) = sessions(&mut rng);
    for (len, class) in [
        (0, 384),
        (277, 384),
        (278, 512),
        (405, 512),
        (406, 2048),
        (1941, 2048),
        (1942, 8192),
        (8085, 8192),
        (8086, MAX_FRAME),
        (MAX_PLAINTEXT, MAX_FRAME),
    ] {
        let content = vec![0; len];
        let frame = bob.encrypt(&content, NOW, &mut rng).unwrap();
        assert_eq!(frame.len(), class, "{len}");
        assert_eq!(alice.decrypt(&frame, NOW).unwrap(), content);
    }
    let before = bob.export();
    let over = vec![0; MAX_PLAINTEXT + 1];
    assert_eq!(bob.encrypt(&over, NOW, &mut rng), Err(EncryptError::TooLong));
    assert_eq!(bob.export(), before);
}

#[test]
fn a_stored_session_is_read_up_to_its_published_length() {
    let imported = |len: usize| Session::import(&vec![0; len]).map(|_| ()).unwrap_err();
    assert_eq!(imported(MAX_SESSION_LEN), SessionImportError::UnknownForm);
    assert_eq!(imported(MAX_SESSION_LEN + 1), SessionImportError::TooLong);
}

/// A buffer that moved would leave a copy of the keys behind.
#[test]
fn room_for_an_export_is_made_at_once() {
    let (_, alice) = sessions(&mut TestRng::new("room"));
    let mut ratchet = Writer::default();
    alice.ratchet.write(&mut ratchet);
    assert_eq!(alice.export().len(), PREFIX_LEN + ratchet.finish().len());
}

#[test]
fn a_frame_with_any_bit_flipped_is_refused_and_changes_nothing() {
    let mut rng = TestRng::new("flip");
    let (mut bob, mut alice) = sessions(&mut rng);
    // One frame on a chain that Alice knows, one that begins a chain for Bob.
    let known = bob.encrypt(b"known", NOW, &mut rng).unwrap();
    let turn = alice.encrypt(b"turn", NOW, &mut rng).unwrap();
    for (receiver, mut frame) in [(&mut alice, known), (&mut bob, turn)] {
        let before = receiver.export();
        for bit in 0..frame.len() * 8 {
            frame[bit / 8] ^= 1 << (bit % 8);
            let refused = receiver.decrypt(&frame, NOW).unwrap_err();
            frame[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0 => DecryptError::UnknownVersion,
                1..89 => DecryptError::UnknownHeader,
                _ => DecryptError::Body,
            };
            assert_eq!(refused, expected);
            assert!(!refused.is_peer_fault());
            if bit % 64 == 0 {
                assert_eq!(receiver.export(), before);
            }
        }
        assert_eq!(receiver.export(), before);
        assert!(receiver.decrypt(&frame, NOW).is_ok());
    }
}

#[test]
fn a_frame_of_no_class_is_refused() {
    let mut rng = TestRng::new("length");
    let (mut bob, mut alice) = sessions(&mut rng);
    let frame = bob.encrypt(b"x", NOW, &mut rng).unwrap();
    for len in [0, 1, 104, 383] {
        assert_eq!(alice.decrypt(&frame[..len], NOW), Err(DecryptError::Length));
    }
    let long = [&frame[..], &[0]].concat();
    assert_eq!(alice.decrypt(&long, NOW), Err(DecryptError::Length));
    assert_eq!(alice.decrypt(&vec![1; 1 << 20], NOW), Err(DecryptError::Length));
}

#[test]
fn our_own_frame_reflected_is_refused() {
    let mut rng = TestRng::new("reflect");
    let (mut bob, _) = sessions(&mut rng);
    let frame = bob.encrypt(b"x", NOW, &mut rng).unwrap();
    assert_eq!(bob.decrypt(&frame, NOW), Err(DecryptError::UnknownHeader));
}

#[test]
fn an_exported_session_goes_on_where_it_was() {
    let mut rng = TestRng::new("export");
    let (mut bob, mut alice) = sessions(&mut rng);
    for round in 0_u8..60 {
        let frame = bob.encrypt(&[round], NOW, &mut rng).unwrap();
        bob = Session::import(&bob.export()).unwrap();
        alice = Session::import(&alice.export()).unwrap();
        assert_eq!(alice.decrypt(&frame, NOW).unwrap(), [round]);
        let stored = alice.export();
        assert_eq!(Session::import(&stored).unwrap().export(), stored);
        core::mem::swap(&mut bob, &mut alice);
    }
    assert!(bob.pq_epoch() > 0, "the states in between held open epochs too");
}

#[test]
fn a_stored_session_that_is_cut_or_extended_is_refused() {
    let mut rng = TestRng::new("stored");
    let (mut bob, mut alice) = sessions(&mut rng);
    for _ in 0..3 {
        bob.encrypt(b"lost", NOW, &mut rng).unwrap();
    }
    let frame = bob.encrypt(b"seen", NOW, &mut rng).unwrap();
    alice.decrypt(&frame, NOW).unwrap();
    let stored = alice.export();
    for len in 0..stored.len() {
        Session::import(&stored[..len]).unwrap_err();
    }
    let long = [&stored[..], &[0]].concat();
    Session::import(&long).unwrap_err();
    let endless = vec![1; MAX_SESSION_LEN + 1];
    assert_eq!(Session::import(&endless).unwrap_err(), SessionImportError::TooLong);
    // Any single byte may change without a panic; most such states are simply useless.
    for i in 0..stored.len() {
        let mut bytes = stored.to_vec();
        bytes[i] ^= 0xFF;
        if let Ok(mut session) = Session::import(&bytes) {
            let _ = session.decrypt(&frame, NOW);
            let _ = session.encrypt(b"x", NOW, &mut rng);
        }
    }
}

/// The first five frames of a conversation, and the state after them.
#[test]
fn the_first_five_frames_are_frozen() {
    let mut rng = TestRng::new("frozen frames");
    let (mut bob, mut alice) = sessions(&mut rng);
    let mut frozen = String::new();
    for (i, text) in ["one", "two", "three", "four", "five"].into_iter().enumerate() {
        let (sender, receiver) =
            if i % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let frame = sender.encrypt(text.as_bytes(), NOW, &mut rng).unwrap();
        assert_eq!(receiver.decrypt(&frame, NOW).unwrap(), text.as_bytes());
        frozen += &format!(
            "{text}\n  frame {}\n  id    {}\n",
            HEXLOWER.encode(&frame),
            HEXLOWER.encode(&envelope_id(&frame)),
        );
    }
    frozen += &format!("alice {}\n", HEXLOWER.encode(&alice.export()));
    frozen += &format!("bob   {}\n", HEXLOWER.encode(&bob.export()));
    let sas = alice.sas(&[1; 32], &[2; 32]);
    frozen += &format!("sas   {sas:?}\n");
    frozen += &format!("psk   {}\n", HEXLOWER.encode(bob.reinit_psk().expose()));
    frozen +=
        &format!("eph   {}\n", HEXLOWER.encode(bob.ephemeral(Role::Initiator, 20_454).expose()));
    insta::assert_snapshot!("first_five_frames", frozen);
}

/// Droppable traffic is bound to the session, the direction and the day, as the bytes say.
#[test]
fn an_ephemeral_is_frozen_and_of_its_day_alone() {
    let mut rng = TestRng::new("ephemeral");
    let (bob, alice) = sessions(&mut rng);
    let midnight = 20_454 * 86_400;
    let sealed = bob.seal_ephemeral(b"typing", midnight + 90, &mut TestRng::new("frozen")).unwrap();
    let opened = alice.open_ephemeral(&sealed, midnight + 90).unwrap();
    assert_eq!((opened.content.as_slice(), opened.sent), (&b"typing"[..], midnight + 90));
    assert_eq!(format!("{opened:?}"), format!("Ephemeral {{ sent: {}, .. }}", midnight + 90));
    insta::assert_snapshot!("ephemeral", HEXLOWER.encode(&sealed));
    let next_day = alice.open_ephemeral(&sealed, midnight + 90 + 86_400);
    assert_eq!(next_day, Err(crate::EphemeralError::Forged), "another day's key, not only stale");
    assert_eq!(crate::MAX_EPHEMERAL_SEALED, 1 + 24 + 4 * 128 + 16);
}

/// A state restored from before a send encrypts the same number again: the receiver accepts one
/// and refuses the other, and no key stream is shared.
#[test]
fn a_sender_that_was_rolled_back_never_reuses_a_key_stream() {
    let mut rng = TestRng::new("rollback");
    let (mut bob, mut alice) = sessions(&mut rng);
    let before = bob.export();
    let one = bob.encrypt(&[0; 64], NOW, &mut rng).unwrap();
    let mut bob = Session::import(&before).unwrap();
    let two = bob.encrypt(&[0; 64], NOW, &mut rng).unwrap();
    assert_ne!(one[89..], two[89..]);
    assert!(alice.decrypt(&two, NOW).is_ok());
    assert_eq!(alice.decrypt(&one, NOW), Err(DecryptError::KeyGone));
}

#[test]
fn debug_shows_no_key() {
    let (bob, _) = sessions(&mut TestRng::new("debug"));
    insta::assert_snapshot!("debug", format!("{bob:#?}"));
}
