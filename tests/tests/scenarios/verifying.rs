//! The safety number, and the code that says the same to a camera.

use kith_tests::world::{Who, World};
use node::engine::Failure;
use node::service::ServiceError;
use node::service::verification::{self, How};

fn verified(w: &mut World, who: Who, other: Who) -> Option<How> {
    let other = w.account(other);
    w.look(who, move |ctx| Ok(verification::get(ctx, other)?.map(|verified| verified.how)))
}

fn read(w: &mut World, who: Who, other: Who, text: String) -> Result<(), ServiceError> {
    let other = w.account(other);
    w.act(who, move |ctx| verification::read(ctx, other, &text)).unwrap()
}

fn code(w: &mut World, who: Who, other: Who) -> String {
    let other = w.account(other);
    w.look(who, move |ctx| Ok(verification::code(ctx, other)))
}

#[test]
fn both_see_the_same_number_and_each_verifies_for_themselves() {
    let mut w = World::seeded(1);
    let (ada, ben) = w.contacts("ada", "ben");
    let (to_ada, to_ben) = (w.account(ada), w.account(ben));
    let at_ada = w.look(ada, move |ctx| Ok(verification::number(ctx, to_ben)));
    assert_eq!(at_ada, w.look(ben, move |ctx| Ok(verification::number(ctx, to_ada))));
    w.done(ada, move |ctx| verification::confirm(ctx, to_ben));
    assert_eq!(verified(&mut w, ada, ben), Some(How::Number));
    assert_eq!(verified(&mut w, ben, ada), None, "nobody is told");
    let shown = code(&mut w, ada, ben);
    read(&mut w, ben, ada, shown).unwrap();
    assert_eq!(verified(&mut w, ben, ada), Some(How::Code));
    w.restart(ben);
    assert_eq!(verified(&mut w, ben, ada), Some(How::Code));
    w.done(ben, move |ctx| verification::withdraw(ctx, to_ada));
    assert_eq!(verified(&mut w, ben, ada), None);
}

#[test]
fn a_code_of_somebody_else_verifies_nobody() {
    let mut w = World::seeded(2);
    let (ada, ben) = w.contacts("ada", "ben");
    let eve = w.registered("eve");
    w.meet(eve, ben);
    w.meet(ada, eve);
    let refused = |w: &mut World, text: String| read(w, ben, ada, text).unwrap_err().code();
    let of_eve = code(&mut w, eve, ben);
    assert_eq!(refused(&mut w, of_eve), "code_of_another_person");
    let for_eve = code(&mut w, ada, eve);
    assert_eq!(refused(&mut w, for_eve), "code_for_another_person");
    let own = code(&mut w, ben, ada);
    assert_eq!(refused(&mut w, own), "code_of_another_person");
    assert_eq!(refused(&mut w, "https://example.org".into()), "not_a_verification_code");
    assert_eq!(verified(&mut w, ben, ada), None);
}

#[test]
fn a_contact_who_was_removed_is_verified_no_more() {
    let mut w = World::seeded(3);
    let (ada, ben) = w.contacts("ada", "ben");
    let to_ben = w.account(ben);
    let confirm = move |ctx: &mut node::engine::Ctx<'_>| -> Result<(), Failure> {
        verification::confirm(ctx, to_ben)
    };
    w.done(ada, confirm);
    w.done(ada, move |ctx| node::service::contact::remove(ctx, to_ben));
    assert_eq!(w.act(ada, confirm).unwrap().unwrap_err().code(), "not_found");
    let to_ada = w.account(ada);
    w.done(ben, move |ctx| node::service::contact::remove(ctx, to_ada));
    w.settle();
    w.meet(ada, ben);
    assert_eq!(verified(&mut w, ada, ben), None);
}
