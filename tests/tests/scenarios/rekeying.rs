//! Sessions that one side has lost, and that come back without anybody doing anything.

use kith_tests::world::{Fails, Who, World};
use protocol::chat::{Author, DeliveryState};
use protocol::time::{HOUR, MINUTE, SECOND};

use crate::failing::at_every_commit;

pub(crate) fn talk(w: &mut World, ada: Who, ben: Who, rounds: usize, what: &str) {
    for n in 0..rounds {
        for (from, to) in [(ada, ben), (ben, ada)] {
            let text = format!("{what} {n} {from:?}");
            if w.say(from, to, &text).is_none() {
                w.say(from, to, &text);
            }
            w.run_for(10 * SECOND);
        }
    }
}

pub(crate) fn all_delivered(w: &mut World, ada: Who, ben: Who) -> bool {
    [(ada, ben), (ben, ada)].into_iter().all(|(who, other)| {
        let states = w.deliveries(who, other);
        states.iter().all(|state| *state >= DeliveryState::Delivered)
    })
}

/// What was said in the end. Where it stands is another matter: who was put back counts from then.
pub(crate) fn after(w: &mut World, who: Who, other: Who) -> Vec<String> {
    let mut texts = w.texts(who, other);
    texts.retain(|text| text.starts_with("after"));
    texts.sort_unstable();
    texts
}

/// Ada's folder is put back as it was an hour and many turns ago; both write.
fn put_back(w: &mut World, ada: Who, ben: Who, what: &str) {
    talk(w, ada, ben, 3, "before");
    let copy = w.freeze(ada);
    talk(w, ada, ben, 4, "forgotten");
    w.run_for(HOUR);
    w.put_back(ada, &copy);
    talk(w, ada, ben, 4, "after");
    let done = w.run_until(6 * HOUR, |w| all_delivered(w, ada, ben));
    let states = (w.deliveries(ada, ben), w.deliveries(ben, ada));
    assert!(done, "{what}: not everything was delivered: {states:?}");
    assert_eq!(after(w, ada, ben).len(), 8, "{what}");
    let whole = w.run_until(HOUR, |w| w.texts(ada, ben) == w.texts(ben, ada));
    assert!(whole, "{what}: {:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
    assert_eq!(w.texts(ada, ben).len(), 6 + 8 + 8, "{what}: what Ada had forgotten is back");
    let mut recovered = w.messages(ada, ben);
    recovered.retain(|message| message.recovered);
    assert_eq!(recovered.len(), 4, "{what}: her own words came from Ben, and say so");
    assert!(recovered.iter().all(|message| message.author == Author::Me));
}

#[test]
fn a_folder_that_was_put_back_re_keys_by_itself() {
    for seed in 0..4 {
        let mut w = World::seeded(300 + seed);
        let (ada, ben) = w.contacts("ada", "ben");
        put_back(&mut w, ada, ben, "direct");
    }
}

#[test]
fn a_folder_that_was_put_back_re_keys_over_the_relay_alone() {
    for seed in 0..4 {
        let mut w = World::seeded(310 + seed);
        let (ada, ben) = w.contacts("ada", "ben");
        w.cut_between(ada, ben);
        put_back(&mut w, ada, ben, "apart");
    }
}

#[test]
fn both_folders_put_back_at_the_same_time_re_key_all_the_same() {
    for seed in 0..4 {
        let mut w = World::seeded(320 + seed);
        let (ada, ben) = w.contacts("ada", "ben");
        talk(&mut w, ada, ben, 2, "before");
        let adas = w.freeze(ada);
        talk(&mut w, ada, ben, 3, "between");
        let bens = w.freeze(ben);
        talk(&mut w, ada, ben, 3, "forgotten");
        w.put_back(ada, &adas);
        w.put_back(ben, &bens);
        talk(&mut w, ada, ben, 3, "after");
        assert!(w.run_until(6 * HOUR, |w| all_delivered(w, ada, ben)));
        assert_eq!(after(&mut w, ada, ben).len(), 6);
        let whole = w.run_until(HOUR, |w| w.texts(ada, ben) == w.texts(ben, ada));
        assert!(whole, "{:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
    }
}

/// Each is up while the other is not: both lose their sessions, and all goes by way of the relay.
#[test]
fn two_who_are_never_up_at_the_same_time_re_key() {
    for seed in 0..6 {
        let mut w = World::seeded(360 + seed);
        let (ada, ben) = w.contacts("ada", "ben");
        talk(&mut w, ada, ben, 2, "before");
        let (adas, bens) = (w.freeze(ada), w.freeze(ben));
        talk(&mut w, ada, ben, 3, "forgotten");
        w.put_back(ada, &adas);
        w.put_back(ben, &bens);
        w.cut_between(ada, ben);
        let mut up = ada;
        w.stop(ben);
        let done = w.run_until(72 * HOUR, |w| {
            if w.texts(up, if up == ada { ben } else { ada }).len() < 12 {
                let other = if up == ada { ben } else { ada };
                let said = w.messages(up, other).len();
                w.say(up, other, &format!("after {said} {up:?}"));
            }
            w.run_for(40 * MINUTE);
            w.stop(up);
            up = if up == ada { ben } else { ada };
            w.start(up);
            w.run_for(MINUTE);
            let other = if up == ada { ben } else { ada };
            let states = w.deliveries(up, other);
            let mine = states.iter().all(|state| *state >= DeliveryState::Delivered);
            mine && w.messages(up, other).len() >= 12
        });
        let states = w.deliveries(up, if up == ada { ben } else { ada });
        assert!(done, "seed {seed}: {states:?}");
    }
}

/// A clock that was a year ahead stamped the session that is lost then.
#[test]
fn a_clock_that_was_ahead_does_not_keep_a_lost_session_in_use() {
    let mut w = World::seeded(370);
    let (ada, ben) = w.contacts("ada", "ben");
    w.skew(ada, 365 * 24 * i64::try_from(HOUR).unwrap());
    talk(&mut w, ada, ben, 2, "before");
    w.skew(ada, 0);
    w.restart(ada);
    let copy = w.freeze(ben);
    talk(&mut w, ada, ben, 3, "forgotten");
    w.put_back(ben, &copy);
    talk(&mut w, ada, ben, 4, "after");
    assert!(w.run_until(6 * HOUR, |w| all_delivered(w, ada, ben)));
    assert_eq!(after(&mut w, ada, ben), after(&mut w, ben, ada));
    assert_eq!(after(&mut w, ada, ben).len(), 8);
}

#[test]
fn two_nodes_that_re_key_come_to_rest() {
    for apart in [false, true] {
        let mut w = World::seeded(330);
        let (ada, ben) = w.contacts("ada", "ben");
        if apart {
            w.cut_between(ada, ben);
        }
        put_back(&mut w, ada, ben, "resting");
        let before = w.frames();
        w.run_for(26 * HOUR);
        let more = w.frames() - before;
        assert!(more < 10, "apart: {apart}: {more} frames, they keep each other busy");
    }
}

/// The commits from the roll-back on, of either, fail one after the other.
fn fail_every_commit_of_the_renewal(index: usize) -> u64 {
    let run = |failure: Option<(u64, Fails)>| {
        let mut w = World::seeded(340);
        let (ada, ben) = w.contacts("ada", "ben");
        let who = [ada, ben][index];
        talk(&mut w, ada, ben, 3, "before");
        let copy = w.freeze(ada);
        talk(&mut w, ada, ben, 3, "forgotten");
        w.put_back(ada, &copy);
        let before = w.commits(who);
        if let Some((n, how)) = failure {
            w.fail_commit_in(who, n, how);
        }
        talk(&mut w, ada, ben, 2, "after");
        let done = w.run_until(6 * HOUR, |w| all_delivered(w, ada, ben));
        assert!(done, "commit {failure:?} of {index}: not everything was delivered");
        assert_eq!(w.has_crashed(), failure.is_some(), "commit {failure:?} was not reached");
        assert_eq!(after(&mut w, ada, ben), after(&mut w, ben, ada), "commit {failure:?}");
        assert_eq!(after(&mut w, ada, ben).len(), 4, "commit {failure:?}");
        let whole = w.run_until(2 * HOUR, |w| w.texts(ada, ben) == w.texts(ben, ada));
        assert!(whole, "{failure:?}: {:?} and {:?}", w.texts(ada, ben), w.texts(ben, ada));
        assert_eq!(w.texts(ada, ben).len(), 6 + 6 + 4, "commit {failure:?}");
        w.commits(who) - before
    };
    at_every_commit(run)
}

#[test]
fn a_store_that_fails_at_any_commit_of_a_renewal_loses_nothing_for_who_lost_the_session() {
    assert!(fail_every_commit_of_the_renewal(0) > 10);
}

#[test]
fn a_store_that_fails_at_any_commit_of_a_renewal_loses_nothing_for_who_still_had_it() {
    assert!(fail_every_commit_of_the_renewal(1) > 10);
}

#[test]
fn somebody_who_was_removed_cannot_re_key() {
    let mut w = World::seeded(350);
    let (ada, ben) = w.contacts("ada", "ben");
    let copy = w.freeze(ben);
    talk(&mut w, ada, ben, 3, "before");
    let account = w.account(ben);
    w.done(ada, move |ctx| node::service::contact::remove(ctx, account));
    w.put_back(ben, &copy);
    w.say(ben, ada, "let me in").unwrap();
    w.run_for(2 * HOUR);
    assert!(!w.has_contact(ada, ben));
    assert!(!w.texts(ada, ben).contains(&"let me in".to_owned()));
}
