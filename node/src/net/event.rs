//! What the engine hears from the network.

use protocol::contact::Address;
use protocol::ids::{AccountId, QueueId, RelayId};
use protocol::mailbox::wire::{CustodyReceipt, DepositRefusal, Item, MailboxRefusal};
use protocol::registration::wire::RegisterResponse;
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use protocol::wire::invite::{InviteRequest, InviteResponse};
use tokio::sync::oneshot;

use super::command::Ticket;

/// How bytes reached the other node.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Path {
    /// Over the local network (private or loopback addresses).
    Lan,
    /// Straight to a public address.
    Direct,
    /// Straight, after both NATs were punched.
    HolePunched,
    /// Over a relay's circuit.
    Relayed,
    /// Left at a relay's mailbox.
    Mailbox,
}

/// Why a command came to nothing. Whether the other side acted on it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetFailure {
    /// No address of it answered.
    #[error("not reachable")]
    Unreachable,
    /// It did not answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection ended before the answer.
    #[error("connection lost")]
    ConnectionLost,
    /// It does not speak this protocol.
    #[error("protocol not supported")]
    Unsupported,
    /// It answered something that is no answer to this.
    #[error("unexpected answer")]
    Unexpected,
    /// The relay refused.
    #[error("refused by the relay: {0}")]
    Refused(MailboxRefusal),
    /// The network task has more to do than it may queue.
    #[error("busy")]
    Busy,
    /// The network task has ended.
    #[error("the network has stopped")]
    Stopped,
}

/// How things stand with a relay that we home on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayPhase {
    /// Trying to connect; or waiting to try again.
    Connecting,
    /// Connected and identified.
    Connected,
    /// Connected, with an active circuit reservation.
    Reserved,
    /// The last try failed; the next is scheduled.
    Unreachable,
}

/// An event. Those with a `reply` are requests of a peer: the network keeps their response
/// channel until the engine has committed, and a dropped sender refuses.
#[derive(Debug)]
pub enum NetEvent {
    /// A contact is connected and has let us in, or its best path is another than before.
    Connected {
        /// Who.
        account: AccountId,
        /// The best path now.
        path: Path,
    },
    /// The last connection to a contact closed.
    Disconnected(AccountId),
    /// No address of this contact answered, or it did not let us in; or that was so a moment
    /// ago and it was not tried again.
    Unreachable(AccountId),
    /// Answer to `NetCommand::Envelope`.
    EnvelopeDone {
        /// Of the command.
        ticket: Ticket,
        /// The path it took, and the answer.
        result: Result<(Path, EnvelopeResponse), NetFailure>,
    },
    /// Answer to `NetCommand::Invite`.
    InviteDone {
        /// Of the command.
        ticket: Ticket,
        /// The answer.
        result: Result<InviteResponse, NetFailure>,
    },
    /// Answer to `NetCommand::Register`.
    RegisterDone {
        /// Of the command.
        ticket: Ticket,
        /// The answer.
        result: Result<RegisterResponse, NetFailure>,
    },
    /// Answer to `NetCommand::OpenQueue` and `NetCommand::CloseQueue`.
    QueueDone {
        /// Of the command.
        ticket: Ticket,
        /// Open or closed.
        result: Result<(), NetFailure>,
    },
    /// Answer to `NetCommand::Deposit`.
    DepositDone {
        /// Of the command.
        ticket: Ticket,
        /// For each deposit in order.
        result: Result<Vec<Result<CustodyReceipt, DepositRefusal>>, NetFailure>,
    },
    /// Answer to `NetCommand::FetchBundle`.
    BundleDone {
        /// Of the command.
        ticket: Ticket,
        /// The sealed bundle.
        result: Result<Vec<u8>, NetFailure>,
    },
    /// A contact's frames or ephemeral.
    Envelope {
        /// Whose connection it came on.
        from: AccountId,
        /// Over which path.
        path: Path,
        /// What.
        request: EnvelopeRequest,
        /// Answered after the flush.
        reply: oneshot::Sender<EnvelopeResponse>,
    },
    /// Somebody who scanned a code of ours.
    Invite {
        /// Their connection's key. Not yet proved to be anybody.
        from: AccountId,
        /// What.
        request: InviteRequest,
        /// Answered after the flush.
        reply: oneshot::Sender<InviteResponse>,
    },
    /// Items that a relay held for us.
    Items {
        /// Which relay.
        relay: RelayId,
        /// What.
        items: Vec<Item>,
        /// Those durable here, after the flush: the relay deletes them.
        reply: oneshot::Sender<Vec<(QueueId, u64)>>,
    },
    /// Whether each queue of a `Subscribe` exists at the relay; reported at every attach.
    Subscribed {
        /// Which relay.
        relay: RelayId,
        /// Those the relay does not know: they must be opened again.
        missing: Vec<QueueId>,
    },
    /// A change at a relay that we home on.
    Relay {
        /// Which.
        relay: RelayId,
        /// How it stands.
        phase: RelayPhase,
        /// The relay's clock minus ours, milliseconds, where it is known.
        clock_offset_ms: Option<i64>,
    },
    /// Where the processes of a relay that we home on are reached, by what it says.
    RelayReached {
        /// Which relay.
        relay: RelayId,
        /// At most [`MAX_ADDRESSES`](protocol::contact::MAX_ADDRESSES), each with its process.
        addresses: Vec<Address>,
    },
    /// Where this node can be reached: listen addresses, confirmed external ones; no circuits.
    Listening(Vec<Address>),
}
