//! Mailboxes that are full, and those that are replaced.

use kith_tests::world::{Who, World};
use node::service::contact;
use protocol::chat::DeliveryState;
use protocol::ids::QueueId;
use protocol::outbox::Waiting;
use protocol::time::{DAY, HOUR, MINUTE};

/// What a contact's queue holds.
const ROOM: usize = 128;

/// Why the newest message to somebody waits.
fn why(w: &mut World, who: Who, to: Who) -> Option<Waiting> {
    let account = w.account(to);
    w.look(who, move |ctx| {
        let lane = ctx.state.lanes.get(&account);
        Ok(lane.and_then(|lane| Some(lane.why(lane.parcels().last()?.order, ctx.now).0)))
    })
}

#[test]
fn who_comes_back_to_a_full_mailbox_gets_the_rest_at_once() {
    for seed in 1..=8 {
        let mut w = World::seeded(seed);
        let (ben, ada) = w.contacts("ben", "ada");
        w.stop(ada);
        let words: Vec<String> = (0..ROOM + 40).map(|n| format!("word {n}")).collect();
        for word in &words {
            w.say(ben, ada, word);
        }
        w.run_for(3 * HOUR);
        assert_eq!(w.relay.waiting(), ROOM);
        // It is tried now and then.
        assert!(w.run_until(MINUTE, |w| why(w, ben, ada) == Some(Waiting::MailboxFull)));
        // Neither is online for the other: there is no other way than the relay.
        w.cut_between(ada, ben);
        w.start(ada);
        let limit = MINUTE;
        assert!(w.run_until(limit, |w| w.texts(ada, ben).len() == words.len()), "seed {seed}");
        assert_eq!(w.texts(ada, ben), words);
    }
}

#[test]
fn a_full_mailbox_does_not_keep_anybody_from_saying_where_they_are() {
    let mut w = World::seeded(1);
    let (ben, ada) = w.contacts("ben", "ada");
    w.stop(ada);
    for n in 0..=ROOM {
        w.say(ben, ada, &format!("word {n}"));
    }
    w.run_for(MINUTE);
    assert_eq!(w.relay.waiting(), ROOM);
    w.move_to_other(ben);
    w.run_for(MINUTE);
    assert_eq!(w.relay.waiting(), ROOM + 1, "his new card is beside them");
    // He is away for good: what she answers goes where his card says.
    w.stop(ben);
    w.start(ada);
    w.run_for(MINUTE);
    w.say(ada, ben, "where are you now?");
    w.run_for(MINUTE);
    assert!(w.other.waiting() > 0, "she knows");
    w.start(ben);
    w.run_for(MINUTE);
    assert_eq!(w.texts(ben, ada).last().map(String::as_str), Some("where are you now?"));
}

/// Where somebody leaves what is for a contact who is away.
fn deposits_at(w: &mut World, who: Who, contact: Who) -> QueueId {
    let account = w.account(contact);
    let record = w.look(who, move |ctx| Ok(contact::get(ctx, account)?)).expect("a contact");
    record.card.mailboxes.first().expect("a mailbox").send
}

#[test]
fn every_contact_gets_another_queue_within_a_month_and_loses_nothing_over_it() {
    let mut w = World::seeded(1);
    let (ben, ada) = w.contacts("ben", "ada");
    let cyn = w.registered("cyn");
    w.meet(ada, cyn);
    let adas = w.account(ada);
    let others = [ben, cyn];
    let before = others.map(|who| deposits_at(&mut w, who, ada));
    // What is on its way when the queue is replaced.
    w.stop(cyn);
    w.run_for(32 * DAY);
    w.cut_between(ben, ada);
    w.say(ben, ada, "found you");
    w.settle();
    assert_ne!(deposits_at(&mut w, ben, ada), before[0]);
    assert_eq!(w.texts(ada, ben), ["found you"]);
    // She was away all the time, and deposits where she always did.
    w.cut_between(cyn, ada);
    w.start(cyn);
    w.say(cyn, ada, "and I?");
    w.run_for(HOUR);
    assert_eq!(w.texts(ada, cyn), ["and I?"]);
    assert_ne!(deposits_at(&mut w, cyn, ada), before[1]);
    w.run_for(9 * DAY);
    assert_eq!(w.relay.queues(adas), 2, "those that were left are closed");
}

#[test]
fn a_relay_without_room_for_another_queue_leaves_the_one_that_is_known() {
    let mut w = World::seeded(2);
    let (ben, ada) = w.contacts("ben", "ada");
    let adas = w.account(ada);
    let before = deposits_at(&mut w, ben, ada);
    w.relay.allow_queues(1);
    w.run_for(31 * DAY);
    assert_eq!(deposits_at(&mut w, ben, ada), before);
    assert_eq!(w.relay.queues(adas), 1);
    w.stop(ada);
    w.say(ben, ada, "still here?");
    w.settle();
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
    w.start(ada);
    w.settle();
    assert_eq!(w.texts(ada, ben), ["still here?"]);
}

#[test]
fn what_was_left_in_a_queue_that_was_replaced_is_fetched_however_late() {
    let mut w = World::seeded(3);
    let (ben, ada) = w.contacts("ben", "ada");
    let adas = w.account(ada);
    w.stop(ben);
    assert!(w.run_until(31 * DAY, |w| w.relay.queues(adas) == 2), "it has been replaced");
    w.stop(ada);
    // Her card has expired at the relay, so that he knows the old one only.
    w.run_for(32 * DAY);
    w.start(ben);
    w.say(ben, ada, "late");
    w.run_for(HOUR);
    assert_eq!(w.deliveries(ben, ada), [DeliveryState::Custody]);
    w.run_for(10 * DAY);
    w.cut_between(ben, ada);
    w.start(ada);
    w.run_for(HOUR);
    assert_eq!(w.texts(ada, ben), ["late"]);
}
