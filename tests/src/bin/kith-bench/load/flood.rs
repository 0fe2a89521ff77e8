//! Deposits from several senders at once, for random nodes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use protocol::mailbox::proof;
use protocol::mailbox::wire::{MAX_ATTACH, MailboxRequest, MailboxResponse};
use rand::RngExt;
use serde::Serialize;
use tokio::task::JoinSet;

use super::is_attached;
use super::node::{Arrivals, Nth, Sealed};
use super::server::Relay;
use super::swarm::Happened;
use super::usage::Usage;
use crate::stats::Latency;

/// Who deposit at once.
const SENDERS: usize = 16;
/// Who fetch at once what waited for those who were away.
const FETCHERS: usize = 4;
/// Deposits in one request, where they come in batches.
const BATCH: usize = 32;

/// How deposits come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One after the other, for nodes that are attached.
    Serial,
    /// One in a request, 64 requests under way.
    Single,
    /// [`BATCH`] in a request, 32 requests under way.
    Batched,
    /// In batches, for nodes that are away; they fetch them when all are taken.
    Away,
}

impl Kind {
    /// Senders, requests that each has under way, deposits in a request.
    pub(super) fn shape(self) -> (usize, usize, usize) {
        match self {
            Self::Serial => (1, 1, 1),
            Self::Single => (SENDERS, 4, 1),
            Self::Batched | Self::Away => (SENDERS, 2, BATCH),
        }
    }

    pub(super) fn target(self, nodes: u32) -> Nth {
        let mut rng = rand::rng();
        loop {
            let who = Nth(rng.random_range(0..nodes));
            if is_attached(who) == (self != Self::Away) {
                return who;
            }
        }
    }
}

/// What is to be done.
pub(super) struct Flood<'a> {
    pub(super) relay: &'a Relay,
    pub(super) arrivals: &'a Arc<Arrivals>,
    pub(super) kind: Kind,
    pub(super) nodes: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Outcome {
    /// From request to signed receipts.
    pub(super) receipt: Latency,
    /// From a deposit to its arrival.
    pub(super) arrival: Latency,
    /// How many arrived more than once.
    pub(super) repeated: usize,
    /// Receipts a second.
    pub(super) taken: f64,
    /// Arrivals a second.
    pub(super) delivered: f64,
    /// Time of a core that the relay used for one, from deposit to acknowledgement, microseconds.
    pub(super) cost: f64,
    /// The same of the database's server.
    pub(super) database: Option<f64>,
}

impl Flood<'_> {
    /// Deposits so many, and waits until all have arrived.
    pub(super) async fn run(self, count: usize) -> anyhow::Result<Outcome> {
        let (senders, under_way, batch) = self.kind.shape();
        let requests = (count / batch / senders).max(1);
        let all = requests * batch * senders;
        let mut ready = Vec::new();
        for _ in 0..senders {
            ready.push(Sealed::connect(&self.relay.address).await?);
        }
        let (before, database) = (self.relay.usage()?, self.relay.database()?);
        let began = Instant::now();
        let mut sending = JoinSet::new();
        for link in ready {
            let arrivals = Arc::clone(self.arrivals);
            let (kind, nodes) = (self.kind, self.nodes);
            let work = Work { link, arrivals, kind, nodes, under_way, batch };
            sending.spawn(work.send(requests));
        }
        let mut receipts = Vec::new();
        while let Some(sent) = sending.join_next().await {
            receipts.extend(sent??);
        }
        let (taken, mut fetching_began) = (began.elapsed(), began);
        let mut fetching = JoinSet::new();
        if self.kind == Kind::Away {
            fetching_began = Instant::now();
            fetching = self.fetch().await?;
        }
        let arrived = tokio::select! {
            arrived = self.arrivals.wait(all) => arrived?,
            Some(ended) = fetching.join_next() => return Err(ended?),
        };
        let delivered = fetching_began.elapsed();
        let per = |now: Usage, then: Usage| (now.cpu - then.cpu).as_secs_f64() * 1e6 / all as f64;
        let rate = |time: Duration| all as f64 / time.as_secs_f64();
        Ok(Outcome {
            receipt: Latency::of(receipts),
            arrival: Latency::of(arrived.times),
            repeated: arrived.repeated,
            taken: rate(taken),
            delivered: rate(delivered),
            cost: per(self.relay.usage()?, before),
            database: self.relay.database()?.zip(database).map(|(now, then)| per(now, then)),
        })
    }

    /// Those who were away are back.
    async fn fetch(&self) -> anyhow::Result<JoinSet<anyhow::Error>> {
        let away: Vec<Nth> = (0..self.nodes).map(Nth).filter(|who| !is_attached(*who)).collect();
        let mut fetching = JoinSet::new();
        for share in away.chunks(away.len().div_ceil(FETCHERS)) {
            let mut link = Sealed::connect(&self.relay.address).await?;
            for some in share.chunks(MAX_ATTACH) {
                link.attach(some).await?;
            }
            let arrivals = Arc::clone(self.arrivals);
            fetching.spawn(async move { link.collect(&arrivals).await });
        }
        Ok(fetching)
    }
}

struct Work {
    link: Sealed,
    arrivals: Arc<Arrivals>,
    kind: Kind,
    nodes: u32,
    under_way: usize,
    batch: usize,
}

impl Work {
    /// Times of so many requests.
    async fn send(mut self, requests: usize) -> anyhow::Result<Vec<Duration>> {
        let (mut sent, mut asked, mut times) = (0, HashMap::new(), Vec::new());
        while times.len() < requests {
            while sent < requests && asked.len() < self.under_way {
                let deposits = (0..self.batch)
                    .map(|_| {
                        let target = self.kind.target(self.nodes);
                        target.deposit(&self.arrivals, self.link.binding())
                    })
                    .collect();
                let began = Instant::now();
                asked.insert(self.link.link.send(MailboxRequest::Deposit { deposits }), began);
                sent += 1;
            }
            let (id, happened) = self.link.link.next().await?;
            let Happened::Answered(answer) = happened else { bail!("a push to a sender") };
            let began = id.and_then(|id| asked.remove(&id)).context("an answer to nothing")?;
            times.push(began.elapsed());
            self.check(&answer)?;
        }
        Ok(times)
    }

    /// Everything was taken, and the relay has signed for it. One signature in each answer is verified: clients share
    /// the machine with what is measured.
    fn check(&self, answer: &MailboxResponse) -> anyhow::Result<()> {
        let MailboxResponse::Deposited { results } = answer else { bail!("{answer:?}") };
        for result in results {
            result.as_ref().map_err(|refusal| anyhow::anyhow!("a deposit: {refusal}"))?;
        }
        let receipt = results.first().and_then(|result| result.as_ref().ok());
        let signed = receipt.is_some_and(|receipt| proof::custody_holds(receipt, self.link.relay));
        signed.then_some(()).context("a receipt that is not the relay's")
    }
}
