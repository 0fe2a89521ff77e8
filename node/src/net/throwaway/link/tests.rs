#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use crate::net::command::Ticket;
use crypto::secret::Secret;
use rand::SeedableRng;
use rand::rngs::StdRng;

const NONCE: [u8; 32] = [5; 32];

struct Bench {
    link: Link,
    now: Instant,
    rng: StdRng,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self { link: Link::new(now), now, rng: StdRng::seed_from_u64(2) }
    }

    fn poll(&mut self) -> Option<Step> {
        self.link.poll(self.now)
    }

    fn up(&mut self) {
        if let Some(due) = self.link.next_deadline() {
            self.now = self.now.max(due);
        }
        assert!(matches!(self.poll(), Some(Step::Dial)));
        self.link.connected(self.now);
        assert!(self.poll().is_none(), "nothing is signed before there is a nonce");
        self.link.greeted(NONCE);
    }

    fn attach_all(&mut self) -> usize {
        let mut asked = 0;
        while let Some(Step::Attach(nonce, queues)) = self.poll() {
            assert_eq!(nonce, NONCE);
            assert!(queues.len() <= MAX_ATTACH);
            assert!(self.poll().is_none(), "one chunk at a time");
            asked += queues.len();
            self.link.attached(queues.into_iter().map(|queue| (queue, true)));
        }
        asked
    }
}

fn queues(count: u8) -> Vec<OwnedQueue> {
    (0..count)
        .map(|n| OwnedQueue { receive: QueueId([n; 16]), key: Secret::from_bytes([n; 32]) })
        .collect()
}

fn job() -> Job {
    Job::Bundle(Ticket(1), QueueId([1; 16]), Secret::from_bytes([1; 32]))
}

#[test]
fn a_link_that_nobody_wants_is_never_dialled() {
    let mut bench = Bench::new();
    assert!(bench.poll().is_none());
    assert_eq!(bench.link.next_deadline(), None);
}

#[test]
fn queues_are_attached_in_chunks_and_again_after_every_loss() {
    let mut bench = Bench::new();
    bench.link.subscribe(queues(200));
    for _ in 0..3 {
        bench.up();
        // The loop of attach_all has consumed the report already.
        assert_eq!(bench.attach_all(), 200);
        assert!(bench.poll().is_none());
        bench.link.disconnected(bench.now, &mut bench.rng);
    }
}

#[test]
fn a_missing_queue_is_reported_and_asked_for_again_only_when_subscribed_anew() {
    let mut bench = Bench::new();
    bench.link.subscribe(queues(2));
    bench.up();
    assert!(matches!(bench.poll(), Some(Step::Attach(..))));
    bench.link.attached([(QueueId([0; 16]), true), (QueueId([1; 16]), false)].into_iter());
    assert!(matches!(bench.poll(), Some(Step::Report(missing)) if missing == [QueueId([1; 16])]));
    assert!(bench.poll().is_none());
    bench.link.subscribe(queues(2));
    assert!(matches!(bench.poll(), Some(Step::Attach(_, again)) if again == [QueueId([1; 16])]));
    bench.link.attached([(QueueId([1; 16]), true)].into_iter());
    assert!(matches!(bench.poll(), Some(Step::Report(missing)) if missing.is_empty()));
}

#[test]
fn an_attach_that_failed_is_repeated_at_its_time() {
    let mut bench = Bench::new();
    bench.link.subscribe(queues(1));
    bench.up();
    let Some(Step::Attach(_, asked)) = bench.poll() else { panic!("an attach") };
    bench.link.attach_failed(&asked, bench.now + Duration::from_secs(3));
    assert!(bench.poll().is_none());
    bench.now = bench.link.next_deadline().unwrap();
    assert!(matches!(bench.poll(), Some(Step::Attach(..))));
}

#[test]
fn jobs_outlive_a_lost_connection_and_fail_when_the_relay_cannot_be_reached() {
    let mut bench = Bench::new();
    assert!(bench.link.enqueue(job(), bench.now).is_none());
    assert!(matches!(bench.poll(), Some(Step::Dial)));
    bench.link.connected(bench.now);
    bench.link.disconnected(bench.now, &mut bench.rng);
    bench.up();
    assert!(matches!(bench.poll(), Some(Step::Send(NONCE, _))));
    bench.link.disconnected(bench.now, &mut bench.rng);
    assert!(bench.poll().is_none(), "what was sent is not sent twice");
    assert!(bench.link.enqueue(job(), bench.now).is_none());
    bench.now = bench.link.next_deadline().unwrap().max(bench.now);
    assert!(matches!(bench.poll(), Some(Step::Dial)));
    assert_eq!(bench.link.dial_failed(bench.now, &mut bench.rng).len(), 1);
}

#[test]
fn a_job_shortens_a_long_pause_but_does_not_hammer() {
    let mut bench = Bench::new();
    bench.link.subscribe(queues(1));
    for _ in 0..30 {
        bench.now = bench.link.next_deadline().unwrap().max(bench.now);
        assert!(matches!(bench.poll(), Some(Step::Dial)));
        bench.link.dial_failed(bench.now, &mut bench.rng);
    }
    bench.link.enqueue(job(), bench.now);
    let due = bench.link.next_deadline().unwrap();
    assert!(due <= bench.now + JOB_PATIENCE);
}

#[test]
fn too_many_jobs_are_handed_back() {
    let mut bench = Bench::new();
    for _ in 0..MAX_JOBS {
        assert!(bench.link.enqueue(job(), bench.now).is_none());
    }
    assert!(bench.link.enqueue(job(), bench.now).is_some());
}
