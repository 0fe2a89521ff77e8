//! The engine's task: it gathers inputs, steps the engine, and performs the effects.

use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::Timestamp;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Command, Effect, Engine, Input, News};
use crate::api::dto::EventBody;
use crate::net::{NetCommand, NetEvent};
use crate::store::StoreError;

/// Most commands that wait; a client beyond that waits for its turn.
const MAX_COMMANDS: usize = 1_024;
/// Most volatile events that a slow subscriber may be behind; it then misses the oldest.
const MAX_VOLATILE: usize = 256;
/// Most news that a slow subscriber may be behind; it then reads the journal. With as many events
/// as are built, each with the longest text, it holds 32 MiB.
const MAX_NEWS: usize = 16;
/// Longest sleep: a jump of the wall clock is noticed after this.
const MAX_SLEEP: Duration = Duration::from_secs(15);

/// Commands that wait for the network from which on clients wait as well. Its events are still
/// taken: each is the end of something under way, and causes little.
const MAX_WAITING: usize = 1_024;

/// How soon a command that the network could not take is offered again.
const HAND_OVER_AGAIN: Duration = Duration::from_millis(20);

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the epoch.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Talks to the engine's task.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    news: broadcast::Sender<Arc<News>>,
    volatile: broadcast::Sender<EventBody>,
}

/// The engine has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;

impl EngineHandle {
    /// Gives the engine a command; waits while it has [`MAX_COMMANDS`].
    ///
    /// # Errors
    /// [`Stopped`] when there is no engine any more.
    pub async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    /// Returns when the engine has stopped.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }

    /// How the journal grows from now on.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    /// Events that are told to whoever is there.
    #[must_use]
    pub fn volatile(&self) -> broadcast::Receiver<EventBody> {
        self.volatile.subscribe()
    }
}

/// Runs the engine until `shutdown`, or until the store fails.
pub fn spawn(
    engine: Engine,
    first: Vec<Effect>,
    clock: Arc<dyn Clock>,
    net: (mpsc::Receiver<NetEvent>, impl NetSink),
    shutdown: CancellationToken,
) -> (EngineHandle, tokio::task::JoinHandle<Result<(), StoreError>>) {
    let (commands, inbox) = mpsc::channel(MAX_COMMANDS);
    let (news, _) = broadcast::channel(MAX_NEWS);
    let (volatile, _) = broadcast::channel(MAX_VOLATILE);
    let handle = EngineHandle { commands, news: news.clone(), volatile: volatile.clone() };
    let outputs = Outputs { news, volatile, sink: net.1, waiting: VecDeque::new() };
    let work = run(engine, first, clock, (inbox, net.0), outputs, shutdown);
    // A thread of its own: a step waits for the disk, and to leave a worker thread and come back
    // for every step costs more than the step.
    let runtime = tokio::runtime::Handle::current();
    let task = tokio::task::spawn_blocking(move || runtime.block_on(work));
    (handle, task)
}

/// Takes network commands.
pub trait NetSink: Send + Sync + 'static {
    /// Takes a command, or gives it back when it has to wait. Never blocks.
    fn offer(&self, command: NetCommand) -> Option<NetCommand>;
}

struct Outputs<S> {
    news: broadcast::Sender<Arc<News>>,
    volatile: broadcast::Sender<EventBody>,
    sink: S,
    /// Commands that the network could not take yet, in order: [`MAX_WAITING`] and what one step
    /// may cause, which is one batch per contact and one answer per queue.
    waiting: VecDeque<NetCommand>,
}

impl<S: NetSink> Outputs<S> {
    /// What goes to the network goes first: it has the longest way.
    fn perform(&mut self, mut effects: Vec<Effect>) {
        effects.sort_by_key(|effect| !matches!(effect, Effect::Net(_)));
        for effect in effects {
            match effect {
                Effect::Net(command) => {
                    self.waiting.push_back(command);
                    self.hand_over();
                }
                Effect::Reply(reply) => reply(),
                // Nobody listening is the normal state of a node without a tab.
                Effect::News(news) => drop(self.news.send(Arc::new(news))),
                Effect::Volatile(event) => drop(self.volatile.send(event)),
            }
        }
        self.hand_over();
    }

    fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    fn hand_over(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Some(refused) = self.sink.offer(command) {
                self.waiting.push_front(refused);
                return;
            }
        }
    }
}

async fn run<S: NetSink>(
    mut engine: Engine,
    beginning: Vec<Effect>,
    clock: Arc<dyn Clock>,
    (mut commands, mut events): (mpsc::Receiver<Command>, mpsc::Receiver<NetEvent>),
    mut outputs: Outputs<S>,
    shutdown: CancellationToken,
) -> Result<(), StoreError> {
    outputs.perform(beginning);
    loop {
        let now = clock.now();
        let longest = if outputs.waiting.is_empty() { MAX_SLEEP } else { HAND_OVER_AGAIN };
        let sleep = engine
            .next_deadline(now)
            .map_or(longest, |deadline| Duration::from_millis(deadline.since(now)).min(longest));
        let first = tokio::select! { biased;
            () = shutdown.cancelled() => break,
            Some(command) = commands.recv(), if outputs.has_room() => Input::Command(command),
            Some(event) = events.recv() => Input::Net(event),
            () = tokio::time::sleep(sleep) => Input::Tick,
        };
        engine.follow(outputs.news.receiver_count() > 0);
        let clients = outputs.has_room().then_some(&mut commands);
        let inputs = iter::once(first).chain(waiting(clients, &mut events));
        let effects = engine.step(inputs, clock.now(), &mut rand::rng())?;
        outputs.perform(effects);
        // Nobody is left who could want or bring anything: the node was dropped, not stopped.
        if commands.is_closed() && events.is_closed() {
            break;
        }
    }
    engine.stop(&mut rand::rng())
}

/// What waits in both queues, in turns, so that each gets its share of a batch.
fn waiting<'q>(
    mut clients: Option<&'q mut mpsc::Receiver<Command>>,
    events: &'q mut mpsc::Receiver<NetEvent>,
) -> impl Iterator<Item = Input> + 'q {
    let mut next_is_event = true;
    iter::from_fn(move || {
        next_is_event = !next_is_event;
        let mut event = || events.try_recv().ok().map(Input::Net);
        let mut command = || Some(Input::Command(clients.as_mut()?.try_recv().ok()?));
        if next_is_event { event().or_else(command) } else { command().or_else(event) }
    })
}
