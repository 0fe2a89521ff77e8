//! Who is here: leases that decay.

use kith_tests::world::{Who, World};
use node::service;
use protocol::presence::{LEASE, RENEWAL, TYPING_LEASE};
use protocol::time::{MINUTE, SECOND};

fn is_here(w: &mut World, who: Who, other: Who) -> bool {
    let account = w.account(other);
    w.look(who, move |ctx| {
        Ok(ctx.state.seen.get(&account).is_some_and(|seen| seen.is_here(ctx.now)))
    })
}

fn is_typing(w: &mut World, who: Who, other: Who) -> bool {
    let account = w.account(other);
    w.look(who, move |ctx| {
        Ok(ctx.state.seen.get(&account).is_some_and(|seen| seen.is_typing(ctx.now)))
    })
}

fn focus(w: &mut World, who: Who, focused: bool) {
    w.done(who, move |ctx| Ok(service::presence::focus(ctx, 1, focused)?));
}

fn types(w: &mut World, who: Who, to: Who) {
    let account = w.account(to);
    w.done(who, move |ctx| Ok(service::presence::typing(ctx, account, true)?));
}

/// A tab that stays focused says so every twenty seconds.
fn stay(w: &mut World, who: Who, millis: u64) {
    for _ in 0..millis / RENEWAL {
        focus(w, who, true);
        w.run_for(RENEWAL);
    }
}

#[test]
fn a_focused_tab_is_seen_within_a_second_and_leaving_it_as_well() {
    let mut w = World::seeded(1);
    let (ada, ben) = w.contacts("ada", "ben");
    assert!(!is_here(&mut w, ben, ada), "a running node is nobody");
    focus(&mut w, ada, true);
    w.run_for(SECOND);
    assert!(is_here(&mut w, ben, ada));
    stay(&mut w, ada, 3 * MINUTE);
    assert!(is_here(&mut w, ben, ada), "it is renewed");
    focus(&mut w, ada, false);
    w.run_for(SECOND);
    assert!(!is_here(&mut w, ben, ada));
}

#[test]
fn a_tab_that_died_decays_without_a_goodbye() {
    let mut w = World::seeded(2);
    let (ada, ben) = w.contacts("ada", "ben");
    focus(&mut w, ada, true);
    w.run_for(2 * LEASE + SECOND);
    assert!(!is_here(&mut w, ben, ada));
}

#[test]
fn presence_ends_with_the_connection_and_comes_back_with_it() {
    let mut w = World::seeded(3);
    let (ada, ben) = w.contacts("ada", "ben");
    stay(&mut w, ada, MINUTE);
    w.cut_between(ada, ben);
    assert!(!is_here(&mut w, ben, ada));
    let account = w.account(ada);
    let seen = w.look(ben, move |ctx| Ok(ctx.state.seen[&account].last_seen()));
    assert!(seen.is_some_and(|at| w.now().since(at) <= RENEWAL));
    w.heal_between(ada, ben);
    w.restart(ben);
    stay(&mut w, ada, MINUTE);
    assert!(is_here(&mut w, ben, ada));
}

#[test]
fn typing_is_seen_lapses_and_ends_with_the_message() {
    let mut w = World::seeded(4);
    let (ada, ben) = w.contacts("ada", "ben");
    types(&mut w, ada, ben);
    w.run_for(SECOND);
    assert!(is_typing(&mut w, ben, ada));
    w.run_for(TYPING_LEASE);
    assert!(!is_typing(&mut w, ben, ada));
    types(&mut w, ada, ben);
    w.run_for(SECOND);
    w.say(ada, ben, "said");
    w.run_for(SECOND);
    assert!(!is_typing(&mut w, ben, ada));
}

#[test]
fn nobody_but_contacts_learns_who_is_here() {
    let mut w = World::seeded(5);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    stay(&mut w, ada, MINUTE);
    assert!(!is_here(&mut w, ben, ada), "a request that waits sees nothing");
    assert_eq!(w.told_presence(ada, ben), 0, "nor is it told, whatever his program would show");
    w.accept(ada, ben).unwrap();
    w.settle();
    stay(&mut w, ada, MINUTE);
    assert!(w.told_presence(ada, ben) > 0 && is_here(&mut w, ben, ada));
}
