//! A relay to test against, and people who use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bootstrap::registration::Drivers;
use bootstrap::{Clock, Config, Relay, RelayHandle};
use crypto::identity::{Identity, Seed, SigningKey};
use crypto::secret::Secret;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use protocol::ids::{QueueId, RelayId};
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{
    CustodyReceipt, Deposit, DepositRefusal, MailboxRequest, MailboxResponse, OwnerClaim,
    QueueKind, QueueSpec,
};
use protocol::registration::proof as registration;
use protocol::registration::wire::{
    Challenged, IdentifierKind, RegisterRefusal, RegisterRequest, RegisterResponse, Told,
};
use protocol::time::Timestamp;
use tempfile::TempDir;

use crate::client::Client;

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) config: Config,
    pub(crate) relay: RelayHandle,
    /// Milliseconds that the relay's clock is ahead.
    ahead: Arc<AtomicU64>,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::development(dir.path());
        change(&mut config);
        let ahead = Arc::new(AtomicU64::new(0));
        let relay = start(&config, &ahead).await;
        Self { dir, config, relay, ahead }
    }

    /// Ends the relay and starts another one with the same data.
    pub(crate) async fn restart(self) -> Self {
        self.stopped(|_| {}).await
    }

    /// The same, with something done while none runs.
    pub(crate) async fn stopped(self, meanwhile: impl FnOnce(&mut Config)) -> Self {
        let Self { dir, mut config, relay, ahead } = self;
        relay.shutdown().await.unwrap();
        meanwhile(&mut config);
        let relay = start(&config, &ahead).await;
        Self { dir, config, relay, ahead }
    }

    /// Lets time pass for the relay.
    pub(crate) fn pass(&self, millis: u64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    pub(crate) fn tcp(&self) -> Multiaddr {
        self.address("tcp")
    }

    pub(crate) fn quic(&self) -> Multiaddr {
        self.address("quic-v1")
    }

    fn address(&self, transport: &str) -> Multiaddr {
        let has = |at: &&Multiaddr| at.to_string().contains(transport);
        self.relay.addresses.iter().find(has).unwrap().clone()
    }

    /// A registered person, connected with their identity.
    pub(crate) async fn member(&self, byte: u8) -> Member {
        Member::registered(byte, &self.tcp()).await
    }
}

async fn start(config: &Config, ahead: &Arc<AtomicU64>) -> RelayHandle {
    let (system, ahead) = (Clock::system(), Arc::clone(ahead));
    let clock = Clock::new(move || system.now().plus(ahead.load(Ordering::Relaxed)));
    let drivers = Arc::new(Drivers::of(config).unwrap());
    Relay::start_with(config.clone(), drivers, clock).await.unwrap()
}

/// Somebody with an account key.
pub(crate) struct Member {
    pub(crate) identity: Identity,
    pub(crate) client: Client,
    pub(crate) relay: RelayId,
    pub(crate) credential: String,
}

impl Member {
    pub(crate) async fn connect(byte: u8, relay: &Multiaddr) -> Self {
        let identity = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])));
        let mut seed = *identity.signing_seed().expose();
        let keypair = Keypair::ed25519_from_bytes(&mut seed).unwrap();
        let client = Client::connect(keypair, relay).await;
        let (_, relay) = bootstrap::peer::named_in(relay).unwrap();
        Self { identity, client, relay, credential: String::new() }
    }

    /// Connected and registered at a development relay.
    pub(crate) async fn registered(byte: u8, relay: &Multiaddr) -> Self {
        let mut member = Self::connect(byte, relay).await;
        let told = member.challenge(&format!("person{byte}@example.org")).await;
        let code = told.development_code.clone().unwrap();
        let answer = member.verify(&told, &code).await;
        let RegisterResponse::Admitted { credential, .. } = answer else { panic!("{answer:?}") };
        member.credential = credential;
        member
    }

    /// Asks how the relay stands to them; whether it answers, or has them wait.
    pub(crate) async fn standing_or_busy(&self) -> bool {
        match self.client.register(RegisterRequest::Standing).await {
            RegisterResponse::Standing(_) => true,
            RegisterResponse::Refused(RegisterRefusal::TooSoon { .. }) => false,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ask_challenge(&self, address: &str) -> RegisterResponse {
        let request =
            RegisterRequest::Challenge { kind: IdentifierKind::Email, identifier: address.into() };
        self.client.register(request).await
    }

    pub(crate) async fn challenge(&self, address: &str) -> Challenged {
        match self.ask_challenge(address).await {
            RegisterResponse::Challenged(told) => told,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn verify(&self, told: &Challenged, code: &str) -> RegisterResponse {
        let proof = registration::sign(&self.identity, &told.nonce, self.relay);
        let request =
            RegisterRequest::Verify { challenge: told.challenge, code: code.into(), proof };
        self.client.register(request).await
    }

    /// How the relay stands to them.
    pub(crate) async fn standing(&self) -> Told {
        match self.client.register(RegisterRequest::Standing).await {
            RegisterResponse::Standing(told) => told,
            other => panic!("{other:?}"),
        }
    }

    /// Their account as an operator names it.
    pub(crate) fn account(&self) -> String {
        bootstrap::peer::account_of(&self.client.peer).unwrap().to_string()
    }

    /// Opens the queue of this number.
    pub(crate) async fn open(&self, queue: u8) -> MailboxResponse {
        let request =
            MailboxRequest::Open { credential: self.credential.clone(), queue: spec(queue) };
        self.client.mailbox(request).await
    }
}

/// A throwaway connection with its nonce.
pub(crate) struct Sealed {
    pub(crate) client: Client,
    pub(crate) relay: RelayId,
    pub(crate) nonce: [u8; 32],
    pub(crate) relay_now: Timestamp,
}

impl Sealed {
    pub(crate) async fn connect(relay: &Multiaddr) -> Self {
        Self::try_connect(relay).await.unwrap()
    }

    /// The same with a relay that may not be there.
    pub(crate) async fn try_connect(relay: &Multiaddr) -> Result<Self, String> {
        let client = Client::try_connect(Keypair::generate_ed25519(), relay).await?;
        let (_, named) = bootstrap::peer::named_in(relay).unwrap();
        match client.try_mailbox(MailboxRequest::Hello).await? {
            MailboxResponse::Hello { nonce, now, process: vouched, .. } => {
                let (process, _) = bootstrap::peer::named_in(relay).unwrap();
                let process = bootstrap::peer::ed25519_of(&process).unwrap();
                assert!(proof::process_holds(&vouched, named, &process));
                Ok(Self { client, relay: named, nonce, relay_now: now })
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn binding(&self) -> Binding<'_> {
        Binding { relay: self.relay, nonce: &self.nonce }
    }

    pub(crate) fn made(&self, queue: u8, body: &[u8]) -> Deposit {
        proof::deposit(&deposit_key(queue), spec(queue).send, body.to_vec(), 0, self.binding())
    }

    pub(crate) async fn send(
        &self,
        deposits: Vec<Deposit>,
    ) -> Vec<Result<CustodyReceipt, DepositRefusal>> {
        match self.client.mailbox(MailboxRequest::Deposit { deposits }).await {
            MailboxResponse::Deposited { results } => results,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn deposit(
        &self,
        queue: u8,
        body: &[u8],
    ) -> Result<CustodyReceipt, DepositRefusal> {
        self.send(vec![self.made(queue, body)]).await.remove(0)
    }

    pub(crate) fn claim(&self, queue: u8) -> OwnerClaim {
        proof::claim(&owner_key(queue), spec(queue).receive, self.binding())
    }

    pub(crate) async fn attach(&self, queue: u8) -> Vec<Option<u32>> {
        let claims = vec![self.claim(queue)];
        match self.client.mailbox(MailboxRequest::Attach { claims }).await {
            MailboxResponse::Attached { waiting } => waiting,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn waiting(&self, queue: u8) -> u32 {
        match self.client.mailbox(MailboxRequest::State { claim: self.claim(queue) }).await {
            MailboxResponse::State { items, .. } => items,
            other => panic!("{other:?}"),
        }
    }
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::from_bytes([byte; 32]))
}

pub(crate) fn owner_key(queue: u8) -> SigningKey {
    key(queue)
}

pub(crate) fn deposit_key(queue: u8) -> SigningKey {
    key(queue + 100)
}

pub(crate) fn spec(queue: u8) -> QueueSpec {
    QueueSpec {
        receive: QueueId([queue; 16]),
        send: QueueId([queue + 100; 16]),
        owner_key: *owner_key(queue).verifying_key().as_bytes(),
        deposit_key: *deposit_key(queue).verifying_key().as_bytes(),
        kind: QueueKind::Contact,
    }
}
