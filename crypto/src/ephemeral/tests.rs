#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fixtures::{NOW, TestRng, sessions};

#[test]
fn droppable_content_arrives_and_leaves_the_session_as_it_was() {
    let mut rng = TestRng::new("eph");
    let (bob, alice) = sessions(&mut rng);
    let before = (bob.export(), alice.export());
    for len in [0, 1, 119, 120, MAX_EPHEMERAL] {
        let content = vec![0x80; len];
        let sealed = bob.seal_ephemeral(&content, NOW, &mut rng).unwrap();
        assert_eq!((sealed.len() - OVERHEAD) % EPHEMERAL_STEP, 0);
        assert!(sealed.len() <= MAX_EPHEMERAL_SEALED);
        let opened = alice.open_ephemeral(&sealed, NOW + 1).unwrap();
        assert_eq!((opened.content, opened.sent), (content, NOW));
    }
    assert_eq!((bob.export(), alice.export()), before);
    assert_eq!(bob.seal_ephemeral(&[0; MAX_EPHEMERAL + 1], NOW, &mut rng), Err(EphemeralTooLong));
}

#[test]
fn a_reflected_stale_or_foreign_message_is_refused() {
    let mut rng = TestRng::new("eph refuse");
    let (bob, alice) = sessions(&mut rng);
    let (_, carol) = sessions(&mut rng);
    let sealed = bob.seal_ephemeral(b"here", NOW, &mut rng).unwrap();
    assert_eq!(bob.open_ephemeral(&sealed, NOW), Err(EphemeralError::Forged));
    assert_eq!(carol.open_ephemeral(&sealed, NOW), Err(EphemeralError::Forged));
    assert!(alice.open_ephemeral(&sealed, NOW + EPHEMERAL_FRESHNESS).is_ok());
    assert_eq!(
        alice.open_ephemeral(&sealed, NOW + EPHEMERAL_FRESHNESS + 1),
        Err(EphemeralError::Stale)
    );
}

#[test]
fn midnight_does_not_lose_a_fresh_message() {
    let mut rng = TestRng::new("midnight");
    let (bob, alice) = sessions(&mut rng);
    assert_eq!(NOW % SECONDS_PER_DAY, 0);
    let sealed = bob.seal_ephemeral(b"here", NOW - 1, &mut rng).unwrap();
    assert!(alice.open_ephemeral(&sealed, NOW + 1).is_ok());
    let ahead = bob.seal_ephemeral(b"here", NOW + 1, &mut rng).unwrap();
    assert!(alice.open_ephemeral(&ahead, NOW - 1).is_ok());
}

#[test]
fn a_message_with_any_bit_flipped_or_of_another_length_is_refused() {
    let mut rng = TestRng::new("eph flip");
    let (bob, alice) = sessions(&mut rng);
    let sealed = bob.seal_ephemeral(b"here", NOW, &mut rng).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        alice.open_ephemeral(&bytes, NOW).unwrap_err();
    }
    for len in 0..sealed.len() {
        assert_eq!(alice.open_ephemeral(&sealed[..len], NOW), Err(EphemeralError::Length));
    }
    let huge = vec![1; MAX_EPHEMERAL_SEALED + EPHEMERAL_STEP];
    assert_eq!(alice.open_ephemeral(&huge, NOW), Err(EphemeralError::Length));
}

#[test]
fn directions_and_days_have_different_keys_and_both_sides_the_same() {
    use crate::session::Role;
    let (bob, alice) = sessions(&mut TestRng::new("eph keys"));
    for role in [Role::Initiator, Role::Responder] {
        assert!(bob.ephemeral(role, 1).ct_eq(&alice.ephemeral(role, 1)));
        assert!(!bob.ephemeral(role, 1).ct_eq(&bob.ephemeral(role.peer(), 1)));
        assert!(!bob.ephemeral(role, 1).ct_eq(&bob.ephemeral(role, 2)));
    }
}
