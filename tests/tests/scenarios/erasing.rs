//! Generations of erasable keys: what was sealed before opens for as long as it has to, and not longer.

use kith_tests::world::{Who, World};

use super::failing::{fail_every_commit, meet, talk};

/// Once more if the node crashed in the middle.
fn erase(w: &mut World, who: Who, what: &str) {
    assert!(w.erase(who) || w.erase(who), "{what}: no generation came to its end");
}

/// Other generations begin in the middle of everything; right after each, the power is cut.
fn erase_and_talk(w: &mut World, ada: Who, ben: Who, what: &str) {
    meet(w, ada, ben, what);
    for n in 0..3 {
        // What was read off these is on no disk yet.
        w.say_at_once(ben, ada, (0..5).map(|i| format!("before {n}, {i}")));
        w.run_for(20);
        erase(w, ada, what);
        w.restart(ada);
        erase(w, ben, what);
        w.restart(ben);
        talk(w, (ada, ben), &format!("after {n}"), what);
    }
    let texts = w.texts(ada, ben);
    assert_eq!(texts.len(), 3 * (5 + 2), "{what}: {texts:?}");
}

#[test]
fn sessions_go_on_over_generations_whatever_commit_fails() {
    assert!(fail_every_commit(0, erase_and_talk) > 30);
}

#[test]
fn an_invite_and_a_request_of_an_earlier_generation_are_still_accepted() {
    let mut w = World::seeded(7);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, code) = w.invite(ada);
    for _ in 0..2 {
        assert!(w.erase(ada));
    }
    w.scan(ben, &code).unwrap();
    w.settle();
    for who in [ada, ben] {
        assert!(w.erase(who));
        w.restart(who);
    }
    w.accept(ada, ben).unwrap();
    w.settle();
    assert!(w.are_contacts(ada, ben));
    talk(&mut w, (ben, ada), "hello", "over generations");
}
