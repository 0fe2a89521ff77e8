//! Withdrawing, rejecting, removing; and meeting again.

use kith_tests::world::{Who, World};
use node::service::{self, ServiceError};
use protocol::chat::DeliveryState;
use protocol::invite::State as InviteState;
use protocol::request::{COOL_DOWN, State};
use protocol::time::{HOUR, MINUTE, SECOND};

fn withdraw(w: &mut World, who: Who, from: Who) -> Result<(), ServiceError> {
    let account = w.account(from);
    w.act(who, move |ctx| service::request::withdraw(ctx, account)).unwrap()
}

fn reject(w: &mut World, who: Who, asker: Who) -> Result<(), ServiceError> {
    let account = w.account(asker);
    w.act(who, move |ctx| service::request::reject(ctx, account)).unwrap()
}

fn remove(w: &mut World, who: Who, contact: Who) {
    let account = w.account(contact);
    w.done(who, move |ctx| service::contact::remove(ctx, account));
}

#[test]
fn a_request_that_was_taken_back_ends_on_both_sides_and_can_be_made_again() {
    for seed in 0..6 {
        let mut w = World::seeded(seed);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        let (invite, text) = w.invite(ada);
        w.scan(ben, &text).unwrap();
        w.settle();
        withdraw(&mut w, ben, ada).unwrap();
        assert_eq!(withdraw(&mut w, ben, ada).unwrap_err().code(), "request_not_pending");
        w.settle();
        assert_eq!(w.request(ben, ada).unwrap().state, State::Withdrawn);
        assert_eq!(w.request(ada, ben).unwrap().state, State::Withdrawn);
        assert!(matches!(w.ledger(ada, invite).state, InviteState::Withdrawn(_)));
        assert_eq!(w.accept(ada, ben).unwrap_err().code(), "request_not_pending");
        w.meet(ada, ben);
        talks_at_once(&mut w, ada, ben);
    }
}

/// Withdrawn at any moment, even before the inviter's node has the request or its own does:
/// nothing of it stands in the way of the next one.
#[test]
fn a_request_that_was_taken_back_at_any_moment_leaves_nothing_behind() {
    for moment in (0..200).step_by(8) {
        let mut w = World::seeded(20 + moment);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        let (_, text) = w.invite(ada);
        w.scan(ben, &text).unwrap();
        w.run_for(moment);
        withdraw(&mut w, ben, ada).unwrap();
        if moment % 16 == 0 {
            w.restart(ben);
        }
        w.run_for(10 * MINUTE);
        assert_eq!(w.request(ben, ada).unwrap().state, State::Withdrawn, "{moment} ms");
        if let Some(request) = w.request(ada, ben) {
            assert_eq!(request.state, State::Withdrawn, "{moment} ms");
        }
        w.meet(ada, ben);
        talks_at_once(&mut w, ada, ben);
    }
}

#[test]
fn a_request_taken_back_while_it_waits_in_the_drop_is_withdrawn_where_it_arrives() {
    let mut w = World::seeded(8);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.settle();
    w.stop(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Asking);
    withdraw(&mut w, ben, ada).unwrap();
    w.restart(ben);
    w.run_for(HOUR);
    w.start(ada);
    w.run_for(30 * MINUTE);
    assert_eq!(w.request(ada, ben).unwrap().state, State::Withdrawn);
    w.meet(ada, ben);
    talks_at_once(&mut w, ada, ben);
}

#[test]
fn a_last_word_that_nobody_can_understand_holds_up_nothing_that_follows() {
    let mut w = World::seeded(9);
    let (ada, ben) = (w.node("ada"), w.node("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    // His request is on its way when her node stops: she never hears of it.
    while w.request(ben, ada).unwrap().state != State::Asking {
        w.run_for(1);
    }
    w.stop(ada);
    withdraw(&mut w, ben, ada).unwrap();
    w.settle();
    w.start(ada);
    assert_eq!(w.request(ada, ben), None);
    w.meet(ada, ben);
    talks_at_once(&mut w, ada, ben);
}

#[test]
fn who_took_a_request_back_and_asks_again_at_once_is_heard() {
    let mut w = World::seeded(10);
    let (ada, ben) = (w.node("ada"), w.node("ben"));
    let (first, text) = w.invite(ada);
    let (second, other) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    while w.ledger(ada, first).claimant().is_none() {
        w.run_for(1);
    }
    // She holds it, and neither her answer nor his last word gets through.
    w.cut_between(ada, ben);
    withdraw(&mut w, ben, ada).unwrap();
    w.settle();
    assert_eq!(w.request(ada, ben).unwrap().state, State::Held);
    w.heal_between(ada, ben);
    w.scan(ben, &other).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Held);
    assert!(matches!(w.ledger(ada, first).state, InviteState::Withdrawn(_)));
    assert!(matches!(w.ledger(ada, second).state, InviteState::Claimed(_)));
    w.accept(ada, ben).unwrap();
    w.settle();
    assert!(w.are_contacts(ada, ben));
    talks_at_once(&mut w, ada, ben);
}

#[test]
fn an_acceptance_that_comes_after_the_request_was_taken_back_makes_no_contact() {
    let mut w = World::seeded(12);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    // His last word waits in his outbox, and her acceptance in his mailbox.
    w.cut(ben);
    withdraw(&mut w, ben, ada).unwrap();
    w.stop(ben);
    w.accept(ada, ben).unwrap();
    w.settle();
    assert!(w.has_contact(ada, ben));
    w.heal(ben);
    w.start(ben);
    w.settle();
    assert!(!w.has_contact(ada, ben) && !w.has_contact(ben, ada));
    assert_eq!(w.request(ada, ben).unwrap().state, State::Withdrawn);
    assert_eq!((w.waiting(ada, ben), w.waiting(ben, ada)), (0, 0));
    w.meet(ada, ben);
    talks_at_once(&mut w, ada, ben);
}

/// What is said arrives within seconds: nothing dead in a lane holds it up.
fn talks_at_once(w: &mut World, one: Who, other: Who) {
    for n in 0..3 {
        for (who, to) in [(one, other), (other, one)] {
            let before = w.messages(to, who).len();
            w.say(who, to, &format!("{who:?} {n}"));
            w.run_for(5 * SECOND);
            assert_eq!(w.messages(to, who).len(), before + 1, "it did not arrive at once");
        }
    }
    assert_eq!(w.texts(one, other), w.texts(other, one));
    let delivered = |states: &[DeliveryState]| {
        states.iter().rev().take(3).all(|state| *state >= DeliveryState::Delivered)
    };
    assert!(delivered(&w.deliveries(one, other)) && delivered(&w.deliveries(other, one)));
}

#[test]
fn somebody_rejected_is_told_and_refused_for_a_day_and_then_may_ask_again() {
    let mut w = World::seeded(2);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (first, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    reject(&mut w, ada, ben).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Rejected);
    assert!(matches!(w.ledger(ada, first).state, InviteState::Rejected(_)));
    assert_eq!((w.waiting(ada, ben), w.waiting(ben, ada)), (0, 0));
    let (second, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Gone, "refused without a word");
    assert_eq!(w.ledger(ada, second).state, InviteState::Active, "and the code is still good");
    w.run_for(COOL_DOWN);
    w.meet(ada, ben);
    talks_at_once(&mut w, ada, ben);
}

#[test]
fn somebody_rejected_while_away_finds_the_answer_in_their_mailbox() {
    let mut w = World::seeded(3);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    w.stop(ben);
    reject(&mut w, ada, ben).unwrap();
    w.restart(ada);
    w.run_for(HOUR);
    w.stop(ada);
    w.start(ben);
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Rejected);
}

#[test]
fn somebody_rejected_may_not_connect_any_more_not_even_after_a_restart() {
    let mut w = World::seeded(4);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    reject(&mut w, ada, ben).unwrap();
    w.settle();
    assert!(!w.may_connect(ben, ada), "the door stays open");
    w.restart(ada);
    w.settle();
    assert!(!w.may_connect(ben, ada), "the restart opened the door");
}

#[test]
fn who_was_removed_and_met_again_reads_the_old_words_and_then_the_new() {
    for seed in 0..10 {
        let mut w = World::seeded(seed);
        let (ada, ben) = w.contacts("ada", "ben");
        talks_at_once(&mut w, ada, ben);
        // Ben lets go of Ada; Ada does not know, and still says something.
        remove(&mut w, ben, ada);
        w.say(ada, ben, "are you there?");
        w.settle();
        assert!(!w.has_contact(ben, ada));
        let (_, text) = w.invite(ada);
        w.scan(ben, &text).unwrap();
        w.settle();
        assert!(w.are_contacts(ada, ben), "seed {seed}");
        let old = w.texts(ben, ada);
        for n in 0..3 {
            for (who, to) in [(ada, ben), (ben, ada)] {
                let text = format!("again {n} {who:?}");
                w.say(who, to, &text);
                w.run_for(10 * SECOND);
                assert_eq!(w.texts(to, who).last(), Some(&text), "seed {seed}: lost or misplaced");
                assert_eq!(w.texts(who, to).last(), Some(&text), "seed {seed}: misplaced");
            }
        }
        assert_eq!(w.texts(ben, ada)[..old.len()], old[..], "seed {seed}");
    }
}

#[test]
fn both_who_removed_each_other_start_anew() {
    let mut w = World::seeded(6);
    let (ada, ben) = w.contacts("ada", "ben");
    talks_at_once(&mut w, ada, ben);
    remove(&mut w, ben, ada);
    remove(&mut w, ada, ben);
    w.settle();
    let refused = {
        let chat = w.chat(ada, ben);
        w.act(ada, move |ctx| service::chat::send(ctx, chat, "hello?".into(), None)).unwrap()
    };
    assert_eq!(refused.unwrap_err().code(), "no_contact");
    w.meet(ada, ben);
    let text = "anew";
    w.say(ada, ben, text);
    w.settle();
    assert_eq!(w.texts(ben, ada).last().unwrap(), text);
    assert_eq!(w.texts(ada, ben).last().unwrap(), text);
}

#[test]
fn what_waits_for_somebody_who_is_removed_is_shown_as_failed() {
    let mut w = World::seeded(7);
    let (ada, ben) = (w.node("ada"), w.node("ben"));
    w.meet(ada, ben);
    w.stop(ben);
    w.say(ada, ben, "too late");
    w.settle();
    remove(&mut w, ada, ben);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Failed]);
}
