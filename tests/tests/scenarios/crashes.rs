//! A crash after any commit, before any of its effects.

use kith_tests::world::{Who, World};
use node::engine::COMMIT_WITHIN;
use protocol::chat::DeliveryState;
use protocol::request::State;
use protocol::time::{HOUR, MINUTE, SECOND};

/// Ben scans Ada's code, she accepts, both talk and read. The person does again what their node
/// did not answer; a node that crashed does the rest by itself.
pub(super) fn story(w: &mut World, ada: Who, ben: Who, crash_in: Option<u64>) {
    let (_, text) = w.invite(ada);
    w.settle();
    if let Some(n) = crash_in {
        w.crash_in(n);
    }
    if w.request(ben, ada).is_none() {
        let text = text.clone();
        let scan = move |ctx: &mut node::engine::Ctx<'_>| node::service::scan::redeem(ctx, &text);
        if w.act(ben, scan.clone()).is_none() && w.request(ben, ada).is_none() {
            w.act(ben, scan);
        }
    }
    assert!(w.run_until(HOUR, |w| is(w, ada, ben, State::Held)), "Ada's node never held it");
    w.run_for(MINUTE);
    let account = w.account(ben);
    w.act(ada, move |ctx| node::service::request::accept(ctx, account));
    if is(w, ada, ben, State::Held) {
        w.accept(ada, ben).unwrap();
    }
    assert!(w.run_until(HOUR, |w| w.are_contacts(ada, ben)), "they never became contacts");
    for n in 0..3 {
        for (who, to) in [(ada, ben), (ben, ada)] {
            let text = format!("{n} from {who:?}");
            if w.say(who, to, &text).is_none() {
                w.say(who, to, &text);
            }
            w.run_for(2 * SECOND);
        }
    }
}

/// Both look at their screens. A reading that was told before is not told again, so this makes
/// up for what came late, and not for a receipt that was lost.
pub(super) fn look(w: &mut World, ada: Who, ben: Who) {
    w.read(ada, ben);
    w.read(ben, ada);
}

fn is(w: &mut World, who: Who, other: Who, state: State) -> bool {
    w.request(who, other).is_some_and(|request| request.state == state)
}

pub(super) fn check(w: &mut World, ada: Who, ben: Who, what: &str) {
    let done = w.run_until(3 * HOUR, |w| {
        look(w, ada, ben);
        [(ada, ben), (ben, ada)].into_iter().all(|(who, other)| {
            w.deliveries(who, other) == [DeliveryState::Read; 3] && w.waiting(who, other) == 0
        })
    });
    let waiting = (w.waiting(ada, ben), w.waiting(ben, ada));
    let states = (w.deliveries(ada, ben), w.deliveries(ben, ada));
    assert!(done, "{what}: not everything was delivered and read: {states:?}, waiting {waiting:?}");
    let said = w.texts(ada, ben);
    assert_eq!(said.len(), 6, "{what}");
    assert_eq!(said, w.texts(ben, ada), "{what}");
}

#[test]
fn a_crash_after_any_commit_and_before_its_effects_loses_nothing() {
    let mut w = World::seeded(1);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let before = w.steps();
    story(&mut w, ada, ben, None);
    check(&mut w, ada, ben, "no crash");
    let steps = w.steps() - before;
    let mut crashes = 0;
    for n in 1..=steps {
        let mut w = World::seeded(1);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        story(&mut w, ada, ben, Some(n));
        check(&mut w, ada, ben, &format!("crash at step {n} of {steps}"));
        crashes += usize::from(w.has_crashed());
    }
    assert!(crashes > 40, "only {crashes} crash points of {steps} steps were reached");
}

#[test]
fn a_delivery_that_a_crash_undid_is_signed_for_again() {
    let mut w = World::seeded(3);
    let (ada, ben) = w.contacts("ada", "ben");
    w.settle();
    w.say(ada, ben, "hello").unwrap();
    while w.deliveries(ada, ben) != [DeliveryState::Delivered] {
        w.run_for(COMMIT_WITHIN / 10);
    }
    w.restart(ada);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Queued], "it was not on the disk yet");
    assert!(w.run_until(MINUTE, |w| w.deliveries(ada, ben) == [DeliveryState::Delivered]));
    assert_eq!(w.texts(ben, ada), ["hello"]);

    w.run_for(COMMIT_WITHIN);
    w.restart(ada);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered]);
    assert_eq!(w.waiting(ada, ben), 0);
}

#[test]
fn the_same_with_nobody_but_the_relay_between_them() {
    let run = |n: Option<u64>| {
        let mut w = World::seeded(2);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        w.cut_between(ada, ben);
        let before = w.steps();
        story(&mut w, ada, ben, n);
        check_but_lanes(&mut w, ada, ben, &format!("crash at step {n:?}"));
        w.steps() - before
    };
    let steps = run(None);
    for n in 1..=steps {
        run(Some(n));
    }
}

/// Over the mailbox alone, frames of the handshake stay in their lane under custody: nobody
/// signs for them before there is a contact.
pub(super) fn check_but_lanes(w: &mut World, ada: Who, ben: Who, what: &str) {
    let done = w.run_until(3 * HOUR, |w| {
        look(w, ada, ben);
        [(ada, ben), (ben, ada)]
            .into_iter()
            .all(|(who, other)| w.deliveries(who, other) == [DeliveryState::Read; 3])
    });
    let states = (w.deliveries(ada, ben), w.deliveries(ben, ada));
    assert!(done, "{what}: not everything was delivered and read: {states:?}");
    assert_eq!(w.texts(ada, ben), w.texts(ben, ada), "{what}");
    assert_eq!(w.texts(ada, ben).len(), 6, "{what}");
}
