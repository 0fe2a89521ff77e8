//! Moving to another relay, and a relay that forgets us.

use kith_tests::world::{Who, World};
use node::service::registration::{self, RegistrationRecord, Stop};
use node::service::{self, ServiceError};
use protocol::chat::DeliveryState;
use protocol::ids::{ChallengeId, RelayId};
use protocol::registration::wire::Told;
use protocol::sim::Link;
use protocol::time::{DAY, HOUR, MINUTE, Timestamp};

/// Everything arrives once, in any order.
const SHUFFLING: Link = Link { loss: 0, duplication: 0, reorder: 100, delay: (5, 3_000) };

/// Where somebody is registered.
fn registered_at(w: &mut World, who: Who) -> Option<RelayId> {
    let record = w.look(who, |ctx| Ok(registration::get(ctx)?));
    record.filter(RegistrationRecord::is_admitted).map(|record| record.relay.relay)
}

fn has_ended(w: &mut World, who: Who) -> bool {
    let record = w.look(who, |ctx| Ok(registration::get(ctx)?));
    record.is_some_and(|record| record.has_ended())
}

fn forget(w: &mut World, who: Who) {
    w.done(who, |ctx| Ok(registration::forget(ctx)?));
}

fn remove(w: &mut World, who: Who, contact: Who) {
    let account = w.account(contact);
    w.done(who, move |ctx| service::contact::remove(ctx, account));
}

/// Brings somebody back to the relays, and keeps them from another person.
fn heal_but(w: &mut World, who: Who, other: Who) {
    w.heal(who);
    w.cut_between(who, other);
}

#[test]
fn who_moves_to_another_relay_still_gets_what_the_old_one_holds() {
    let mut w = World::seeded(1);
    let (ben, ada) = w.contacts("ben", "ada");
    w.cut(ada);
    w.say(ben, ada, "before");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
    w.heal_other(ada);
    w.move_to_other(ada);
    // He does not know yet: her card cannot get to him.
    w.say(ben, ada, "meanwhile");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody; 2]);
    w.restart(ada);
    heal_but(&mut w, ada, ben);
    w.settle();
    assert_eq!(w.texts(ada, ben), ["before", "meanwhile"]);
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Delivered; 2]);
    w.stop(ada);
    w.say(ben, ada, "to the new one");
    w.settle();
    assert_eq!(w.other.waiting(), 1, "he knows the new queue");
    w.start(ada);
    w.settle();
    assert_eq!(w.texts(ada, ben).len(), 3);
}

#[test]
fn the_queue_at_the_old_relay_is_closed_a_week_later_and_the_relay_left() {
    let mut w = World::seeded(2);
    let (ben, ada) = w.contacts("ben", "ada");
    let (old, adas) = (w.relay.home.relay, w.account(ada));
    w.move_to_other(ada);
    w.run_for(7 * DAY - HOUR);
    assert_eq!((w.relay.queues(adas), w.other.queues(adas)), (1, 1));
    assert!(w.collects_from(ada, old));
    w.restart(ada);
    w.run_for(3 * HOUR);
    assert_eq!((w.relay.queues(adas), w.other.queues(adas)), (0, 1));
    assert!(!w.collects_from(ada, old), "the relay is left");
    assert!(w.are_contacts(ada, ben));
}

#[test]
fn a_queue_is_kept_for_a_contact_who_has_not_had_the_new_card() {
    let mut w = World::seeded(3);
    let (ben, ada) = w.contacts("ben", "ada");
    let adas = w.account(ada);
    w.stop(ben);
    w.move_to_other(ada);
    w.run_for(8 * DAY);
    assert_eq!(w.relay.queues(adas), 1, "he has no other way to her");
    w.start(ben);
    w.run_for(2 * HOUR);
    assert_eq!((w.relay.queues(adas), w.other.queues(adas)), (0, 1));
}

#[test]
fn who_forgets_the_registration_still_gets_what_the_relay_holds() {
    let mut w = World::seeded(4);
    let (ben, ada) = w.contacts("ben", "ada");
    let (old, adas) = (w.relay.home.relay, w.account(ada));
    w.cut(ada);
    w.say(ben, ada, "held");
    w.settle();
    forget(&mut w, ada);
    w.restart(ada);
    heal_but(&mut w, ada, ben);
    w.settle();
    assert_eq!(w.texts(ada, ben), ["held"]);
    // Without a relay of hers, he can say only straight that he has her new card.
    w.heal_between(ada, ben);
    w.run_for(8 * DAY);
    assert_eq!(w.relay.queues(adas), 0);
    assert!(!w.collects_from(ada, old));
}

#[test]
fn who_comes_back_to_the_old_relay_is_reached_there() {
    let mut w = World::seeded(5);
    let (ben, ada) = w.contacts("ben", "ada");
    let adas = w.account(ada);
    w.move_to_other(ada);
    w.run_for(HOUR);
    w.register(ada);
    w.settle();
    w.stop(ada);
    w.say(ben, ada, "back");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
    w.start(ada);
    w.run_for(8 * DAY);
    assert_eq!(w.texts(ada, ben), ["back"]);
    assert_eq!((w.relay.queues(adas), w.other.queues(adas)), (1, 0));
}

#[test]
fn a_registration_holds_until_the_code_of_the_next_one_was_right() {
    let mut w = World::seeded(6);
    let (ben, ada) = w.contacts("ben", "ada");
    let (old, new) = (w.relay.home.relay, w.other.home.relay);
    let asked = ask_other(&mut w, ada);
    assert_eq!(asked.relay.relay, new);
    assert_eq!(registered_at(&mut w, ada), Some(old), "a question is no answer");
    // Nothing has changed: she is reached at the old relay, also after wrong codes and a restart.
    let challenge = asked.challenge.expect("it waits").challenged.challenge;
    for _ in 0..5 {
        assert_eq!(verify(&mut w, ada, challenge, "not it"), Err("malformed_code"));
        verify(&mut w, ada, challenge, "000000").unwrap_err();
    }
    assert!(w.look(ada, |ctx| Ok(registration::next(ctx)?)).is_none(), "the code is burnt");
    w.restart(ada);
    w.stop(ada);
    w.say(ben, ada, "still here");
    w.settle();
    w.start(ada);
    w.settle();
    assert_eq!(w.texts(ada, ben), ["still here"]);
    assert_eq!(registered_at(&mut w, ada), Some(old));
    w.run_for(HOUR);
    w.move_to_other(ada);
    assert_eq!(registered_at(&mut w, ada), Some(new));
}

/// Asks the other relay for a code, and waits until it is there.
fn ask_other(w: &mut World, who: Who) -> RegistrationRecord {
    let address = w.other.address.clone();
    let (reply, _answer) = tokio::sync::oneshot::channel();
    w.act(who, move |ctx| {
        let relay = Some(address.as_str());
        Ok(registration::challenge(ctx, relay, "ada@example.org", None, reply)?)
    });
    w.settle();
    w.look(who, |ctx| Ok(registration::next(ctx)?)).expect("a code is on its way")
}

#[test]
fn a_late_renewal_at_the_old_relay_does_not_undo_a_move() {
    for seed in 60..80 {
        let mut w = World::seeded(seed);
        let ada = w.registered("ada");
        let challenged = ask_other(&mut w, ada).challenge.expect("it waits").challenged;
        w.links(SHUFFLING);
        let (reply, _answer) = tokio::sync::oneshot::channel();
        w.act(ada, move |ctx| {
            ctx.state.renew_at = Some(ctx.now);
            let code = challenged.development_code.unwrap_or_default();
            Ok(registration::verify(ctx, challenged.challenge, &code, reply)?)
        });
        w.settle();
        assert_eq!(registered_at(&mut w, ada), Some(w.other.home.relay), "seed {seed}");
    }
}

fn verify(w: &mut World, who: Who, challenge: ChallengeId, code: &str) -> Result<(), &'static str> {
    let (reply, mut answer) = tokio::sync::oneshot::channel::<Result<(), ServiceError>>();
    let code = code.to_owned();
    w.act(who, move |ctx| Ok(registration::verify(ctx, challenge, &code, reply)?));
    w.run_for(MINUTE);
    answer.try_recv().expect("an answer").map_err(|refusal| refusal.code())
}

#[test]
fn a_queue_whose_closing_was_lost_is_closed_later() {
    let mut w = World::seeded(7);
    let (ben, ada) = w.contacts("ben", "ada");
    let adas = w.account(ada);
    w.cut(ada);
    remove(&mut w, ada, ben);
    w.settle();
    assert_eq!(w.relay.queues(adas), 1, "the relay has not heard of it");
    w.restart(ada);
    w.run_for(HOUR);
    w.heal(ada);
    w.run_for(HOUR);
    assert_eq!(w.relay.queues(adas), 0);
    w.say(ben, ada, "are you there?");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Queued], "he can deposit no more");
}

#[test]
fn a_queue_that_is_closed_while_it_is_being_opened_does_not_stay_open() {
    for moment in 0..60 {
        let mut w = World::seeded(40 + moment);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        let (bens, (_, text)) = (w.account(ben), w.invite(ada));
        w.links(SHUFFLING);
        w.scan(ben, &text).unwrap();
        w.run_for(moment * 50);
        let account = w.account(ada);
        w.act(ben, move |ctx| service::request::withdraw(ctx, account)).unwrap().unwrap();
        w.run_for(HOUR);
        assert_eq!(w.relay.queues(bens), 0, "after {} ms", moment * 50);
    }
}

#[test]
fn who_is_not_registered_any_more_is_told_and_the_relay_left_in_peace() {
    let mut w = World::seeded(8);
    let (ben, ada) = w.contacts("ben", "ada");
    w.relay.lose_everything();
    w.cut_relay(ada);
    w.heal(ada);
    w.settle();
    assert!(has_ended(&mut w, ada), "nobody told her");
    let refusals = w.relay.refusals;
    w.cut_relay(ada);
    w.heal(ada);
    w.restart(ada);
    w.stop(ben);
    w.run_for(2 * DAY);
    assert_eq!(w.relay.refusals, refusals, "what cannot change is asked again and again");
    assert!(has_ended(&mut w, ada), "it is remembered");
    w.register(ada);
    assert!(!has_ended(&mut w, ada));
    w.start(ben);
    w.settle();
    w.stop(ada);
    w.say(ben, ada, "found you");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
    w.start(ada);
    w.settle();
    assert_eq!(w.texts(ada, ben), ["found you"]);
}

#[test]
fn a_relay_that_only_forgot_that_it_admitted_us_is_reminded() {
    let mut w = World::seeded(9);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    w.settle();
    w.relay.forget_admissions();
    w.meet(ada, ben);
    w.settle();
    assert_eq!(registered_at(&mut w, ada), Some(w.relay.home.relay));
    w.stop(ada);
    w.say(ben, ada, "kept");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
}

fn stop_of(w: &mut World, who: Who) -> Option<Stop> {
    w.look(who, |ctx| Ok(registration::get(ctx)?)).and_then(|record| record.stopped())
}

/// As a relay does it: the connection ends, and what is asked after the next one says why.
fn stop_serving(w: &mut World, who: Who, why: Option<Told>) {
    let account = w.account(who);
    w.relay.stop_serving(account, why);
    w.cut_relay(who);
    w.heal(who);
    w.settle();
}

#[test]
fn who_is_suspended_is_told_and_served_again_without_a_word_of_theirs() {
    let mut w = World::seeded(10);
    let (ben, ada) = w.contacts("ben", "ada");
    stop_serving(&mut w, ada, Some(Told::Suspended));
    assert_eq!(stop_of(&mut w, ada), Some(Stop::Suspended));
    assert_eq!(registered_at(&mut w, ada), None);
    let refusals = w.relay.refusals;
    w.restart(ada);
    w.run_for(2 * DAY);
    assert_eq!(stop_of(&mut w, ada), Some(Stop::Suspended), "it is remembered");
    assert_eq!(w.relay.refusals, refusals, "what cannot change is asked again and again");

    // The relay says nothing, and the connection does not end: she asks by herself.
    let account = w.account(ada);
    w.relay.stop_serving(account, None);
    w.run_for(2 * HOUR);
    assert_eq!(registered_at(&mut w, ada), Some(w.relay.home.relay));
    w.stop(ada);
    w.say(ben, ada, "are you back?");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
}

#[test]
fn whose_address_another_key_proved_is_told_and_takes_it_back_with_a_code() {
    let mut w = World::seeded(11);
    let (ben, ada) = w.contacts("ben", "ada");
    let at = Timestamp(w.now().0);
    stop_serving(&mut w, ada, Some(Told::Displaced { at }));
    assert_eq!(stop_of(&mut w, ada), Some(Stop::Displaced(at)));
    // What she has there is still hers.
    w.stop(ada);
    w.say(ben, ada, "still yours");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
    w.start(ada);
    w.settle();
    assert_eq!(w.texts(ada, ben), ["still yours"]);
    w.register(ada);
    assert_eq!(stop_of(&mut w, ada), None);
    assert_eq!(registered_at(&mut w, ada), Some(w.relay.home.relay));
}

#[test]
fn who_was_erased_by_the_operator_knows_it_with_the_next_connection() {
    let mut w = World::seeded(14);
    let ada = w.registered("ada");
    // Renewed just now: that is no reason to wait.
    stop_serving(&mut w, ada, Some(Told::Suspended));
    stop_serving(&mut w, ada, None);
    assert_eq!(registered_at(&mut w, ada), Some(w.relay.home.relay));
    w.relay.lose_everything();
    w.cut_relay(ada);
    w.heal(ada);
    w.settle();
    assert!(has_ended(&mut w, ada), "nobody told her");
}

#[test]
fn who_leaves_a_relay_keeps_the_code_that_another_one_sent() {
    let mut w = World::seeded(13);
    let ada = w.registered("ada");
    let asked = ask_other(&mut w, ada);
    forget(&mut w, ada);
    w.settle();
    let next = w.look(ada, |ctx| Ok(registration::next(ctx)?)).expect("the code still waits");
    assert_eq!(next.relay, asked.relay);
    let challenged = next.challenge.expect("it waits").challenged;
    let code = challenged.development_code.unwrap();
    assert_eq!(verify(&mut w, ada, challenged.challenge, &code), Ok(()));
    assert_eq!(registered_at(&mut w, ada), Some(w.other.home.relay));
}

#[test]
fn who_erases_their_account_leaves_nothing_at_the_relay_and_their_contacts_know() {
    let mut w = World::seeded(12);
    let (ben, ada) = w.contacts("ben", "ada");
    let (old, adas) = (w.relay.home.relay, w.account(ada));
    let erase = |w: &mut World| {
        let (reply, mut answer) = tokio::sync::oneshot::channel::<Result<(), ServiceError>>();
        w.act(ada, move |ctx| Ok(registration::erase(ctx, reply)?));
        w.run_for(MINUTE);
        answer.try_recv().expect("an answer").map_err(|refusal| refusal.code())
    };
    w.cut_relay(ada);
    assert_eq!(erase(&mut w), Err("erasure_unsure"), "it may have been asked");
    assert_eq!(registered_at(&mut w, ada), Some(old), "nothing has changed");
    w.heal(ada);
    w.settle();
    assert_eq!(erase(&mut w), Ok(()));
    w.settle();
    assert_eq!(w.relay.queues(adas), 0);
    assert!(w.look(ada, |ctx| Ok(registration::get(ctx)?)).is_none());
    assert!(!w.collects_from(ada, old), "the relay is left");
    assert_eq!(erase(&mut w), Err("not_found"));
    // Straight they still talk.
    w.say(ben, ada, "hello?");
    w.settle();
    assert_eq!(w.texts(ada, ben), ["hello?"]);
}
