//! Many nodes at one relay: what a connection costs, and how fast deposits are taken and delivered while they are there.
//!
//! 1. Nodes join: each registers, opens a queue and reserves a place; nine in ten attach their queue.
//! 2. Nothing happens for a while: what the relay then has and does is what connections cost.
//! 3. Deposits for nodes that are attached, one by one, many at once, and in batches; then for nodes that are away, who
//!    fetch them afterwards.
//! 4. More nodes join, up to the next step of the curve.
//!
//! The same connections are made to a relay that is nothing else, and the same is done at an XMPP server, where one runs:
//! `tests/postgres.sh tests/load/xmpp.sh ejabberd target/release/kith-bench load --stores sled,postgres`.
//!
//! Clients and relay share the machine's cores, and a client works as much for a deposit as a relay does: what the relay
//! alone used is measured as well.

mod bare;
mod flood;
mod node;
mod report;
mod server;
mod swarm;
mod usage;
mod xmpp;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::flood::{Flood, Kind};
use self::node::{Arrivals, Node, Nth};
use self::report::{Idle, Step};
use self::server::{Bare, Relay};
use self::swarm::Known;
use self::usage::Usage;
use self::xmpp::Server;
use crate::Load;

pub(crate) use self::bare::run as bare_relay;
pub(crate) use self::report::Report;
pub(crate) use self::server::Store;

/// Nodes that join at once.
const JOINING: usize = 32;
/// No flood takes longer to arrive.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures the curve for each store, and for a relay of libp2p's own beside them.
pub(crate) fn run(options: &Load) -> anyhow::Result<Report> {
    let temporary = tempfile::tempdir()?;
    let folder = options.dir.as_deref().unwrap_or(temporary.path());
    let runtime = Runtime::new()?;
    let mut report = Report::new();
    runtime.block_on(async {
        for store in &options.stores {
            let name = format!("{store:?}").to_lowercase();
            let steps = one_relay(options, *store, &folder.join(&name)).await?;
            report.relay(name, steps);
        }
        report.bare(bare_libp2p(options, folder).await?);
        if let Some(server) = Server::running()? {
            let steps = xmpp::measure(options, &server).await?;
            report.relay(server.name, steps);
        }
        anyhow::Ok(())
    })?;
    Ok(report)
}

async fn one_relay(options: &Load, store: Store, folder: &Path) -> anyhow::Result<Vec<Step>> {
    let relay = Relay::start(store, folder).await?;
    let mut crowd = Crowd::default();
    let mut steps = Vec::new();
    for nodes in &options.nodes {
        // What was done for those who came before is no cost of these.
        let (before, connections) = (relay.usage()?, crowd.connections());
        let began = Instant::now();
        let joined = nodes - crowd.joined;
        crowd.grow(&relay, *nodes).await?;
        let joins = f64::from(joined) / began.elapsed().as_secs_f64();
        let connected = (connections, crowd.connections());
        let idle = idle(options, connected, before, || relay.usage()).await?;
        let flood = |kind| Flood { relay: &relay, arrivals: &crowd.arrivals, kind, nodes: *nodes };
        let step = Step {
            nodes: *nodes,
            joins,
            idle,
            serial: flood(Kind::Serial).run(options.serial).await?,
            single: flood(Kind::Single).run(options.flood).await?,
            batched: flood(Kind::Batched).run(options.flood).await?,
            away: flood(Kind::Away).run(options.flood).await?,
        };
        crowd.is_whole()?;
        eprintln!("{store:?}, {nodes} nodes: {step:?}");
        steps.push(step);
    }
    Ok(steps)
}

/// What there is and what is done while nobody does anything.
async fn idle(
    options: &Load,
    (connected, connections): (u32, u32),
    before: Usage,
    usage: impl Fn() -> anyhow::Result<Usage>,
) -> anyhow::Result<Idle> {
    let (then, began) = (usage()?, Instant::now());
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let now = usage()?;
    Ok(Idle {
        connections,
        memory: now.memory,
        per_connection: (now.memory - before.memory) / f64::from(connections - connected),
        cpu: (now.cpu - then.cpu).as_secs_f64() / began.elapsed().as_secs_f64(),
    })
}

/// Everybody at a relay.
#[derive(Default)]
struct Crowd {
    joined: u32,
    arrivals: Arc<Arrivals>,
    running: JoinSet<anyhow::Error>,
}

/// Joins some at once, and hands each over when it is there: who has joined has to be looked after.
async fn join_all<W, T: Send + 'static, F: Future<Output = anyhow::Result<T>> + Send + 'static>(
    who: impl IntoIterator<Item = W>,
    join: impl Fn(W) -> F,
    mut run: impl FnMut(T),
) -> anyhow::Result<()> {
    let mut joining = JoinSet::new();
    for who in who {
        if joining.len() >= JOINING
            && let Some(joined) = joining.join_next().await
        {
            run(joined??);
        }
        joining.spawn(join(who));
    }
    while let Some(joined) = joining.join_next().await {
        run(joined??);
    }
    Ok(())
}

/// Whether this node's queue is attached: one in ten is away.
fn is_attached(who: Nth) -> bool {
    who.0 % 10 != 9
}

impl Crowd {
    async fn grow(&mut self, relay: &Relay, to: u32) -> anyhow::Result<()> {
        let address = &relay.address;
        let join = |n| {
            let address = address.clone();
            async move {
                let who = Nth(n);
                let node = Node::join(who, &address, is_attached(who)).await;
                node.with_context(|| format!("node {n} cannot join"))
            }
        };
        let run = |node: Node| {
            self.running.spawn(node.run(Arc::clone(&self.arrivals)));
        };
        join_all(self.joined..to, join, run).await?;
        self.joined = to;
        Ok(())
    }

    /// Each has one, and whoever is attached a second.
    fn connections(&self) -> u32 {
        (0..self.joined).map(|n| 1 + u32::from(is_attached(Nth(n)))).sum()
    }

    /// Nobody lost their relay.
    fn is_whole(&mut self) -> anyhow::Result<()> {
        match self.running.try_join_next() {
            None => Ok(()),
            Some(ended) => Err(ended?),
        }
    }
}

/// The same connections at a relay that does nothing else.
async fn bare_libp2p(options: &Load, folder: &Path) -> anyhow::Result<Vec<Idle>> {
    let relay = Bare::start(folder).await?;
    let mut running = JoinSet::new();
    let mut idles = Vec::new();
    for nodes in &options.nodes {
        let address = &relay.address;
        let join = |_| {
            let address = address.clone();
            async move { node::bare(&address).await }
        };
        let (before, joined) = (relay.usage()?, u32::try_from(running.len())?);
        let run = |mut known: Known| {
            running.spawn(async move { known.stay().await });
        };
        join_all(joined..*nodes, join, run).await?;
        idles.push(idle(options, (joined, *nodes), before, || relay.usage()).await?);
    }
    match running.try_join_next() {
        None => Ok(idles),
        Some(ended) => Err(ended?),
    }
}
