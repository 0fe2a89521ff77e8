//! What contacts, relays and people in the middle do not learn, and cannot do.

use kith_tests::world::{Who, World};
use node::net::NetEvent;
use node::service;
use protocol::invite::{Kind, State as InviteState};
use protocol::mailbox::wire::Item;
use protocol::request::State;

/// Whether `needle` is somewhere in `hay`.
fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// The symbols that a person sees beside a contact.
fn symbols(w: &mut World, who: Who, other: Who) -> Option<Vec<u8>> {
    let account = w.account(other);
    let symbols = w.look(who, move |ctx| Ok(service::contact::get(ctx, account)?)).unwrap().symbols;
    symbols.map(|symbols| symbols.to_vec())
}

/// Ada's contacts do not know one another. What Cleo's node keeps of all that Ada's tells it has nothing of
/// Ben: not his account, his name, nor where Ada takes his mail.
#[test]
fn what_a_contact_is_told_names_no_other_contact() {
    let mut w = World::seeded(31);
    let (ada, ben) = w.contacts("ada", "ben");
    w.name(ben, "Bennoit Turmalin");
    let cleo = w.registered("cleo");
    w.meet(ada, cleo);
    for round in 0..3 {
        for other in [ben, cleo] {
            w.say(ada, other, "to each of them");
            w.say(other, ada, "from each of them");
        }
        if round == 1 {
            w.name(ada, "Adalind Quarzfels");
        }
        w.settle();
    }
    assert!(holds(&w.kept(ada), &w.account(ben).0) && holds(&w.kept(ada), b"Bennoit Turmalin"));
    assert!(holds(&w.kept(cleo), &w.account(ada).0) && holds(&w.kept(cleo), b"Adalind Quarzfels"));
    let cleos = w.kept(cleo);
    assert!(!holds(&cleos, &w.account(ben).0), "Ben's account");
    assert!(!holds(&cleos, b"Bennoit Turmalin"), "Ben's name");
    // The mailboxes that Ada keeps for the two are two.
    let mailbox = |w: &mut World, of: Who| {
        let account = w.account(of);
        w.look(ada, move |ctx| Ok(service::profile::card_for(ctx, account, false)?)).mailboxes
    };
    let (bens, for_cleo) = (mailbox(&mut w, ben), mailbox(&mut w, cleo));
    assert_eq!((bens.len(), for_cleo.len()), (1, 1));
    assert!(holds(&cleos, &for_cleo[0].send.0) && !holds(&cleos, &bens[0].send.0));
}

/// Mallory gives Ben a code of her own as Ada's, and takes Ada's to be Ben there. Each of them has a session
/// with her; the symbols that they read to each other are of two sessions.
#[test]
fn a_swapped_code_shows_in_the_symbols() {
    for seed in 0..20 {
        let mut w = World::seeded(seed);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        let (as_ada, as_ben) = (w.registered("ada"), w.registered("ben"));
        w.meet(as_ada, ben);
        w.meet(ada, as_ben);
        let (at_ada, at_ben) = (symbols(&mut w, ada, as_ben), symbols(&mut w, ben, as_ada));
        assert!(at_ada.is_some() && at_ben.is_some(), "seed {seed}");
        assert_ne!(at_ada, at_ben, "seed {seed}: the two read out the same");
        // Mallory knows both, which helps her with neither.
        assert_eq!(symbols(&mut w, as_ben, ada), at_ada, "seed {seed}");
        assert_eq!(symbols(&mut w, as_ada, ben), at_ben, "seed {seed}");
    }
}

/// A relay keeps the drop of Ada's code: its address, its public key, the sealed bundle. It puts everything
/// there that it can make or has seen. Only the person who has the code becomes a request.
#[test]
fn a_relay_that_keeps_a_drop_redeems_nothing() {
    let mut w = World::seeded(33);
    let (ada, ben, eve) = (w.registered("ada"), w.registered("ben"), w.registered("eve"));
    let (invite, text) = w.invite_for(ada, Kind::Link, None);
    w.settle();
    let (drop, bundle) = w.relay.drops().remove(0);
    // What a real request for another code of Ada's looks like, while she is away.
    let (other, for_eve) = w.invite_for(ada, Kind::Link, None);
    w.settle();
    w.stop(ada);
    w.scan(eve, &for_eve).unwrap();
    w.settle();
    w.stop(eve);
    let seen = w.relay.take_items();
    assert!(!seen.is_empty(), "Eve's request waits at the relay");
    w.start(ada);
    w.settle();

    let short = bundle[..bundle.len() / 2].to_vec();
    let bodies = seen.into_iter().map(|item| item.body.into_vec()).chain([bundle, short, vec![]]);
    for (seq, body) in bodies.enumerate() {
        let (relay, at) = (w.relay.home.relay, w.now());
        let item = Item { receive: drop, seq: seq as u64 + 1, deposited_at: at, body: body.into() };
        w.done(ada, move |ctx| {
            let (reply, _answer) = tokio::sync::oneshot::channel();
            let pushed = NetEvent::Items { relay, items: vec![item], reply };
            Ok(service::on_net_event(ctx, pushed)?)
        });
        w.settle();
    }
    for code in [invite, other] {
        assert_eq!(w.ledger(ada, code).state, InviteState::Active, "a code was redeemed");
    }
    assert!(w.request(ada, eve).is_none());
    w.scan(ben, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ada, ben).unwrap().state, State::Held);
    assert_eq!(w.ledger(ada, invite).claimant(), Some(w.account(ben)));
}
