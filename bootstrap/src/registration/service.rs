//! The task that answers `/kith/register/1`.

use std::sync::Arc;

use libp2p::PeerId;
use protocol::Cx;
use protocol::ids::{AccountId, ChallengeId};
use protocol::mailbox::wire::MAX_CREDENTIAL;
use protocol::registration::limits::{Charges, Counted, LimitName};
use protocol::registration::wire::{
    Challenged, IdentifierKind, RegisterRefusal, RegisterRequest, RegisterResponse, SentVia, Told,
};
use protocol::registration::{
    Account, Dispatch, Identifier, NotServed, Registrar, Standing, Verified,
};
use protocol::time::{MINUTE, Timestamp};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use super::accounts::{AccountError, Accounts, Erased};
use super::counts::CountStore;
use super::credential::Credentials;
use super::driver::Driver;
use super::sending::{self, DeadLetters};
use crate::clock::Clock;
use crate::current::Current;
use crate::error::StoreError;
use crate::metrics::{CodeEnd, Metrics};
use crate::peer;
use crate::processes::Reached;

/// Most codes on their way at once; beyond it people are told to wait.
const MAX_SENDING: usize = 64;
/// Most accounts that are being erased at once.
const MAX_ERASING: usize = 16;
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
pub(crate) struct Answer<R> {
    pub(crate) reply: R,
    pub(crate) response: RegisterResponse,
    /// To be disconnected when it has the answer.
    pub(crate) leaves: Option<PeerId>,
}

impl<R> Answer<R> {
    fn new(reply: R, response: RegisterResponse) -> Self {
        Self { reply, response, leaves: None }
    }
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) development: bool,
    pub(crate) kinds: Vec<IdentifierKind>,
    pub(crate) reached: Reached,
    pub(crate) registrar: Registrar,
    pub(crate) current: Current,
    pub(crate) counts: Arc<dyn CountStore>,
    pub(crate) credentials: Credentials,
    pub(crate) accounts: Accounts,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
}

/// What one request comes to.
enum Step {
    Done(RegisterResponse),
    /// The answer waits for the driver.
    Send(Challenged, Dispatch),
    /// The answer waits until this account's queues are gone.
    Erase(AccountId),
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
        let (failed, mut failures) = mpsc::channel::<(ChallengeId, Vec<Counted>)>(MAX_SENDING);
        let permits = Arc::new(Semaphore::new(MAX_SENDING));
        let erasures = Arc::new(Semaphore::new(MAX_ERASING));
        let under_way = TaskTracker::new();
        loop {
            let Asked { peer, request, reply } = tokio::select! {
                biased;
                Some((challenge, counted)) = failures.recv() => {
                    self.registrar.undeliverable(challenge);
                    self.count(counted, self.clock.now()).await?;
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
                    let metrics = Arc::clone(&self.metrics);
                    let (failed, outbox, now) = (failed.clone(), outbox.clone(), self.clock.now());
                    under_way.spawn(async move {
                        let via = told.sent_via;
                        let left = sending::send(&*driver, &dispatch, via, &letters, now).await;
                        let end = if left { CodeEnd::Sent } else { CodeEnd::Failed };
                        metrics.code(via, end);
                        let response = if left {
                            RegisterResponse::Challenged(told)
                        } else {
                            // Closed only when the service is gone, and the challenge with it.
                            let _ = failed.send((dispatch.challenge, dispatch.if_failed)).await;
                            refused(RegisterRefusal::SendFailed)
                        };
                        // The network task is gone only when the relay stops.
                        let _ = outbox.send(Answer::new(reply, response)).await;
                        drop(permit);
                    });
                    continue;
                }
                Ok(Step::Erase(account)) => {
                    let Ok(permit) = Arc::clone(&erasures).try_acquire_owned() else {
                        let busy = RegisterRefusal::TooSoon { retry_ms: SENDING_RETRY_MS };
                        let _ = outbox.send(Answer::new(reply, refused(busy))).await;
                        continue;
                    };
                    let (accounts, outbox) = (self.accounts.clone(), outbox.clone());
                    under_way.spawn(async move {
                        let response = erased(&accounts, account).await;
                        let leaves = Some(peer);
                        let _ = outbox.send(Answer { reply, response, leaves }).await;
                        drop(permit);
                    });
                    continue;
                }
                Err(error) => (refused(RegisterRefusal::Unavailable), Some(error)),
            };
            let _ = outbox.send(Answer::new(reply, answer)).await;
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
        if let Some(config) = self.current.news() {
            self.registrar.set_policy(config.registration.policy());
        }
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
                addresses: self.reached.borrow().to_vec(),
            })),
            RegisterRequest::Verify { challenge, code, proof } => {
                let verified = self.registrar.verify(account, challenge, &code, &proof, now);
                match verified {
                    Err(refusal) => Ok(Step::Done(refused(refusal))),
                    Ok(Verified::Again) => match self.accounts.admission().told(peer, now) {
                        Told::Admitted => Ok(Step::Done(self.credential(account))),
                        _ => Ok(Step::Done(refused(RegisterRefusal::NoChallenge))),
                    },
                    Ok(Verified::Right(right)) => {
                        self.metrics.code(right.via, CodeEnd::Verified);
                        self.count(right.counted, now).await?;
                        let admitted = self.accounts.admit(account, right.identifier, now).await;
                        self.answer(account, admitted.map(Some)).map(Step::Done)
                    }
                }
            }
            RegisterRequest::Renew { credential } => {
                self.renew(account, &credential).await.map(Step::Done)
            }
            RegisterRequest::Standing => {
                let told = self.accounts.admission().told(peer, now);
                Ok(Step::Done(RegisterResponse::Standing(told)))
            }
            RegisterRequest::Erase => Ok(Step::Erase(account)),
            RegisterRequest::Challenge { .. } | RegisterRequest::Resend { .. } if !may_send => {
                let busy = RegisterRefusal::TooSoon { retry_ms: SENDING_RETRY_MS };
                Ok(Step::Done(refused(busy)))
            }
            RegisterRequest::Resend { challenge } => {
                let charges = self.registrar.may_resend(account, challenge, now);
                if let Err(refusal) = self.charge(charges, now).await? {
                    return Ok(Step::Done(refused(refusal)));
                }
                let mut rng = rand::rng();
                let mut cx = Cx { now, rng: &mut rng };
                Ok(match self.registrar.resend(account, challenge, &mut cx) {
                    Ok(again) => self.told(again),
                    Err(refusal) => Step::Done(refused(refusal)),
                })
            }
            RegisterRequest::Challenge { kind, identifier } => {
                let asked = self.asked(account, kind, &identifier, now);
                let (via, identifier, charges) = match asked {
                    Ok(asked) => asked,
                    Err(refusal) => return Ok(Step::Done(refused(refusal))),
                };
                if let Err(refusal) = self.charge(Ok(charges), now).await? {
                    return Ok(Step::Done(refused(refusal)));
                }
                let mut rng = rand::rng();
                let mut cx = Cx { now, rng: &mut rng };
                let challenge = self.registrar.challenge(account, identifier, via, &mut cx);
                Ok(self.told(challenge))
            }
        }
    }

    /// Counts what a code costs, or says which limit it would be over.
    async fn charge(
        &self,
        charges: Result<Charges, RegisterRefusal>,
        now: Timestamp,
    ) -> Result<Result<(), RegisterRefusal>, StoreError> {
        let charges = match charges {
            Ok(charges) => charges,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let counts = Arc::clone(&self.counts);
        let judged = tokio::task::spawn_blocking(move || counts.charge(&charges, now)).await;
        let over = match judged {
            Ok(judged) => match judged? {
                Ok(()) => return Ok(Ok(())),
                Err(over) => over,
            },
            // It panicked: a bug, by which nobody gets a code.
            Err(_) => return Ok(Err(RegisterRefusal::Unavailable)),
        };
        self.metrics.limit(over.limit);
        if matches!(over.limit, LimitName::RangeUnanswered | LimitName::CountryUnanswered) {
            let (limit, minutes) = (over.limit.as_str(), over.retry / MINUTE);
            tracing::warn!(
                limit,
                minutes,
                "codes go there and too few come back: only a trickle is sent"
            );
        }
        Ok(Err(over.into()))
    }

    async fn count(&self, counted: Vec<Counted>, now: Timestamp) -> Result<(), StoreError> {
        let counts = Arc::clone(&self.counts);
        let added = tokio::task::spawn_blocking(move || counts.add(&counted, now)).await;
        // It panicked: a bug, that costs a count.
        added.unwrap_or(Ok(()))
    }

    fn asked(
        &mut self,
        account: AccountId,
        kind: IdentifierKind,
        identifier: &str,
        now: Timestamp,
    ) -> Result<(SentVia, Identifier, Charges), RegisterRefusal> {
        let via = self.via(kind).ok_or(RegisterRefusal::KindNotServed)?;
        let identifier =
            Identifier::parse(kind, identifier).map_err(|_| RegisterRefusal::InvalidIdentifier)?;
        let charges = self.registrar.may_challenge(account, &identifier, now)?;
        Ok((via, identifier, charges))
    }

    fn told(&self, (mut told, dispatch): (Challenged, Dispatch)) -> Step {
        told.development_code = self.development.then(|| dispatch.code.digits().to_owned());
        Step::Send(told, dispatch)
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
        // Told without a credential: it may be over by the time that somebody comes back.
        if let Some(peer) = peer::of_ed25519(&account.0) {
            match self.accounts.admission().told(&peer, now) {
                Told::Suspended => return Ok(refused(RegisterRefusal::Suspended)),
                Told::Displaced { at } => return Ok(refused(RegisterRefusal::Displaced { at })),
                Told::Admitted | Told::Unknown => {}
            }
        }
        let holds =
            credential.len() <= MAX_CREDENTIAL && self.credentials.holds(credential, account, now);
        if !holds {
            return Ok(refused(RegisterRefusal::NotRenewable));
        }
        self.answer(account, self.accounts.renew(account, now).await)
    }

    /// A credential for an account that is served, or why there is none.
    fn answer(
        &self,
        account: AccountId,
        outcome: Result<Option<Result<Account, NotServed>>, AccountError>,
    ) -> Result<RegisterResponse, StoreError> {
        let why = match outcome {
            Err(AccountError::Store(error)) => return Err(error),
            Err(AccountError::Stopping) => RegisterRefusal::Unavailable,
            Ok(None) => RegisterRefusal::NotRenewable,
            Ok(Some(Err(NotServed(Standing::Suspended)))) => RegisterRefusal::Suspended,
            Ok(Some(Err(NotServed(Standing::Displaced { at })))) => {
                RegisterRefusal::Displaced { at }
            }
            Ok(Some(Err(NotServed(Standing::Good)) | Ok(_))) => {
                return Ok(self.credential(account));
            }
        };
        Ok(refused(why))
    }

    fn credential(&self, account: AccountId) -> RegisterResponse {
        match self.credentials.issue(account, self.clock.now()) {
            Ok((credential, expires_at)) => RegisterResponse::Admitted { credential, expires_at },
            Err(error) => {
                tracing::error!(%error, "no credential");
                refused(RegisterRefusal::Unavailable)
            }
        }
    }
}

/// Forgets an account, and says whether it is gone.
async fn erased(accounts: &Accounts, account: AccountId) -> RegisterResponse {
    match accounts.erase(account, false).await {
        Ok(Erased::Gone | Erased::Nothing) => RegisterResponse::Erased,
        Ok(Erased::Suspended) => refused(RegisterRefusal::Suspended),
        Err(error) => {
            tracing::error!(%error, "an account was not erased");
            refused(RegisterRefusal::Unavailable)
        }
    }
}

fn refused(why: RegisterRefusal) -> RegisterResponse {
    RegisterResponse::Refused(why)
}

#[cfg(test)]
mod tests;
