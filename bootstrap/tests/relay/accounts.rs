use protocol::mailbox::wire::{DepositRefusal, MailboxRefusal, MailboxResponse};
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse, Told};
use protocol::time::DAY;

use crate::bench::{Bench, Member, Sealed};
use crate::client::soon;

/// Proves the address of `person{of}` with this key.
async fn prove(member: &Member, of: u8) -> RegisterResponse {
    let challenged = member.challenge(&format!("person{of}@example.org")).await;
    member.verify(&challenged, challenged.development_code.as_deref().unwrap()).await
}

#[tokio::test]
async fn whoever_proves_an_address_with_another_key_ends_the_first_ones_admission_at_once() {
    let bench = Bench::start().await;
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    assert_eq!(ada.client.reserve(&bench.tcp()).await, Ok(()));
    assert_eq!(ada.standing().await, Told::Admitted);

    let eve = Member::connect(2, &bench.tcp()).await;
    assert!(matches!(prove(&eve, 1).await, RegisterResponse::Admitted { .. }));
    ada.client.closed().await;

    // She comes back and is told; her mail is hers, what is new is not.
    ada.client.dial(&bench.tcp()).await.unwrap();
    let Told::Displaced { at } = ada.standing().await else { panic!("she is not told") };
    let renewal = RegisterRequest::Renew { credential: ada.credential.clone() };
    let refusal = RegisterResponse::Refused(RegisterRefusal::Displaced { at });
    assert_eq!(ada.client.register(renewal).await, refusal);
    assert!(ada.open(2).await == MailboxResponse::Refused(MailboxRefusal::NotAdmitted));
    assert!(ada.client.reserve(&bench.tcp()).await.is_err());
    let ben = Sealed::connect(&bench.tcp()).await;
    assert!(ben.deposit(1, b"for ada").await.is_ok());
    assert_eq!(Sealed::connect(&bench.tcp()).await.attach(1).await, [Some(1)]);

    // And what is so is so after a restart.
    let bench = bench.restart().await;
    let ada = Member::connect(1, &bench.tcp()).await;
    assert_eq!(ada.standing().await, Told::Displaced { at });
    assert!(matches!(prove(&ada, 1).await, RegisterResponse::Admitted { .. }), "she takes it back");
    assert_eq!(ada.standing().await, Told::Admitted);
    let eve = Member::connect(2, &bench.tcp()).await;
    assert!(matches!(eve.standing().await, Told::Displaced { .. }));
}

#[tokio::test]
async fn a_person_changes_their_address_and_frees_the_one_before() {
    let bench = Bench::start().await;
    let ada = bench.member(1).await;
    assert!(matches!(prove(&ada, 9).await, RegisterResponse::Admitted { .. }));
    let ben = Member::connect(2, &bench.tcp()).await;
    assert!(matches!(prove(&ben, 1).await, RegisterResponse::Admitted { .. }));
    assert_eq!((ada.standing().await, ben.standing().await), (Told::Admitted, Told::Admitted));
}

#[tokio::test]
async fn erasing_leaves_nothing_of_an_account_and_nothing_waits_any_more() {
    let bench = Bench::start().await;
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    for member in [&ada, &ben] {
        assert!(
            member.open(if std::ptr::eq(member, &ada) { 1 } else { 2 }).await
                == MailboxResponse::Opened
        );
    }
    let sender = Sealed::connect(&bench.tcp()).await;
    assert!(sender.deposit(1, b"for ada").await.is_ok());
    assert!(sender.deposit(2, b"for ben").await.is_ok());

    assert_eq!(ada.client.register(RegisterRequest::Erase).await, RegisterResponse::Erased);
    ada.client.closed().await;
    assert_eq!(sender.deposit(1, b"more").await, Err(DepositRefusal::Denied));
    assert_eq!(Sealed::connect(&bench.tcp()).await.attach(1).await, [None]);
    assert_eq!(sender.waiting(2).await, 1, "the others keep theirs");

    // Asked again, as by somebody who did not get the answer; and after a restart.
    ada.client.dial(&bench.tcp()).await.unwrap();
    assert_eq!(ada.standing().await, Told::Unknown);
    assert_eq!(ada.client.register(RegisterRequest::Erase).await, RegisterResponse::Erased);
    let bench = bench.restart().await;
    let ada = Member::connect(1, &bench.tcp()).await;
    assert_eq!(ada.standing().await, Told::Unknown);
    let renewal = RegisterRequest::Renew { credential: String::new() };
    let refusal = RegisterResponse::Refused(RegisterRefusal::NotRenewable);
    assert_eq!(ada.client.register(renewal).await, refusal);
    assert_eq!(Sealed::connect(&bench.tcp()).await.waiting(2).await, 1);
}

#[tokio::test]
async fn who_renews_no_more_is_forgotten_with_their_queues_and_a_suspension_is_not() {
    let bench = Bench::with(|config| config.admin = Some(([127, 0, 0, 1], 0).into())).await;
    let (ada, ben, eve) = (bench.member(1).await, bench.member(2).await, bench.member(3).await);
    assert!(ada.open(1).await == MailboxResponse::Opened);
    crate::admin::told(&bench, &["suspend", &ben.account()]).await;
    // Eve's address is Cleo's from now on.
    let cleo = Member::connect(4, &bench.tcp()).await;
    assert!(matches!(prove(&cleo, 3).await, RegisterResponse::Admitted { .. }));

    let there = async |bench: &Bench| {
        let told = crate::admin::told(bench, &["accounts"]).await;
        [&ada, &ben, &eve, &cleo].map(|member| told.contains(&member.account()))
    };
    bench.pass(30 * DAY);
    let bench = bench.restart().await;
    let until = async |bench: &Bench, expected: [bool; 4]| while there(bench).await != expected {};
    soon("one to be forgotten", until(&bench, [true, true, false, true])).await;
    bench.pass(60 * DAY);
    let bench = bench.restart().await;
    soon("two to be forgotten", until(&bench, [false, true, false, false])).await;
    assert_eq!(Sealed::connect(&bench.tcp()).await.attach(1).await, [None], "her queue is closed");
}
