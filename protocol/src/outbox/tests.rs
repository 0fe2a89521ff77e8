use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000);
/// A batch that begins with the first parcel.
const ORDERS: [u64; 2] = [1, 2];

fn parcel(order: u64) -> Parcel {
    Parcel {
        order,
        envelope: EnvelopeId([u8::try_from(order % 256).expect("below 256"); 16]),
        size: 512,
        class: Class::Message(MessageId([u8::try_from(order % 256).expect("below 256"); 16])),
        sealed_at: NOW,
        custody_until: None,
    }
}

fn lane(orders: std::ops::RangeInclusive<u64>) -> Lane {
    Lane::restore(orders.map(parcel), true)
}

fn at<T>(now: Timestamp, then: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    then(&mut Cx { now, rng: &mut StdRng::seed_from_u64(1) })
}

#[test]
fn a_connected_contact_gets_one_batch_at_a_time_in_order() {
    let mut lane = lane(1..=50);
    lane.on_connected(NOW);
    let Some(Action::Deliver(first)) = lane.next_action(NOW) else { panic!("delivers") };
    assert_eq!(first, (1..=32).collect::<Vec<_>>());
    assert_eq!(lane.next_action(NOW), None, "one in flight");
    let ids: Vec<_> = first.iter().map(|&order| parcel(order).envelope).collect();
    assert_eq!(lane.on_delivered(&ids).len(), 32);
    at(NOW, |cx| lane.on_deliver_answered(&first, cx));
    assert_eq!(lane.next_action(NOW), Some(Action::Deliver((33..=50).collect())));
}

#[test]
fn an_absent_contact_is_dialled_and_hedged_to_its_relay() {
    let mut lane = lane(1..=2);
    assert_eq!(lane.next_action(NOW), Some(Action::Connect));
    assert_eq!(lane.next_action(NOW), None);
    assert_eq!(lane.next_deadline(NOW), Some(NOW.plus(HEDGE)));
    assert_eq!(lane.next_action(NOW.plus(HEDGE)), Some(Action::Deposit(vec![1, 2])));
}

#[test]
fn an_unreachable_contact_is_not_dialled_again_for_every_frame() {
    let mut lane = lane(1..=1);
    assert_eq!(lane.next_action(NOW), Some(Action::Connect));
    lane.on_unreachable(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deposit(vec![1])));
    lane.on_custody(1, NOW.plus(DAY));
    at(NOW, |cx| lane.on_deposit_ended(&ORDERS, DepositEnd::Taken, cx));
    lane.push(parcel(2));
    assert_eq!(lane.next_action(NOW.plus(1)), Some(Action::Deposit(vec![2])));
}

#[test]
fn custody_quiets_a_message_until_the_contact_is_back_and_ends_a_receipt() {
    let mut lane = lane(1..=1);
    lane.push(Parcel { class: Class::Receipt, ..parcel(2) });
    lane.on_unreachable(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deposit(vec![1, 2])));
    assert!(lane.on_custody(1, NOW.plus(14 * DAY)).is_some_and(|(_, done)| !done));
    assert!(lane.on_custody(2, NOW.plus(14 * DAY)).is_some_and(|(_, done)| done));
    at(NOW, |cx| lane.on_deposit_ended(&ORDERS, DepositEnd::Taken, cx));
    assert_eq!(lane.next_action(NOW), None);
    assert_eq!(lane.why(1, NOW).0, Waiting::Custody);

    lane.on_connected(NOW.plus(HOUR));
    assert_eq!(lane.next_action(NOW.plus(HOUR)), None, "the relay hands it over first");
    let later = NOW.plus(HOUR).plus(CUSTODY_GRACE);
    assert_eq!(lane.next_deadline(NOW.plus(HOUR)), Some(later));
    assert_eq!(lane.next_action(later), Some(Action::Deliver(vec![1])));
}

#[test]
fn a_custody_about_to_run_out_is_renewed() {
    let mut lane = lane(1..=1);
    lane.on_unreachable(NOW);
    lane.next_action(NOW);
    lane.on_custody(1, NOW.plus(14 * DAY));
    at(NOW, |cx| lane.on_deposit_ended(&ORDERS, DepositEnd::Taken, cx));
    let due = NOW.plus(14 * DAY).minus(CUSTODY_MARGIN);
    assert_eq!(lane.next_action(due), Some(Action::Connect));
    lane.on_unreachable(due);
    assert_eq!(lane.next_action(due), Some(Action::Deposit(vec![1])));
}

#[test]
fn failures_back_off_and_nothing_is_removed_without_evidence() {
    let mut lane = Lane::restore((1..=3).map(parcel), false);
    lane.on_connected(NOW);
    for _ in 0..5 {
        let at_now = lane.direct_after.max(NOW);
        assert!(matches!(lane.next_action(at_now), Some(Action::Deliver(_))));
        at(at_now, |cx| lane.on_deliver_failed(&ORDERS, cx));
        assert_eq!(lane.next_action(at_now), None, "waits");
        assert!(
            lane.next_deadline(at_now).is_some_and(|next| next.since(at_now) <= BACKOFF_MAX + 250)
        );
    }
    assert_eq!(lane.len(), 3);
}

#[test]
fn a_frame_that_is_never_opened_is_given_up_and_one_too_old_as_well() {
    let mut lane = lane(1..=1);
    lane.on_connected(NOW);
    for _ in 0..MAX_REFUSALS {
        at(NOW, |cx| lane.on_deliver_answered(&[1], cx));
    }
    assert_eq!(lane.why(1, NOW).0, Waiting::NotOpened);
    assert_eq!(lane.give_up(NOW), [(parcel(1), Hopeless::NeverOpened)]);
    lane.push(parcel(2));
    assert_eq!(lane.give_up(NOW.plus(LIFE - 1)), []);
    assert_eq!(lane.give_up(NOW.plus(LIFE)), [(parcel(2), Hopeless::TooOld)]);
}

#[test]
fn a_batch_is_bounded_in_bytes() {
    let large = |order| Parcel { size: 32 * 1024, ..parcel(order) };
    let mut lane = Lane::restore((1..=20).map(large), true);
    lane.on_connected(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deliver((1..=5).collect())));
}

#[test]
fn without_a_relay_the_person_is_told() {
    let mut lane = Lane::restore([parcel(1)], false);
    lane.next_action(NOW);
    lane.on_unreachable(NOW);
    assert_eq!(lane.next_action(NOW), None);
    assert_eq!(lane.why(1, NOW), (Waiting::NoMailbox, Some(NOW.plus(DIAL_QUIET))));
}

#[test]
fn a_newer_card_replaces_one_that_nobody_has_and_no_other() {
    let mut lane = lane(1..=1);
    lane.push(Parcel { class: Class::Card, ..parcel(2) });
    lane.push(Parcel { class: Class::Card, custody_until: Some(NOW.plus(DAY)), ..parcel(3) });
    let orders: Vec<u64> = lane.supersede_cards().iter().map(|parcel| parcel.order).collect();
    assert_eq!(orders, [2]);
    lane.on_connected(NOW);
    assert!(lane.next_action(NOW).is_some());
    lane.push(Parcel { class: Class::Card, ..parcel(4) });
    assert!(lane.supersede_cards().is_empty(), "what is in flight is not touched");
}

#[test]
fn trying_now_ends_every_wait() {
    let mut lane = lane(1..=1);
    lane.next_action(NOW);
    lane.on_unreachable(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deposit(vec![1])));
    at(NOW, |cx| lane.on_deposit_ended(&ORDERS, DepositEnd::Failed, cx));
    assert_eq!(lane.next_action(NOW), None, "waits");
    lane.try_now();
    assert_eq!(lane.next_action(NOW), Some(Action::Connect));
}

#[test]
fn a_frame_that_is_not_opened_holds_up_nothing_else() {
    let mut lane = lane(1..=2);
    lane.on_connected(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deliver(vec![1, 2])));
    lane.on_delivered(&[parcel(2).envelope]);
    at(NOW, |cx| lane.on_deliver_answered(&[1, 2], cx));
    lane.push(parcel(3));
    assert_eq!(lane.next_action(NOW), Some(Action::Deliver(vec![3])));
    at(NOW, |cx| lane.on_deliver_answered(&[3], cx));
    let again = lane.next_deadline(NOW).expect("it is tried again");
    lane.on_delivered(&[parcel(3).envelope]);
    assert_eq!(
        lane.next_action(again.max(NOW.plus(BACKOFF_MIN * 2 + 250))),
        Some(Action::Deliver(vec![1]))
    );
}

#[test]
fn a_batch_that_stays_unanswered_is_left_at_the_relay_as_well() {
    let mut lane = lane(1..=2);
    lane.on_connected(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deliver(vec![1, 2])));
    assert_eq!(lane.next_deadline(NOW), Some(NOW.plus(UNANSWERED)));
    assert_eq!(lane.next_action(NOW.plus(UNANSWERED - 1)), None);
    let later = NOW.plus(UNANSWERED);
    assert_eq!(lane.next_action(later), Some(Action::Deposit(vec![1, 2])));
    assert_eq!(lane.next_action(later), None, "once");
    lane.on_custody(1, later.plus(14 * DAY));
    at(later, |cx| lane.on_deposit_ended(&ORDERS, DepositEnd::Taken, cx));
    assert_eq!(lane.next_action(later), Some(Action::Deposit(vec![2])));
    // The connection was only slow.
    lane.on_delivered(&[parcel(1).envelope, parcel(2).envelope]);
    at(later, |cx| lane.on_deliver_answered(&ORDERS, cx));
    assert!(lane.is_empty());
}

#[test]
fn while_the_direct_way_fails_frames_go_to_the_relay() {
    let mut lane = lane(1..=1);
    lane.on_connected(NOW);
    lane.next_action(NOW);
    at(NOW, |cx| lane.on_deliver_failed(&ORDERS, cx));
    assert_eq!(lane.next_action(NOW), Some(Action::Deposit(vec![1])));
}

#[test]
fn an_answer_to_an_earlier_batch_ends_no_later_one() {
    let mut lane = lane(7..=7);
    lane.on_connected(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deliver(vec![7])));
    at(NOW, |cx| lane.on_deliver_answered(&ORDERS, cx));
    assert_eq!(lane.next_action(NOW), None, "still under way");
}

/// A lane to somebody who is away, with a message and a card, whose mailbox was full just now.
fn full() -> Lane {
    let mut lane = lane(1..=1);
    lane.push(Parcel { class: Class::Card, ..parcel(2) });
    lane.next_action(NOW);
    lane.on_unreachable(NOW);
    assert_eq!(lane.next_action(NOW), Some(Action::Deposit(vec![1, 2])));
    at(NOW, |cx| lane.on_deposit_ended(&ORDERS, DepositEnd::Full, cx));
    lane
}

#[test]
fn a_full_mailbox_gets_control_messages_at_once_and_the_rest_later() {
    let mut lane = full();
    assert_eq!(lane.why(1, NOW).0, Waiting::MailboxFull);
    assert_eq!(lane.next_action(NOW), Some(Action::DepositReserved(vec![2])));
    assert_eq!(lane.next_action(NOW), None, "one at a time");
    lane.on_custody(2, NOW.plus(30 * DAY));
    at(NOW, |cx| lane.on_reserved_ended(&[2], DepositEnd::Taken, cx));
    assert_eq!(lane.next_action(NOW), None, "there is no room for words yet");
    let later = lane.next_deadline(NOW).expect("it is tried again");
    assert_eq!(lane.next_action(later), Some(Action::Deposit(vec![1])));
}

#[test]
fn reserved_room_that_is_full_is_not_hammered() {
    let mut lane = full();
    assert_eq!(lane.next_action(NOW), Some(Action::DepositReserved(vec![2])));
    at(NOW, |cx| lane.on_reserved_ended(&[2], DepositEnd::Full, cx));
    assert_eq!(lane.next_action(NOW), None);
    let later = lane.next_deadline(NOW).expect("it is tried again");
    assert!(later > NOW && lane.next_action(later).is_some());
}

#[test]
fn there_is_room_again_when_the_contact_signs_for_what_was_in_its_mailbox() {
    let mut lane = full();
    lane.push(Parcel { custody_until: Some(NOW.plus(DAY)), ..parcel(3) });
    lane.push(parcel(4));
    assert_eq!(lane.next_action(NOW), Some(Action::DepositReserved(vec![2])));
    lane.on_custody(2, NOW.plus(30 * DAY));
    at(NOW, |cx| lane.on_reserved_ended(&[2], DepositEnd::Taken, cx));
    // What went another way says nothing of the mailbox.
    lane.on_delivered(&[parcel(4).envelope]);
    assert_eq!(lane.next_action(NOW), None);
    lane.on_delivered(&[parcel(3).envelope]);
    assert_eq!(lane.next_action(NOW), Some(Action::Deposit(vec![1])), "without a pause");
}

#[test]
fn a_relay_that_does_not_answer_is_not_called_full() {
    let mut lane = full();
    assert_eq!(lane.next_action(NOW), Some(Action::DepositReserved(vec![2])));
    lane.on_custody(2, NOW.plus(30 * DAY));
    at(NOW, |cx| lane.on_reserved_ended(&[2], DepositEnd::Taken, cx));
    let later = lane.next_deadline(NOW).expect("it is tried again");
    assert_eq!(lane.next_action(later), Some(Action::Deposit(vec![1])));
    at(later, |cx| lane.on_deposit_ended(&[1], DepositEnd::Failed, cx));
    assert_eq!(lane.why(1, later).0, Waiting::MailboxFailed);
}
