//! `kill -9` of any of the three, at any moment, under traffic in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kith_tests::process::{NodeProcess, Pair, Rest, state};
use node::api::dto::{Author, DeliveryState, Message};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::setting;

/// Acknowledged messages between two kills, at most.
const ACKNOWLEDGED: usize = 40;
/// Most acknowledgements that wait to be counted.
const MAX_HEARD: usize = 4_096;
/// Latest moment of a second kill, while the killed one starts again.
const WHILE_STARTING: u64 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Ada,
    Ben,
    Relay,
}

/// What one side was told is durable, in the order in which it was said.
type Acknowledged = Vec<String>;

/// Writes until it is stopped or its node is gone.
struct Writer {
    task: JoinHandle<Acknowledged>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    fn start(rest: Rest, chat: String, prefix: String, heard: mpsc::Sender<()>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut acknowledged = Acknowledged::new();
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                match rest.say(&chat, &format!("{prefix}.{n}")).await {
                    Ok(message) => acknowledged.push(message.id),
                    // Killed under it: nothing is known of this one.
                    Err(_) => break,
                }
                // Full once the round has heard enough.
                let _ = heard.try_send(());
            }
            acknowledged
        });
        Self { task, stop }
    }

    async fn finish(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

struct Town {
    pair: Pair,
    rng: StdRng,
    /// By Ada, by Ben.
    acknowledged: [Acknowledged; 2],
}

impl Town {
    /// One round: both write, one of the three is killed, perhaps a second, and started again.
    async fn round(&mut self, round: u64) {
        let (heard, mut hears) = mpsc::channel(MAX_HEARD);
        let write = |node: &NodeProcess, chat: &str, name: &str| {
            let prefix = format!("{name} {round}");
            Writer::start(node.rest().clone(), chat.to_owned(), prefix, heard.clone())
        };
        let writers = [
            write(&self.pair.ada, &self.pair.at_ada, "ada"),
            write(&self.pair.ben, &self.pair.at_ben, "ben"),
        ];
        let first = self.any(&[Victim::Ada, Victim::Ben, Victim::Relay]);
        self.listen(&mut hears).await;
        self.kill(first).await;
        // Whoever lives goes on writing for a while; of two nodes, one lives.
        self.listen(&mut hears).await;
        let second = self.rng.random_bool(0.4).then(|| match first {
            Victim::Relay => self.any(&[Victim::Ada, Victim::Ben]),
            Victim::Ada | Victim::Ben => Victim::Relay,
        });
        if let Some(second) = second {
            self.kill(second).await;
            self.listen(&mut hears).await;
        }
        if self.rng.random_bool(0.25) {
            self.launch(first);
            let moment = self.rng.random_range(0..WHILE_STARTING);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            self.kill(first).await;
        }
        for victim in [Some(first), second].into_iter().flatten() {
            self.launch(victim);
            self.ready(victim).await;
        }
        for (side, writer) in writers.into_iter().enumerate() {
            self.acknowledged[side].extend(writer.finish().await);
        }
    }

    /// Waits for a random number of acknowledgements.
    async fn listen(&mut self, hears: &mut mpsc::Receiver<()>) {
        for _ in 0..self.rng.random_range(1..=ACKNOWLEDGED) {
            hears.recv().await.unwrap();
        }
    }

    fn any(&mut self, of: &[Victim]) -> Victim {
        of[self.rng.random_range(0..of.len())]
    }

    async fn kill(&mut self, victim: Victim) {
        let Pair { relay, ada, ben, .. } = &mut self.pair;
        match victim {
            Victim::Ada => ada.kill().await,
            Victim::Ben => ben.kill().await,
            Victim::Relay => relay.kill().await,
        }
        .unwrap();
    }

    fn launch(&mut self, victim: Victim) {
        let Pair { relay, ada, ben, .. } = &mut self.pair;
        match victim {
            Victim::Ada => ada.launch(),
            Victim::Ben => ben.launch(),
            Victim::Relay => relay.launch(),
        }
        .unwrap();
    }

    async fn ready(&mut self, victim: Victim) {
        let Pair { relay, ada, ben, .. } = &mut self.pair;
        match victim {
            Victim::Ada => ada.ready().await,
            Victim::Ben => ben.ready().await,
            Victim::Relay => relay.ready().await,
        }
        .unwrap();
    }
}

async fn settle(rest: &Rest, chat: &str) {
    rest.until("everything delivered", async |rest: &Rest| {
        let all = rest.messages(chat).await?;
        let under_way = |message: &Message| {
            matches!(state(message), Some(DeliveryState::Queued | DeliveryState::Custody))
        };
        Ok((!all.iter().any(under_way)).then_some(()))
    })
    .await
    .unwrap()
}

fn ids(messages: &[Message], author: Author) -> Vec<String> {
    let by = messages.iter().filter(|message| message.author == author);
    by.map(|message| message.id.clone()).collect()
}

/// Those of `wanted` that are not in `among`.
fn missing(wanted: &[String], among: &[String]) -> usize {
    wanted.iter().filter(|id| !among.contains(id)).count()
}

fn doubled(ids: &[String]) -> usize {
    ids.len() - ids.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_at_any_moment_every_acknowledged_message_arrives_once_in_order() {
    let (rounds, seed) = (setting("KITH_ROUNDS", 6), setting("KITH_SEED", rand::random()));
    println!("KITH_SEED={seed} KITH_ROUNDS={rounds}");
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::meet(folder.path()).await.unwrap();
    let mut town =
        Town { pair, rng: StdRng::seed_from_u64(seed), acknowledged: Default::default() };
    for round in 0..rounds {
        town.round(round).await;
    }

    let Town { mut pair, acknowledged, .. } = town;
    settle(pair.ada.rest(), &pair.at_ada).await;
    settle(pair.ben.rest(), &pair.at_ben).await;
    // Each side's list once all of the other's has arrived.
    let ada = pair.ada.rest().messages(&pair.at_ada).await.unwrap();
    let ben = pair.ben.rest().messages(&pair.at_ben).await.unwrap();
    let not_opened: usize = [&pair.ada, &pair.ben]
        .map(|node| node.log().unwrap().matches("did not open").count())
        .into_iter()
        .sum();
    let mut figures = (0, 0, 0, 0);
    for ((writer, reader), told) in [(&ada, &ben), (&ben, &ada)].into_iter().zip(&acknowledged) {
        let (said, heard) = (ids(writer, Author::Me), ids(reader, Author::Them));
        let failed = writer.iter().filter(|message| state(message) == Some(DeliveryState::Failed));
        figures.0 += told.len();
        figures.1 += missing(told, &heard);
        figures.2 += doubled(&heard);
        figures.3 += failed.count();
        let kept: Vec<&String> = said.iter().filter(|id| told.contains(id)).collect();
        assert_eq!(kept, told.iter().collect::<Vec<_>>(), "the writer's own order");
        // Stronger than what was acknowledged: what the writer has is what the reader has.
        assert_eq!(said, heard, "the same messages in the same order on both sides");
    }
    let (messages, lost, doubled, failed) = figures;
    println!(
        "{rounds} rounds, {messages} acknowledged messages: {lost} lost, {doubled} doubled, \
         {failed} failed, {not_opened} frames did not open"
    );
    assert_eq!((lost, doubled, failed, not_opened), (0, 0, 0, 0), "KITH_SEED={seed}");
    pair.ada.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}
