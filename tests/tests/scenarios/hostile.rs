//! A peer that does not keep to the protocol changes nothing.

use crypto::{Identity, Secret, Seed, SigningKey};
use kith_tests::world::{Who, World};
use node::engine::Answer;
use node::net::{NetCommand, NetEvent};
use node::service;
use protocol::chat::{DeliveryState, Message, Missing, Resent};
use protocol::contact::RelayHome;
use protocol::envelope::{Content, ReadUpTo, Text};
use protocol::ids::{EnvelopeId, MessageId, QueueId, RelayId};
use protocol::mailbox::proof::custody;
use protocol::mailbox::wire::Item;
use protocol::receipt::DeliveryReceipt;
use protocol::time::{DAY, HOUR, MINUTE, Timestamp};
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse, MAX_FRAMES};
use service::session::Outgoing;

/// Everything of a conversation that somebody hostile would like to change.
fn everything(w: &mut World, who: Who, other: Who) -> (Vec<Message>, protocol::chat::Chat) {
    let chat = w.chat(who, other);
    let conversation = w.look(who, move |ctx| Ok(service::chat::get(ctx, chat)?)).unwrap();
    (w.messages(who, other), conversation)
}

fn deliver(frames: Vec<Vec<u8>>) -> EnvelopeRequest {
    EnvelopeRequest::Deliver { frames: frames.into_iter().map(Into::into).collect() }
}

/// What `who` would send if it were hostile: sealed with its real session.
fn sealed(w: &mut World, who: Who, to: Who, outgoing: Outgoing) -> Vec<u8> {
    let account = w.account(to);
    let sealed = w.act(who, move |ctx| service::session::seal(ctx, account, None, outgoing));
    sealed.unwrap().unwrap()
}

fn receipt_of(response: Option<EnvelopeResponse>) -> Vec<EnvelopeId> {
    match response {
        Some(EnvelopeResponse::Durable { receipt }) => receipt.envelopes,
        other => panic!("no receipt: {other:?}"),
    }
}

/// A contact names relays on the reader's own machine, and wrong addresses for the reader's relay.
#[test]
fn a_relay_that_a_contact_names_is_dialled_neither_on_this_machine_nor_instead_of_ours() {
    let mut w = World::seeded(41);
    let (ada, eve) = w.contacts("ada", "eve");
    let address = |text: &str| node::net::parse_address(text).unwrap();
    let public = address("/ip4/203.0.113.7/tcp/4701");
    let ours = w.look(ada, |ctx| Ok(service::registration::relay(ctx)?)).unwrap();
    let known = w.account(ada);
    let mut card = w.done(eve, move |ctx| Ok(service::profile::card_for(ctx, known, false)?));
    let lie = RelayHome { relay: ours.relay, addresses: vec![public.clone()] };
    let local = ["/ip4/127.0.0.1/tcp/6379", "/ip6/::1/tcp/22", "/ip4/169.254.169.254/tcp/80"];
    let mut addresses: Vec<_> = local.into_iter().map(address).collect();
    addresses.push(public.clone());
    let other = RelayId([9; 32]);
    card.homes = vec![lie, RelayHome { relay: other, addresses }];
    card.version += 1;
    let frame = sealed(&mut w, eve, ada, Outgoing::detached(Content::Card(card)));
    w.inject(eve, ada, deliver(vec![frame]));
    let known = w.homes(ada, eve);
    assert_eq!(known, [ours, RelayHome { relay: other, addresses: vec![public] }]);
}

#[test]
fn garbage_frames_get_no_receipt_and_change_nothing() {
    let mut w = World::seeded(1);
    let (ada, ben) = w.contacts("ada", "ben");
    w.say(ada, ben, "good");
    w.settle();
    let before = everything(&mut w, ada, ben);
    for length in [0, 1, 16, 255, 1_024, 16_384, 40_000] {
        let response = w.inject(ben, ada, deliver(vec![vec![0xa5; length]]));
        assert_eq!(receipt_of(response), [], "{length} bytes");
    }
    let ephemeral = EnvelopeRequest::Ephemeral { sealed: vec![7; 200].into() };
    assert_eq!(w.inject(ben, ada, ephemeral), Some(EnvelopeResponse::Taken));
    assert_eq!(everything(&mut w, ada, ben), before);
    w.say(ben, ada, "the session still works");
    w.settle();
    assert_eq!(w.texts(ada, ben), ["good", "the session still works"]);
}

/// A contact sends back words that the person never wrote, and asks for everything again and again.
#[test]
fn nobody_puts_words_into_the_mouth_of_somebody_who_lost_nothing() {
    let mut w = World::seeded(16);
    let (ada, ben) = w.contacts("ada", "ben");
    w.say(ada, ben, "mine");
    w.settle();
    let before = everything(&mut w, ada, ben);
    let planted = |byte: u8| Outgoing {
        message: Some(MessageId([byte; 16])),
        seq: u64::from(byte),
        lamport: u64::from(byte),
        at: None,
        content: Content::Yours(Text { text: "I owe Ben a thousand".into() }),
    };
    for byte in 1..5 {
        let frame = sealed(&mut w, ben, ada, planted(byte));
        w.inject(ben, ada, deliver(vec![frame]));
    }
    let all = Resent { mine: u64::MAX, yours: u64::MAX };
    let frame = sealed(&mut w, ben, ada, Outgoing::detached(Content::Resent(all)));
    w.inject(ben, ada, deliver(vec![frame]));
    assert_eq!(w.texts(ada, ben), ["mine"]);
    assert_eq!(everything(&mut w, ada, ben), before);

    for _ in 0..30 {
        let missing = Missing { yours: 0, ahead: Vec::new(), mine: 0 };
        let frame = sealed(&mut w, ben, ada, Outgoing::detached(Content::Missing(missing)));
        w.inject(ben, ada, deliver(vec![frame]));
    }
    w.settle();
    let before = w.frames();
    w.run_for(DAY);
    assert_eq!(w.frames(), before, "Ada's node is busy for ever");
    assert_eq!(w.texts(ben, ada), ["mine"]);
}

/// A contact leaves a gap in the numbers of what they say. Ada asks for it, with ever longer pauses, and takes
/// nothing of it that is said to be hers.
#[test]
fn whoever_makes_a_gap_is_asked_for_it_and_gets_no_words_into_ada_s_mouth() {
    let mut w = World::seeded(42);
    let (ada, ben) = w.contacts("ada", "ben");
    let content = Content::Text(Text { text: "the ninth".into() });
    let (message, at) = (Some(MessageId([9; 16])), None);
    let gap = Outgoing { message, seq: 9, lamport: 9, at, content };
    let frame = sealed(&mut w, ben, ada, gap);
    w.inject(ben, ada, deliver(vec![frame]));
    w.cut(ben);
    let before = w.frames();
    w.run_for(HOUR - MINUTE);
    assert_eq!(w.frames(), before, "what is late is given its time");
    let asked = |w: &mut World| {
        let chat = w.chat(ada, ben);
        w.look(ada, move |ctx| Ok(service::chat::get(ctx, chat)?)).unwrap().gaps.asked
    };
    w.run_for(3 * MINUTE);
    assert!(w.frames() > before, "nobody asks");
    assert_eq!(asked(&mut w), None, "her own words are not asked for");
    let yours = Outgoing {
        message: Some(MessageId([8; 16])),
        seq: 1,
        lamport: 1,
        at: None,
        content: Content::Yours(Text { text: "I owe Ben a thousand".into() }),
    };
    let frame = sealed(&mut w, ben, ada, yours);
    w.inject(ben, ada, deliver(vec![frame]));
    assert_eq!(w.texts(ada, ben), ["the ninth"]);
    // Nor is she busy for ever: the pauses double up to a day.
    w.heal(ben);
    w.settle();
    let before = w.frames();
    w.run_for(10 * DAY);
    assert!(w.frames() - before < 60, "{} frames in ten days", w.frames() - before);
    assert_eq!(w.texts(ada, ben), ["the ninth"]);
}

#[test]
fn a_replayed_frame_gets_its_receipt_again_and_is_not_said_twice() {
    let mut w = World::seeded(2);
    let (ada, ben) = w.contacts("ada", "ben");
    let outgoing = Outgoing {
        message: Some(MessageId([5; 16])),
        seq: 1,
        lamport: 1,
        at: None,
        content: Content::Text(Text { text: "once".into() }),
    };
    let frame = sealed(&mut w, ben, ada, outgoing);
    let id = EnvelopeId::of(&frame);
    for _ in 0..3 {
        let response = w.inject(ben, ada, deliver(vec![frame.clone(), frame.clone()]));
        assert_eq!(receipt_of(response), [id, id]);
        w.restart(ada);
    }
    // Somebody else who got hold of the frame learns nothing by sending it.
    let eve = w.registered("eve");
    w.meet(ada, eve);
    w.inject(eve, ada, deliver(vec![frame]));
    assert_eq!(w.texts(ada, ben), ["once"]);
    assert_eq!(w.texts(ada, eve), Vec::<String>::new());
    assert_eq!(w.unread(ada, ben), 1);
}

#[test]
fn the_same_message_sealed_twice_is_said_once_and_one_of_another_chat_nowhere() {
    let mut w = World::seeded(3);
    let (ada, ben) = w.contacts("ada", "ben");
    let eve = w.registered("eve");
    w.meet(ada, eve);
    let again = |text: &str| Outgoing {
        message: Some(MessageId([6; 16])),
        seq: 1,
        lamport: 1,
        at: None,
        content: Content::Text(Text { text: text.into() }),
    };
    for (who, text) in [(ben, "first"), (ben, "rewritten"), (eve, "stolen")] {
        let frame = sealed(&mut w, who, ada, again(text));
        w.inject(who, ada, deliver(vec![frame]));
    }
    assert_eq!(w.texts(ada, ben), ["first"]);
    assert_eq!(w.texts(ada, eve), Vec::<String>::new());
}

#[test]
fn an_oversized_batch_is_refused_whole() {
    let mut w = World::seeded(4);
    let (ada, ben) = w.contacts("ada", "ben");
    let before = everything(&mut w, ada, ben);
    let batch = deliver(vec![vec![1; 16]; MAX_FRAMES + 1]);
    assert_eq!(w.inject(ben, ada, batch), Some(EnvelopeResponse::Refused));
    assert_eq!(everything(&mut w, ada, ben), before);
}

#[test]
fn a_jump_of_the_lamport_clock_or_no_sequence_number_is_not_believed() {
    let mut w = World::seeded(5);
    let (ada, ben) = w.contacts("ada", "ben");
    for (seq, lamport) in [(1, u64::MAX), (1, 1 << 40), (0, 1)] {
        let content = Content::Text(Text { text: "for ever last".into() });
        let message = Some(MessageId([u8::try_from(seq).unwrap(); 16]));
        let frame = sealed(&mut w, ben, ada, Outgoing { message, seq, lamport, at: None, content });
        w.inject(ben, ada, deliver(vec![frame]));
    }
    assert_eq!(w.texts(ada, ben), Vec::<String>::new());
    w.say(ada, ben, "fine");
    w.settle();
    assert_eq!(w.texts(ben, ada), ["fine"]);
}

#[test]
fn receipts_for_what_was_not_sent_or_by_somebody_else_prove_nothing() {
    let mut w = World::seeded(6);
    let (ada, ben) = w.contacts("ada", "ben");
    let eve = w.registered("eve");
    w.meet(ada, eve);
    w.stop(ben);
    w.say(ada, ben, "unproved");
    w.settle();
    let account = w.account(ben);
    let waiting = w.look(ada, move |ctx| {
        Ok(ctx.state.lanes[&account].parcels().map(|parcel| parcel.envelope).collect::<Vec<_>>())
    });
    assert!(!waiting.is_empty());
    let before = everything(&mut w, ada, ben);
    // Eve signs for Ben's frames, with her own key and with a made-up one.
    let forger = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([0x66; 32])));
    let adas = w.account(ada);
    let made_up = DeliveryReceipt::sign(&forger, adas, waiting.clone(), w.now());
    let of_eve = w.look(eve, move |ctx| {
        Ok(DeliveryReceipt::sign(&ctx.account.identity, adas, waiting.clone(), ctx.now))
    });
    let unsent = w.look(eve, move |ctx| {
        let ids = vec![EnvelopeId([1; 16]); 3];
        Ok(DeliveryReceipt::sign(&ctx.account.identity, adas, ids, ctx.now))
    });
    for receipt in [made_up, of_eve, unsent] {
        let frame = sealed(&mut w, eve, ada, Outgoing::detached(Content::Delivered(receipt)));
        w.inject(eve, ada, deliver(vec![frame]));
    }
    assert_eq!(everything(&mut w, ada, ben), before);
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Custody]);
}

#[test]
fn reading_what_is_not_theirs_to_read_marks_nothing() {
    let mut w = World::seeded(7);
    let (ada, ben) = w.contacts("ada", "ben");
    let eve = w.registered("eve");
    w.meet(ada, eve);
    let to_ben = w.say(ada, ben, "for Ben").unwrap();
    w.say(ada, eve, "for Eve").unwrap();
    let eves = w.say(eve, ada, "from Eve").unwrap();
    w.settle();
    let before = [everything(&mut w, ada, ben), everything(&mut w, ada, eve)];
    for message in [to_ben, eves, MessageId([9; 16])] {
        let read = Content::Read(ReadUpTo { message, at: Timestamp(u64::MAX) });
        let frame = sealed(&mut w, eve, ada, Outgoing::detached(read));
        w.inject(eve, ada, deliver(vec![frame]));
    }
    assert_eq!([everything(&mut w, ada, ben), everything(&mut w, ada, eve)], before);
}

#[test]
fn a_person_whose_request_waits_can_say_nothing_yet() {
    let mut w = World::seeded(8);
    let (ada, ben) = (w.registered("ada"), w.registered("ben"));
    let (_, text) = w.invite(ada);
    w.scan(ben, &text).unwrap();
    w.settle();
    for content in [Content::Text(Text { text: "let me in".into() }), Content::Accept(card())] {
        let outgoing =
            Outgoing { message: Some(MessageId([4; 16])), seq: 1, lamport: 1, at: None, content };
        let frame = sealed(&mut w, ben, ada, outgoing);
        w.inject(ben, ada, deliver(vec![frame]));
    }
    assert!(!w.has_contact(ada, ben), "somebody accepted themselves");
    w.accept(ada, ben).unwrap();
    w.settle();
    assert_eq!(w.texts(ada, ben), Vec::<String>::new());
}

fn card() -> protocol::contact::ContactCard {
    protocol::contact::ContactCard { version: 99, ..Default::default() }
}

#[test]
fn a_relay_that_lies_moves_no_tick() {
    let mut w = World::seeded(9);
    let (ada, ben) = w.contacts("ada", "ben");
    w.stop(ben);
    // The relay itself is out of reach: what claims to come from it is a lie.
    w.cut_relay(ada);
    w.say(ada, ben, "held by nobody");
    w.settle();
    let (relay, to) = (w.relay.home.relay, w.account(ben));
    w.done(ada, move |ctx| {
        let liar = SigningKey::from_seed(&Secret::from_bytes([0x77; 32]));
        let parcels: Vec<_> = ctx.state.lanes[&to].parcels().cloned().collect();
        let orders = parcels.iter().map(|parcel| parcel.order).collect();
        let receipts = parcels.iter().map(|parcel| {
            let (at, until) = (ctx.now, ctx.now.plus(DAY));
            let mut receipt = custody(&liar, QueueId([0; 16]), parcel.envelope, at, until);
            receipt.relay = relay;
            Ok(receipt)
        });
        let result = Ok(receipts.collect());
        let mut asked = None;
        ctx.ask(Answer::Deposit(to, relay, (orders, false)), |ticket| {
            asked = Some(ticket);
            NetCommand::ForgetRelay(relay)
        });
        let ticket = asked.expect("a ticket");
        Ok(service::on_net_event(ctx, NetEvent::DepositDone { ticket, result })?)
    });
    assert_eq!(w.deliveries(ada, ben), [DeliveryState::Queued]);
}

#[test]
fn items_of_a_queue_that_is_not_ours_change_nothing_and_are_not_acknowledged() {
    let mut w = World::seeded(10);
    let (ada, ben) = w.contacts("ada", "ben");
    let before = everything(&mut w, ada, ben);
    let (relay, at) = (w.relay.home.relay, w.now());
    let mut answer = w.done(ada, move |ctx| {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let receive = QueueId([1; 16]);
        let item = Item { receive, seq: 1, deposited_at: at, body: vec![3; 512].into() };
        service::on_net_event(ctx, NetEvent::Items { relay, items: vec![item], reply })?;
        Ok(answer)
    });
    assert_eq!(everything(&mut w, ada, ben), before);
    assert_eq!(answer.try_recv(), Ok(vec![]), "what was not opened was acknowledged");
}
