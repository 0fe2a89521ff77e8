#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::Config;
use crate::current::Current;
use crate::identity::RelayIdentity;
use crate::mailbox::memory::MemoryStore;
use crate::mailbox::subscribers::Ticket;
use crypto::identity::SigningKey;
use crypto::secret::Secret;
use libp2p::identity::Keypair;
use protocol::ids::AccountId;
use protocol::mailbox::wire::{Item, QueueKind};
use protocol::registration::account::admit;
use protocol::registration::{Account, IdentifierHash, Known, Standing};
use protocol::time::DAY;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Bench {
    service: Service<MemoryStore>,
    credentials: Credentials,
    owner: PeerId,
    account: AccountId,
    clock: Arc<AtomicU64>,
}

fn keys(byte: u8) -> (SigningKey, [u8; 32]) {
    let key = SigningKey::from_seed(&Secret::from_bytes([byte; 32]));
    let public = *key.verifying_key().as_bytes();
    (key, public)
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let identity = RelayIdentity::load_or_create(dir.path()).unwrap();
    let credentials = Credentials::new(identity.relay_id(), &Secret::from_bytes([5; 32]), 7 * DAY);
    let admission = Admission::default();
    let owner = Keypair::generate_ed25519().public().to_peer_id();
    let account = peer::account_of(&owner).unwrap();
    let admitted = admit(Known::default(), account, IdentifierHash([0; 32]), NOW).expect("served");
    admission.apply(&admitted.account, 7 * DAY);
    let clock = Arc::new(AtomicU64::new(NOW.0));
    let read = Arc::clone(&clock);
    let parts = Parts {
        key: identity.signing_key(),
        process: [6; 32],
        credentials: credentials.clone(),
        admission,
        current: Current::of(Config::development("unused")).1,
        metrics: Arc::default(),
        clock: Clock::new(move || Timestamp(read.load(Ordering::Relaxed))),
    };
    let service = Service::new(MemoryStore::default(), parts);
    Bench { service, credentials, owner, account, clock }
}

fn spec(byte: u8) -> QueueSpec {
    QueueSpec {
        receive: QueueId([byte; 16]),
        send: QueueId([byte + 100; 16]),
        owner_key: keys(byte).1,
        deposit_key: keys(byte + 100).1,
        kind: QueueKind::Contact,
    }
}

impl Bench {
    fn ask(&mut self, peer: PeerId, request: MailboxRequest) -> MailboxResponse {
        let (outputs, result) = self.many(vec![(peer, request)]);
        result.unwrap();
        replies(outputs).remove(0)
    }

    fn many(
        &mut self,
        requests: Vec<(PeerId, MailboxRequest)>,
    ) -> (Vec<Output<usize>>, Result<(), StoreError>) {
        let inputs: Vec<_> = requests
            .into_iter()
            .enumerate()
            .map(|(reply, (peer, request))| Input::Request {
                peer,
                request: Box::new(request),
                reply,
            })
            .collect();
        self.service.group(inputs)
    }

    fn open(&mut self, byte: u8) -> MailboxResponse {
        let (credential, _) = self.credentials.issue(self.account, NOW).unwrap();
        self.ask(self.owner, MailboxRequest::Open { credential, queue: spec(byte) })
    }

    fn deposit(&self, peer: &PeerId, byte: u8, body: &[u8]) -> MailboxRequest {
        let nonce = self.service.nonces.of(peer);
        let binding = Binding { relay: self.service.relay, nonce: &nonce };
        let made = proof::deposit(&keys(byte + 100).0, spec(byte).send, body.to_vec(), 0, binding);
        MailboxRequest::Deposit { deposits: vec![made] }
    }

    /// Deposits into the first queue, which takes it.
    fn custody(&mut self, peer: PeerId, body: &[u8]) -> CustodyReceipt {
        let deposit = self.deposit(&peer, 1, body);
        receipts(&self.ask(peer, deposit)).remove(0).unwrap()
    }

    fn claim(&self, peer: &PeerId, byte: u8) -> OwnerClaim {
        let nonce = self.service.nonces.of(peer);
        let binding = Binding { relay: self.service.relay, nonce: &nonce };
        proof::claim(&keys(byte).0, spec(byte).receive, binding)
    }
}

fn replies<R>(outputs: Vec<Output<R>>) -> Vec<MailboxResponse> {
    let reply = |output| match output {
        Output::Reply(_, response) => Some(response),
        _ => None,
    };
    outputs.into_iter().filter_map(reply).collect()
}

fn pushes<R>(outputs: &[Output<R>]) -> Vec<(PeerId, Ticket, Vec<Item>)> {
    let push = |output: &Output<R>| match output {
        Output::Push { peer, ticket, items } => Some((*peer, *ticket, items.clone())),
        _ => None,
    };
    outputs.iter().filter_map(push).collect()
}

fn receipts(response: &MailboxResponse) -> Vec<Result<CustodyReceipt, DepositRefusal>> {
    match response {
        MailboxResponse::Deposited { results } => results.clone(),
        other => panic!("{other:?}"),
    }
}

/// Everything that a test puts into a queue.
fn allowed(receive: QueueId) -> Allowance {
    Allowance { receive, after: 0, items: 9, bytes: 999 }
}

#[test]
fn many_deposits_share_one_flush() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let before = bench.service.store.flushes;
    let requests: Vec<_> = (0..50u8)
        .map(|n| {
            let peer = PeerId::random();
            (peer, bench.deposit(&peer, 1, &[n; 20]))
        })
        .collect();
    let (outputs, result) = bench.many(requests);
    result.unwrap();
    let answers = replies(outputs);
    assert_eq!(answers.len(), 50);
    assert!(answers.iter().all(|answer| receipts(answer)[0].is_ok()));
    assert_eq!(bench.service.store.flushes, before + 1);
}

#[test]
fn a_failed_flush_confirms_nothing() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    bench.service.store.broken = Some(StoreError::Full { path: "here".into() });
    let peer = PeerId::random();
    let deposit = bench.deposit(&peer, 1, b"frame");
    let (outputs, result) = bench.many(vec![(peer, deposit.clone())]);
    assert!(matches!(result, Err(StoreError::Full { .. })));
    assert!(replies(outputs) == [unavailable()]);
    // The repetition is known to the store, but was never flushed: no receipt either.
    let (outputs, result) = bench.many(vec![(peer, deposit)]);
    assert!(result.is_err());
    assert!(replies(outputs) == [unavailable()]);
}

#[test]
fn unknown_queues_and_wrong_proofs_get_one_answer() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let (ada, eve) = (PeerId::random(), PeerId::random());
    let for_ada = bench.deposit(&ada, 1, b"frame");
    let replayed = bench.ask(eve, for_ada);
    let unknown = bench.deposit(&eve, 2, b"frame");
    let unknown = bench.ask(eve, unknown);
    assert!(replayed == unknown);
    assert_eq!(receipts(&unknown), [Err(DepositRefusal::Denied)]);

    let foreign = bench.claim(&ada, 1);
    let missing = bench.claim(&eve, 2);
    for claim in [foreign, missing] {
        let state = bench.ask(eve, MailboxRequest::State { claim: claim.clone() });
        assert!(state == refused(MailboxRefusal::Denied));
        let close = bench.ask(eve, MailboxRequest::Close { claim: claim.clone() });
        assert!(close == refused(MailboxRefusal::Denied));
        let attached = bench.ask(eve, MailboxRequest::Attach { claims: vec![claim] });
        assert!(attached == MailboxResponse::Attached { waiting: vec![None] });
    }
    let receive = spec(1).receive;
    let fetched = bench.ask(eve, MailboxRequest::Fetch { receive, after: 0, max: 9 });
    assert!(fetched == refused(MailboxRefusal::Denied));
}

#[test]
fn only_an_admitted_key_with_its_own_credential_opens() {
    let mut bench = bench();
    let (credential, _) = bench.credentials.issue(bench.account, NOW).unwrap();
    let eve = Keypair::generate_ed25519().public().to_peer_id();
    let stolen = MailboxRequest::Open { credential, queue: spec(1) };
    assert!(bench.ask(eve, stolen.clone()) == refused(MailboxRefusal::NotAdmitted));
    // A genuine credential of an account that the relay does not know (any more).
    let (own, _) = bench.credentials.issue(peer::account_of(&eve).unwrap(), NOW).unwrap();
    let unknown = MailboxRequest::Open { credential: own, queue: spec(1) };
    assert!(bench.ask(eve, unknown) == refused(MailboxRefusal::NotAdmitted));
    assert!(bench.ask(bench.owner, stolen.clone()) == MailboxResponse::Opened);
    bench.clock.store(NOW.plus(8 * DAY).0, Ordering::Relaxed);
    assert!(bench.ask(bench.owner, stolen) == refused(MailboxRefusal::NotAdmitted));
}

#[test]
fn bounds_of_a_request_are_checked_before_its_proofs() {
    let mut bench = bench();
    let peer = PeerId::random();
    let one = bench.deposit(&peer, 1, b"frame");
    let MailboxRequest::Deposit { deposits } = one else { panic!("a deposit") };
    let many = vec![deposits[0].clone(); MAX_ITEMS + 1];
    let claims = vec![bench.claim(&peer, 1); MAX_ATTACH + 1];
    let items = vec![(QueueId([1; 16]), 1); MAX_ITEMS + 1];
    for request in [
        MailboxRequest::Deposit { deposits: many },
        MailboxRequest::Attach { claims },
        MailboxRequest::Acknowledge { items },
        MailboxRequest::Push { items: Vec::new() },
    ] {
        assert!(bench.ask(peer, request) == refused(MailboxRefusal::Malformed));
    }
}

#[test]
fn what_is_pushed_is_deleted_when_it_is_acknowledged_and_not_before() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let (ada, ben) = (PeerId::random(), PeerId::random());
    let deposit = bench.deposit(&ada, 1, b"frame");
    bench.ask(ada, deposit);
    let claims = vec![bench.claim(&ben, 1)];
    let (outputs, result) = bench.many(vec![(ben, MailboxRequest::Attach { claims })]);
    result.unwrap();
    let pushed = pushes(&outputs);
    let [(to, ticket, items)] = pushed.as_slice() else { panic!("one push") };
    assert_eq!((*to, items.len()), (ben, 1));
    let receive = spec(1).receive;
    assert_eq!(bench.service.store.items(allowed(receive)).unwrap().len(), 1);

    let acknowledged = vec![(receive, items[0].seq)];
    let pushed = Input::<()>::Pushed { peer: ben, ticket: *ticket, acknowledged };
    let (outputs, result) = bench.service.group([pushed]);
    result.unwrap();
    assert!(outputs.is_empty());
    assert_eq!(bench.service.store.items(allowed(receive)).unwrap().len(), 0);
    assert_eq!(bench.service.store.usage(bench.account).unwrap().items, 0);
}

#[test]
fn what_expires_is_neither_pushed_nor_kept() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let (ada, ben) = (PeerId::random(), PeerId::random());
    let deposit = bench.deposit(&ada, 1, b"frame");
    bench.ask(ada, deposit);
    bench.clock.store(NOW.plus(14 * DAY).0, Ordering::Relaxed);
    let claims = vec![bench.claim(&ben, 1)];
    let (outputs, result) = bench.many(vec![(ben, MailboxRequest::Attach { claims })]);
    result.unwrap();
    assert!(!outputs.iter().any(|output| matches!(output, Output::Push { .. })));
    let (_, result) = bench.service.group([Input::<()>::Tick]);
    result.unwrap();
    assert_eq!(bench.service.store.items(allowed(spec(1).receive)).unwrap().len(), 0);
}

#[test]
fn what_is_live_is_reached_behind_more_than_a_batch_of_what_is_over() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let (ada, ben) = (PeerId::random(), PeerId::random());
    for n in 0..=MAX_ITEMS {
        let deposit = bench.deposit(&ada, 1, &n.to_be_bytes());
        assert!(receipts(&bench.ask(ada, deposit))[0].is_ok());
    }
    bench.clock.store(NOW.plus(DAY).0, Ordering::Relaxed);
    let deposit = bench.deposit(&ada, 1, b"a day later");
    bench.ask(ada, deposit);

    bench.clock.store(NOW.plus(14 * DAY).0, Ordering::Relaxed);
    let claims = vec![bench.claim(&ben, 1)];
    let (outputs, result) = bench.many(vec![(ben, MailboxRequest::Attach { claims })]);
    result.unwrap();
    let bodies =
        |items: &[Item]| -> Vec<_> { items.iter().map(|item| item.body.to_vec()).collect() };
    let pushed = pushes(&outputs);
    let [(_, _, items)] = pushed.as_slice() else { panic!("one push, not {}", pushed.len()) };
    assert_eq!(bodies(items), [b"a day later"]);
    let receive = spec(1).receive;
    let fetched = bench.ask(ben, MailboxRequest::Fetch { receive, after: 0, max: 9 });
    let MailboxResponse::Items { items } = fetched else { panic!("{fetched:?}") };
    assert_eq!(bodies(&items), [b"a day later"]);
}

#[test]
fn a_queue_that_is_never_acknowledged_holds_up_no_other() {
    let mut bench = bench();
    let (ada, ben) = (PeerId::random(), PeerId::random());
    for queue in [1, 2] {
        assert!(bench.open(queue) == MailboxResponse::Opened);
    }
    for n in 0..MAX_ITEMS {
        let deposit = bench.deposit(&ada, 1, &n.to_be_bytes());
        bench.ask(ada, deposit);
    }
    let deposit = bench.deposit(&ada, 2, b"opens");
    bench.ask(ada, deposit);
    let claims = vec![bench.claim(&ben, 1), bench.claim(&ben, 2)];
    let (outputs, result) = bench.many(vec![(ben, MailboxRequest::Attach { claims })]);
    result.unwrap();
    let pushed = pushes(&outputs);
    let [(_, ticket, items)] = pushed.as_slice() else { panic!("one push, not {}", pushed.len()) };
    assert_eq!(items.len(), MAX_ITEMS, "all the credit");

    let none = Input::<()>::Pushed { peer: ben, ticket: *ticket, acknowledged: Vec::new() };
    let (outputs, result) = bench.service.group([none]);
    result.unwrap();
    let pushed = pushes(&outputs);
    let [(_, _, items)] = pushed.as_slice() else { panic!("one push, not {}", pushed.len()) };
    assert_eq!(items[0].body.as_slice(), b"opens");
}

#[test]
fn a_deposit_that_is_over_is_taken_anew_before_and_after_the_sweep() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let ada = PeerId::random();
    let first = bench.custody(ada, b"frame");
    assert!(bench.custody(ada, b"frame") == first);
    bench.clock.store(first.until.0, Ordering::Relaxed);
    let second = bench.custody(ada, b"frame");
    assert_eq!((second.at, second.until), (first.until, first.until.plus(14 * DAY)));
    assert!(bench.custody(ada, b"frame") == second);
    let receive = spec(1).receive;
    let held = bench.service.store.items(allowed(receive)).unwrap();
    assert_eq!(held.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2]);
    assert_eq!(bench.service.store.usage(bench.account).unwrap().items, 1);

    bench.clock.store(second.until.0, Ordering::Relaxed);
    bench.service.group([Input::<()>::Tick]).1.unwrap();
    let third = bench.custody(ada, b"frame");
    assert_eq!(third.at, second.until);
    bench.service.delete(&[(receive, 3)]).unwrap();
    bench.clock.store(third.until.0, Ordering::Relaxed);
    assert!(bench.custody(ada, b"frame") == third, "what was acknowledged is not taken again");
}

#[test]
fn erasing_an_account_is_told_when_it_is_durable_and_unpins_who_was_attached() {
    let mut bench = bench();
    for queue in [1, 2] {
        assert!(bench.open(queue) == MailboxResponse::Opened);
    }
    let (ada, ben) = (PeerId::random(), PeerId::random());
    bench.custody(ada, b"frame");
    let claims = vec![bench.claim(&ben, 1)];
    bench.ask(ben, MailboxRequest::Attach { claims });
    let erase = |bench: &mut Bench| {
        let (done, mut told) = tokio::sync::oneshot::channel();
        let (outputs, result) = bench.service.group([Input::<()>::Erase(bench.account, done)]);
        // One account after the other: the one that failed comes first.
        let (_, again) = bench.service.group(std::iter::empty::<Input<()>>());
        (outputs, result.and(again), told.try_recv().is_ok())
    };
    bench.service.store.broken = Some(StoreError::Full { path: "here".into() });
    let (_, result, told) = erase(&mut bench);
    assert!(result.is_err() && !told, "not before it is durable");

    bench.service.store.broken = None;
    let (_, result, told) = erase(&mut bench);
    assert!(result.is_ok() && told);
    assert_eq!(
        bench.service.store.usage(bench.account).unwrap(),
        protocol::mailbox::Usage::default()
    );
    assert_eq!(bench.service.store.queues_of(bench.account, 9).unwrap(), []);
    assert!(!bench.service.subscribers.is_attached(&ben, spec(1).receive));
}

#[test]
fn a_suspended_account_is_sent_nothing_and_keeps_what_waits() {
    let mut bench = bench();
    assert!(bench.open(1) == MailboxResponse::Opened);
    let ada = PeerId::random();
    bench.custody(ada, b"before");
    let standing = Standing::Suspended;
    let (identifier, created, renewed) = (IdentifierHash([0; 32]), NOW, NOW);
    let account = Account { account: bench.account, identifier, created, renewed, standing };
    bench.service.parts.admission.apply(&account, 7 * DAY);
    let deposit = bench.deposit(&ada, 1, b"after");
    assert_eq!(receipts(&bench.ask(ada, deposit)), [Err(DepositRefusal::Full)]);
    assert_eq!(bench.service.store.items(allowed(spec(1).receive)).unwrap().len(), 1);
}
