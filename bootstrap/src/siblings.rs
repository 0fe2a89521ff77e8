//! What relay processes that share a database tell each other, over `NOTIFY`.
//!
//! 1. Whoever comes or goes says so. Whoever takes a deposit says so before the receipt is given: its owner may be attached elsewhere, and here too, by
//!    a connection that is dead and not known to be. Whoever changes an account says so when it is durable.
//! 2. Each process listens on a connection of its own, wakes its subscribers and looks at accounts again.
//!
//! What is said is said outside of the transaction that it is about: a commit that carries a notification holds a lock
//! of the whole database until it is on disk. A process that dies in between has given no receipt, and who has none
//! deposits again, somewhere; that is said again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use protocol::ids::{AccountId, QueueId};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::Postgres;
use crate::error::{RelayError, StoreError};
use crate::postgres::Connection;
use crate::registration::accounts::{AccountError, Accounts};
use crate::relay::Tasks;
use crate::swarm::Order;

/// The channel of the database.
const CHANNEL: &str = "kith";
/// Queues in one notification: PostgreSQL takes 8000 bytes, and 32 digits name one.
const MAX_QUEUES: usize = 200;
/// News of accounts that wait to be taken up; the listener waits when it is full.
const NEWS: usize = 1_024;
/// How long the listener waits for news before it looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(500);

/// Names a running process to the others, so that none hears itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instance([u8; 8]);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({self})")
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Instance {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

/// What a process is told.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// Something was stored in these queues.
    Stored(Vec<QueueId>),
    /// This account is not what it was.
    Account(AccountId),
    /// A process came, or is going.
    Process,
}

/// Says that something was stored in queues whose owners may be attached elsewhere.
pub(crate) fn say_stored(
    connection: &mut Connection,
    from: Instance,
    queues: &[QueueId],
) -> Result<(), StoreError> {
    for queues in queues.chunks(MAX_QUEUES) {
        let ids: String = queues.iter().map(ToString::to_string).collect();
        say(connection, &format!("{from} q {ids}"))?;
    }
    Ok(())
}

/// Says that an account is not what it was.
pub(crate) fn say_account(
    connection: &mut Connection,
    from: Instance,
    account: AccountId,
) -> Result<(), StoreError> {
    say(connection, &format!("{from} a {account}"))
}

/// Says that this process came, or is going.
pub(crate) fn say_process(connection: &mut Connection, from: Instance) -> Result<(), StoreError> {
    say(connection, &format!("{from} p -"))
}

fn say(connection: &mut Connection, payload: &str) -> Result<(), StoreError> {
    connection.query("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload]).map(drop)
}

/// What a notification means to a process; nothing if it is its own, or of a release that says more.
fn heard(payload: &str, own: Instance) -> Option<News> {
    let mut words = payload.split(' ');
    let (from, what, about) = (words.next()?, words.next()?, words.next()?);
    if from == own.to_string() {
        return None;
    }
    match what {
        "q" => {
            let bytes = HEXLOWER.decode(about.as_bytes()).ok()?;
            let (ids, rest) = bytes.as_chunks::<16>();
            rest.is_empty().then(|| News::Stored(ids.iter().copied().map(QueueId).collect()))
        }
        "a" => about.parse().ok().map(News::Account),
        "p" => Some(News::Process),
        _ => None,
    }
}

/// Hears what other processes say.
#[derive(Debug)]
pub(crate) struct Listener {
    connection: Connection,
    own: Instance,
}

impl Listener {
    /// From now on nothing is missed. Blocks.
    pub(crate) fn open(config: &Postgres, own: Instance) -> Result<Self, StoreError> {
        let mut connection = Connection::open(config)?;
        connection.say("LISTEN kith")?;
        Ok(Self { connection, own })
    }

    /// The process that listens.
    pub(crate) fn own(&self) -> Instance {
        self.own
    }

    /// Hears other processes, and takes up what they say, until the relay ends.
    pub(crate) fn spawn(
        self,
        tasks: &mut Tasks,
        accounts: Accounts,
        (orders, joined): (mpsc::Sender<Order>, Arc<Notify>),
        shutdown: &CancellationToken,
    ) {
        let (changed, changes) = mpsc::channel(NEWS);
        let stop = shutdown.clone();
        tasks.spawn_blocking(move || {
            let result = self.run((&orders, &joined), &changed, &stop);
            ("listener", result.map_err(RelayError::from))
        });
        tasks.spawn(async move {
            let result = match accounts.take_up(changes).await {
                Err(AccountError::Store(error)) => Err(error.into()),
                Ok(()) | Err(AccountError::Stopping) => Ok(()),
            };
            ("news", result)
        });
    }

    /// Passes on what is heard until it is told to stop. Blocks: for a thread of its own.
    ///
    /// # Errors
    /// The end of the connection: what is said from then on would be missed.
    fn run(
        mut self,
        (orders, joined): (&mpsc::Sender<Order>, &Notify),
        changed: &mpsc::Sender<AccountId>,
        shutdown: &CancellationToken,
    ) -> Result<(), StoreError> {
        // Both are closed only when the relay stops.
        while !shutdown.is_cancelled() && !changed.is_closed() {
            for payload in self.connection.notifications(LOOK_UP)? {
                let passed_on = match heard(&payload, self.own) {
                    Some(News::Stored(queues)) => {
                        orders.blocking_send(Order::Stored(queues)).is_ok()
                    }
                    Some(News::Account(account)) => changed.blocking_send(account).is_ok(),
                    Some(News::Process) => {
                        joined.notify_one();
                        true
                    }
                    None => true,
                };
                if !passed_on {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;

    #[test]
    fn what_one_process_says_the_others_hear_and_it_does_not() {
        let database = testing::database();
        let (ada, ben) = (Instance([1; 8]), Instance([2; 8]));
        let mut speaking = Connection::open(&database).expect("open");
        let mut own = Listener::open(&database, ada).expect("open");
        let mut other = Listener::open(&database, ben).expect("open");
        let queues: Vec<_> = (0..=MAX_QUEUES).map(|n| QueueId([n as u8; 16])).collect();
        let account = AccountId([7; 32]);
        say_stored(&mut speaking, ada, &queues).expect("said");
        say_account(&mut speaking, ada, account).expect("said");
        let hear = |listener: &mut Listener, of: Instance| {
            let mut all = Vec::new();
            while all.len() < 4 {
                all.extend(listener.connection.notifications(LOOK_UP).expect("heard"));
            }
            all.iter().filter_map(|payload| heard(payload, of)).collect::<Vec<_>>()
        };
        let (first, rest) = queues.split_at(MAX_QUEUES);
        say_process(&mut speaking, ada).expect("said");
        let told = [
            News::Stored(first.to_vec()),
            News::Stored(rest.to_vec()),
            News::Account(account),
            News::Process,
        ];
        assert_eq!(hear(&mut other, ben), told);
        assert_eq!(hear(&mut own, ada), []);
    }

    #[test]
    fn what_makes_no_sense_is_not_heard() {
        let own = Instance([1; 8]);
        for payload in ["", "x", "x q", "x q 00", "x a 00", "x z 00", "x q zz"] {
            assert_eq!(heard(payload, own), None, "{payload:?}");
        }
    }
}
