//! Codes that cannot be redeemed, and what the person is told.

use crypto::{Bundle, FIRST_AGREEMENT_VERSION, Identity, Secret, Seed, Token, join};
use kith_tests::world::{Who, World};
use node::net::{NetEvent, Ticket};
use node::service;
use protocol::contact::ContactCard;
use protocol::invite::{Kind, State as InviteState, join_payload};
use protocol::request::State;
use protocol::time::{DAY, HOUR, MINUTE};
use protocol::wire::invite::{InviteRequest, InviteResponse};

fn refusal(w: &mut World, who: Who, text: &str) -> &'static str {
    w.scan(who, text).expect_err("it is refused").code()
}

#[test]
fn ones_own_code_is_refused() {
    let mut w = World::seeded(1);
    let ada = w.registered("ada");
    let (_, text) = w.invite(ada);
    assert_eq!(refusal(&mut w, ada, &text), "own_invite");
    assert_eq!(w.request(ada, ada), None);
}

#[test]
fn the_code_of_a_contact_is_refused() {
    let mut w = World::seeded(2);
    let (ada, ben) = w.contacts("ada", "ben");
    let (_, text) = w.invite(ada);
    assert_eq!(refusal(&mut w, ben, &text), "already_contact");
}

#[test]
fn a_second_scan_while_the_first_is_pending_is_refused_and_changes_nothing() {
    let mut w = World::seeded(3);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (first, text) = w.invite(ada);
    let (second, other) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    assert_eq!(refusal(&mut w, ben, &text), "request_pending");
    w.settle();
    let held = w.request(ben, ada);
    assert_eq!(refusal(&mut w, ben, &other), "request_pending");
    w.settle();
    assert_eq!(w.request(ben, ada), held);
    assert!(w.ledger(ada, first).claimant().is_some());
    assert_eq!(w.ledger(ada, second).state, InviteState::Active);
}

#[test]
fn a_code_that_is_over_for_more_than_a_day_is_refused_at_once() {
    let mut w = World::seeded(4);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.run_for(DAY + HOUR);
    assert_eq!(refusal(&mut w, ben, &text), "invite_expired");
}

#[test]
fn a_code_that_is_just_over_comes_to_a_clear_end() {
    for inviter_here in [true, false] {
        let mut w = World::seeded(5);
        let (ada, ben) = (w.registered("ada"), w.registered("ben"));
        let (invite, text) = w.invite(ada);
        w.run_for(HOUR);
        if !inviter_here {
            w.stop(ada);
        }
        // His clock may be wrong, so he may try; hers decides.
        w.scan(ben, &text).unwrap();
        w.run_for(DAY + HOUR);
        assert_eq!(w.request(ben, ada).unwrap().state, State::Gone, "inviter: {inviter_here}");
        if inviter_here {
            assert_eq!(w.ledger(ada, invite).claimant(), None);
        }
    }
}

#[test]
fn a_revoked_code_is_gone() {
    let mut w = World::seeded(6);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (invite, text) = w.invite(ada);
    let (_, _still_open) = w.invite(ada);
    w.done(ada, move |ctx| service::invite::revoke(ctx, invite));
    w.scan(ben, &text).unwrap();
    w.settle();
    assert_eq!(w.request(ben, ada).unwrap().state, State::Gone);
    assert_eq!(w.ledger(ada, invite).state, InviteState::Revoked);
    let again = w.act(ada, move |ctx| service::invite::revoke(ctx, invite)).unwrap();
    assert_eq!(again.unwrap_err().code(), "invite_not_active");
}

#[test]
fn the_only_code_of_somebody_revoked_comes_to_a_clear_end_as_well() {
    let mut w = World::seeded(7);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (invite, text) = w.invite(ada);
    w.done(ada, move |ctx| service::invite::revoke(ctx, invite));
    w.scan(ben, &text).unwrap();
    w.run_for(2 * DAY);
    assert_eq!(w.request(ben, ada).unwrap().state, State::Gone);
}

#[test]
fn a_forged_or_damaged_code_is_refused_before_anything_is_sent() {
    let mut w = World::seeded(8);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    let good = Token::parse(&text).unwrap();
    let sent = w.frames();
    for index in 0..good.as_bytes().len() {
        let mut bytes = good.as_bytes().to_vec();
        bytes[index] ^= 1;
        assert!(Token::decode(&bytes).is_err(), "byte {index} is not covered");
    }
    let half = &text[..text.len() / 2];
    for damaged in ["", "KITH:I1/", half, "https://example.org", &text.replace('A', "B")] {
        assert_eq!(refusal(&mut w, ben, damaged), "invalid_invite", "{damaged:?}");
    }
    assert_eq!((w.frames(), w.request(ben, ada)), (sent, None));
}

/// What Ada's node answers to somebody on a connection of their own.
fn asked(w: &mut World, ada: Who, request: InviteRequest) -> InviteResponse {
    w.look(ada, move |ctx| {
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let from = protocol::ids::AccountId([9; 32]);
        service::on_net_event(ctx, NetEvent::Invite { from, request, reply })?;
        let (out, heard) = tokio::sync::oneshot::channel();
        // Answers are given after the commit, like this one.
        ctx.after(move || drop(out.send(answer.try_recv().ok())));
        Ok(heard)
    })
    .try_recv()
    .unwrap()
    .expect("an answer")
}

fn stranger(byte: u8, token: &Token, sealed: &[u8]) -> Vec<u8> {
    let seed = Seed::from_secret(Secret::from_bytes([byte; 32]));
    let identity = Identity::from_seed(&seed);
    let cert = identity.primary_cert(FIRST_AGREEMENT_VERSION, 1, 0);
    let bundle = Bundle::open(token, sealed).unwrap();
    let card = ContactCard { version: 1, ..ContactCard::default() };
    let payload = join_payload([0; 32], card).unwrap();
    join(&identity, &cert, token, &bundle, &payload, &mut rand::rng()).unwrap().request
}

#[test]
fn a_replayed_first_message_gets_the_same_answer_and_another_gets_gone() {
    let mut w = World::seeded(9);
    let ada = w.registered("ada");
    let (invite, text) = w.invite(ada);
    let token = Token::parse(&text).unwrap();
    let InviteResponse::Bundle { sealed } = asked(&mut w, ada, InviteRequest::Bundle { invite })
    else {
        panic!("the bundle of a live invite")
    };
    let first = stranger(21, &token, &sealed);
    let second = stranger(22, &token, &sealed);
    let join = |request: &[u8]| InviteRequest::Join { invite, request: request.to_vec().into() };
    let mut garbage = first.clone();
    *garbage.last_mut().unwrap() ^= 1;
    assert_eq!(asked(&mut w, ada, join(&garbage)), InviteResponse::Gone);
    assert_eq!(w.ledger(ada, invite).state, InviteState::Active, "garbage burnt the code");
    let held = asked(&mut w, ada, join(&first));
    assert!(matches!(held, InviteResponse::Held { .. }));
    let claimed = w.ledger(ada, invite);
    assert_eq!(asked(&mut w, ada, join(&first)), held);
    w.restart(ada);
    assert_eq!(asked(&mut w, ada, join(&first)), held, "after a restart as well");
    assert_eq!(w.ledger(ada, invite), claimed, "a replay changes nothing");
    assert_eq!(asked(&mut w, ada, join(&second)), InviteResponse::Gone);
    assert_eq!(asked(&mut w, ada, InviteRequest::Bundle { invite }), InviteResponse::Gone);
    assert_eq!(w.ledger(ada, invite).failed_tries, 2);
}

#[test]
fn an_answer_to_a_question_nobody_asked_is_ignored() {
    let mut w = World::seeded(10);
    let (ada, ben) = w.contacts("ada", "ben");
    let before = w.messages(ada, ben);
    for ticket in [0, 1, 7, u64::MAX] {
        w.done(ada, move |ctx| {
            let ticket = Ticket(ticket);
            let result = Ok(InviteResponse::Gone);
            Ok(service::on_net_event(ctx, NetEvent::InviteDone { ticket, result })?)
        });
    }
    assert_eq!(w.messages(ada, ben), before);
    assert!(w.are_contacts(ada, ben));
}

#[test]
fn too_many_open_codes_are_refused_and_revoking_one_makes_room() {
    let mut w = World::seeded(11);
    let ada = w.node("ada");
    let mut last = None;
    for _ in 0..protocol::invite::MAX_OUTSTANDING {
        last = Some(w.invite_for(ada, Kind::Link, None).0);
    }
    let create = |ctx: &mut node::engine::Ctx<'_>| {
        service::invite::create(ctx, Kind::Link, String::new(), None).map(|invite| invite.id)
    };
    let refused = w.act(ada, create).unwrap().unwrap_err();
    assert_eq!(refused.code(), "too_many_invites");
    let last = last.unwrap();
    w.done(ada, move |ctx| service::invite::revoke(ctx, last));
    w.done(ada, create);
    w.run_for(MINUTE);
}
