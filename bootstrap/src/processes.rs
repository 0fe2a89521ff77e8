//! Which processes a relay has, as they tell each other through their database, and where each is reached.
//!
//! 1. Each says every [`BEAT`] that it is there. One that was not seen for [`GONE`] is not there any more; one that comes
//!    or is stopped says so, and is heard at once.
//! 2. Nodes are told the addresses of all, so that whoever is connected to one finds another when it is lost.
//!
//! Times are the database's: processes may have different clocks.

use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use protocol::contact::{Address, MAX_ADDRESS, MAX_ADDRESSES};
use tokio::sync::{Notify, watch};

use crate::blocking::blocking;
use crate::config::{Config, Postgres};
use crate::drain::Drain;
use crate::error::{RelayError, StoreError};
use crate::identity::RelayIdentity;
use crate::peer;
use crate::postgres::Connection;
use crate::relay::Tasks;
use crate::siblings::{self, Instance};

/// How often a process says that it is there.
const BEAT: Duration = Duration::from_secs(10);
/// After so long without a word it is gone, in seconds: three beats.
const GONE: f64 = 30.0;
/// After so long it is forgotten, in seconds.
const FORGOTTEN: f64 = 3_600.0;
/// Most processes that one tells of, itself first: a node takes no more addresses.
const MAX_PROCESSES: i64 = MAX_ADDRESSES as i64;

/// Where a relay is reached, as it is known last. Empty for one that is one process.
pub(crate) type Reached = watch::Receiver<Arc<[Address]>>;
/// How that is told.
type Told = watch::Sender<Arc<[Address]>>;

/// This process among the others.
#[derive(Debug)]
pub(crate) struct Processes {
    connection: Connection,
    own: Instance,
    process: [u8; 32],
    addresses: Vec<Vec<u8>>,
}

/// Where a relay is reached that is one process: nobody has to be told.
pub(crate) fn alone() -> Reached {
    watch::channel(Arc::default()).1
}

/// Whether there is anybody else to go to.
#[derive(Debug)]
pub(crate) struct Others {
    own: PeerId,
    reached: Reached,
}

impl Others {
    fn of(identity: &RelayIdentity, reached: Reached) -> Self {
        Self { own: identity.keypair().public().to_peer_id(), reached }
    }

    pub(crate) fn are_there(&self) -> bool {
        let process = |at: &Address| {
            let at = Multiaddr::try_from(at.0.to_vec()).ok()?;
            peer::named_in(&at).map(|(process, _)| process)
        };
        self.reached.borrow().iter().filter_map(process).any(|process| process != self.own)
    }
}

/// Tells the relay's other processes that this one is there, where there may be others; where all are reached.
///
/// # Errors
/// [`RelayError`]: the database does not serve.
pub(crate) async fn spawn(
    tasks: &mut Tasks,
    config: &Config,
    identity: &RelayIdentity,
    addresses: &[Multiaddr],
    (own, joined, drain): (Option<Instance>, Arc<Notify>, Drain),
) -> Result<(Reached, Others), RelayError> {
    let shared = config.postgres.clone().filter(|postgres| postgres.service_file.is_some());
    let Some((postgres, own)) = shared.zip(own) else {
        return Ok((alone(), Others::of(identity, alone())));
    };
    let process = peer::ed25519_of(&identity.keypair().public().to_peer_id()).unwrap_or_default();
    let addresses = addresses.to_vec();
    if !addresses.iter().any(|at| peer::dialable(at).len() <= crypto::MAX_RELAY_ADDR) {
        tracing::warn!(
            "no address of this relay fits into an invite together with its process: name a shorter one in \
             network.external_addresses, or one by number"
        );
    }
    let (processes, told) =
        blocking(move || Processes::open(&postgres, (own, process), &addresses)).await?;
    let reached = told.subscribe();
    tasks.spawn(async move {
        let result = processes.run(told, &joined, &drain).await;
        if result.is_ok() {
            // It has left; a task that ends before the relay is taken for a failure.
            drain.shutdown().cancelled().await;
        }
        ("processes", result.map_err(RelayError::from))
    });
    let others = Others::of(identity, reached.clone());
    Ok((reached, others))
}

impl Processes {
    /// Says that this process is there, and how all are reached. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn open(
        config: &Postgres,
        (own, process): (Instance, [u8; 32]),
        addresses: &[Multiaddr],
    ) -> Result<(Self, Told), StoreError> {
        let connection = Connection::open(config)?;
        let addresses = addresses.iter().map(peer::dialable).map(|at| at.to_vec());
        let addresses = addresses.filter(|at| at.len() <= MAX_ADDRESS).take(MAX_ADDRESSES);
        let mut all = Self { connection, own, process, addresses: addresses.collect() };
        let reached = all.beat()?;
        siblings::say_process(&mut all.connection, own)?;
        Ok((all, watch::Sender::new(reached)))
    }

    /// Says it again and again, until nobody is to come here any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) async fn run(
        mut self,
        told: Told,
        joined: &Notify,
        drain: &Drain,
    ) -> Result<(), StoreError> {
        let mut turn = tokio::time::interval(BEAT);
        turn.tick().await;
        loop {
            let ending = tokio::select! {
                () = drain.asked() => true,
                _ = turn.tick() => false,
                () = joined.notified() => false,
            };
            let (all, reached) = blocking(move || {
                let reached =
                    if ending { self.leave().map(|()| None) } else { self.beat().map(Some) };
                (self, reached)
            })
            .await;
            match reached? {
                None => return Ok(()),
                Some(reached) => told.send_replace(reached),
            };
            self = all;
        }
    }

    fn beat(&mut self) -> Result<Arc<[Address]>, StoreError> {
        let connection = &mut self.connection;
        connection.execute(
            "INSERT INTO processes (process, addresses, seen) VALUES ($1, $2, now())
             ON CONFLICT (process) DO UPDATE SET addresses = excluded.addresses, seen = now()",
            &[&self.process.as_slice(), &self.addresses],
        )?;
        connection.execute(
            "DELETE FROM processes WHERE seen < now() - make_interval(secs => $1)",
            &[&FORGOTTEN],
        )?;
        let rows = connection.query(
            "SELECT addresses FROM processes WHERE seen > now() - make_interval(secs => $1)
             ORDER BY process <> $3, process LIMIT $2",
            &[&GONE, &MAX_PROCESSES, &self.process.as_slice()],
        )?;
        let each = rows.iter().map(|row| row.try_get(0).unwrap_or_default());
        Ok(in_turn(&each.collect::<Vec<_>>()))
    }

    fn leave(&mut self) -> Result<(), StoreError> {
        let gone = "DELETE FROM processes WHERE process = $1";
        self.connection.execute(gone, &[&self.process.as_slice()])?;
        siblings::say_process(&mut self.connection, self.own)
    }
}

/// The first address of each, then the second: one of each is told before there is no room.
fn in_turn(each: &[Vec<Vec<u8>>]) -> Arc<[Address]> {
    let longest = each.iter().map(Vec::len).max().unwrap_or_default();
    let all = (0..longest).flat_map(|nth| each.iter().filter_map(move |of_one| of_one.get(nth)));
    all.take(MAX_ADDRESSES).map(|at| Address(at.clone().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;

    #[test]
    fn each_hears_of_all_until_one_leaves_or_is_not_seen_any_more() {
        let database = testing::database();
        let at = |port: u16| {
            let peer = libp2p::identity::Keypair::generate_ed25519().public().to_peer_id();
            let at: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("one");
            at.with(libp2p::multiaddr::Protocol::P2p(peer))
        };
        let (one_at, other_at) = ([at(1), at(2)], [at(3)]);
        let bytes = |at: &Multiaddr| Address(at.to_vec().into());
        let (mut one, told) =
            Processes::open(&database, (Instance::random(), [1; 32]), &one_at).expect("there");
        assert_eq!(**told.borrow(), one_at.each_ref().map(bytes));
        let (mut other, told) =
            Processes::open(&database, (Instance::random(), [2; 32]), &other_at).expect("there");
        let all = [&other_at[0], &one_at[0], &one_at[1]].map(bytes);
        assert_eq!(**told.borrow(), all, "one of each first, itself before others");
        let all = [&one_at[0], &other_at[0], &one_at[1]].map(bytes);
        assert_eq!(*one.beat().expect("said"), all);
        other.leave().expect("said");
        assert_eq!(*one.beat().expect("said"), one_at.each_ref().map(bytes));
        other.beat().expect("said");
        let late = format!(
            "UPDATE processes SET seen = now() - interval '{} seconds' WHERE process = $1",
            GONE + 1.0
        );
        let late: &'static str = Box::leak(late.into_boxed_str());
        other.connection.execute(late, &[&[2u8; 32].as_slice()]).expect("changed");
        assert_eq!(*one.beat().expect("said"), one_at.each_ref().map(bytes), "not seen");
    }

    #[test]
    fn no_more_are_told_than_a_node_takes() {
        let each: Vec<_> = (0..20u8).map(|n| vec![vec![n], vec![n, 1]]).collect();
        let told = in_turn(&each);
        assert_eq!(told.len(), MAX_ADDRESSES);
        assert!(told.iter().all(|at| at.0.len() == 1), "one of each");
    }
}
