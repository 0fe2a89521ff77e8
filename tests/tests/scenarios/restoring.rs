//! People who begin anew from a backup, and copies of theirs that should not run any more.

use kith_tests::world::{Fails, Who, World};
use node::service::{chat, pin};
use protocol::time::{HOUR, MINUTE, SECOND};

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
fn whoever_restores_twice_in_a_minute_is_back_at_once_both_times() {
    let mut w = World::seeded(405);
    let (ada, ben) = w.contacts("ada", "ben");
    talk(&mut w, ada, ben, 2, "before");
    let older = w.back_up(ada);
    talk(&mut w, ada, ben, 2, "since");
    w.run_for(HOUR);
    // The wrong one, and then the one before it.
    let newer = w.back_up(ada);
    for (saved, life) in [(newer, 1), (older, 2)] {
        w.restore(ada, &saved);
        let back = |w: &mut World| w.texts(ada, ben).len() == 8 && lives(w, ben, ada) == life;
        assert!(w.run_until(2 * MINUTE, back), "{life}: {:?}", w.texts(ada, ben));
    }
}

#[test]
fn a_restore_by_a_clock_far_ahead_gets_no_keys_and_another_one_by_a_right_clock_does() {
    let mut w = World::seeded(406);
    let (ada, ben) = w.contacts("ada", "ben");
    talk(&mut w, ada, ben, 2, "before");
    let saved = w.back_up(ada);
    talk(&mut w, ada, ben, 2, "forgotten");
    w.run_for(HOUR);
    w.skew(ada, 365 * 24 * 3_600_000);
    w.restore(ada, &saved);
    talk(&mut w, ada, ben, 1, "ahead");
    w.run_for(2 * HOUR);
    assert_eq!(lives(&mut w, ben, ada), 0, "nobody takes keys of next year");
    w.skew(ada, 0);
    w.restore(ada, &saved);
    talk(&mut w, ada, ben, 2, "right");
    assert!(whole(&mut w, ada, ben), "{:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
    // What she wrote by the wrong clock is lost with that life.
    assert_eq!(w.texts(ada, ben).len(), 4 + 4 + 1 + 4);
    assert_eq!((lives(&mut w, ben, ada), lives(&mut w, ada, ben)), (1, 0));
}

/// Her words come back newest first. The highest of them is there when she loses everything again, from a backup that
/// was made meanwhile.
#[test]
fn words_of_ones_own_that_were_still_out_are_asked_for_again() {
    let mut w = World::seeded(406);
    let (ada, ben) = w.contacts("ada", "ben");
    talk(&mut w, ada, ben, 2, "before");
    let older = w.back_up(ada);
    let (known, lost) = (4, 300);
    for n in 0..lost {
        w.say(ada, ben, &format!("own {n}")).unwrap();
        w.run_for(SECOND);
    }
    assert!(w.run_until(HOUR, |w| all_delivered(w, ada, ben)));
    w.restore(ada, &older);
    while w.texts(ada, ben).len() == known {
        w.run_for(5);
    }
    let there = w.texts(ada, ben).len();
    assert!(there < known + lost, "all at once: this shows nothing");
    let meanwhile = w.back_up(ada);
    w.restore(ada, &meanwhile);
    let back = |w: &mut World| w.texts(ada, ben).len() == known + lost;
    assert!(w.run_until(6 * HOUR, back), "{} of {lost}, {there} before", w.texts(ada, ben).len());
    assert_eq!(w.texts(ada, ben), w.texts(ben, ada));
}

/// Numbers that she gave in the life before are not given again: Ben, who knows them, would not miss what is new.
#[test]
fn what_is_said_after_a_restore_is_missed_by_whoever_loses_it_in_turn() {
    let mut w = World::seeded(408);
    let (ada, ben) = w.contacts("ada", "ben");
    talk(&mut w, ada, ben, 2, "before");
    let adas = w.back_up(ada);
    for n in 0..6 {
        w.say(ada, ben, &format!("forgotten {n}")).unwrap();
    }
    assert!(w.run_until(HOUR, |w| all_delivered(w, ada, ben)));
    // His own words stand behind all that is to come.
    for n in 0..3 {
        w.say(ben, ada, &format!("his {n}")).unwrap();
        w.run_for(SECOND);
    }
    assert!(w.run_until(HOUR, |w| all_delivered(w, ben, ada)));
    let bens = w.back_up(ben);
    // The second life says as much as the first; the third begins from the same backup, and gets to know it late.
    for life in 2..=3 {
        w.restore(ada, &adas);
        for n in 0..3 {
            w.say(ada, ben, &format!("new {n} of life {life}")).unwrap();
        }
        assert!(w.run_until(HOUR, |w| all_delivered(w, ada, ben)));
    }
    let all = 4 + 6 + 3 + 2 * 3;
    assert!(w.run_until(HOUR, |w| w.texts(ben, ada).len() == all && all_delivered(w, ada, ben)));
    w.restore(ben, &bens);
    assert!(w.run_until(HOUR, |w| w.texts(ben, ada).len() == all), "{:?}", w.texts(ben, ada));
    assert_eq!(w.texts(ada, ben), w.texts(ben, ada));
}

/// Her backup is older than their first meeting: nothing of the conversation is in it.
#[test]
fn whoever_is_met_anew_in_a_later_life_gives_everything_back_and_misses_nothing() {
    let mut w = World::seeded(411);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let nothing = w.back_up(ada);
    let meet = |w: &mut World| {
        let (_, code) = w.invite(ada);
        w.scan(ben, &code).unwrap();
        w.settle();
        w.accept(ada, ben).unwrap();
        w.settle();
    };
    meet(&mut w);
    talk(&mut w, ada, ben, 3, "first life");
    w.restore(ada, &nothing);
    let gone = w.account(ada);
    w.done(ben, move |ctx| node::service::contact::remove(ctx, gone));
    meet(&mut w);
    let bens = w.back_up(ben);
    talk(&mut w, ada, ben, 3, "second life");
    assert!(w.run_until(HOUR, |w| all_delivered(w, ada, ben) && all_delivered(w, ben, ada)));
    // Whatever he loses now comes back from her, and hers from him.
    w.restore(ben, &bens);
    assert!(whole(&mut w, ada, ben), "{:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
    assert_eq!(w.texts(ada, ben).len(), 12);
}

/// Ben signs for her question and forgets it, as one does who was asked too often. Nobody comes or goes after that.
#[test]
fn a_question_that_nobody_answers_is_asked_again() {
    let mut w = World::seeded(409);
    let (ada, ben) = w.contacts("ada", "ben");
    talk(&mut w, ada, ben, 2, "before");
    let saved = w.back_up(ada);
    for n in 0..120 {
        w.say(ada, ben, &format!("own {n}")).unwrap();
        w.run_for(SECOND);
    }
    assert!(w.run_until(HOUR, |w| all_delivered(w, ada, ben)));
    w.restore(ada, &saved);
    let chat = w.chat(ben, ada);
    while w.look(ben, move |ctx| Ok(chat::get(ctx, chat)?)).unwrap().gaps.owed.is_none() {
        w.run_for(1);
    }
    w.done(ben, move |ctx| {
        let mut forgetful = chat::get(ctx, chat)?.unwrap();
        forgetful.gaps.owed = None;
        Ok(chat::put(ctx, &forgetful)?)
    });
    let all = 4 + 120;
    assert!(!w.run_until(50 * MINUTE, |w| w.texts(ada, ben).len() == all), "nothing was forgotten");
    assert!(w.run_until(HOUR, |w| w.texts(ada, ben).len() == all), "{}", w.texts(ada, ben).len());
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
        let both = |w: &mut World| [after(w, ada, ben).len(), after(w, ben, ada).len()];
        assert!(w.run_until(6 * HOUR, |w| both(w) == [4, 4]), "apart: {apart}: {:?}", both(&mut w));
        // What was said while the copy ran is in the copy's hands: it had the mailbox. The gap is seen, and asked for.
        let there = |w: &mut World| w.texts(ada, ben).contains(&"to the new life".to_owned());
        assert!(w.run_until(6 * HOUR, there), "apart: {apart}: {:?}", w.texts(ada, ben));
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
