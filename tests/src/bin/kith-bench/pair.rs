//! One pair: how long a message takes until it is durably delivered and signed for, and how many
//! of them a second.
//!
//! 1. Ada calls `send`; her node commits and flushes, then hands the frame to the network.
//! 2. Ben's node commits and flushes, then signs.
//! 3. Ada's node verifies and tells its followers “delivered”. There the clock stops: it is what a
//!    person's tab would see. It commits that with what follows.
//!
//! Two flushes in a row, and one round trip.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use node::api::dto::{DeliveryState, EventBody, Message};
use node::handle::EventFeed;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinSet;

use crate::ceiling::Ceiling;
use crate::people::People;
use crate::report::{Report, Run};
use crate::stats::Latency;
use crate::{Pair, disk};

/// Messages before the clock starts.
const WARM_UP: usize = 50;

/// Measures everything, as often as asked.
pub(crate) fn run(options: &Pair) -> anyhow::Result<Report> {
    let temporary;
    let folder = match &options.dir {
        Some(folder) => folder.as_path(),
        None => {
            temporary = tempfile::tempdir()?;
            temporary.path()
        }
    };
    // A runtime each, as two processes would have.
    let (here, elsewhere) = (Runtime::new()?, Runtime::new()?);
    let runs = (0..options.runs.max(1))
        .map(|n| {
            let folder = folder.join(format!("run-{n}"));
            std::fs::create_dir_all(&folder)?;
            here.block_on(one_run(options, &folder, elsewhere.handle()))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Report::new(options, runs))
}

async fn one_run(options: &Pair, folder: &Path, elsewhere: &Handle) -> anyhow::Result<Run> {
    // The ceilings before and after, so that a change of the weather falls on both.
    let (mut bare, mut flushes, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let half = (options.serial / 2).max(1);
    measure_ceiling(options, elsewhere, half, &mut bare, &mut rates).await?;
    flushes.extend(disk::commits(&folder.join("bare-1"), half)?);

    let people = People::start(folder, elsewhere, options.transport).await?;
    let mut feed = people.ada.node.events().subscribe(None).await?;
    let text = "x".repeat(options.text.max(1));
    serial(&people, &mut feed, &text, WARM_UP).await?;
    let delivered = serial(&people, &mut feed, &text, options.serial).await?;
    let rate = flood(&people, &mut feed, &text, options).await?;
    people.stop().await?;

    measure_ceiling(options, elsewhere, half, &mut bare, &mut rates).await?;
    flushes.extend(disk::commits(&folder.join("bare-2"), half)?);
    Ok(Run {
        delivered: Latency::of(delivered),
        rate,
        bare: Latency::of(bare),
        bare_rate: rates.iter().sum::<f64>() / rates.len() as f64,
        flush: Latency::of(flushes),
    })
}

async fn measure_ceiling(
    options: &Pair,
    elsewhere: &Handle,
    count: usize,
    times: &mut Vec<Duration>,
    rates: &mut Vec<f64>,
) -> anyhow::Result<()> {
    let mut ceiling = Ceiling::start(elsewhere, options.transport).await?;
    ceiling.serial(WARM_UP).await?;
    times.extend(ceiling.serial(count).await?);
    rates.push(ceiling.flood(options.flood, options.in_flight).await?);
    Ok(())
}

/// Messages one after the other: each from `send` to “delivered” in the event feed.
async fn serial(
    people: &People,
    feed: &mut EventFeed,
    text: &str,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let sent = people.ada.node.chats().send(&people.chat, text.to_owned(), None).await?;
        while delivered(feed).await? != sent.id {}
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Messages a second with many in flight, each counted when it is delivered.
async fn flood(
    people: &People,
    feed: &mut EventFeed,
    text: &str,
    options: &Pair,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (mut sent, mut done, mut sending) = (0, HashSet::new(), JoinSet::new());
    while done.len() < options.flood {
        while sent < options.flood && sent - done.len() < options.in_flight {
            let (node, chat) = (people.ada.node.clone(), people.chat.clone());
            let text = text.to_owned();
            sending.spawn(async move { node.chats().send(&chat, text, None).await.map(drop) });
            sent += 1;
        }
        done.insert(delivered(feed).await?);
        while let Some(accepted) = sending.try_join_next() {
            accepted??;
        }
    }
    Ok(options.flood as f64 / began.elapsed().as_secs_f64())
}

/// The next message that is delivered, by its id. One may be named more than once.
async fn delivered(feed: &mut EventFeed) -> anyhow::Result<String> {
    loop {
        let event = feed.next().await.context("Ada's node stopped, or the feed was too slow")?;
        match event.body {
            EventBody::MessageChanged(message) | EventBody::MessageAdded(message)
                if is_delivered(&message) =>
            {
                return Ok(message.id);
            }
            EventBody::Reset => anyhow::bail!("the feed lost its place"),
            _ => {}
        }
    }
}

fn is_delivered(message: &Message) -> bool {
    message.delivery.as_ref().is_some_and(|delivery| delivery.state == DeliveryState::Delivered)
}
