//! A store that fails at any commit.

use kith_tests::world::{Fails, Who, World};
use node::engine::{Ctx, Failure};
use node::service;
use protocol::chat::DeliveryState;
use protocol::invite::Kind;
use protocol::request::State;
use protocol::time::{HOUR, MINUTE};

use super::crashes::{check, check_but_lanes, look, story};

/// Fails every commit of the one of two who joined as number `index`, from the first that makes their
/// account on: with nothing of it on the disk, and with all of it there and nobody told. `live` is
/// what they do, and asserts that nothing is lost. Returns how many commits there are.
pub(crate) fn fail_every_commit(index: usize, live: impl Fn(&mut World, Who, Who, &str)) -> u64 {
    let run = |failure: Option<(u64, Fails)>| {
        let mut w = World::seeded(4);
        if let Some((n, how)) = failure {
            w.fail_commit(index, n, how);
        }
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        let what = format!("commit {failure:?} of person {index}");
        live(&mut w, ada, ben, &what);
        assert_eq!(w.has_crashed(), failure.is_some(), "{what}: it was not reached");
        w.commits([ada, ben][index])
    };
    at_every_commit(run)
}

/// Runs without a failure, which says how many commits there are, then with each of them failing in either way.
pub(crate) fn at_every_commit(run: impl Fn(Option<(u64, Fails)>) -> u64) -> u64 {
    let commits = run(None);
    for n in 1..=commits {
        for how in [Fails::Before, Fails::After] {
            run(Some((n, how)));
        }
    }
    println!("{} points, 0 violations", 2 * commits);
    commits
}

fn meet_and_talk(w: &mut World, ada: Who, ben: Who, what: &str) {
    story(w, ada, ben, None);
    check(w, ada, ben, what);
}

fn meet_and_talk_apart(w: &mut World, ada: Who, ben: Who, what: &str) {
    w.cut_between(ada, ben);
    story(w, ada, ben, None);
    check_but_lanes(w, ada, ben, what);
}

/// Once more if the node crashed before it could answer; then it may have been done already.
fn sure(
    w: &mut World,
    who: Who,
    act: impl FnOnce(&mut Ctx<'_>) -> Result<(), Failure> + Clone + Send + 'static,
) {
    if w.act(who, act.clone()).is_none() {
        let _ = w.act(who, act);
    }
}

/// Turned away, met, absent, renamed, removed, met again, moved to another relay: talking in between.
fn a_longer_life(w: &mut World, ada: Who, ben: Who, what: &str) {
    let (to_ada, to_ben) = (w.account(ada), w.account(ben));
    let carla = w.registered("carla");
    turn_away(w, ada, carla, what);
    turn_away(w, carla, ben, what);
    let (taken_back, _) = w.invite_for(ada, Kind::Link, None);
    sure(w, ada, move |ctx| service::invite::revoke(ctx, taken_back));
    meet(w, ada, ben, what);
    talk(w, (ada, ben), "first", what);
    w.cut(ben);
    for text in ["while you were away", "and again"] {
        sure_say(w, ada, ben, text);
    }
    w.run_for(10 * MINUTE);
    w.heal(ben);
    sure(w, ada, move |ctx| service::contact::rename(ctx, to_ben, Some("Benjamin")));
    talk(w, (ben, ada), "back", what);
    for (who, contact) in [(ada, to_ben), (ben, to_ada)] {
        sure(w, who, move |ctx| service::contact::remove(ctx, contact));
    }
    w.settle();
    meet(w, ben, ada, what);
    talk(w, (ada, ben), "met again", what);
    w.move_to_other(ada);
    w.settle();
    w.cut_between(ada, ben);
    talk(w, (ben, ada), "over the other relay", what);
    let texts = w.texts(ada, ben);
    assert_eq!(texts.len(), 10, "{what}: {texts:?}");
}

fn turn_away(w: &mut World, inviter: Who, scanner: Who, what: &str) {
    ask(w, inviter, scanner, what);
    let account = w.account(scanner);
    sure(w, inviter, move |ctx| service::request::reject(ctx, account));
    let rejected = w.run_until(HOUR, |w| {
        w.request(scanner, inviter).is_some_and(|request| request.state == State::Rejected)
    });
    assert!(rejected, "{what}: the rejection was lost");
}

fn ask(w: &mut World, inviter: Who, scanner: Who, what: &str) {
    let (_, code) = w.invite(inviter);
    let redeem = move |ctx: &mut Ctx<'_>| service::scan::redeem(ctx, &code).map(drop);
    sure(w, scanner, redeem);
    w.run_for(MINUTE);
    let asked = w.run_until(HOUR, |w| {
        let state = w.request(inviter, scanner).map(|request| request.state);
        matches!(state, Some(State::Held | State::Accepted))
    });
    assert!(asked, "{what}: the request was lost");
}

fn sure_say(w: &mut World, who: Who, to: Who, text: &str) {
    if w.say(who, to, text).is_none() {
        w.say(who, to, text);
    }
}

pub(crate) fn meet(w: &mut World, inviter: Who, scanner: Who, what: &str) {
    ask(w, inviter, scanner, what);
    let account = w.account(scanner);
    sure(w, inviter, move |ctx| service::request::accept(ctx, account));
    let met = w.run_until(HOUR, |w| w.are_contacts(inviter, scanner));
    assert!(met, "{what}: they never became contacts");
}

/// One word each way; both are read.
pub(crate) fn talk(w: &mut World, (one, other): (Who, Who), text: &str, what: &str) {
    for (from, to) in [(one, other), (other, one)] {
        sure_say(w, from, to, &format!("{text}, {from:?}"));
        w.run_for(MINUTE);
    }
    let read = w.run_until(3 * HOUR, |w| {
        look(w, one, other);
        [(one, other), (other, one)].into_iter().all(|(who, to)| {
            let states = w.deliveries(who, to);
            states.iter().all(|state| *state == DeliveryState::Read)
        })
    });
    assert!(read, "{what}: {text}: not everything was delivered and read");
    assert_eq!(w.texts(one, other), w.texts(other, one), "{what}: {text}");
}

#[test]
fn of_the_inviter() {
    assert!(fail_every_commit(0, meet_and_talk) > 20);
}

#[test]
fn of_the_scanner() {
    assert!(fail_every_commit(1, meet_and_talk) > 20);
}

#[test]
fn of_the_inviter_with_nobody_but_the_relay_between_them() {
    assert!(fail_every_commit(0, meet_and_talk_apart) > 20);
}

#[test]
fn of_the_scanner_with_nobody_but_the_relay_between_them() {
    assert!(fail_every_commit(1, meet_and_talk_apart) > 20);
}

#[test]
fn of_one_who_turns_away_removes_and_moves() {
    assert!(fail_every_commit(0, a_longer_life) > 60);
}

#[test]
fn of_one_who_is_turned_away_removed_and_left() {
    assert!(fail_every_commit(1, a_longer_life) > 60);
}
