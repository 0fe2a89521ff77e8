//! People who begin anew from a backup, and copies of theirs that should not run any more.

use kith_tests::world::{Fails, Who, World};
use node::service::pin;
use protocol::time::{HOUR, SECOND};

use crate::failing::at_every_commit;
use crate::rekeying::{after, all_delivered, talk};

/// How often one has seen the other begin anew.
fn lives(w: &mut World, who: Who, other: Who) -> usize {
    let other = w.account(other);
    w.look(who, move |ctx| Ok(pin::get(ctx, other)?.changes().len()))
}

fn whole(w: &mut World, ada: Who, ben: Who) -> bool {
    w.run_until(6 * HOUR, |w| all_delivered(w, ada, ben) && w.texts(ada, ben) == w.texts(ben, ada))
}

#[test]
fn somebody_who_begins_anew_is_seen_to_and_goes_on_with_everybody() {
    for apart in [false, true] {
        let mut w = World::seeded(400);
        let (ada, ben) = w.contacts("ada", "ben");
        if apart {
            w.cut_between(ada, ben);
        }
        talk(&mut w, ada, ben, 2, "before");
        let saved = w.back_up(ada);
        talk(&mut w, ada, ben, 2, "forgotten");
        w.run_for(HOUR);
        let restored = w.restore(ada, &saved);
        assert_eq!((restored.contacts, restored.messages), (1, 4));
        talk(&mut w, ada, ben, 2, "after");
        assert!(whole(&mut w, ada, ben), "{:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
        assert_eq!(w.texts(ada, ben).len(), 4 + 4 + 4);
        assert_eq!((lives(&mut w, ben, ada), lives(&mut w, ada, ben)), (1, 0), "apart: {apart}");
        // The same backup once more, a day later, is another life again.
        w.run_for(24 * HOUR);
        w.restore(ada, &saved);
        talk(&mut w, ada, ben, 2, "later");
        assert!(whole(&mut w, ada, ben));
        assert_eq!(w.texts(ada, ben).len(), 4 + 4 + 4 + 4);
        assert_eq!(lives(&mut w, ben, ada), 2);
    }
}

#[test]
fn an_old_copy_that_is_started_again_gets_no_keys_and_the_new_life_goes_on() {
    for apart in [false, true] {
        let mut w = World::seeded(410);
        let (ada, ben) = w.contacts("ada", "ben");
        if apart {
            w.cut_between(ada, ben);
        }
        talk(&mut w, ada, ben, 2, "before");
        let saved = w.back_up(ada);
        let old = w.freeze(ada);
        w.run_for(HOUR);
        w.restore(ada, &saved);
        talk(&mut w, ada, ben, 2, "anew");
        assert!(whole(&mut w, ada, ben));
        let new = w.freeze(ada);

        w.put_back(ada, &old);
        w.say(ada, ben, "from the old copy").unwrap();
        w.say(ben, ada, "to the new life").unwrap();
        w.run_for(2 * HOUR);
        let before = w.frames();
        w.run_for(26 * HOUR);
        let more = w.frames() - before;
        // What cannot be opened is tried again as slowly as anything else that is not signed for.
        assert!(more < 8 * 26, "apart: {apart}: {more} frames, they keep each other busy");
        assert!(!w.texts(ben, ada).contains(&"from the old copy".to_owned()), "apart: {apart}");
        assert!(!w.texts(ada, ben).contains(&"to the new life".to_owned()), "apart: {apart}");
        assert_eq!(lives(&mut w, ben, ada), 1, "an older life is no news");

        w.put_back(ada, &new);
        talk(&mut w, ada, ben, 2, "after");
        // What was said while the copy ran may be in the copy's hands: it had the mailbox (backup.md §4).
        let both = |w: &mut World| [after(w, ada, ben).len(), after(w, ben, ada).len()];
        assert!(w.run_until(6 * HOUR, |w| both(w) == [4, 4]), "apart: {apart}: {:?}", both(&mut w));
        assert_eq!(lives(&mut w, ben, ada), 1);
    }
}

/// The commits of either from the restore on fail one after the other.
fn fail_every_commit_of_a_restored_life(index: usize) -> u64 {
    let run = |failure: Option<(u64, Fails)>| {
        let mut w = World::seeded(420);
        let (ada, ben) = w.contacts("ada", "ben");
        let who = [ada, ben][index];
        talk(&mut w, ada, ben, 2, "before");
        let saved = w.back_up(ada);
        talk(&mut w, ada, ben, 2, "forgotten");
        w.restore(ada, &saved);
        let before = w.commits(who);
        if let Some((n, how)) = failure {
            w.fail_commit_in(who, n, how);
        }
        talk(&mut w, ada, ben, 2, "after");
        let whole = whole(&mut w, ada, ben);
        assert_eq!(w.has_crashed(), failure.is_some(), "commit {failure:?} was not reached");
        assert!(whole, "{failure:?}: {:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
        assert_eq!(w.texts(ada, ben).len(), 4 + 4 + 4, "commit {failure:?}");
        assert_eq!(after(&mut w, ada, ben).len(), 4, "commit {failure:?}");
        assert_eq!(lives(&mut w, ben, ada), 1, "commit {failure:?}");
        w.run_for(SECOND);
        w.commits(who) - before
    };
    at_every_commit(run)
}

#[test]
fn a_store_that_fails_at_any_commit_after_a_restore_loses_nothing_for_who_began_anew() {
    assert!(fail_every_commit_of_a_restored_life(0) > 5);
}

#[test]
fn a_store_that_fails_at_any_commit_after_a_restore_loses_nothing_for_a_contact() {
    assert!(fail_every_commit_of_a_restored_life(1) > 5);
}
