//! The thread that answers `/kith/mailbox/1`.

use std::sync::Arc;
use std::time::Instant;

use libp2p::PeerId;
use protocol::ids::{EnvelopeId, QueueId, RelayId};
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{
    CustodyReceipt, Deposit, DepositRefusal, Item, MAX_ATTACH, MAX_BATCH_BYTES, MAX_CREDENTIAL,
    MAX_ITEMS, MailboxRefusal, MailboxRequest, MailboxResponse, OwnerClaim, Proof, QueueSpec,
};
use protocol::mailbox::{Due, DueKind, Limits, Offer, Opened, Queue, Seen, machine};
use protocol::time::{SECOND, Timestamp};
use tokio::sync::mpsc;

use super::nonces::Nonces;
use super::store::MailboxStore;
use super::subscribers::{Allowance, Released, Subscribers};
use super::traffic::{Input, Output};
use crate::admission::Admission;
use crate::clock::Clock;
use crate::error::StoreError;
use crate::metrics::Metrics;
use crate::peer;
use crate::registration::credential::Credentials;

/// Most inputs that share one flush.
const MAX_GROUP: usize = 256;
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
    pub(crate) credentials: Credentials,
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Clock,
}

#[derive(Debug)]
pub(crate) struct Service<S> {
    store: S,
    relay: RelayId,
    nonces: Nonces,
    subscribers: Subscribers,
    /// Something was applied, or confirmed, that the next flush has to cover.
    unflushed: bool,
    /// Queues in which this group stored something, and to which nobody is attached here.
    elsewhere: Vec<QueueId>,
    parts: Parts,
}

impl<S: MailboxStore> Service<S> {
    pub(crate) fn new(store: S, parts: Parts) -> Self {
        let relay = RelayId(*parts.key.verifying_key().as_bytes());
        Self {
            store,
            relay,
            nonces: Nonces::new(),
            subscribers: Subscribers::default(),
            unflushed: false,
            elsewhere: Vec::new(),
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
        while let Some(first) = inbox.blocking_recv() {
            group.push(first);
            while group.len() < MAX_GROUP
                && let Ok(next) = inbox.try_recv()
            {
                group.push(next);
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
        let (mut answers, mut erased) = (Vec::new(), Vec::new());
        let mut outputs = Vec::new();
        let inputs: Vec<_> = inputs.into_iter().collect();
        let mut result = self.prepare(&inputs);
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
                Input::Erase(account, done) => {
                    result =
                        result.and_then(|()| self.apart(|own| own.erase(account, &mut outputs)));
                    erased.push(done);
                }
                Input::Stored(receives) => receives.into_iter().for_each(|receive| {
                    self.subscribers.stored(receive);
                }),
                Input::Gone(peer) => self.subscribers.detach_peer(&peer),
                Input::Tick => {
                    result = result.and_then(|()| self.apart(|own| own.expire(now, &mut outputs)));
                }
            }
        }
        result = result.and_then(|()| self.settle());
        let elsewhere = std::mem::take(&mut self.elsewhere);
        result = result.and_then(|()| self.store.announce(&elsewhere));
        if result.is_ok() {
            // Nobody waits any more when the relay stops.
            for done in erased {
                let _ = done.send(());
            }
        }
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
            max_ttl_seconds: u32::try_from(self.parts.limits.max_ttl / SECOND).unwrap_or(u32::MAX),
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
        let by_receive = self.store.queue(spec.receive)?;
        let by_send = self.by_send(spec.send)?;
        let usage = self.store.usage(account)?;
        let taken = (by_receive.as_ref(), by_send.as_ref());
        match machine::open(spec, account, taken, usage, &self.parts.limits, now) {
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
        let Some(queue) = self.claimed(peer, claim)? else {
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
            let queue = self.claimed(peer, claim)?;
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
        let Deposit { send, ttl_seconds, body, proof: _ } = deposit;
        let offer = Offer { envelope, body, ttl_seconds };
        match machine::deposit(&queue, usage, seen, offer, &self.parts.limits, now) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(taken) => {
                if !taken.changes.is_empty() {
                    self.store.apply(&taken.changes)?;
                }
                // A repetition as well: whoever took the original may have died before it was said.
                if !self.subscribers.stored(queue.receive) {
                    self.elsewhere.push(queue.receive);
                }
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
        Ok(match self.claimed(peer, claim)? {
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
        let queue = self.by_send(send)?;
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
    fn claimed(&self, peer: &PeerId, claim: &OwnerClaim) -> Result<Option<Queue>, StoreError> {
        let nonce = self.nonces.of(peer);
        let binding = Binding { relay: self.relay, nonce: &nonce };
        let queue = self.store.queue(claim.receive)?;
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

    /// The next items that are not over; none only if the queue has no more of them. Reads on
    /// behind those that are over and not swept yet.
    fn live(&self, read: Allowance, now: Timestamp) -> Result<Vec<Item>, StoreError> {
        let Allowance { receive, mut after, items, bytes } = read;
        loop {
            let stored = self.store.items(receive, after, items, bytes)?;
            let Some((last, _)) = stored.last() else { return Ok(Vec::new()) };
            after = *last;
            let live = on_the_way(receive, stored, now);
            if !live.is_empty() {
                return Ok(live);
            }
        }
    }

    /// Sends subscribers what is there, as far as their credit goes.
    fn push<R>(&mut self, now: Timestamp, outputs: &mut Vec<Output<R>>) -> Result<(), StoreError> {
        for peer in self.subscribers.sendable(now) {
            while let Some(next) = self.subscribers.allowance(&peer) {
                let items = self.live(next, now)?;
                if items.is_empty() {
                    self.subscribers.exhausted(&peer, next.receive);
                    continue;
                }
                let Some(ticket) = self.subscribers.sent(&peer, &items) else { break };
                self.parts.metrics.pushed.inc_by(items.len() as u64);
                outputs.push(Output::Push { peer, ticket, items });
            }
        }
        Ok(())
    }
}

fn on_the_way(
    receive: QueueId,
    items: Vec<(u64, protocol::mailbox::StoredItem)>,
    now: Timestamp,
) -> Vec<Item> {
    items
        .into_iter()
        .filter(|(_, item)| item.until > now)
        .map(|(seq, item)| Item { receive, seq, deposited_at: item.deposited_at, body: item.body })
        .collect()
}

fn refused(why: MailboxRefusal) -> MailboxResponse {
    MailboxResponse::Refused(why)
}

fn unavailable() -> MailboxResponse {
    refused(MailboxRefusal::Unavailable)
}

mod ending;
mod preparing;
#[cfg(test)]
mod tests;
