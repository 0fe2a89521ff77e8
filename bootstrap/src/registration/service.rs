//! The task that answers `/kith/register/1`.

use std::sync::Arc;

use libp2p::PeerId;
use protocol::Cx;
use protocol::ids::{AccountId, ChallengeId};
use protocol::mailbox::wire::MAX_CREDENTIAL;
use protocol::registration::wire::{
    Challenged, IdentifierKind, RegisterRefusal, RegisterRequest, RegisterResponse, SentVia,
};
use protocol::registration::{Account, Dispatch, Identifier, Registrar, Standing};
use protocol::time::Timestamp;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::accounts::AccountStore;
use super::credential::Credentials;
use super::driver::Driver;
use super::sending::{self, DeadLetters};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::peer;

/// Most codes on their way at once; beyond it people are told to wait.
const MAX_SENDING: usize = 64;
/// What they are told to wait, milliseconds.
const SENDING_RETRY_MS: u32 = 2_000;

/// A request with the way back for its answer.
#[derive(Debug)]
pub(crate) struct Asked<R> {
    pub(crate) peer: PeerId,
    pub(crate) request: RegisterRequest,
    pub(crate) reply: R,
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answer<R>(pub(crate) R, pub(crate) RegisterResponse);

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) development: bool,
    pub(crate) kinds: Vec<IdentifierKind>,
    /// Milliseconds.
    pub(crate) credential_lifetime: u64,
    pub(crate) registrar: Registrar,
    pub(crate) credentials: Credentials,
    pub(crate) accounts: Arc<dyn AccountStore>,
    pub(crate) admission: Admission,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) clock: Clock,
}

/// What one request comes to.
enum Step {
    Done(RegisterResponse),
    /// The answer waits for the driver.
    Send(Challenged, Dispatch),
}

impl Service {
    /// Works until `inbox` closes, then waits for codes that are on their way.
    ///
    /// # Errors
    /// The account store's first failure. Whoever waited was told `Unavailable`.
    pub(crate) async fn run<R: Send + 'static>(
        mut self,
        mut inbox: mpsc::Receiver<Asked<R>>,
        outbox: mpsc::Sender<Answer<R>>,
    ) -> Result<(), StoreError> {
        let (failed, mut failures) = mpsc::channel::<ChallengeId>(MAX_SENDING);
        let permits = Arc::new(Semaphore::new(MAX_SENDING));
        let under_way = TaskTracker::new();
        loop {
            let Asked { peer, request, reply } = tokio::select! {
                biased;
                Some(challenge) = failures.recv() => {
                    self.registrar.undeliverable(challenge);
                    continue;
                }
                asked = inbox.recv() => match asked {
                    Some(asked) => asked,
                    None => break,
                },
            };
            // Taken before the machine counts anything.
            let permit = Arc::clone(&permits).try_acquire_owned();
            let (answer, failure) = match self.step(&peer, request, permit.is_ok()).await {
                Ok(Step::Done(response)) => (response, None),
                Ok(Step::Send(told, dispatch)) => {
                    let (driver, letters) = (Arc::clone(&self.driver), self.dead_letters.clone());
                    let (failed, outbox, now) = (failed.clone(), outbox.clone(), self.clock.now());
                    under_way.spawn(async move {
                        let via = told.sent_via;
                        let left = sending::send(&*driver, &dispatch, via, &letters, now).await;
                        let response = if left {
                            RegisterResponse::Challenged(told)
                        } else {
                            // Closed only when the service is gone, and the challenge with it.
                            let _ = failed.send(dispatch.challenge).await;
                            refused(RegisterRefusal::SendFailed)
                        };
                        // The network task is gone only when the relay stops.
                        let _ = outbox.send(Answer(reply, response)).await;
                        drop(permit);
                    });
                    continue;
                }
                Err(error) => (refused(RegisterRefusal::Unavailable), Some(error)),
            };
            let _ = outbox.send(Answer(reply, answer)).await;
            if let Some(error) = failure {
                return Err(error);
            }
        }
        under_way.close();
        under_way.wait().await;
        Ok(())
    }

    async fn step(
        &mut self,
        peer: &PeerId,
        request: RegisterRequest,
        may_send: bool,
    ) -> Result<Step, StoreError> {
        let now = self.clock.now();
        // The identity connection is authenticated by the account key itself.
        let Some(account) = peer::account_of(peer) else {
            return Ok(Step::Done(refused(RegisterRefusal::WrongProof)));
        };
        match request {
            RegisterRequest::Info => Ok(Step::Done(RegisterResponse::Info {
                name: self.name.clone(),
                development: self.development,
                kinds: self.kinds.clone(),
                now,
            })),
            RegisterRequest::Verify { challenge, code, proof } => {
                let verified = self.registrar.verify(account, challenge, &code, &proof, now);
                match verified {
                    Err(refusal) => Ok(Step::Done(refused(refusal))),
                    Ok(identifier) => self
                        .admit(account, move |known| {
                            Some(Account::admit(known, account, identifier, now))
                        })
                        .await
                        .map(Step::Done),
                }
            }
            RegisterRequest::Renew { credential } => {
                self.renew(account, &credential).await.map(Step::Done)
            }
            RegisterRequest::Challenge { .. } | RegisterRequest::Resend { .. } if !may_send => {
                let busy = RegisterRefusal::TooSoon { retry_ms: SENDING_RETRY_MS };
                Ok(Step::Done(refused(busy)))
            }
            RegisterRequest::Resend { challenge } => {
                let mut rng = rand::rng();
                let mut cx = Cx { now, rng: &mut rng };
                let again = self.registrar.resend(account, challenge, &mut cx);
                Ok(self.told(again))
            }
            RegisterRequest::Challenge { kind, identifier } => {
                Ok(self.challenge(account, kind, &identifier, now))
            }
        }
    }

    fn challenge(
        &mut self,
        account: AccountId,
        kind: IdentifierKind,
        identifier: &str,
        now: Timestamp,
    ) -> Step {
        let Some(via) = self.via(kind) else {
            return Step::Done(refused(RegisterRefusal::KindNotServed));
        };
        let Ok(identifier) = Identifier::parse(kind, identifier) else {
            return Step::Done(refused(RegisterRefusal::InvalidIdentifier));
        };
        let mut rng = rand::rng();
        let mut cx = Cx { now, rng: &mut rng };
        let challenge = self.registrar.challenge(account, identifier, via, &mut cx);
        self.told(challenge)
    }

    fn told(&self, challenge: Result<(Challenged, Dispatch), RegisterRefusal>) -> Step {
        match challenge {
            Err(refusal) => Step::Done(refused(refusal)),
            Ok((mut told, dispatch)) => {
                told.development_code = self.development.then(|| dispatch.code.digits().to_owned());
                Step::Send(told, dispatch)
            }
        }
    }

    fn via(&self, kind: IdentifierKind) -> Option<SentVia> {
        self.kinds.contains(&kind).then(|| self.driver.via(kind)).flatten()
    }

    async fn renew(
        &self,
        account: AccountId,
        credential: &str,
    ) -> Result<RegisterResponse, StoreError> {
        let now = self.clock.now();
        let holds =
            credential.len() <= MAX_CREDENTIAL && self.credentials.holds(credential, account, now);
        if !holds {
            return Ok(refused(RegisterRefusal::NotRenewable));
        }
        // Who may not renew stays as they are, so that what they are is applied.
        let renewed = move |known: Account| known.clone().renew(now).unwrap_or(known);
        self.admit(account, move |known| known.map(renewed)).await
    }

    /// Stores what `change` makes of the account, admits it or, when it is suspended, does so no
    /// more, and issues a credential.
    async fn admit(
        &self,
        account: AccountId,
        change: impl FnOnce(Option<Account>) -> Option<Account> + Send + 'static,
    ) -> Result<RegisterResponse, StoreError> {
        let accounts = Arc::clone(&self.accounts);
        let stored = tokio::task::spawn_blocking(move || {
            let changed = change(accounts.account(account)?);
            if let Some(changed) = &changed {
                accounts.put(changed)?;
            }
            Ok::<_, StoreError>(changed)
        });
        let stored = match stored.await {
            Ok(stored) => stored?,
            // The closure panicked: a bug, and nobody is admitted by a bug.
            Err(_) => None,
        };
        let Some(stored) = stored else {
            return Ok(refused(RegisterRefusal::NotRenewable));
        };
        self.admission.apply(&stored, self.credential_lifetime);
        if stored.standing != Standing::Good {
            return Ok(refused(RegisterRefusal::NotRenewable));
        }
        let (credential, expires_at) = match self.credentials.issue(account, self.clock.now()) {
            Ok(issued) => issued,
            Err(error) => {
                tracing::error!(%error, "no credential");
                return Ok(refused(RegisterRefusal::Unavailable));
            }
        };
        Ok(RegisterResponse::Admitted { credential, expires_at })
    }
}

fn refused(why: RegisterRefusal) -> RegisterResponse {
    RegisterResponse::Refused(why)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::registration::ConsoleDriver;
    use crypto::identity::{Identity, Seed};
    use crypto::secret::Secret;
    use libp2p::identity::Keypair;
    use protocol::ids::RelayId;
    use protocol::registration::{Keys, Policy, proof};
    use protocol::time::DAY;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const RELAY: RelayId = RelayId([3; 32]);

    /// One account, and how often it was looked at.
    #[derive(Debug, Default)]
    struct OneAccount(Mutex<Option<Account>>, AtomicUsize);

    impl AccountStore for OneAccount {
        fn account(&self, _: AccountId) -> Result<Option<Account>, StoreError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(self.0.lock().expect("a lock").clone())
        }

        fn put(&self, account: &Account) -> Result<(), StoreError> {
            *self.0.lock().expect("a lock") = Some(account.clone());
            Ok(())
        }

        fn for_each(&self, _: &mut dyn FnMut(Account)) -> Result<(), StoreError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    impl OneAccount {
        fn suspend(&self) {
            let mut account = self.0.lock().expect("a lock");
            account.as_mut().expect("registered").standing = Standing::Suspended;
        }
    }

    fn service(accounts: Arc<OneAccount>) -> Service {
        let keys = Keys { otp: [1; 32], pepper: [2; 32] };
        Service {
            name: "test".into(),
            development: true,
            kinds: vec![IdentifierKind::Email],
            credential_lifetime: 7 * DAY,
            registrar: Registrar::new(Policy::default(), keys, RELAY),
            credentials: Credentials::new(RELAY, &Secret::from_bytes([4; 32]), 7 * DAY),
            accounts,
            admission: Admission::default(),
            dead_letters: DeadLetters::default(),
            driver: Arc::new(ConsoleDriver),
            clock: Clock::new(|| NOW),
        }
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
        let request =
            RegisterRequest::Challenge { kind: IdentifierKind::Email, identifier: at.into() };
        let Step::Send(told, dispatch) = ask(service, peer, request).await else {
            panic!("a code")
        };
        let proof = proof::sign(identity, &told.nonce, RELAY);
        let code = dispatch.code.digits().to_owned();
        let verify = RegisterRequest::Verify { challenge: told.challenge, code, proof };
        answer(ask(service, peer, verify).await)
    }

    fn answer(step: Step) -> RegisterResponse {
        match step {
            Step::Done(response) => response,
            Step::Send(..) => panic!("an answer"),
        }
    }

    #[tokio::test]
    async fn a_suspension_ends_admission_when_somebody_renews_or_registers_again() {
        let (identity, peer) = ada();
        let not_renewable = refused(RegisterRefusal::NotRenewable);
        for renews in [true, false] {
            let accounts = Arc::new(OneAccount::default());
            let mut service = service(Arc::clone(&accounts));
            let admitted = register(&mut service, &identity, &peer, "ada@example.org").await;
            let RegisterResponse::Admitted { credential, .. } = admitted else {
                panic!("{admitted:?}")
            };
            assert!(service.admission.is_admitted(&peer, NOW));

            accounts.suspend();
            let answered = if renews {
                answer(ask(&mut service, &peer, RegisterRequest::Renew { credential }).await)
            } else {
                register(&mut service, &identity, &peer, "ada@example.com").await
            };
            assert_eq!(answered, not_renewable);
            assert!(!service.admission.is_admitted(&peer, NOW), "renews: {renews}");
        }
    }

    /// Neither an answer nor the time that it takes can depend on what is not looked at.
    #[tokio::test]
    async fn no_answer_to_somebody_who_asks_for_a_code_waits_for_a_look_at_the_accounts() {
        let (identity, peer) = ada();
        let accounts = Arc::new(OneAccount::default());
        let mut service = service(Arc::clone(&accounts));
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
                Step::Done(_) => protocol::ids::ChallengeId([9; 16]),
            };
            ask(&mut service, &stranger, RegisterRequest::Resend { challenge }).await;
            let proof = proof::sign(&identity, &[1; 32], RELAY);
            let verify = RegisterRequest::Verify { challenge, code: "000000".into(), proof };
            ask(&mut service, &stranger, verify).await;
        }
        ask(&mut service, &stranger, RegisterRequest::Info).await;
        assert_eq!(accounts.1.load(Ordering::Relaxed), looked);
    }
}
