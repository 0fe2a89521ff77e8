//! `/kith/mailbox/1`: owners and senders to a relay, and a relay back to a subscribed owner.
//!
//! A queue has two addresses: `receive` for its owner, `send` for those who may deposit. The
//! relay knows that they belong together; nobody who has one can name the other. Every claim
//! is a signature over the relay's key and the [nonce](MailboxResponse::Hello) that it gave
//! this connection, so none can be replayed elsewhere.
//!
//! 1. The owner opens a queue over its *identity* connection, with its admission credential.
//! 2. It gives `send` and the deposit key to one contact, inside their session.
//! 3. That contact deposits frames over a *throwaway* connection; the answer, given after the
//!    flush, is a signed [`CustodyReceipt`].
//! 4. The owner attaches over a throwaway connection of its own and is pushed what is there;
//!    its reply to a push is the acknowledgement, given after its own flush, and deletes.
//!
//! Spec: `docs/protocol/mailbox.md` §3.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::ids::{EnvelopeId, QueueId, RelayId};
use crate::time::Timestamp;
use crate::wire::Wire;

/// The protocol's name in libp2p.
pub const PROTOCOL: &str = "/kith/mailbox/1";
/// Longest body of one item in bytes: the largest frame class.
pub const MAX_BODY: usize = 32 * 1024;
/// Most items in one deposit, push or fetch.
pub const MAX_ITEMS: usize = 64;
/// Most body bytes in one deposit, push or fetch.
pub const MAX_BATCH_BYTES: usize = 192 * 1024;
/// Most queues in one attach.
pub const MAX_ATTACH: usize = 128;
/// Longest bundle kept beside an invite's drop, in bytes.
pub const MAX_BUNDLE: usize = 4 * 1024;
/// Longest admission credential in bytes.
pub const MAX_CREDENTIAL: usize = 2 * 1024;

/// An Ed25519 signature.
pub type Proof = ByteArray<64>;

/// What a queue is for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueKind {
    /// Frames of one contact.
    Contact,
    /// Join requests for one invite: few, small, until it closes.
    Drop {
        /// Nothing is taken after this moment, by the relay's clock.
        closes_at: Timestamp,
        /// The sealed bundle that a holder of the deposit key may fetch.
        bundle: ByteBuf,
    },
}

/// A queue as its owner opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSpec {
    /// The owner's address.
    pub receive: QueueId,
    /// The depositors' address.
    pub send: QueueId,
    /// Ed25519 key that the owner proves itself with.
    pub owner_key: [u8; 32],
    /// Ed25519 key that depositors prove themselves with.
    pub deposit_key: [u8; 32],
    /// What it is for.
    pub kind: QueueKind,
}

/// One deposit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Where to.
    pub send: QueueId,
    /// How long the relay should keep it, seconds; clamped to the relay's maximum.
    pub ttl_seconds: u32,
    /// Asks for the room that is kept for control messages, of a queue that has no other left.
    pub reserved: bool,
    /// At most [`MAX_BODY`] bytes.
    pub body: ByteBuf,
    /// By the deposit key, purpose `mailbox deposit`, over relay, `send`, nonce, SHA-256(body).
    pub proof: Proof,
}

/// One item on its way to the owner.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The queue, by its owner's address.
    pub receive: QueueId,
    /// Position in the queue; local to this relay and this queue, rising.
    pub seq: u64,
    /// When the relay took it, by its clock.
    pub deposited_at: Timestamp,
    /// The bytes as deposited.
    pub body: ByteBuf,
}

/// A claim to a queue, by its owner.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerClaim {
    /// Which queue.
    pub receive: QueueId,
    /// By the owner key, purpose `mailbox owner`, over relay, `receive`, nonce.
    pub proof: Proof,
}

/// A relay's signed word that it holds a frame, given after the flush.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyReceipt {
    /// Who holds it.
    pub relay: RelayId,
    /// The queue, by its depositors' address.
    pub send: QueueId,
    /// What is held.
    pub envelope: EnvelopeId,
    /// Since when, by the relay's clock.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// By the relay's identity key, purpose `custody`, over all the fields above in this order
    /// (integers u64 BE).
    pub proof: Proof,
}

/// What is asked: by nodes of a relay, and ([`Push`](Self::Push) only) by a relay of a node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailboxRequest {
    /// A nonce for this connection, and what the relay allows.
    Hello,
    /// Open a queue. Identity connection only.
    Open {
        /// The admission credential: a JWT bound to the key that this connection authenticated.
        credential: String,
        /// The queue.
        queue: QueueSpec,
    },
    /// Close a queue and forget what is in it.
    Close {
        /// Its owner's claim.
        claim: OwnerClaim,
    },
    /// Push what is in these queues to this connection, now and from now on. A newer attach of
    /// the same queue from another connection ends this one.
    Attach {
        /// At most [`MAX_ATTACH`].
        claims: Vec<OwnerClaim>,
    },
    /// Items after a position, for an attached queue.
    Fetch {
        /// The queue.
        receive: QueueId,
        /// Exclusive lower bound; 0 for the beginning.
        after: u64,
        /// At most [`MAX_ITEMS`].
        max: u16,
    },
    /// These items are durable at the owner. Deletes them; repeating it changes nothing.
    Acknowledge {
        /// Queue and position, at most [`MAX_ITEMS`].
        items: Vec<(QueueId, u64)>,
    },
    /// Keep these for the owner. At most [`MAX_ITEMS`] and [`MAX_BATCH_BYTES`].
    Deposit {
        /// Each is answered by itself, in order.
        deposits: Vec<Deposit>,
    },
    /// How full a queue is.
    State {
        /// Its owner's claim.
        claim: OwnerClaim,
    },
    /// The bundle kept beside an invite's drop.
    Bundle {
        /// The drop's depositors' address.
        send: QueueId,
        /// By the deposit key, purpose `mailbox bundle`, over relay, `send`, nonce.
        proof: Proof,
    },
    /// From the relay: items of attached queues. The reply is [`MailboxResponse::Acknowledged`].
    Push {
        /// At most [`MAX_ITEMS`] and [`MAX_BATCH_BYTES`].
        items: Vec<Item>,
    },
}

/// The answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailboxResponse {
    /// To [`MailboxRequest::Hello`].
    Hello {
        /// For every proof on this connection.
        nonce: [u8; 32],
        /// The relay's clock.
        now: Timestamp,
        /// Longest keeping time, seconds.
        max_ttl_seconds: u32,
        /// By the relay, purpose `relay process`, over the key of this end of the connection.
        process: Proof,
    },
    /// The queue is open (or was, with the same keys).
    Opened,
    /// The queue is closed, and what was in it is gone.
    Closed,
    /// To [`MailboxRequest::Attach`]: items waiting in each queue, in the order asked; `None`
    /// for one that does not exist or whose claim is wrong.
    Attached {
        /// Waiting items.
        waiting: Vec<Option<u32>>,
    },
    /// To [`MailboxRequest::Fetch`].
    Items {
        /// In order of position.
        items: Vec<Item>,
    },
    /// To [`MailboxRequest::Acknowledge`], and a node's answer to a push: these are durable at
    /// the owner.
    Acknowledged {
        /// Queue and position.
        items: Vec<(QueueId, u64)>,
    },
    /// To [`MailboxRequest::Deposit`]: one for each, in order.
    Deposited {
        /// A signed receipt, or why not.
        results: Vec<Result<CustodyReceipt, DepositRefusal>>,
    },
    /// To [`MailboxRequest::State`].
    State {
        /// Waiting items.
        items: u32,
        /// Their bytes.
        bytes: u64,
    },
    /// To [`MailboxRequest::Bundle`].
    Bundle {
        /// Sealed under the token's bundle key.
        sealed: ByteBuf,
    },
    /// The request as a whole is refused.
    Refused(MailboxRefusal),
}

/// Why one deposit was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DepositRefusal {
    /// No such queue, a wrong proof, or closed: one answer for all.
    #[error("no such queue for this key")]
    Denied,
    /// The queue or its owner's account is full.
    #[error("the mailbox is full")]
    Full,
    /// The body is longer than the queue takes.
    #[error("too large")]
    TooLarge,
    /// The relay cannot store now.
    #[error("the relay cannot store now")]
    Unavailable,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MailboxRefusal {
    /// The credential is missing, expired, revoked, malformed, or bound to another key.
    #[error("the credential does not admit this key")]
    NotAdmitted,
    /// No such queue, or a wrong proof: one answer for both.
    #[error("no such queue for this key")]
    Denied,
    /// The account has as many queues as it may.
    #[error("too many queues")]
    TooManyQueues,
    /// An address is taken with other keys.
    #[error("that address is taken")]
    Taken,
    /// A bound of the request is broken.
    #[error("malformed request")]
    Malformed,
    /// Too many requests; wait this many milliseconds.
    #[error("too many requests")]
    Busy {
        /// Milliseconds to wait.
        retry_ms: u32,
    },
    /// The relay cannot answer now.
    #[error("the relay cannot answer now")]
    Unavailable,
}

impl Wire for MailboxRequest {
    const LIMIT: usize = MAX_BATCH_BYTES + 160 * MAX_ITEMS + MAX_ATTACH * 96 + 8 * 1024;
}

impl Wire for MailboxResponse {
    const LIMIT: usize = MAX_BATCH_BYTES + 160 * MAX_ITEMS + 8 * 1024;
}

impl std::fmt::Debug for MailboxRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hello => f.write_str("Hello"),
            Self::Open { .. } => f.write_str("Open(..)"),
            Self::Close { .. } => f.write_str("Close(..)"),
            Self::Attach { claims } => write!(f, "Attach({})", claims.len()),
            Self::Fetch { max, .. } => write!(f, "Fetch(max {max})"),
            Self::Acknowledge { items } => write!(f, "Acknowledge({})", items.len()),
            Self::Deposit { deposits } => write!(f, "Deposit({})", deposits.len()),
            Self::State { .. } => f.write_str("State(..)"),
            Self::Bundle { .. } => f.write_str("Bundle(..)"),
            Self::Push { items } => write!(f, "Push({})", items.len()),
        }
    }
}

impl std::fmt::Debug for MailboxResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hello { .. } => f.write_str("Hello(..)"),
            Self::Opened => f.write_str("Opened"),
            Self::Closed => f.write_str("Closed"),
            Self::Attached { waiting } => write!(f, "Attached({})", waiting.len()),
            Self::Items { items } => write!(f, "Items({})", items.len()),
            Self::Acknowledged { items } => write!(f, "Acknowledged({})", items.len()),
            Self::Deposited { results } => write!(f, "Deposited({})", results.len()),
            Self::State { items, bytes } => write!(f, "State({items} items, {bytes} bytes)"),
            Self::Bundle { sealed } => write!(f, "Bundle({} bytes)", sealed.len()),
            Self::Refused(why) => write!(f, "Refused({why:?})"),
        }
    }
}

impl std::fmt::Debug for QueueKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contact => f.write_str("Contact"),
            Self::Drop { closes_at, bundle } => {
                write!(f, "Drop(until {}, {} bytes)", closes_at.0, bundle.len())
            }
        }
    }
}

impl std::fmt::Debug for QueueSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { receive, send: _, owner_key: _, deposit_key: _, kind } = self;
        f.debug_struct("QueueSpec")
            .field("receive", receive)
            .field("kind", kind)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Deposit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { send, ttl_seconds, reserved, body, proof: _ } = self;
        f.debug_struct("Deposit")
            .field("send", send)
            .field("ttl_seconds", ttl_seconds)
            .field("reserved", reserved)
            .field("bytes", &body.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { receive, seq, deposited_at, body } = self;
        f.debug_struct("Item")
            .field("receive", receive)
            .field("seq", seq)
            .field("deposited_at", deposited_at)
            .field("bytes", &body.len())
            .finish()
    }
}

impl std::fmt::Debug for OwnerClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { receive, proof: _ } = self;
        f.debug_struct("OwnerClaim").field("receive", receive).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CustodyReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { relay, send, envelope, at, until, proof: _ } = self;
        f.debug_struct("CustodyReceipt")
            .field("relay", relay)
            .field("send", send)
            .field("envelope", envelope)
            .field("at", at)
            .field("until", until)
            .finish_non_exhaustive()
    }
}
