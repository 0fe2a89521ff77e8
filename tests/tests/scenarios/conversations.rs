//! Messages, and what is known of them.

use kith_tests::world::{Who, World};
use protocol::chat::DeliveryState;
use protocol::sim::Link;
use protocol::time::{DAY, HOUR, MINUTE, SECOND};

#[test]
fn message_sent_offline_arrives_once_after_both_restart() {
    let mut w = World::seeded(7);
    let (ada, ben) = w.contacts("ada", "ben");
    w.cut(ben);
    w.say(ada, ben, "hi");
    w.say(ada, ben, "there");
    w.settle();
    w.restart(ada);
    w.restart(ben);
    w.links(Link::DUPLICATING);
    w.heal(ben);
    w.settle();
    assert_eq!(w.texts(ben, ada), ["hi", "there"]);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered; 2]);
    assert_eq!(w.unread(ben, ada), 2);
}

#[test]
fn ten_messages_to_an_absent_contact_arrive_in_order_once_and_are_shown_delivered_then_read() {
    let mut w = World::seeded(8);
    let (ada, ben) = w.contacts("ada", "ben");
    w.stop(ben);
    let said: Vec<String> = (0..10).map(|n| format!("message {n}")).collect();
    for text in &said {
        w.say(ada, ben, text);
        w.run_for(7 * SECOND);
    }
    w.settle();
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Custody; 10]);
    w.start(ben);
    w.settle();
    assert_eq!(w.texts(ben, ada), said);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered; 10]);
    w.read(ben, ada);
    w.settle();
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Read; 10]);
    assert_eq!(w.unread(ben, ada), 0);
    assert_eq!((w.waiting(ada, ben), w.waiting(ben, ada)), (0, 0));
    assert_eq!(w.relay.waiting(), 0, "the relay keeps nothing that was acknowledged");
}

#[test]
fn over_a_lossy_doubling_reordering_link_both_read_the_same_conversation() {
    let seeds = if std::env::var_os("KITH_LONG").is_some() { 1_000 } else { 50 };
    for seed in 0..seeds {
        let mut w = World::seeded(seed);
        let (ada, ben) = w.contacts("ada", "ben");
        w.links(Link::BAD);
        let mut said = [Vec::new(), Vec::new()];
        for n in 0..8 {
            for (side, (who, other)) in [(ada, ben), (ben, ada)].into_iter().enumerate() {
                let text = format!("{side}.{n}");
                w.say(who, other, &text);
                said[side].push(text);
            }
            w.run_for(900 * (seed % 7));
            match (seed + n) % 5 {
                0 => w.restart(if n % 2 == 0 { ada } else { ben }),
                1 => w.cut(ben),
                2 => w.read(ben, ada),
                3 => w.heal(ben),
                _ => {}
            }
        }
        w.heal(ben);
        assert!(w.run_until(6 * HOUR, |w| at_rest(w, ada, ben)), "seed {seed}: never at rest");
        let (adas, bens) = (w.texts(ada, ben), w.texts(ben, ada));
        assert_eq!(adas, bens, "seed {seed}");
        for (side, said) in said.iter().enumerate() {
            let prefix = format!("{side}.");
            let heard: Vec<_> = adas.iter().filter(|text| text.starts_with(&prefix)).collect();
            assert_eq!(heard, said.iter().collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

fn at_rest(w: &mut World, one: Who, other: Who) -> bool {
    let all = |states: Vec<DeliveryState>| {
        states.into_iter().all(|state| state >= DeliveryState::Delivered)
    };
    all(w.deliveries(one, other)) && all(w.deliveries(other, one))
}

#[test]
fn one_message_costs_a_bounded_number_of_frames_on_every_way() {
    for (way, most) in [("direct", 2), ("mailbox", 5)] {
        let mut w = World::seeded(9);
        let (ada, ben) = w.contacts("ada", "ben");
        if way == "mailbox" {
            w.cut_between(ada, ben);
        }
        w.run_for(HOUR);
        let before = w.frames();
        w.say(ada, ben, "one");
        w.settle();
        w.read(ben, ada);
        w.run_for(6 * HOUR);
        assert_eq!(w.deliveries(ada, ben), [DeliveryState::Read], "{way}");
        let frames = w.frames() - before;
        assert!((2..=most).contains(&frames), "{way}: {frames} frames");
    }
}

#[test]
fn a_contact_who_is_away_for_weeks_costs_no_storm_and_gets_everything() {
    let mut w = World::seeded(10);
    let (ada, ben) = w.contacts("ada", "ben");
    w.stop(ben);
    w.say(ada, ben, "see you in a month");
    w.run_for(13 * DAY);
    // The relay's custody runs out in these days, and nothing that is asked of it renews it.
    for _ in 0..2 * 24 * 60 {
        let before = w.frames();
        w.run_for(MINUTE);
        let frames = w.frames() - before;
        assert!(frames < 20, "{frames} deposits of one frame within a minute");
    }
    w.start(ben);
    w.settle();
    assert_eq!(w.texts(ben, ada), ["see you in a month"]);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered]);
}

#[test]
fn a_message_without_any_mailbox_waits_for_the_contact_and_then_arrives() {
    let mut w = World::seeded(11);
    let (ada, ben) = (w.node("ada"), w.node("ben"));
    w.meet(ada, ben);
    w.stop(ben);
    w.say(ada, ben, "patience");
    w.run_for(2 * HOUR);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Queued]);
    w.start(ben);
    w.run_for(MINUTE);
    assert_eq!(w.texts(ben, ada), ["patience"]);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered]);
}

#[test]
fn a_message_that_comes_late_among_read_ones_is_unread_until_it_is_read() {
    let mut w = World::seeded(12);
    let (ada, ben) = w.contacts("ada", "ben");
    w.cut(ben);
    w.say(ada, ben, "by mailbox");
    w.settle();
    // Ben is back, but not at his relay: what Ada says now overtakes what she said before.
    w.heal_between(ada, ben);
    w.restart(ada);
    w.run_for(SECOND);
    w.say(ada, ben, "straight");
    assert!(w.run_until(MINUTE, |w| !w.texts(ben, ada).is_empty()));
    w.read(ben, ada);
    w.run_for(SECOND);
    w.heal(ben);
    w.settle();
    assert_eq!(w.texts(ben, ada), ["by mailbox", "straight"]);
    assert!(w.unread(ben, ada) > 0, "it came unseen");
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered, DeliveryState::Read]);
    w.read(ben, ada);
    assert_eq!(w.unread(ben, ada), 0);
    w.settle();
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Read, DeliveryState::Read]);
    w.say(ada, ben, "and on");
    w.settle();
    w.read(ben, ada);
    assert_eq!(w.unread(ben, ada), 0);
}

/// What is said as a contact can overtake the acceptance that makes one: that still lies in the
/// mailbox, and gets a few seconds there before it is sent straight as well.
#[test]
fn words_that_overtake_the_acceptance_wait_for_it() {
    let mut w = World::seeded(15);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    w.stop(ben);
    w.accept(ada, ben).unwrap();
    w.settle();
    w.cut_relay(ben);
    w.start(ben);
    w.say(ada, ben, "quick");
    w.run_for(MINUTE);
    assert!(w.are_contacts(ada, ben));
    assert_eq!(w.texts(ben, ada), ["quick"]);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Delivered]);
}

#[test]
fn the_same_idempotency_key_says_a_thing_once() {
    let mut w = World::seeded(13);
    let (ada, ben) = w.contacts("ada", "ben");
    let first = w.say(ada, ben, "once");
    w.restart(ada);
    assert_eq!(w.say(ada, ben, "once"), first);
    w.settle();
    assert_eq!(w.texts(ben, ada), ["once"]);
}

#[test]
fn a_wrong_clock_neither_stops_nor_reorders_a_conversation() {
    for skew in [-3 * 365 * (DAY as i64), 3 * 365 * (DAY as i64)] {
        let mut w = World::seeded(14);
        let (ada, ben) = w.contacts("ada", "ben");
        w.skew(ben, skew);
        let before = w.steps();
        for n in 0..3 {
            w.say(ada, ben, &format!("ada {n}"));
            w.settle();
            w.say(ben, ada, &format!("ben {n}"));
            w.settle();
        }
        let said = ["ada 0", "ben 0", "ada 1", "ben 1", "ada 2", "ben 2"];
        assert_eq!(w.texts(ada, ben), said, "{skew}");
        assert_eq!(w.texts(ben, ada), said, "{skew}");
        let steps = w.steps() - before;
        assert!(steps < 1_000, "{skew}: {steps} steps in 18 minutes: something spins");
    }
}

#[test]
fn who_registers_later_gives_their_contacts_a_mailbox_then() {
    let mut w = World::seeded(15);
    let (ada, ben) = (w.node("ada"), w.node("ben"));
    w.meet(ada, ben);
    w.register(ben);
    w.settle();
    w.register(ada);
    w.stop(ben);
    w.say(ada, ben, "kept for you");
    w.settle();
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Custody]);
    w.stop(ada);
    w.start(ben);
    w.settle();
    assert_eq!(w.texts(ben, ada), ["kept for you"]);
}

#[test]
fn messages_that_come_together_share_one_commit() {
    let mut w = World::seeded(12);
    let (ada, ben) = w.contacts("ada", "ben");
    w.settle();
    let before = w.commits(ada);
    let texts: Vec<_> = (0..node::engine::MAX_BATCH).map(|n| n.to_string()).collect();
    w.say_at_once(ada, ben, texts.clone());
    assert_eq!(w.commits(ada) - before, 1);
    w.settle();
    assert_eq!(w.texts(ben, ada), texts);
}
