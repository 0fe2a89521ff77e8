//! The service that answers `/kith/blob/1`.
//!
//! Requests are worked on beside each other, so many at once; more are told to wait. A store of records that fails stops
//! the relay, as everywhere; pieces that cannot be written or read are answered `Unavailable`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use protocol::blob::{Blob, BlobId, BlobRefusal, BlobRequest, BlobResponse};
use protocol::ids::AccountId;
use protocol::time::{DAY, MINUTE, Timestamp};
use serde_bytes::ByteBuf;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::objects::{ObjectError, Objects};
use super::store::BlobStore;
use crate::admission::Admission;
use crate::blocking::blocking;
use crate::clock::Clock;
use crate::current::Current;
use crate::error::StoreError;
use crate::metrics::{BlobEnd, Metrics};
use crate::peer;

/// Requests that are worked on at once: each may hold a piece in memory.
const MAX_WORKING: usize = 64;
/// Waiting time named to those for whom there was no room, milliseconds.
const BUSY_RETRY_MS: u32 = 500;
/// How often it is looked what is over.
const SWEEP: Duration = Duration::from_secs(60);
/// How long what nobody knows of is left alone: it may be on its way.
const ORPHANED_AFTER: Duration = Duration::from_secs(3_600);
/// Blobs that are forgotten in one go.
const SWEEP_BATCH: usize = 100;

/// A request and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked<R> {
    pub(crate) peer: PeerId,
    pub(crate) request: BlobRequest,
    pub(crate) reply: R,
}

/// What the service needs.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) store: Arc<dyn BlobStore>,
    pub(crate) objects: Objects,
    pub(crate) current: Current,
    pub(crate) admission: Admission,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
    pub(crate) served: Served,
}

/// What others got of each account's blobs today. A restart forgets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served(Arc<Mutex<(u64, HashMap<AccountId, u64>)>>);

/// Why there is another answer than the one that was asked for.
enum Failure {
    Refused(BlobRefusal),
    Store(StoreError),
}

impl From<BlobRefusal> for Failure {
    fn from(refusal: BlobRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        tracing::warn!(%error, "a piece of a file");
        Self::Refused(match error {
            ObjectError::Full => BlobRefusal::NoRoom,
            ObjectError::Failed(_) => BlobRefusal::Unavailable,
        })
    }
}

impl Service {
    /// Works until `inbox` closes, then waits for what is under way.
    ///
    /// # Errors
    /// The first failure of the store of records. Whose request it was is told `Unavailable`; the relay stops, and others
    /// get no answer.
    pub(crate) async fn run<R: Send + 'static>(
        self,
        mut inbox: mpsc::Receiver<Asked<R>>,
        outbox: mpsc::Sender<(R, BlobResponse)>,
    ) -> Result<(), StoreError> {
        let permits = Arc::new(Semaphore::new(MAX_WORKING));
        let (sweeping, stop) = (Arc::new(Semaphore::new(1)), CancellationToken::new());
        let mut first = true;
        let mut under_way = JoinSet::new();
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                Some(done) = under_way.join_next() => {
                    ended(done)?;
                    continue;
                }
                _ = sweep.tick() => {
                    // As one of those that are worked on: it never waits for requests, nor they for it.
                    if let Ok(alone) = Arc::clone(&sweeping).try_acquire_owned() {
                        let at_start = std::mem::take(&mut first);
                        let (service, stop) = (self.clone(), stop.clone());
                        under_way.spawn(async move {
                            let result = service.sweep(&stop, at_start).await;
                            drop(alone);
                            result
                        });
                    }
                    continue;
                }
                asked = inbox.recv() => asked,
            };
            let Some(Asked { peer, request, reply }) = asked else { break };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                let busy = BlobRefusal::Busy { retry_ms: BUSY_RETRY_MS };
                self.metrics.blob_refusal(busy);
                // The network task is gone only when the relay stops.
                let _ = outbox.send((reply, BlobResponse::Refused(busy))).await;
                continue;
            };
            let (service, outbox) = (self.clone(), outbox.clone());
            under_way.spawn(async move {
                let (response, result) = match service.answer(&peer, request).await {
                    Ok(response) => (response, Ok(())),
                    Err(Failure::Refused(why)) => {
                        service.metrics.blob_refusal(why);
                        (BlobResponse::Refused(why), Ok(()))
                    }
                    Err(Failure::Store(error)) => {
                        (BlobResponse::Refused(BlobRefusal::Unavailable), Err(error))
                    }
                };
                let _ = outbox.send((reply, response)).await;
                drop(permit);
                result
            });
        }
        stop.cancel();
        while let Some(done) = under_way.join_next().await {
            ended(done)?;
        }
        Ok(())
    }

    async fn answer(&self, peer: &PeerId, request: BlobRequest) -> Result<BlobResponse, Failure> {
        let now = self.clock.now();
        match request {
            BlobRequest::Open { blob, bytes, keep } => {
                let owner = self.owner(peer, now)?;
                let room = self.objects.has_room(bytes).await?;
                let limits = self.current.get().blobs.limits();
                let opened = self.stored(move |store| {
                    let opening = |there: Option<Blob>, usage| match there {
                        None if !room => Err(BlobRefusal::NoRoom),
                        there => Blob::open(there, owner, (bytes, keep), usage, &limits, now),
                    };
                    store.open(blob, owner, &opening)
                });
                let opened = opened.await??;
                self.objects.prepare(blob).await?;
                self.metrics.blob(BlobEnd::Opened);
                Ok(BlobResponse::State(opened.state()))
            }
            BlobRequest::Put { blob, piece, bytes } => {
                let owner = self.owner(peer, now)?;
                self.put(owner, blob, (piece, bytes.into_vec()), now).await
            }
            BlobRequest::Delete { blob } => {
                let owner = self.owner(peer, now)?;
                if !self.stored(move |store| store.end(blob, owner)).await? {
                    return Err(BlobRefusal::Missing.into());
                }
                // Over for everybody; what cannot be removed now is when it is looked for.
                if let Err(Failure::Store(error)) = self.forget(blob, now).await {
                    return Err(error.into());
                }
                self.metrics.blob(BlobEnd::Deleted);
                Ok(BlobResponse::Deleted)
            }
            BlobRequest::Stat { blob } => {
                Ok(BlobResponse::State(self.there(blob, now).await?.state()))
            }
            BlobRequest::Get { blob, piece } => self.serve(blob, piece, now).await,
        }
    }

    async fn put(
        &self,
        owner: AccountId,
        blob: BlobId,
        (piece, bytes): (u32, Vec<u8>),
        now: Timestamp,
    ) -> Result<BlobResponse, Failure> {
        let there = self.there(blob, now).await?;
        if there.owner != owner {
            return Err(BlobRefusal::Missing.into());
        }
        if there.piece_bytes(piece) != Some(bytes.len() as u64) {
            return Err(BlobRefusal::WrongPiece.into());
        }
        // What is said to be there is written again if it is not: a folder may be older than its records.
        let length = bytes.len() as u64;
        if !there.has(piece) || !self.objects.has(blob, piece, length).await? {
            if !self.objects.has_room(length).await? {
                return Err(BlobRefusal::NoRoom.into());
            }
            self.objects.put(blob, piece, bytes).await?;
            self.metrics.taken_bytes.inc_by(length);
        }
        // Also for one that is there: what says so may not be durable yet.
        let now = self.clock.now();
        if !self.stored(move |store| store.keep(blob, piece, now)).await? {
            // It is over since, and this piece came behind.
            self.objects.remove_piece(blob, piece).await?;
            return Err(BlobRefusal::Missing.into());
        }
        Ok(BlobResponse::Stored)
    }

    async fn serve(
        &self,
        blob: BlobId,
        piece: u32,
        now: Timestamp,
    ) -> Result<BlobResponse, Failure> {
        let there = self.there(blob, now).await?;
        let bytes = there.piece_bytes(piece).filter(|_| there.has(piece));
        let bytes = bytes.ok_or(BlobRefusal::Missing)?;
        let most = self.current.get().blobs.served_bytes_per_day;
        if !self.served.has(there.owner, bytes, most, now) {
            let wait = DAY - now.0 % DAY;
            let retry_ms = u32::try_from(wait).unwrap_or(u32::MAX);
            return Err(BlobRefusal::Busy { retry_ms }.into());
        }
        match self.objects.get(blob, piece).await? {
            Some(bytes) => {
                self.served.add(there.owner, bytes.len() as u64);
                self.metrics.served_bytes.inc_by(bytes.len() as u64);
                Ok(BlobResponse::Piece(ByteBuf::from(bytes)))
            }
            None => {
                // Deleted between the two looks, or the folder is not what it was. Its owner may put it again.
                let left = self.stored(move |store| {
                    let there = store.get(blob)?.is_some_and(|there| now < there.ends_at());
                    if there { store.lose(blob, piece).map(|()| true) } else { Ok(false) }
                });
                if left.await? {
                    tracing::warn!("a piece of a file is not where it was put");
                }
                Err(BlobRefusal::Missing.into())
            }
        }
    }

    /// The account behind a connection, if it is admitted.
    fn owner(&self, peer: &PeerId, now: Timestamp) -> Result<AccountId, BlobRefusal> {
        let admitted = self.admission.is_admitted(peer, now);
        peer::account_of(peer).filter(|_| admitted).ok_or(BlobRefusal::NotAdmitted)
    }

    /// A blob that is not over.
    async fn there(&self, blob: BlobId, now: Timestamp) -> Result<Blob, Failure> {
        let there = self.stored(move |store| store.get(blob)).await?;
        Ok(there.filter(|there| now < there.ends_at()).ok_or(BlobRefusal::Missing)?)
    }

    async fn stored<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn BlobStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        blocking(move || work(&*store)).await
    }

    /// Forgets a blob if it is over; whether it was. From the first step on nothing of it is confirmed any more.
    async fn forget(&self, blob: BlobId, now: Timestamp) -> Result<bool, Failure> {
        if !self.stored(move |store| store.settle(blob, now)).await? {
            return Ok(false);
        }
        self.objects.remove(blob).await?;
        self.stored(move |store| store.forget(blob)).await?;
        Ok(true)
    }

    /// Forgets what is over, and at a start what nobody knows of.
    async fn sweep(&self, stop: &CancellationToken, at_start: bool) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut after = None;
        loop {
            let over = self.stored(move |store| store.over(now, after, SWEEP_BATCH)).await?;
            for blob in &over {
                if stop.is_cancelled() {
                    return Ok(());
                }
                match self.forget(*blob, now).await {
                    Ok(true) => self.metrics.blob(BlobEnd::Over),
                    // Somebody else did, or it was said in the log; another time, and the next one now.
                    Ok(false) | Err(Failure::Refused(_)) => {}
                    Err(Failure::Store(error)) => return Err(error),
                }
            }
            after = over.last().copied();
            if over.len() < SWEEP_BATCH {
                break;
            }
        }
        if at_start { self.remove_orphans(stop).await } else { Ok(()) }
    }

    /// Removes what was written for a blob that was gone by then, when the relay was killed before it could say so.
    async fn remove_orphans(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let untouched = match self.objects.untouched(ORPHANED_AFTER).await {
            Ok(untouched) => untouched,
            Err(error) => {
                tracing::warn!(%error, "the folder of files could not be looked through");
                return Ok(());
            }
        };
        for blob in untouched {
            if stop.is_cancelled() {
                break;
            }
            if self.stored(move |store| store.get(blob)).await?.is_none()
                && let Err(error) = self.objects.remove(blob).await
            {
                tracing::warn!(%error, "what nobody knows of could not be removed");
            }
        }
        Ok(())
    }
}

impl Served {
    /// Whether so many bytes of an account's blobs may be served today.
    fn has(&self, owner: AccountId, bytes: u64, most: u64, now: Timestamp) -> bool {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now.0 / DAY;
        if served.0 != today {
            *served = (today, HashMap::new());
        }
        served.1.get(&owner).copied().unwrap_or_default().saturating_add(bytes) <= most
    }

    /// So many were. Of accounts that have blobs here: as many as there are.
    fn add(&self, owner: AccountId, bytes: u64) {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = served.1.entry(owner).or_default();
        *taken = taken.saturating_add(bytes);
    }
}

fn ended(done: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), StoreError> {
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

const _: () = assert!(SWEEP.as_secs() * 1_000 == MINUTE, "said in docs/protocol/blob.md");
