//! An XMPP server beside our relay: its clients connect, wait, and are sent to as nodes are.
//!
//! What is spoken is RFC 6120 without TLS, and XEP-0198: its acknowledgements say that the server has taken what was
//! sent, as a receipt does. `tests/load/xmpp.sh` starts the server and says what its word is worth.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::flood::{Kind, Outcome};
use super::node::{Arrivals, BODY, Mark, Nth};
use super::report::Step;
use super::usage::Usage;
use super::{idle, is_attached, join_all};
use crate::Load;
use crate::stats::Latency;

/// No answer takes longer.
const DEADLINE: Duration = Duration::from_secs(60);
/// Most of one answer, in bytes.
const MAX_BUFFER: usize = 16 * 1024 * 1024;

/// A server that `tests/load/xmpp.sh` started.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: String,
    at: (String, u16),
    process: u32,
}

impl Server {
    /// The one that runs, if one does.
    pub(super) fn running() -> anyhow::Result<Option<Self>> {
        let Ok(name) = std::env::var("KITH_XMPP_NAME") else { return Ok(None) };
        let host = std::env::var("KITH_XMPP_HOST")?;
        let port = std::env::var("KITH_XMPP_PORT")?.parse()?;
        let process = std::env::var("KITH_XMPP_PID")?.parse()?;
        Ok(Some(Self { name, at: (host, port), process }))
    }

    fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.process)
    }
}

/// Somebody who is signed in.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn sign_in(server: &Server, who: Nth, resource: &str) -> anyhow::Result<Self> {
        const OPEN: &str = "<?xml version='1.0'?><stream:stream to='load.test' version='1.0' \
             xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
        let stream = TcpStream::connect((server.at.0.as_str(), server.at.1)).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: Vec::new() };
        let password = BASE64.encode(format!("\0u{}\0p", who.0).as_bytes());
        let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
        client.ask(OPEN, "</stream:features>").await?;
        let auth = format!("<auth xmlns='{sasl}' mechanism='PLAIN'>{password}</auth>");
        client.ask(&auth, "<success").await?;
        client.ask(OPEN, "</stream:features>").await?;
        let bind = format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        );
        client.ask(&bind, "</iq>").await?;
        Ok(client)
    }

    /// Somebody to whom messages come from now on.
    async fn present(server: Server, who: Nth) -> anyhow::Result<Self> {
        let mut client = Self::sign_in(&server, who, "r").await?;
        client.stream.write_all(b"<presence/>").await?;
        Ok(client)
    }

    /// From now on the server says what it has taken.
    async fn want_acknowledgements(&mut self) -> anyhow::Result<()> {
        self.ask("<enable xmlns='urn:xmpp:sm:3'/>", "<enabled").await
    }

    async fn ask(&mut self, what: &str, answer: &str) -> anyhow::Result<()> {
        self.stream.write_all(what.as_bytes()).await?;
        let answered = async {
            loop {
                if let Some(end) = find(&self.buffer, answer.as_bytes()) {
                    self.buffer.drain(..end);
                    return Ok(());
                }
                self.read().await?;
            }
        };
        tokio::time::timeout(DEADLINE, answered).await.context("no answer in time")?
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() > MAX_BUFFER {
            bail!("an XMPP server says more than is understood");
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("an XMPP server has hung up"),
            _ => Ok(()),
        }
    }

    /// Takes messages for as long as they come.
    async fn collect(&mut self, arrivals: &Arrivals) -> anyhow::Error {
        loop {
            let mut marks = Vec::new();
            while let Some(end) = find(&self.buffer, b"</message>") {
                let message = String::from_utf8_lossy(&self.buffer[..end]);
                marks.extend(message.split_once("<body>").and_then(|(_, body)| mark(body)));
                self.buffer.drain(..end);
            }
            arrivals.take(marks.into_iter());
            if let Err(error) = self.read().await {
                return error;
            }
        }
    }
}

fn mark(body: &str) -> Option<Mark> {
    let part = |at: std::ops::Range<usize>| u64::from_str_radix(body.get(at)?, 16).ok();
    Some(Mark { made: part(0..16)?, id: part(16..32)? })
}

/// Where something stands, and its length: the end of it.
fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let at = text.windows(wanted.len()).position(|part| part == wanted)?;
    Some(at + wanted.len())
}

/// Measures the same curve.
pub(super) async fn measure(options: &Load, server: &Server) -> anyhow::Result<Vec<Step>> {
    let arrivals = Arc::new(Arrivals::default());
    let mut running = JoinSet::new();
    let (mut joined, mut steps) = (0, Vec::new());
    for nodes in &options.nodes {
        let (before, connected) = (server.usage()?, u32::try_from(running.len())?);
        let began = Instant::now();
        let attached: Vec<_> = (joined..*nodes).map(Nth).filter(|who| is_attached(*who)).collect();
        sign_in(server, attached, &arrivals, &mut running).await?;
        let joins = f64::from(nodes - joined) / began.elapsed().as_secs_f64();
        joined = *nodes;
        let connected = (connected, u32::try_from(running.len())?);
        let idle = idle(options, connected, before, || server.usage()).await?;
        let flood = |kind| Flood { server, arrivals: &arrivals, kind, nodes: *nodes };
        let step = Step {
            nodes: *nodes,
            joins,
            idle,
            serial: flood(Kind::Serial).run(options.serial).await?,
            single: flood(Kind::Single).run(options.flood).await?,
            batched: flood(Kind::Batched).run(options.flood).await?,
            away: flood(Kind::Away).run(options.flood).await?,
        };
        if let Some(ended) = running.try_join_next() {
            return Err(ended?);
        }
        eprintln!("{}, {nodes} clients: {step:?}", server.name);
        steps.push(step);
    }
    Ok(steps)
}

/// Signs these in, who take messages from then on.
async fn sign_in(
    server: &Server,
    who: Vec<Nth>,
    arrivals: &Arc<Arrivals>,
    running: &mut JoinSet<anyhow::Error>,
) -> anyhow::Result<()> {
    join_all(
        who,
        |who| Client::present(server.clone(), who),
        |mut client| {
            let arrivals = Arc::clone(arrivals);
            running.spawn(async move { client.collect(&arrivals).await });
        },
    )
    .await
}

/// What is to be done.
struct Flood<'a> {
    server: &'a Server,
    arrivals: &'a Arc<Arrivals>,
    kind: Kind,
    nodes: u32,
}

impl Flood<'_> {
    /// Sends so many, and waits until all have arrived.
    async fn run(self, count: usize) -> anyhow::Result<Outcome> {
        let (senders, under_way, batch) = self.kind.shape();
        let requests = (count / batch / senders).max(1);
        let all = requests * batch * senders;
        let mut ready = Vec::new();
        for n in 0..senders {
            // Without presence nothing is sent to them.
            let mut client = Client::sign_in(self.server, Nth(0), &format!("s{n}")).await?;
            client.want_acknowledgements().await?;
            ready.push(client);
        }
        let before = self.server.usage()?;
        let began = Instant::now();
        let mut sending = JoinSet::new();
        for client in ready {
            let arrivals = Arc::clone(self.arrivals);
            let (kind, nodes) = (self.kind, self.nodes);
            sending.spawn(send(client, arrivals, (kind, nodes), (requests, under_way, batch)));
        }
        let mut receipts = Vec::new();
        while let Some(sent) = sending.join_next().await {
            receipts.extend(sent??);
        }
        let (taken, mut fetching_began) = (began.elapsed(), began);
        let mut fetching = JoinSet::new();
        if self.kind == Kind::Away {
            fetching_began = Instant::now();
            let away = (0..self.nodes).map(Nth).filter(|who| !is_attached(*who)).collect();
            sign_in(self.server, away, self.arrivals, &mut fetching).await?;
        }
        let arrived = self.arrivals.wait(all).await?;
        let delivered = fetching_began.elapsed();
        let rate = |time: Duration| all as f64 / time.as_secs_f64();
        let cpu = self.server.usage()?.cpu - before.cpu;
        Ok(Outcome {
            receipt: Latency::of(receipts),
            arrival: Latency::of(arrived.times),
            repeated: arrived.repeated,
            taken: rate(taken),
            delivered: rate(delivered),
            cost: cpu.as_secs_f64() * 1e6 / all as f64,
            database: None,
        })
    }
}

/// Times of so many requests, each with a batch of messages.
async fn send(
    mut client: Client,
    arrivals: Arc<Arrivals>,
    (kind, nodes): (Kind, u32),
    (requests, under_way, batch): (usize, usize, usize),
) -> anyhow::Result<Vec<Duration>> {
    let (mut sent, mut asked, mut times) = (0, VecDeque::new(), Vec::new());
    while times.len() < requests {
        while sent < requests && asked.len() < under_way {
            let mut stanzas = String::new();
            for _ in 0..batch {
                let Nth(to) = kind.target(nodes);
                let Mark { made, id } = arrivals.mark();
                let _ = write!(
                    stanzas,
                    "<message to='u{to}@load.test' type='chat' id='m'><body>{made:016x}{id:016x}{}</body></message>",
                    "x".repeat(BODY - 32)
                );
            }
            stanzas.push_str("<r xmlns='urn:xmpp:sm:3'/>");
            asked.push_back(Instant::now());
            client.stream.write_all(stanzas.as_bytes()).await?;
            sent += 1;
        }
        client.ask("", "<a ").await?;
        times.push(asked.pop_front().context("an answer to nothing")?.elapsed());
    }
    Ok(times)
}
