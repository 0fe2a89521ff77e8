//! What goes between the network task and the mailbox thread.

use libp2p::PeerId;
use protocol::ids::{AccountId, QueueId};
use protocol::mailbox::wire::{Item, MailboxRequest, MailboxResponse};

use tokio::sync::oneshot;

use super::subscribers::Ticket;

/// What the thread is told. `R` is how an answer finds its way back.
#[derive(Debug)]
pub(crate) enum Input<R> {
    /// Somebody asks.
    Request {
        /// The key that the connection authenticated.
        peer: PeerId,
        /// What is asked.
        request: Box<MailboxRequest>,
        /// Where the answer goes.
        reply: R,
    },
    /// A pushed batch was answered, or failed.
    Pushed {
        /// By whom.
        peer: PeerId,
        /// Which.
        ticket: Ticket,
        /// What is durable there now.
        acknowledged: Vec<(QueueId, u64)>,
    },
    /// Close all queues of an account; the other side is told when that is durable, or nothing when it fails.
    Erase(AccountId, oneshot::Sender<()>),
    /// Another process stored something in these queues.
    Stored(Vec<QueueId>),
    /// The last connection of a key is gone.
    Gone(PeerId),
    /// Time has passed.
    Tick,
}

/// What the thread wants done.
#[derive(Debug)]
pub(crate) enum Output<R> {
    /// Answer.
    Reply(R, MailboxResponse),
    /// Push a batch.
    Push {
        /// To whom.
        peer: PeerId,
        /// To be named with its answer.
        ticket: Ticket,
        /// What.
        items: Vec<Item>,
    },
    /// Keep this peer connected although it is silent.
    Pin(PeerId),
    /// No longer.
    Unpin(PeerId),
}
