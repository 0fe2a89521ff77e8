//! The thread that answers `/kith/mailbox/1`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use libp2p::PeerId;
use protocol::ids::{AccountId, EnvelopeId, QueueId, RelayId};
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{
    CustodyReceipt, Deposit, DepositRefusal, MAX_ATTACH, MAX_BATCH_BYTES, MAX_CREDENTIAL,
    MAX_ITEMS, MailboxRefusal, MailboxRequest, MailboxResponse, OwnerClaim, Proof, QueueSpec,
};
use protocol::mailbox::{Due, DueKind, Limits, Offer, Opened, Queue, Seen, machine};
use protocol::time::{SECOND, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::nonces::Nonces;
use super::store::MailboxStore;
use super::subscribers::{Allowance, Released, Subscribers};
use super::traffic::{Input, Output};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::current::Current;
use crate::error::StoreError;
use crate::metrics::Metrics;
use crate::peer;
use crate::registration::credential::Credentials;

/// Most inputs that share one flush.
const MAX_GROUP: usize = 256;
/// Waiting time named to somebody who was admitted while their request was prepared, milliseconds.
const NOT_PREPARED_RETRY_MS: u32 = 100;
/// What a proof for an unknown queue is checked against, so that it costs the same: the base
/// point of the curve. Whether it holds is not looked at.
const NOBODY: [u8; 32] = {
    let mut key = [0x66; 32];
    key[0] = 0x58;
    key
};

/// What the service is made of besides its store.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) key: crypto::identity::SigningKey,
    /// The libp2p key under which this process is reached.
    pub(crate) process: [u8; 32],
    pub(crate) credentials: Credentials,
    pub(crate) admission: Admission,
    pub(crate) current: Current,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
}

#[derive(Debug)]
pub(crate) struct Service<S> {
    store: S,
    relay: RelayId,
    /// The relay's word that this process is its own.
    vouched: Proof,
    nonces: Nonces,
    subscribers: Subscribers,
    /// Something was applied, or confirmed, that the next flush has to cover.
    unflushed: bool,
    /// Queues in which this group stored something.
    stored: BTreeSet<QueueId>,
    /// Accounts whose queues are being closed, a few in each group, and whom to tell when there are none.
    erasing: VecDeque<(AccountId, oneshot::Sender<()>)>,
    /// There is more that is over than was looked at.
    more_is_over: bool,
    parts: Parts,
}

impl<S: MailboxStore> Service<S> {
    fn limits(&self) -> Limits {
        self.parts.current.get().mailbox.limits()
    }

    pub(crate) fn new(store: S, parts: Parts) -> Self {
        let relay = RelayId(*parts.key.verifying_key().as_bytes());
        Self {
            store,
            relay,
            vouched: proof::process(&parts.key, &parts.process),
            nonces: Nonces::new(),
            subscribers: Subscribers::default(),
            unflushed: false,
            stored: BTreeSet::new(),
            erasing: VecDeque::new(),
            more_is_over: false,
            parts,
        }
    }

    /// Works until every sender of `inbox` is gone. Blocks: for a thread of its own.
    ///
    /// # Errors
    /// The store's first failure. Whoever waited for an answer was told `Unavailable`.
    pub(crate) fn run<R>(
        mut self,
        mut inbox: mpsc::Receiver<Input<R>>,
        outbox: &mpsc::Sender<Output<R>>,
    ) -> Result<(), StoreError> {
        let mut group = Vec::new();
        loop {
            if !self.has_work() {
                let Some(first) = inbox.blocking_recv() else { break };
                group.push(first);
            }
            while group.len() < MAX_GROUP
                && let Ok(next) = inbox.try_recv()
            {
                group.push(next);
            }
            if group.is_empty() && inbox.is_closed() {
                break;
            }
            let (outputs, result) = self.group(group.drain(..));
            for output in outputs {
                // The network task is gone only when the relay stops.
                let _ = outbox.blocking_send(output);
            }
            result?;
        }
        self.store.flush()
    }

    /// One group: decide, apply, flush once, then answer and push.
    pub(crate) fn group<R>(
        &mut self,
        inputs: impl IntoIterator<Item = Input<R>>,
    ) -> (Vec<Output<R>>, Result<(), StoreError>) {
        let now = self.parts.clock.now();
        let (mut answers, mut outputs) = (Vec::new(), Vec::new());
        let inputs: Vec<_> = inputs.into_iter().collect();
        let mut result = self.prepare(&inputs);
        let mut tick = std::mem::take(&mut self.more_is_over);
        for input in inputs {
            match input {
                Input::Request { peer, request, reply } => {
                    let answer = match &result {
                        Ok(()) => self.answer(&peer, *request, now, &mut outputs),
                        Err(_) => Ok(unavailable()),
                    };
                    answers.push((
                        reply,
                        answer.unwrap_or_else(|error| {
                            result = Err(error);
                            unavailable()
                        }),
                    ));
                }
                Input::Pushed { peer, ticket, acknowledged } => {
                    let done = self.subscribers.answered(&peer, ticket, &acknowledged, now);
                    result = result.and_then(|()| self.delete(&done));
                }
                Input::Stored(receives) => {
                    receives.into_iter().for_each(|receive| self.subscribers.stored(receive));
                }
                Input::Gone(peer) => self.subscribers.detach_peer(&peer),
                // Both are done when the rest is durable: which queues they look at nobody knows before.
                Input::Erase(account, done) => self.erasing.push_back((account, done)),
                Input::Tick => tick = true,
            }
        }
        result = result.and_then(|()| self.settle());
        let stored: Vec<_> = std::mem::take(&mut self.stored).into_iter().collect();
        result = result.and_then(|()| self.store.announce(&stored));
        if tick {
            result = result.and_then(|()| self.expire(now, &mut outputs));
        }
        result = result.and_then(|()| self.erase(&mut outputs));
        if result.is_err() {
            answers.iter_mut().for_each(|(_, answer)| *answer = unavailable());
        }
        let mut all: Vec<_> =
            answers.into_iter().map(|(reply, answer)| Output::Reply(reply, answer)).collect();
        all.append(&mut outputs);
        if result.is_ok() {
            result = self.push(now, &mut all);
        }
        (all, result)
    }

    /// Whether there is something to do although nobody asks.
    fn has_work(&self) -> bool {
        self.more_is_over || !self.erasing.is_empty()
    }

    /// Makes durable what is not yet, and lets others decide.
    fn settle(&mut self) -> Result<(), StoreError> {
        if !self.unflushed {
            return self.store.rest();
        }
        let begun = Instant::now();
        self.store.flush()?;
        self.parts.metrics.flush(begun.elapsed());
        self.unflushed = false;
        Ok(())
    }

    fn answer<R>(
        &mut self,
        peer: &PeerId,
        request: MailboxRequest,
        now: Timestamp,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<MailboxResponse, StoreError> {
        match request {
            MailboxRequest::Hello => Ok(self.hello(peer, now)),
            MailboxRequest::Open { credential, queue } => self.open(peer, &credential, queue, now),
            MailboxRequest::Close { claim } => self.close(peer, &claim, outputs),
            MailboxRequest::Attach { claims } => self.attach(peer, &claims, outputs),
            MailboxRequest::Fetch { receive, after, max } => {
                self.fetch(peer, receive, after, usize::from(max), now)
            }
            MailboxRequest::Acknowledge { items } => self.acknowledge(peer, items),
            MailboxRequest::Deposit { deposits } => self.deposit_all(peer, deposits, now),
            MailboxRequest::State { claim } => self.state(peer, &claim),
            MailboxRequest::Bundle { send, proof } => self.bundle(peer, send, &proof, now),
            // Only relays push.
            MailboxRequest::Push { .. } => Ok(refused(MailboxRefusal::Malformed)),
        }
    }

    fn hello(&self, peer: &PeerId, now: Timestamp) -> MailboxResponse {
        MailboxResponse::Hello {
            nonce: self.nonces.of(peer),
            now,
            max_ttl_seconds: u32::try_from(self.limits().max_ttl / SECOND).unwrap_or(u32::MAX),
            process: self.vouched,
        }
    }

    fn open(
        &mut self,
        peer: &PeerId,
        credential: &str,
        spec: QueueSpec,
        now: Timestamp,
    ) -> Result<MailboxResponse, StoreError> {
        if credential.len() > MAX_CREDENTIAL {
            return Ok(refused(MailboxRefusal::Malformed));
        }
        let admitted = peer::account_of(peer).filter(|account| {
            self.parts.credentials.holds(credential, *account, now)
                && self.parts.admission.is_admitted(peer, now)
        });
        let Some(account) = admitted else {
            return Ok(refused(MailboxRefusal::NotAdmitted));
        };
        if !self.store.may_open(spec.receive) {
            return Ok(refused(MailboxRefusal::Busy { retry_ms: NOT_PREPARED_RETRY_MS }));
        }
        let by_receive = self.store.queue(spec.receive)?;
        let by_send = self.by_send(spec.send)?;
        let usage = self.store.usage(account)?;
        let taken = (by_receive.as_ref(), by_send.as_ref());
        match machine::open(spec, account, taken, usage, &self.limits(), now) {
            Err(refusal) => return Ok(refused(refusal)),
            Ok(Opened::Already) => {}
            Ok(Opened::New(changes)) => self.store.apply(&changes)?,
        }
        self.unflushed = true;
        Ok(MailboxResponse::Opened)
    }

    fn close<R>(
        &mut self,
        peer: &PeerId,
        claim: &OwnerClaim,
        outputs: &mut Vec<Output<R>>,
    ) -> Result<MailboxResponse, StoreError> {
        let Some(queue) = self.claimed(peer, claim, S::queue)? else {
            return Ok(refused(MailboxRefusal::Denied));
        };
        let usage = self.store.usage(queue.account)?;
        self.store.apply(&machine::close(&queue, usage))?;
        self.unflushed = true;
        self.release(queue.receive, outputs);
        Ok(MailboxResponse::Closed)
    }

    fn attach<R>(
        &mut self,
        peer: &PeerId,
        claims: &[OwnerClaim],
        outputs: &mut Vec<Output<R>>,
    ) -> Result<MailboxResponse, StoreError> {
        if claims.len() > MAX_ATTACH {
            return Ok(refused(MailboxRefusal::Malformed));
        }
        let mut waiting = Vec::with_capacity(claims.len());
        for claim in claims {
            let queue = self.claimed(peer, claim, S::peek)?;
            waiting.push(queue.and_then(|queue| {
                let Released(released) = self.subscribers.attach(*peer, queue.receive)?;
                outputs.extend(released.map(Output::Unpin));
                Some(queue.items)
            }));
        }
        if waiting.iter().any(Option::is_some) {
            outputs.push(Output::Pin(*peer));
        }
        Ok(MailboxResponse::Attached { waiting })
    }

    fn fetch(
        &mut self,
        peer: &PeerId,
        receive: QueueId,
        after: u64,
        max: usize,
        now: Timestamp,
    ) -> Result<MailboxResponse, StoreError> {
        if !self.subscribers.is_attached(peer, receive) {
            return Ok(refused(MailboxRefusal::Denied));
        }
        let read = Allowance { receive, after, items: max.min(MAX_ITEMS), bytes: MAX_BATCH_BYTES };
        Ok(MailboxResponse::Items { items: self.live(read, now)? })
    }

    fn acknowledge(
        &mut self,
        peer: &PeerId,
        items: Vec<(QueueId, u64)>,
    ) -> Result<MailboxResponse, StoreError> {
        if items.len() > MAX_ITEMS {
            return Ok(refused(MailboxRefusal::Malformed));
        }
        let mut items = items;
        items.retain(|(receive, _)| self.subscribers.is_attached(peer, *receive));
        self.delete(&items)?;
        // Also when nothing was deleted: an earlier acknowledgement may not be flushed yet.
        self.unflushed = true;
        Ok(MailboxResponse::Acknowledged { items })
    }

    fn deposit_all(
        &mut self,
        peer: &PeerId,
        deposits: Vec<Deposit>,
        now: Timestamp,
    ) -> Result<MailboxResponse, StoreError> {
        let bytes: usize = deposits.iter().map(|deposit| deposit.body.len()).sum();
        if deposits.len() > MAX_ITEMS || bytes > MAX_BATCH_BYTES {
            return Ok(refused(MailboxRefusal::Malformed));
        }
        let nonce = self.nonces.of(peer);
        let results = deposits
            .into_iter()
            .map(|deposit| {
                let result = self.deposit(deposit, &nonce, now)?;
                self.parts.metrics.deposit(result.as_ref().err().copied());
                Ok(result)
            })
            .collect::<Result<_, _>>()?;
        Ok(MailboxResponse::Deposited { results })
    }

    fn deposit(
        &mut self,
        deposit: Deposit,
        nonce: &[u8; 32],
        now: Timestamp,
    ) -> Result<Result<CustodyReceipt, DepositRefusal>, StoreError> {
        let binding = Binding { relay: self.relay, nonce };
        let queue = self.by_send(deposit.send)?;
        let key = queue.as_ref().map_or(NOBODY, |queue| queue.deposit_key);
        let holds = proof::deposit_holds(&deposit, &key, binding);
        let Some(queue) = queue.filter(|_| holds) else {
            return Ok(Err(DepositRefusal::Denied));
        };
        let envelope = EnvelopeId::of(&deposit.body);
        let (queue, seen) = self.remembered(queue, envelope, now)?;
        if self.parts.admission.is_suspended(&queue.account) {
            return Ok(Err(DepositRefusal::Full));
        }
        let usage = self.store.usage(queue.account)?;
        let Deposit { send, ttl_seconds, reserved, body, proof: _ } = deposit;
        let offer = Offer { envelope, body, ttl_seconds, reserved };
        match machine::deposit(&queue, usage, seen, offer, &self.limits(), now) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(taken) => {
                if !taken.changes.is_empty() {
                    self.store.apply(&taken.changes)?;
                }
                // A repetition as well: whoever took the original may have died before it was said.
                self.subscribers.stored(queue.receive);
                self.stored.insert(queue.receive);
                // A repetition is confirmed as well, so the flush has to cover the original.
                self.unflushed = true;
                let (at, until) = (taken.seen.at, taken.seen.until);
                Ok(Ok(proof::custody(&self.parts.key, send, envelope, at, until)))
            }
        }
    }

    /// What is remembered of a deposit, and its queue. One that is over and not swept yet is
    /// swept first: it is not held any more, and its repetition is a new one.
    fn remembered(
        &mut self,
        queue: Queue,
        envelope: EnvelopeId,
        now: Timestamp,
    ) -> Result<(Queue, Option<Seen>), StoreError> {
        let receive = queue.receive;
        let seen = self.store.seen(receive, envelope)?;
        let Some(over) = seen.filter(|seen| seen.until <= now) else { return Ok((queue, seen)) };
        let due = Due { at: over.until, receive, what: DueKind::Item(over.seq) };
        self.sweep(&due, Some(&queue))?;
        let queue = self.store.queue(receive)?.unwrap_or(queue);
        Ok((queue, self.store.seen(receive, envelope)?))
    }

    fn state(&mut self, peer: &PeerId, claim: &OwnerClaim) -> Result<MailboxResponse, StoreError> {
        Ok(match self.claimed(peer, claim, S::peek)? {
            Some(queue) => MailboxResponse::State { items: queue.items, bytes: queue.bytes },
            None => refused(MailboxRefusal::Denied),
        })
    }

    fn bundle(
        &mut self,
        peer: &PeerId,
        send: QueueId,
        proof: &Proof,
        now: Timestamp,
    ) -> Result<MailboxResponse, StoreError> {
        let nonce = self.nonces.of(peer);
        let binding = Binding { relay: self.relay, nonce: &nonce };
        let queue = match self.store.receive_of(send)? {
            Some(receive) => self.store.peek(receive)?,
            None => None,
        };
        let key = queue.as_ref().map_or(NOBODY, |queue| queue.deposit_key);
        let holds = proof::bundle_holds(send, proof, &key, binding);
        let open = queue.filter(|queue| holds && machine::takes_deposits(queue, now));
        let bundle = match open {
            Some(queue) => self.store.bundle(queue.receive)?,
            None => None,
        };
        Ok(bundle.map_or(refused(MailboxRefusal::Denied), |bundle| MailboxResponse::Bundle {
            sealed: bundle.0,
        }))
    }

    /// The queue of a claim that holds.
    fn claimed(
        &self,
        peer: &PeerId,
        claim: &OwnerClaim,
        read: fn(&S, QueueId) -> Result<Option<Queue>, StoreError>,
    ) -> Result<Option<Queue>, StoreError> {
        let nonce = self.nonces.of(peer);
        let binding = Binding { relay: self.relay, nonce: &nonce };
        let queue = read(&self.store, claim.receive)?;
        let key = queue.as_ref().map_or(NOBODY, |queue| queue.owner_key);
        let holds = proof::claim_holds(claim, &key, binding);
        Ok(queue.filter(|_| holds))
    }

    fn by_send(&self, send: QueueId) -> Result<Option<Queue>, StoreError> {
        match self.store.receive_of(send)? {
            Some(receive) => self.store.queue(receive),
            None => Ok(None),
        }
    }
}

fn refused(why: MailboxRefusal) -> MailboxResponse {
    MailboxResponse::Refused(why)
}

fn unavailable() -> MailboxResponse {
    refused(MailboxRefusal::Unavailable)
}

mod ending;
mod preparing;
mod pushing;
#[cfg(test)]
mod tests;
