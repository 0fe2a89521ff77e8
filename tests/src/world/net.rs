//! What travels between the parties of a world, and what a node's network part knows.

use std::collections::{BTreeMap, BTreeSet};

use node::net::{NetEvent, NetFailure, Path, Ticket};
use protocol::contact::RelayHome;
use protocol::ids::{AccountId, QueueId};
use protocol::mailbox::wire::{CustodyReceipt, DepositRefusal, Item, MailboxRefusal, QueueSpec};
use protocol::registration::wire::{RegisterRequest, RegisterResponse};
use protocol::sim::Party;
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use protocol::wire::invite::{InviteRequest, InviteResponse};

/// Names a question, so that its answer finds who asked.
pub(super) type CallId = u64;

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    Ask(CallId, Ask),
    Answer(CallId, Answer),
}

/// A deposit, its key reduced to what a relay would learn of it.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) send: QueueId,
    pub(super) key: [u8; 32],
    pub(super) ttl_seconds: u32,
    pub(super) reserved: bool,
    pub(super) body: Vec<u8>,
}

/// A question.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Connect,
    Envelope(EnvelopeRequest),
    Invite(InviteRequest),
    Hello,
    Register(RegisterRequest),
    Open(String, QueueSpec),
    Close(QueueId, [u8; 32]),
    Attach(Vec<(QueueId, [u8; 32])>),
    Deposit(Vec<Parcel>),
    Bundle(QueueId, [u8; 32]),
    Push(Vec<Item>),
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Connected, or a relay that is there.
    Welcome,
    /// Whoever asked is not let in.
    Stranger,
    Envelope(EnvelopeResponse),
    Invite(InviteResponse),
    Register(RegisterResponse),
    Queue(Result<(), MailboxRefusal>),
    Attached(Vec<QueueId>),
    Deposited(Vec<Result<CustodyReceipt, DepositRefusal>>),
    Bundle(Result<Vec<u8>, MailboxRefusal>),
    Durable(Vec<(QueueId, u64)>),
}

/// Who waits for an answer, and with what ticket of the engine's.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    Connect(AccountId),
    Envelope(Ticket),
    Ephemeral(Ticket),
    Invite(Ticket),
    Register(Ticket),
    Queue(Ticket),
    Deposit(Ticket),
    Bundle(Ticket),
    Hello,
    Attach(u64),
    Push,
}

impl Purpose {
    /// What the engine hears when the answer is this, or when none comes.
    pub(super) fn event(self, answer: Result<Answer, NetFailure>) -> Option<NetEvent> {
        let unexpected = NetFailure::Unexpected;
        Some(match self {
            Self::Envelope(ticket) | Self::Ephemeral(ticket) => NetEvent::EnvelopeDone {
                ticket,
                result: answer.and_then(|answer| match answer {
                    Answer::Envelope(response) => Ok((Path::Direct, response)),
                    Answer::Stranger => Err(NetFailure::Unreachable),
                    _ => Err(unexpected),
                }),
            },
            Self::Invite(ticket) => NetEvent::InviteDone {
                ticket,
                result: answer.and_then(|answer| match answer {
                    Answer::Invite(response) => Ok(response),
                    Answer::Stranger => Err(NetFailure::Unreachable),
                    _ => Err(unexpected),
                }),
            },
            Self::Register(ticket) => NetEvent::RegisterDone {
                ticket,
                result: answer.and_then(|answer| match answer {
                    Answer::Register(response) => Ok(response),
                    _ => Err(unexpected),
                }),
            },
            Self::Queue(ticket) => NetEvent::QueueDone {
                ticket,
                result: answer.and_then(|answer| match answer {
                    Answer::Queue(result) => result.map_err(NetFailure::Refused),
                    _ => Err(unexpected),
                }),
            },
            Self::Deposit(ticket) => NetEvent::DepositDone {
                ticket,
                result: answer.and_then(|answer| match answer {
                    Answer::Deposited(results) => Ok(results),
                    _ => Err(unexpected),
                }),
            },
            Self::Bundle(ticket) => NetEvent::BundleDone {
                ticket,
                result: answer.and_then(|answer| match answer {
                    Answer::Bundle(result) => result.map_err(NetFailure::Refused),
                    _ => Err(unexpected),
                }),
            },
            Self::Connect(_) | Self::Hello | Self::Attach(_) | Self::Push => return None,
        })
    }
}

/// What a node's network part knows: gone at its end.
#[derive(Debug, Default)]
pub(super) struct NetState {
    /// Whom it lets in, and the relays that they are said to have.
    pub(super) known: BTreeMap<AccountId, Vec<RelayHome>>,
    pub(super) admits: bool,
    pub(super) connected: BTreeSet<AccountId>,
    /// The relays that it has to do with.
    pub(super) relays: BTreeMap<Party, RelayLink>,
}

/// What a node's network part knows of a relay.
#[derive(Debug, Default)]
pub(super) struct RelayLink {
    pub(super) homed: bool,
    pub(super) up: bool,
    pub(super) queues: Vec<(QueueId, [u8; 32])>,
    /// Rises with every subscription, so that an old attach is not believed.
    pub(super) subscription: u64,
}

impl RelayLink {
    /// Whether a connection is wanted.
    pub(super) fn is_wanted(&self) -> bool {
        self.homed || !self.queues.is_empty()
    }
}
