//! One relay as a throwaway lane sees it.
//!
//! ```text
//! Down ──due──▶ Dialling ──connected──▶ Greeting ──nonce──▶ Ready
//!   ▲              │ failed                │ lost             │ lost
//!   └──────────────┴───────────────────────┴──────────────────┘
//! ```
//!
//! 1. A link is dialled while anything is wanted of it: queues to be subscribed to, or jobs.
//! 2. The relay gives the connection a nonce, which every proof covers.
//! 3. Queues are attached in chunks, at every connection anew; jobs are sent as they come.
//!
//! # Invariants
//! * A job is handed out once; a job that was never sent outlives a lost connection, one whose
//!   relay cannot be reached fails.
//! * A queue is asked for once a connection; one that the relay does not know is asked for again
//!   when the engine subscribes anew.
//!
//! Pure: the time and the randomness are arguments. Spec: `docs/protocol/mailbox.md` §3.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crypto::identity::SigningKey;
use protocol::ids::QueueId;
use protocol::mailbox::wire::MAX_ATTACH;
use rand::Rng;

use super::job::Job;
use crate::net::backoff::Backoff;
use crate::net::command::OwnedQueue;

/// The pause after a lost connection is at most this long, then doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A job does not wait longer than this for the next try, however long the pause.
const JOB_PATIENCE: Duration = Duration::from_secs(2);
/// A connection that lasted this long ends the doubling.
const STABLE: Duration = Duration::from_secs(60);
/// Most jobs that wait for a relay. More are answered busy.
const MAX_JOBS: usize = 128;

/// What the shell is to do.
#[derive(Debug)]
pub(super) enum Step {
    /// Connect.
    Dial,
    /// Attach these queues, at most [`MAX_ATTACH`].
    Attach([u8; 32], Vec<QueueId>),
    /// Send this.
    Send([u8; 32], Job),
    /// Every queue was asked for; the relay does not know these.
    Report(Vec<QueueId>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down { retry_at: Instant },
    Dialling,
    Greeting,
    Ready { nonce: [u8; 32] },
}

/// The link.
#[derive(Debug)]
pub(super) struct Link {
    state: State,
    backoff: Backoff,
    last_try: Option<Instant>,
    up_since: Option<Instant>,
    jobs: VecDeque<Job>,
    queues: BTreeMap<QueueId, SigningKey>,
    asked: BTreeSet<QueueId>,
    missing: BTreeSet<QueueId>,
    attaching: bool,
    attach_at: Option<Instant>,
    report: bool,
}

impl Link {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Down { retry_at: now },
            backoff: Backoff::new(FIRST_PAUSE),
            last_try: None,
            up_since: None,
            jobs: VecDeque::new(),
            queues: BTreeMap::new(),
            asked: BTreeSet::new(),
            missing: BTreeSet::new(),
            attaching: false,
            attach_at: None,
            report: false,
        }
    }

    /// Exactly these queues from now on. Those that were missing are asked for again.
    pub(super) fn subscribe(&mut self, queues: Vec<OwnedQueue>) {
        self.queues = queues
            .into_iter()
            .map(|queue| (queue.receive, SigningKey::from_seed(&queue.key)))
            .collect();
        let (wanted, missing) = (&self.queues, &self.missing);
        self.asked.retain(|queue| wanted.contains_key(queue) && !missing.contains(queue));
        self.missing.clear();
        self.report = !self.queues.is_empty();
    }

    /// Whether this queue is subscribed to here.
    pub(super) fn has_queue(&self, queue: QueueId) -> bool {
        self.queues.contains_key(&queue)
    }

    /// The owner key of a subscribed queue.
    pub(super) fn key(&self, queue: QueueId) -> Option<&SigningKey> {
        self.queues.get(&queue)
    }

    /// Whether the connection is to be kept although nothing is under way.
    pub(super) fn is_pinned(&self) -> bool {
        !self.queues.is_empty()
    }

    /// Whether anything is wanted of this relay.
    pub(super) fn is_wanted(&self) -> bool {
        !self.queues.is_empty() || !self.jobs.is_empty()
    }

    /// Whether jobs wait.
    pub(super) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether there is no connection, nor one in the making.
    pub(super) fn is_down(&self) -> bool {
        matches!(self.state, State::Down { .. })
    }

    /// Whether one is in the making.
    pub(super) fn is_dialling(&self) -> bool {
        self.state == State::Dialling
    }

    /// Whether it has given us a nonce.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Whether there is a connection.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Greeting | State::Ready { .. })
    }

    /// One more thing to send. Handed back when too much waits already.
    pub(super) fn enqueue(&mut self, job: Job, now: Instant) -> Option<Job> {
        if self.jobs.len() >= MAX_JOBS {
            return Some(job);
        }
        self.jobs.push_back(job);
        if let State::Down { retry_at } = &mut self.state {
            let patience = self.last_try.map_or(now, |last| last + JOB_PATIENCE);
            *retry_at = (*retry_at).min(patience);
        }
        None
    }

    /// There is a connection, and it was asked for a nonce.
    pub(super) fn connected(&mut self, now: Instant) {
        self.state = State::Greeting;
        self.up_since = Some(now);
    }

    /// The relay gave this connection a nonce.
    pub(super) fn greeted(&mut self, nonce: [u8; 32]) {
        if self.state == State::Greeting {
            self.state = State::Ready { nonce };
            self.report = !self.queues.is_empty();
        }
    }

    /// No address answered. What waited fails.
    pub(super) fn dial_failed<R: Rng + ?Sized>(
        &mut self,
        now: Instant,
        rng: &mut R,
    ) -> VecDeque<Job> {
        if self.state != State::Dialling {
            return VecDeque::new();
        }
        self.state = State::Down { retry_at: self.backoff.failed(now, rng) };
        std::mem::take(&mut self.jobs)
    }

    /// The connection is gone, and with it every attachment: whether it had lasted, as one to a healthy relay does.
    pub(super) fn disconnected<R: Rng + ?Sized>(&mut self, now: Instant, rng: &mut R) -> bool {
        let stable = self.up_since.take().is_some_and(|since| now.duration_since(since) >= STABLE);
        if stable {
            self.backoff.reset();
        }
        self.detach();
        self.state = State::Down { retry_at: self.backoff.failed(now, rng) };
        stable
    }

    /// Nothing is wanted any more; what waited is handed back.
    pub(super) fn abandon(&mut self) -> VecDeque<Job> {
        std::mem::take(&mut self.jobs)
    }

    /// The swarm was replaced: start over at once.
    pub(super) fn restart(&mut self, now: Instant) {
        self.backoff.reset();
        self.detach();
        self.up_since = None;
        self.state = State::Down { retry_at: now };
    }

    /// The relay answered an attach: for each queue whether it knows it.
    pub(super) fn attached(&mut self, answers: impl Iterator<Item = (QueueId, bool)>) {
        self.attaching = false;
        for (queue, known) in answers {
            if !known && self.queues.contains_key(&queue) {
                self.missing.insert(queue);
            }
        }
    }

    /// An attach came to nothing; its queues are asked for again at `at`.
    pub(super) fn attach_failed(&mut self, queues: &[QueueId], at: Instant) {
        self.attaching = false;
        for queue in queues {
            self.asked.remove(queue);
        }
        self.attach_at = Some(at);
    }

    /// What is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Step> {
        match self.state {
            State::Down { retry_at } if self.is_wanted() && retry_at <= now => {
                self.state = State::Dialling;
                self.last_try = Some(now);
                Some(Step::Dial)
            }
            State::Ready { nonce } => self.poll_ready(nonce, now),
            _ => None,
        }
    }

    /// When [`Self::poll`] has something to do next, if nothing happens before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Down { retry_at } if self.is_wanted() => Some(retry_at),
            State::Ready { .. } => self.attach_at,
            _ => None,
        }
    }

    fn poll_ready(&mut self, nonce: [u8; 32], now: Instant) -> Option<Step> {
        if let Some(job) = self.jobs.pop_front() {
            return Some(Step::Send(nonce, job));
        }
        if self.attaching || self.attach_at.is_some_and(|at| at > now) {
            return None;
        }
        self.attach_at = None;
        let asked = &self.asked;
        let chunk: Vec<QueueId> = self
            .queues
            .keys()
            .filter(|queue| !asked.contains(*queue))
            .take(MAX_ATTACH)
            .copied()
            .collect();
        if !chunk.is_empty() {
            self.attaching = true;
            self.asked.extend(&chunk);
            return Some(Step::Attach(nonce, chunk));
        }
        if std::mem::take(&mut self.report) {
            return Some(Step::Report(self.missing.iter().copied().collect()));
        }
        None
    }

    fn detach(&mut self) {
        self.asked.clear();
        self.missing.clear();
        self.attaching = false;
        self.attach_at = None;
    }
}

#[cfg(test)]
mod tests;
