//! A relay of two processes on one database: each is killed in turn, under load, and people go on at the other.

use std::path::Path;
use std::time::{Duration, Instant};

use kith_tests::process::{
    NodeOptions, NodeProcess, RelayOptions, RelayProcess, Rest, database, share, state,
};
use node::api::dto::{Author, Chat, DeliveryState, Items, Message, Reservation, Status};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Messages that are written before a kill, and after it.
const WRITTEN: usize = 60;

/// Whether this node is served by its relay, by whichever process.
async fn is_served(rest: &Rest) -> anyhow::Result<Option<()>> {
    let status: Status = rest.get("/status").await?;
    let mut relays = status.network.relays.iter();
    let served = relays.any(|relay| relay.reservation == Reservation::Active);
    Ok(served.then_some(()))
}

async fn served(rest: &Rest) {
    rest.until("the relay", is_served).await.unwrap();
}

/// Writes to somebody who is away, until told to stop; says when each was taken.
fn write(
    rest: Rest,
    chat: String,
    name: &'static str,
    taken: mpsc::Sender<()>,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut written = Vec::new();
        while !*stop.borrow() {
            let text = format!("{name} {}", written.len());
            written.push(rest.say(&chat, &text).await.unwrap().id);
            taken.send(()).await.unwrap();
        }
        written
    })
}

/// A conversation of a writer with somebody who is away.
struct Lane {
    writer: NodeProcess,
    at_writer: String,
    at_reader: String,
}

/// Waits until the relay has signed for everything that was written.
async fn in_custody(lane: &Lane) {
    lane.writer
        .rest()
        .until("everything in custody", async |rest: &Rest| {
            let all = rest.messages(&lane.at_writer).await?;
            let queued = |message: &Message| state(message) == Some(DeliveryState::Queued);
            Ok((!all.iter().any(queued)).then_some(()))
        })
        .await
        .unwrap();
}

/// Waits until the relay has signed for this one.
async fn taken_by_the_relay(lane: &Lane, message: &Message) {
    lane.writer
        .rest()
        .until("custody", async |rest: &Rest| {
            let all = rest.messages(&lane.at_writer).await?;
            let same = all.iter().find(|known| known.id == message.id);
            Ok(same.and_then(state).filter(|state| *state != DeliveryState::Queued))
        })
        .await
        .unwrap();
}

fn by(messages: &[Message], author: Author) -> Vec<String> {
    let by = messages.iter().filter(|message| message.author == author);
    by.map(|message| message.id.clone()).collect()
}

/// Waits until the reader has everything that was written, once and in its order; how much that is.
async fn heard_as_written(reader: &NodeProcess, lane: &Lane) -> usize {
    let written = by(&lane.writer.rest().messages(&lane.at_writer).await.unwrap(), Author::Me);
    let heard = reader
        .rest()
        .until("everything that was written", async |rest: &Rest| {
            let heard = by(&rest.messages(&lane.at_reader).await?, Author::Them);
            Ok((heard.len() >= written.len()).then_some(heard))
        })
        .await
        .unwrap();
    assert_eq!(heard, written, "everything, once, in its order");
    heard.len()
}

/// Kills a process of the relay while all write; how long until each of them was served again, and until what they had
/// written was in custody.
async fn kill(victim: &mut RelayProcess, lanes: &[Lane]) -> (Duration, Duration) {
    let (stop, stopped) = watch::channel(false);
    let (taken, mut takes) = mpsc::channel(1);
    let writing: Vec<_> = lanes
        .iter()
        .zip(["ada", "ben", "cyn"])
        .map(|(lane, name)| {
            let rest = lane.writer.rest().clone();
            write(rest, lane.at_writer.clone(), name, taken.clone(), stopped.clone())
        })
        .collect();
    for _ in 0..WRITTEN {
        takes.recv().await.unwrap();
    }
    victim.kill().await.unwrap();
    let killed = Instant::now();
    let mut again = Duration::ZERO;
    for lane in lanes {
        let after = lane.writer.rest().say(&lane.at_writer, "after the kill").await.unwrap();
        taken_by_the_relay(lane, &after).await;
        again = again.max(killed.elapsed());
    }
    for _ in 0..WRITTEN {
        takes.recv().await.unwrap();
    }
    stop.send(true).unwrap();
    // Whoever waits to say that something was taken is heard.
    drop(taken);
    while takes.recv().await.is_some() {}
    for written in writing {
        assert!(!written.await.unwrap().is_empty());
    }
    for lane in lanes {
        in_custody(lane).await;
    }
    (again, killed.elapsed())
}

async fn process(
    folder: &Path,
    name: &str,
    share_it: impl FnOnce(&mut bootstrap::Config),
) -> RelayProcess {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    RelayProcess::start_with(&folder, RelayOptions::default(), share_it).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_go_on_at_another_process_of_their_relay_and_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let database = database(folder).await.unwrap();
    let mut one = process(folder, "one", |config| share(config, &database)).await;
    let mut other = process(folder, "other", |config| share(config, &database)).await;
    // Each is given one address, and learns of the other from the relay.
    let start = async |name: &str, relay: &RelayProcess| {
        let node =
            NodeProcess::start(folder, name, NodeOptions::new(relay.address())).await.unwrap();
        let identifier = format!("{name}@example.org");
        node.rest().register(relay.address(), &identifier, name).await.unwrap();
        node
    };
    let mut reader = start("dan", &other).await;
    let mut lanes = Vec::new();
    for (name, relay) in [("ada", &one), ("ben", &other), ("cyn", &one)] {
        let writer = start(name, relay).await;
        let text = writer.rest().invite("").await.unwrap().text.unwrap();
        reader.rest().redeem(&text).await.unwrap();
        let request = writer.rest().held().await.unwrap();
        writer.rest().accept(&request).await.unwrap();
        let at_writer = writer.rest().chat().await.unwrap().id;
        let is_new = |chat: &Chat| !lanes.iter().any(|lane: &Lane| lane.at_reader == chat.id);
        let at_reader = reader
            .rest()
            .until("the conversation", async |rest: &Rest| {
                let chats: Items<Chat> = rest.get("/chats").await?;
                Ok(chats.items.into_iter().find(is_new).map(|chat| chat.id))
            })
            .await
            .unwrap();
        lanes.push(Lane { writer, at_writer, at_reader });
    }
    for lane in &lanes {
        served(lane.writer.rest()).await;
    }
    served(reader.rest()).await;
    reader.kill().await.unwrap();

    let first = kill(&mut one, &lanes).await;
    one.restart().await.unwrap();
    let second = kill(&mut other, &lanes).await;
    // Everything that both took is fetched from the one that is left.
    reader.restart().await.unwrap();
    let mut all = 0;
    for lane in &lanes {
        all += heard_as_written(&reader, lane).await;
    }
    // Something that comes twice comes before what is written after it.
    for lane in &lanes {
        lane.writer.rest().say(&lane.at_writer, "the last word").await.unwrap();
        heard_as_written(&reader, lane).await;
    }
    println!(
        "{all} messages to somebody away, 2 kills: each arrived once and in order; all were served again \
         {} and {} ms after, all that was written was in custody {} and {} ms after",
        first.0.as_millis(),
        second.0.as_millis(),
        first.1.as_millis(),
        second.1.as_millis()
    );
    reader.stop().await.unwrap();
}
