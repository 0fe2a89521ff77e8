use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::Config;
use crate::admission::Admission;
use crate::blobs::BlobStore;
use crate::blobs::store::Opening;
use crate::registration::ConsoleDriver;
use crate::registration::accounts::store::{AccountStore, Decision};
use crate::registration::counts::LocalCounts;
use crate::swarm::Order;
use crypto::identity::{Identity, Seed};
use crypto::secret::Secret;
use libp2p::identity::Keypair;
use protocol::blob::{Blob, BlobId, BlobRefusal};
use protocol::ids::RelayId;
use protocol::registration::wire::Told;
use protocol::registration::{IdentifierHash, Keys, Known, Policy, proof};
use protocol::time::DAY;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const RELAY: RelayId = RelayId([3; 32]);

/// One account, and how often it was looked at.
#[derive(Debug, Default)]
struct OneAccount(Mutex<Option<Account>>, AtomicUsize);

impl OneAccount {
    fn look(&self) -> Option<Account> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.lock().expect("a lock").clone()
    }
}

impl AccountStore for OneAccount {
    fn account(&self, _: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.look())
    }

    fn holder(&self, _: IdentifierHash) -> Result<Option<Account>, StoreError> {
        Ok(self.look())
    }

    fn page(&self, _: Option<AccountId>, _: usize) -> Result<Vec<Account>, StoreError> {
        Ok(self.look().into_iter().collect())
    }

    fn decide(
        &self,
        _: AccountId,
        _: Option<IdentifierHash>,
        decision: Decision<'_>,
    ) -> Result<(), StoreError> {
        let kept = decision(Known { own: self.look(), holder: None });
        *self.0.lock().expect("a lock") = kept.into_iter().next().or_else(|| self.look());
        Ok(())
    }

    fn erase(&self, _: AccountId, suspended_too: bool) -> Result<bool, StoreError> {
        let mut account = self.0.lock().expect("a lock");
        let goes = |known: &mut Account| known.standing != Standing::Suspended || suspended_too;
        Ok(account.take_if(goes).is_some())
    }
}

/// Nobody has files.
#[derive(Debug)]
struct NoBlobs;

impl BlobStore for NoBlobs {
    fn get(&self, _: BlobId) -> Result<Option<Blob>, StoreError> {
        Ok(None)
    }

    fn open(
        &self,
        _: BlobId,
        _: AccountId,
        _: Opening<'_>,
    ) -> Result<Result<Blob, BlobRefusal>, StoreError> {
        Ok(Err(BlobRefusal::NotOffered))
    }

    fn keep(&self, _: BlobId, _: u32, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn lose(&self, _: BlobId, _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    fn over(&self, _: Timestamp, _: Option<BlobId>, _: usize) -> Result<Vec<BlobId>, StoreError> {
        Ok(Vec::new())
    }

    fn settle(&self, _: BlobId, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn forget(&self, _: BlobId) -> Result<(), StoreError> {
        Ok(())
    }

    fn end(&self, _: BlobId, _: AccountId) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn end_all(&self, _: AccountId) -> Result<(), StoreError> {
        Ok(())
    }
}

async fn service(store: Arc<OneAccount>) -> (Service, mpsc::Receiver<Order>) {
    let keys = Keys { otp: [1; 32], pepper: [2; 32] };
    let (orders, given) = mpsc::channel(8);
    let accounts =
        Accounts::open((store, Arc::new(NoBlobs)), Admission::default(), 7 * DAY, orders)
            .await
            .expect("open");
    let service = Service {
        name: "test".into(),
        development: true,
        kinds: vec![IdentifierKind::Email],
        reached: crate::processes::alone(),
        registrar: Registrar::new(Policy::default(), keys, RELAY),
        current: Current::of(Config::development("unused")).1,
        counts: Arc::new(LocalCounts::new(100)),
        credentials: Credentials::new(RELAY, &Secret::from_bytes([4; 32]), 7 * DAY),
        accounts,
        dead_letters: DeadLetters::default(),
        metrics: Arc::default(),
        driver: Arc::new(ConsoleDriver),
        clock: Clock::new(|| NOW),
    };
    (service, given)
}

fn ada() -> (Identity, PeerId) {
    let identity = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([7; 32])));
    let mut seed = *identity.signing_seed().expose();
    let keypair = Keypair::ed25519_from_bytes(&mut seed).expect("a seed");
    (identity, keypair.public().to_peer_id())
}

async fn ask(service: &mut Service, peer: &PeerId, request: RegisterRequest) -> Step {
    service.step(peer, request, true).await.expect("a store that works")
}

/// Challenge and right answer.
async fn register(
    service: &mut Service,
    identity: &Identity,
    peer: &PeerId,
    at: &str,
) -> RegisterResponse {
    let request = RegisterRequest::Challenge { kind: IdentifierKind::Email, identifier: at.into() };
    let Step::Send(told, dispatch) = ask(service, peer, request).await else { panic!("a code") };
    let proof = proof::sign(identity, &told.nonce, RELAY);
    let code = dispatch.code.digits().to_owned();
    let verify = RegisterRequest::Verify { challenge: told.challenge, code, proof };
    answer(ask(service, peer, verify).await)
}

fn answer(step: Step) -> RegisterResponse {
    match step {
        Step::Done(response) => response,
        Step::Send(..) | Step::Erase(_) => panic!("an answer"),
    }
}

#[tokio::test]
async fn a_suspension_disconnects_and_neither_renewing_nor_registering_again_ends_it() {
    let (identity, peer) = ada();
    let (mut service, mut orders) = service(Arc::default()).await;
    let admitted = register(&mut service, &identity, &peer, "ada@example.org").await;
    let RegisterResponse::Admitted { credential, .. } = admitted else { panic!("{admitted:?}") };
    let told =
        async |service: &mut Service| answer(ask(service, &peer, RegisterRequest::Standing).await);
    assert_eq!(told(&mut service).await, RegisterResponse::Standing(Told::Admitted));
    assert!(orders.try_recv().is_err(), "nobody is disconnected for nothing");

    let account = peer::account_of(&peer).expect("an Ed25519 peer");
    let accounts = service.accounts.clone();
    accounts.suspend(account, true).await.expect("suspended");
    let order = orders.try_recv().expect("an order");
    assert!(matches!(order, Order::Disconnect(who) if who == peer));
    assert_eq!(told(&mut service).await, RegisterResponse::Standing(Told::Suspended));
    let suspended = refused(RegisterRefusal::Suspended);
    let renew = RegisterRequest::Renew { credential };
    assert_eq!(answer(ask(&mut service, &peer, renew.clone()).await), suspended);
    assert_eq!(register(&mut service, &identity, &peer, "ada@example.com").await, suspended);
    assert!(!accounts.admission().is_admitted(&peer, NOW));

    // Nor does erasing: only her queues go.
    let queues = async {
        let Some(Order::Erase(who, done)) = orders.recv().await else { panic!("an erasure") };
        assert_eq!((who, done.send(())), (account, Ok(())));
    };
    let (erased, ()) = tokio::join!(accounts.erase(account, false), queues);
    assert_eq!(erased.expect("erased"), Erased::Suspended);
    assert_eq!(told(&mut service).await, RegisterResponse::Standing(Told::Suspended));

    accounts.suspend(account, false).await.expect("restored");
    assert!(matches!(
        answer(ask(&mut service, &peer, renew).await),
        RegisterResponse::Admitted { .. }
    ));
}

/// Neither an answer nor the time that it takes can depend on what is not looked at.
#[tokio::test]
async fn no_answer_to_somebody_who_asks_for_a_code_waits_for_a_look_at_the_accounts() {
    let (identity, peer) = ada();
    let accounts = Arc::new(OneAccount::default());
    let (mut service, _orders) = service(Arc::clone(&accounts)).await;
    register(&mut service, &identity, &peer, "ada@example.org").await;
    let looked = accounts.1.load(Ordering::Relaxed);
    assert!(looked > 0, "registering looks");
    let stranger = Keypair::generate_ed25519().public().to_peer_id();
    for identifier in ["ada@example.org", "nobody@example.org", "no address"] {
        let kind = IdentifierKind::Email;
        let request = RegisterRequest::Challenge { kind, identifier: identifier.into() };
        let step = ask(&mut service, &stranger, request).await;
        let challenge = match step {
            Step::Send(told, _) => told.challenge,
            Step::Done(_) | Step::Erase(_) => protocol::ids::ChallengeId([9; 16]),
        };
        ask(&mut service, &stranger, RegisterRequest::Resend { challenge }).await;
        let proof = proof::sign(&identity, &[1; 32], RELAY);
        let verify = RegisterRequest::Verify { challenge, code: "000000".into(), proof };
        ask(&mut service, &stranger, verify).await;
    }
    ask(&mut service, &stranger, RegisterRequest::Info).await;
    ask(&mut service, &stranger, RegisterRequest::Standing).await;
    assert_eq!(accounts.1.load(Ordering::Relaxed), looked);
}
