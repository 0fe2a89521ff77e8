//! From a code to a contact.

use kith_tests::world::World;
use node::service;
use protocol::invite::State as InviteState;
use protocol::request::State;
use protocol::sim::Link;
use protocol::time::{HOUR, MINUTE};

#[test]
fn a_scan_and_an_acceptance_make_one_contact_with_the_same_symbols_on_both_sides() {
    let mut w = World::seeded(1);
    let (ada, ben) = w.contacts("ada", "ben");
    let symbols = |w: &mut World, who, other| {
        let account = w.account(other);
        w.look(who, move |ctx| Ok(service::contact::get(ctx, account)?)).unwrap().symbols
    };
    let seen = symbols(&mut w, ada, ben);
    assert!(seen.is_some());
    assert_eq!(seen, symbols(&mut w, ben, ada));
    w.say(ada, ben, "hello");
    w.settle();
    assert_eq!(w.texts(ben, ada), ["hello"]);
}

#[test]
fn two_people_without_any_relay_meet_and_talk() {
    let mut w = World::seeded(2);
    let (ada, ben) = (w.node("ada"), w.node("ben"));
    w.meet(ada, ben);
    w.say(ben, ada, "no relay needed");
    w.settle();
    assert_eq!(w.texts(ada, ben), ["no relay needed"]);
}

#[test]
fn crossing_scans_become_one_contact() {
    for seed in 0..8 {
        let mut w = World::seeded(seed);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        // Which joins overtake which is up to the seed.
        w.links(Link { loss: 0, duplication: 20, reorder: 100, delay: (5, 900) });
        let (_, adas) = w.invite(ada);
        let (_, bens) = w.invite(ben);
        w.scan(ben, &adas).unwrap();
        w.scan(ada, &bens).unwrap();
        w.settle();
        assert!(w.are_contacts(ada, ben), "seed {seed}: no acceptance is needed");
        for (one, other) in [(ada, ben), (ben, ada)] {
            assert_eq!(w.request(one, other).unwrap().state, State::Accepted, "seed {seed}");
            let contacts = w.look(one, |ctx| Ok(service::contact::all(ctx)?.len()));
            assert_eq!(contacts, 1, "seed {seed}");
            w.say(one, other, "over whichever session");
        }
        w.settle();
        assert_eq!(w.messages(ada, ben).len(), 2, "seed {seed}");
        assert_eq!(w.messages(ben, ada).len(), 2, "seed {seed}");
    }
}

#[test]
fn a_second_scanner_gets_gone_and_the_ledger_shows_it() {
    let mut w = World::seeded(3);
    let (ada, ben, eve) = (w.registered("ada"), w.registered("ben"), w.registered("eve"));
    let (invite, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    w.scan(eve, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Held);
    assert_eq!(w.request(eve, ada).unwrap().state, State::Gone);
    let ledger = w.ledger(ada, invite);
    assert_eq!(ledger.claimant(), Some(w.account(ben)));
    assert_eq!(ledger.failed_tries, 1);
    assert!(ledger.last_failed_at.is_some());
}

#[test]
fn of_two_who_scan_at_the_same_instant_exactly_one_wins_and_the_other_is_told() {
    let mut wins = [0, 0];
    for seed in 0..20 {
        let mut w = World::seeded(seed);
        let (ada, ben, eve) = (w.registered("ada"), w.registered("ben"), w.registered("eve"));
        w.links(Link { loss: 10, duplication: 20, reorder: 50, delay: (5, 200) });
        let (invite, text) = w.invite(ada);
        w.scan(ben, &text).unwrap();
        w.scan(eve, &text).unwrap();
        w.run_for(30 * MINUTE);
        let states = [ben, eve].map(|who| w.request(who, ada).unwrap().state);
        let held = states.iter().filter(|state| **state == State::Held).count();
        let gone = states.iter().filter(|state| **state == State::Gone).count();
        assert_eq!((held, gone), (1, 1), "seed {seed}: {states:?}");
        let winner = if states[0] == State::Held { ben } else { eve };
        wins[usize::from(winner == eve)] += 1;
        assert_eq!(w.ledger(ada, invite).claimant(), Some(w.account(winner)), "seed {seed}");
        assert!(w.ledger(ada, invite).failed_tries >= 1, "seed {seed}: the ledger shows nothing");
    }
    assert!(wins[0] > 0 && wins[1] > 0, "the race was none: {wins:?}");
}

#[test]
fn while_the_inviter_is_away_a_code_is_redeemed_through_the_drop() {
    let mut w = World::seeded(4);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (invite, text) = w.invite(ada);
    w.settle();
    w.stop(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Asking);
    w.stop(ben);
    w.run_for(HOUR);
    w.start(ada);
    w.settle();
    // The drop took it before the code ended; that the inviter came late does not matter.
    assert!(matches!(w.ledger(ada, invite).state, InviteState::Claimed(_)));
    w.accept(ada, ben).unwrap();
    w.settle();
    w.stop(ada);
    w.start(ben);
    w.settle();
    assert!(w.has_contact(ben, ada), "the answer waited in the joiner's own mailbox");
    w.start(ada);
    w.settle();
    assert!(w.are_contacts(ada, ben));
    w.say(ben, ada, "never online together until now");
    w.settle();
    assert_eq!(w.texts(ada, ben), ["never online together until now"]);
}

#[test]
fn two_who_only_ever_meet_at_the_relay_become_contacts_and_talk() {
    let mut w = World::seeded(5);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    w.cut_between(ada, ben);
    let (_, text) = w.invite(ada);
    w.settle();
    w.scan(ben, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Held);
    w.accept(ada, ben).unwrap();
    w.settle();
    assert!(w.are_contacts(ada, ben));
    w.say(ada, ben, "through the mailbox");
    w.settle();
    assert_eq!(w.texts(ben, ada), ["through the mailbox"]);
    assert_eq!(w.deliveries(ada, ben), [protocol::chat::DeliveryState::Delivered]);
}

#[test]
fn an_answer_that_was_lost_is_given_again_through_the_drop() {
    let mut w = World::seeded(6);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (invite, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    // As soon as the claim is durable the way between the two is gone, and the answer with it.
    assert!(w.run_until(MINUTE, |w| {
        let claimed = w.ledger(ada, invite).claimant().is_some();
        if !claimed {
            w.run_for(1);
        }
        claimed || w.ledger(ada, invite).claimant().is_some()
    }));
    if w.request(ben, ada).unwrap().state == State::Held {
        return;
    }
    w.cut_between(ada, ben);
    w.run_for(20 * MINUTE);
    assert_eq!(w.request(ben, ada).unwrap().state, State::Held);
}
