//! `kill -9` of a relay under load: what it gave its word for is there, once.
//!
//! `KITH_ROUNDS` makes the short form long.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bootstrap::Config;
use bootstrap::config::Postgres;
use libp2p::Multiaddr;
use protocol::ids::{EnvelopeId, QueueId};
use protocol::mailbox::proof;
use protocol::mailbox::wire::{CustodyReceipt, Item, MailboxRequest, MailboxResponse};
use protocol::registration::wire::RegisterResponse;
use rand::RngExt;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, watch};

use crate::bench::{Member, Sealed, spec};
use crate::client::soon;
use crate::sharing::{database, share};

/// Who deposit at once.
const SENDERS: u8 = 4;
/// Bodies in one request.
const BATCH: usize = 8;
/// Queues of the one who owns them all.
const QUEUES: u8 = 4;
/// Deposits that are confirmed before a relay is killed, at most.
const BEFORE_A_KILL: u64 = 400;

fn rounds() -> u32 {
    std::env::var("KITH_ROUNDS").map_or(3, |rounds| rounds.parse().expect("a number"))
}

/// A relay in a process of its own, which comes back at the same address.
struct Process {
    dir: TempDir,
    config: Config,
    address: Multiaddr,
    child: Child,
}

impl Process {
    async fn start(postgres: Option<Postgres>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::development(dir.path().join("data"));
        config.network.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        config.mailbox.contact_items = 1_000_000;
        config.mailbox.contact_bytes = 1 << 40;
        config.mailbox.account_items = 1_000_000;
        config.mailbox.account_bytes = 1 << 40;
        if let Some(database) = postgres {
            share(&mut config, &database);
        }
        let (child, address) = launch(&dir, &config).await;
        // Its port is its own from now on.
        config.network.listen = vec![
            address
                .iter()
                .filter(|part| !matches!(part, libp2p::multiaddr::Protocol::P2p(_)))
                .collect(),
        ];
        Self { dir, config, address, child }
    }

    async fn kill(&mut self) {
        // SIGKILL, and waits until it has ended.
        self.child.kill().await.unwrap();
    }

    async fn again(&mut self) {
        let (child, address) = launch(&self.dir, &self.config).await;
        assert_eq!(address, self.address);
        self.child = child;
    }
}

async fn launch(dir: &TempDir, config: &Config) -> (Child, Multiaddr) {
    let file = dir.path().join("relay.toml");
    std::fs::write(&file, toml::to_string(config).unwrap()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kith-relay"))
        .args(["run", "--config"])
        .arg(&file)
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon("the relay's address", lines.next_line()).await.unwrap();
    (child, line.expect("it started").parse().unwrap())
}

/// Everything that was promised and got, of all senders and rounds.
#[derive(Default)]
struct Ledger {
    /// Confirmed: queue and envelope.
    promised: Mutex<BTreeMap<(QueueId, EnvelopeId), CustodyReceipt>>,
    confirmed: watch::Sender<u64>,
    /// Bodies that were sent and have no receipt, with their queue.
    open: Mutex<BTreeSet<(u8, Vec<u8>)>>,
    made: AtomicU64,
}

impl Ledger {
    /// Waits until so many more are confirmed.
    async fn confirm(&self, more: u64) {
        let mut confirmed = self.confirmed.subscribe();
        let enough = *confirmed.borrow() + more;
        soon("deposits", confirmed.wait_for(|confirmed| *confirmed >= enough)).await.unwrap();
    }

    /// Bodies for a queue: those without a receipt first, so that repetitions are tried as well.
    async fn bodies(&self, queue: u8) -> Vec<Vec<u8>> {
        let mut open = self.open.lock().await;
        let again: Vec<_> =
            open.iter().filter(|(of, _)| *of == queue).take(BATCH).cloned().collect();
        if !again.is_empty() {
            return again.into_iter().map(|(_, body)| body).collect();
        }
        let new = |_| {
            let nth = self.made.fetch_add(1, Ordering::Relaxed);
            let mut body = vec![queue; 300];
            body[..8].copy_from_slice(&nth.to_be_bytes());
            body
        };
        let new: Vec<_> = (0..BATCH).map(new).collect();
        open.extend(new.iter().map(|body| (queue, body.clone())));
        new
    }

    /// Deposits until the relay is gone. Bodies that two senders take at once are deposited twice, which is no harm.
    async fn send(&self, relay: &Sealed, queue: u8) -> Result<(), String> {
        loop {
            let bodies = self.bodies(queue).await;
            let deposits = bodies.iter().map(|body| relay.made(queue, body)).collect();
            let answer = relay.client.try_mailbox(MailboxRequest::Deposit { deposits }).await?;
            let MailboxResponse::Deposited { results } = answer else {
                // It was told while the relay went down.
                return Err(format!("{answer:?}"));
            };
            for (body, result) in bodies.into_iter().zip(results) {
                let Ok(receipt) = result else { continue };
                let envelope = EnvelopeId::of(&body);
                assert!(proof::custody_holds(&receipt, relay.relay));
                assert_eq!((receipt.envelope, receipt.send), (envelope, spec(queue).send));
                self.open.lock().await.remove(&(queue, body));
                let key = (spec(queue).receive, envelope);
                self.promised.lock().await.entry(key).or_insert(receipt);
                self.confirmed.send_modify(|confirmed| *confirmed += 1);
            }
        }
    }
}

/// What an owner got: every position of every envelope.
#[derive(Default)]
struct Got(BTreeMap<(QueueId, EnvelopeId), BTreeSet<u64>>);

impl Got {
    fn take(&mut self, items: &[Item]) {
        for item in items {
            let key = (item.receive, EnvelopeId::of(&item.body));
            self.0.entry(key).or_default().insert(item.seq);
        }
    }

    /// Everything that was promised came, and nothing was kept twice.
    fn agrees_with(&self, promised: &BTreeMap<(QueueId, EnvelopeId), CustodyReceipt>) {
        let lost: Vec<_> = promised.keys().filter(|key| !self.0.contains_key(key)).collect();
        assert!(lost.is_empty(), "{} of {} receipts are void", lost.len(), promised.len());
        let doubled = self.0.values().filter(|seqs| seqs.len() > 1).count();
        assert_eq!(doubled, 0, "kept twice");
    }
}

/// Somebody with all queues, registered at this relay.
async fn owner(relay: &Multiaddr) {
    let mut ada = Member::connect(1, relay).await;
    let told = ada.challenge("ada@example.org").await;
    let answer = ada.verify(&told, told.development_code.as_deref().unwrap()).await;
    let RegisterResponse::Admitted { credential, .. } = answer else { panic!("{answer:?}") };
    ada.credential = credential;
    for queue in 1..=QUEUES {
        assert!(ada.open(queue).await == MailboxResponse::Opened);
    }
}

/// Fetches everything that waits, and acknowledges it.
async fn drain(relay: &Multiaddr, got: &mut Got) {
    let mut owner = Sealed::connect(relay).await;
    for queue in 1..=QUEUES {
        let waiting = owner.attach(queue).await.remove(0).expect("the queue is there");
        let before = got.0.len();
        let mut here = 0;
        while here < waiting as usize {
            let pushed = owner.client.pushed().await;
            here += pushed.items.iter().filter(|item| item.receive == spec(queue).receive).count();
            got.take(&pushed.items);
            owner.client.acknowledge(pushed).await;
        }
        assert!(got.0.len() >= before);
    }
}

async fn killed_again_and_again(postgres: Option<Postgres>) {
    let rounds = rounds();
    let mut relay = Process::start(postgres).await;
    owner(&relay.address).await;
    let (ledger, mut got) = (Arc::new(Ledger::default()), Got::default());
    for _ in 0..rounds {
        let more = rand::rng().random_range(1..=BEFORE_A_KILL);
        let mut sending = tokio::task::JoinSet::new();
        for sender in 0..SENDERS {
            let (ledger, address) = (Arc::clone(&ledger), relay.address.clone());
            sending.spawn(async move {
                let relay = Sealed::try_connect(&address).await?;
                ledger.send(&relay, 1 + sender % QUEUES).await
            });
        }
        // At some deposit, wherever the relay is then.
        ledger.confirm(more).await;
        relay.kill().await;
        while let Some(ended) = sending.join_next().await {
            ended.unwrap().expect_err("the relay is gone");
        }
        relay.again().await;
        if rand::rng().random() {
            drain(&relay.address, &mut got).await;
        }
    }
    drain(&relay.address, &mut got).await;
    let promised = ledger.promised.lock().await;
    got.agrees_with(&promised);
    let all = ledger.made.load(Ordering::Relaxed);
    println!("{rounds} kills, {all} deposits, {} receipts, all of them honoured", promised.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_receipt_of_a_relay_that_is_killed_is_honoured() {
    killed_again_and_again(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_receipt_of_a_relay_on_postgres_that_is_killed_is_honoured() {
    killed_again_and_again(Some(database().await)).await;
}

/// Somebody of two relays: uses one until it is gone, then the other.
async fn wherever(
    relays: [Multiaddr; 2],
    mut gone: watch::Receiver<Option<Instant>>,
    mut stop: watch::Receiver<bool>,
    ledger: Arc<Ledger>,
    queue: u8,
) -> Duration {
    let [first, second] = &relays;
    if let Ok(here) = Sealed::try_connect(first).await {
        ledger.send(&here, queue).await.expect_err("it is killed");
    }
    let killed = soon("the kill", gone.wait_for(Option::is_some)).await.unwrap().unwrap();
    let there = Sealed::connect(second).await;
    let bodies = ledger.bodies(queue).await;
    let deposits = bodies.iter().map(|body| there.made(queue, body)).collect();
    let answer = there.client.mailbox(MailboxRequest::Deposit { deposits }).await;
    assert!(matches!(answer, MailboxResponse::Deposited { .. }), "{answer:?}");
    let served = killed.elapsed();
    tokio::select! {
        ended = ledger.send(&there, queue) => panic!("{ended:?}"),
        _ = stop.wait_for(|stop| *stop) => {}
    }
    served
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_relays_on_one_database_one_is_killed_and_nothing_is_lost_or_doubled() {
    let database = database().await;
    let mut one = Process::start(Some(database.clone())).await;
    let other = Process::start(Some(database)).await;
    owner(&one.address).await;
    let relays = [one.address.clone(), other.address.clone()];
    let ledger = Arc::new(Ledger::default());
    let (killed, gone) = watch::channel(None);
    let (stop, stopped) = watch::channel(false);
    let mut sending = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (ledger, queue) = (Arc::clone(&ledger), 1 + sender % QUEUES);
        sending.spawn(wherever(relays.clone(), gone.clone(), stopped.clone(), ledger, queue));
    }
    // The owner is at the one that is killed, and acknowledges what it gets while it gets it.
    let fetching = tokio::spawn({
        let address = one.address.clone();
        async move {
            let mut got = Got::default();
            let mut owner = Sealed::connect(&address).await;
            for queue in 1..=QUEUES {
                owner.attach(queue).await;
            }
            while let Some(pushed) = owner.client.push_or_end().await {
                got.take(&pushed.items);
                owner.client.acknowledge(pushed).await;
            }
            got
        }
    });
    ledger.confirm(BEFORE_A_KILL).await;
    one.kill().await;
    killed.send(Some(Instant::now())).unwrap();
    ledger.confirm(BEFORE_A_KILL).await;
    stop.send(true).unwrap();
    let mut served = Vec::new();
    while let Some(sender) = sending.join_next().await {
        served.push(sender.unwrap());
    }
    let mut got = soon("the end of fetching", fetching).await.unwrap();
    drain(&other.address, &mut got).await;
    let promised = ledger.promised.lock().await;
    got.agrees_with(&promised);
    println!(
        "{} receipts, none void, nothing kept twice; everybody was served again {} ms after the kill",
        promised.len(),
        served.iter().max().unwrap().as_millis()
    );
}
