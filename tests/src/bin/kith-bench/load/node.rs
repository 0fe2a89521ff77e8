//! Somebody at a relay: registered, with a reservation and a queue, and mostly attached to it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crypto::identity::{Identity, Seed, SigningKey};
use crypto::secret::Secret;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use protocol::ids::{QueueId, RelayId};
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{
    Deposit, Item, MailboxRequest, MailboxResponse, OwnerClaim, QueueKind, QueueSpec,
};
use protocol::registration::proof as registration;
use protocol::registration::wire::{IdentifierKind, RegisterRequest, RegisterResponse};
use tokio::sync::watch;

use super::swarm::{Known, Unknown};

/// Bytes of a deposit: those of a short message's frame.
pub(super) const BODY: usize = 512;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nth(pub(super) u32);

impl Nth {
    fn bytes<const N: usize>(self, what: u8) -> [u8; N] {
        let mut bytes = [what; N];
        bytes[..4].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }

    fn key(self, what: u8) -> SigningKey {
        SigningKey::from_seed(&Secret::from_bytes(self.bytes(what)))
    }

    fn identity(self) -> Identity {
        Identity::from_seed(&Seed::from_secret(Secret::from_bytes(self.bytes(1))))
    }

    fn queue(self) -> QueueSpec {
        QueueSpec {
            receive: QueueId(self.bytes(2)),
            send: QueueId(self.bytes(3)),
            owner_key: *self.key(4).verifying_key().as_bytes(),
            deposit_key: *self.key(5).verifying_key().as_bytes(),
            kind: QueueKind::Contact,
        }
    }

    fn claim(self, binding: Binding<'_>) -> OwnerClaim {
        proof::claim(&self.key(4), self.queue().receive, binding)
    }

    /// A deposit for them.
    pub(super) fn deposit(self, arrivals: &Arrivals, binding: Binding<'_>) -> Deposit {
        proof::deposit(&self.key(5), QueueId(self.bytes(3)), arrivals.body(), 0, binding)
    }
}

/// What is known of something that was sent: when it was made, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark {
    /// Nanoseconds since the beginning.
    pub(super) made: u64,
    pub(super) id: u64,
}

/// What arrived, at whomever, and how long it had taken.
#[derive(Debug)]
pub(super) struct Arrivals {
    began: Instant,
    arrived: Mutex<Arrived>,
    count: watch::Sender<usize>,
}

/// Each is counted once: a relay delivers at least once, and whoever gets it knows it again.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    marks: HashSet<Mark>,
    pub(super) times: Vec<Duration>,
    /// How many came again.
    pub(super) repeated: usize,
}

impl Default for Arrivals {
    fn default() -> Self {
        let arrived = Mutex::default();
        Self { began: Instant::now(), arrived, count: watch::Sender::new(0) }
    }
}

impl Arrivals {
    /// Of something that is made now.
    pub(super) fn mark(&self) -> Mark {
        Mark { made: self.now(), id: rand::random() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn body(&self) -> Vec<u8> {
        let Mark { made, id } = self.mark();
        let mut body = vec![0; BODY];
        body[..8].copy_from_slice(&made.to_be_bytes());
        body[8..16].copy_from_slice(&id.to_be_bytes());
        body
    }

    /// These have arrived.
    pub(super) fn take(&self, marks: impl Iterator<Item = Mark>) {
        let now = self.now();
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in marks {
            match arrived.marks.insert(mark) {
                true => arrived.times.push(Duration::from_nanos(now.saturating_sub(mark.made))),
                false => arrived.repeated += 1,
            }
        }
        self.count.send_replace(arrived.times.len());
    }

    /// Waits until so many have arrived, and begins anew.
    pub(super) async fn wait(&self, count: usize) -> anyhow::Result<Arrived> {
        let mut counted = self.count.subscribe();
        let all = counted.wait_for(|counted| *counted >= count);
        tokio::time::timeout(super::PATIENCE, all).await.context("not all has arrived")??;
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if arrived.times.len() > count {
            bail!("{} arrived, and {count} were sent", arrived.times.len());
        }
        self.count.send_replace(0);
        // What comes again later is still known.
        let marks = arrived.marks.clone();
        Ok(std::mem::replace(&mut *arrived, Arrived { marks, ..Arrived::default() }))
    }
}

/// A connection with the nonce that a relay gave it.
pub(super) struct Sealed {
    pub(super) link: Unknown,
    pub(super) relay: RelayId,
    pub(super) nonce: [u8; 32],
}

impl Sealed {
    pub(super) async fn connect(address: &Multiaddr) -> anyhow::Result<Self> {
        let mut link = Unknown::connect(address).await?;
        match link.ask(MailboxRequest::Hello).await? {
            MailboxResponse::Hello { nonce, .. } => {
                Ok(Self { link, relay: relay_of(address)?, nonce })
            }
            other => bail!("{other:?} instead of a nonce"),
        }
    }

    pub(super) fn binding(&self) -> Binding<'_> {
        Binding { relay: self.relay, nonce: &self.nonce }
    }

    /// Attaches queues; how much waits in them.
    pub(super) async fn attach(&mut self, whose: &[Nth]) -> anyhow::Result<usize> {
        let claims = whose.iter().map(|who| who.claim(self.binding())).collect();
        match self.link.ask(MailboxRequest::Attach { claims }).await? {
            MailboxResponse::Attached { waiting } => waiting
                .into_iter()
                .map(|waiting| waiting.map(|waiting| waiting as usize))
                .sum::<Option<usize>>()
                .context("a queue is not there"),
            other => bail!("{other:?} instead of queues"),
        }
    }

    /// Takes what is pushed, for as long as it comes.
    pub(super) async fn collect(&mut self, arrivals: &Arrivals) -> anyhow::Error {
        loop {
            match self.link.push().await {
                Ok(pushed) => {
                    arrivals.take(pushed.items.iter().filter_map(mark));
                    self.link.acknowledge(pushed);
                }
                Err(error) => return error,
            }
        }
    }
}

fn mark(item: &Item) -> Option<Mark> {
    let (made, rest) = item.body.split_first_chunk()?;
    let (id, _) = rest.split_first_chunk()?;
    Some(Mark { made: u64::from_be_bytes(*made), id: u64::from_be_bytes(*id) })
}

fn relay_of(address: &Multiaddr) -> anyhow::Result<RelayId> {
    let (_, relay) = bootstrap::peer::named_in(address).context("an address without its relay")?;
    Ok(relay)
}

/// A node that is served.
pub(super) struct Node {
    known: Known,
    attached: Option<Sealed>,
}

impl Node {
    /// Registers, opens a queue, makes a reservation, and attaches the queue if it is to be.
    pub(super) async fn join(
        who: Nth,
        address: &Multiaddr,
        attached: bool,
    ) -> anyhow::Result<Self> {
        let identity = who.identity();
        let mut seed = *identity.signing_seed().expose();
        let keypair = Keypair::ed25519_from_bytes(&mut seed)?;
        let mut known = Known::connect(keypair, address).await?;
        let credential = register(&mut known, &identity, who, relay_of(address)?).await?;
        let open = MailboxRequest::Open { credential, queue: who.queue() };
        match known.mailbox(open).await? {
            MailboxResponse::Opened => {}
            other => bail!("{other:?} instead of a queue"),
        }
        known.reserve(address).await?;
        let attached = match attached {
            true => {
                let mut sealed = Sealed::connect(address).await?;
                sealed.attach(&[who]).await?;
                Some(sealed)
            }
            false => None,
        };
        Ok(Self { known, attached })
    }

    /// Is a node until its relay is lost.
    pub(super) async fn run(mut self, arrivals: Arc<Arrivals>) -> anyhow::Error {
        match &mut self.attached {
            Some(sealed) => tokio::select! {
                error = self.known.stay() => error,
                error = sealed.collect(&arrivals) => error,
            },
            None => self.known.stay().await,
        }
    }
}

async fn register(
    known: &mut Known,
    identity: &Identity,
    who: Nth,
    relay: RelayId,
) -> anyhow::Result<String> {
    let identifier = format!("person{}@example.org", who.0);
    let request = RegisterRequest::Challenge { kind: IdentifierKind::Email, identifier };
    let told = match known.register(request).await? {
        RegisterResponse::Challenged(told) => told,
        other => bail!("{other:?} instead of a challenge"),
    };
    let code = told.development_code.context("a relay for trying things out")?;
    let proof = registration::sign(identity, &told.nonce, relay);
    let request = RegisterRequest::Verify { challenge: told.challenge, code, proof };
    match known.register(request).await? {
        RegisterResponse::Admitted { credential, .. } => Ok(credential),
        other => bail!("{other:?} instead of a credential"),
    }
}

/// Somebody who is nothing but connected, with a reservation, as at a relay that does nothing else.
pub(super) async fn bare(address: &Multiaddr) -> anyhow::Result<Known> {
    let mut known = Known::connect(Keypair::generate_ed25519(), address).await?;
    known.reserve(address).await?;
    Ok(known)
}
