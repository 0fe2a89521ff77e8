//! What the engine asks of the network.

use crypto::secret::Secret;
use protocol::contact::{Address, RelayHome};
use protocol::ids::{AccountId, QueueId, RelayId};
use protocol::mailbox::wire::QueueSpec;
use protocol::registration::wire::RegisterRequest;
use protocol::wire::envelope::EnvelopeRequest;
use protocol::wire::invite::InviteRequest;

/// Names a command, so that its answer can be matched. Chosen by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// An admission credential on its way to the relay that issued it; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl From<String> for Credential {
    fn from(credential: String) -> Self {
        Self(credential)
    }
}

impl Credential {
    /// The credential itself, to be sent and nothing else.
    #[must_use]
    pub fn expose(self) -> String {
        self.0
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// A frame on its way into a contact's queue; the network signs it for the connection.
pub struct SealedDeposit {
    /// The depositors' address.
    pub send: QueueId,
    /// Seed of the deposit key.
    pub key: Secret<32>,
    /// How long to keep it, seconds.
    pub ttl_seconds: u32,
    /// A control message, into the room that is kept for those.
    pub reserved: bool,
    /// The frame.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for SealedDeposit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { send, key: _, ttl_seconds, reserved, body } = self;
        f.debug_struct("SealedDeposit")
            .field("send", send)
            .field("ttl_seconds", ttl_seconds)
            .field("reserved", reserved)
            .field("bytes", &body.len())
            .finish_non_exhaustive()
    }
}

/// A queue of ours to be subscribed to; the network signs the claim for the connection.
#[derive(Debug)]
pub struct OwnedQueue {
    /// Our address of it.
    pub receive: QueueId,
    /// Seed of the owner key.
    pub key: Secret<32>,
}

/// A command. Each with a [`Ticket`] is answered by exactly one
/// [`NetEvent`](super::NetEvent) with that ticket, at the latest when it times out.
#[derive(Debug)]
pub enum NetCommand {
    /// These accounts may connect and be dialled, at these addresses (relayed ones are built
    /// from `homes`). Replaces what was known of the account.
    Know {
        /// The contact, or the inviter whose code was scanned.
        account: AccountId,
        /// Where their node said it listens.
        addresses: Vec<Address>,
        /// Relays that they home on.
        homes: Vec<RelayHome>,
    },
    /// This account is no contact any more: drop its connections and refuse it.
    Forget(AccountId),
    /// Whether strangers may connect at all: only while an invite is live, and then only for
    /// `/kith/invite/1`.
    AdmitStrangers(bool),
    /// Try to have a connection to this contact: LAN, then direct, then relayed, with hole
    /// punching after. Answered by [`NetEvent::Connected`](super::NetEvent::Connected), or by
    /// [`NetEvent::Unreachable`](super::NetEvent::Unreachable).
    Connect(AccountId),
    /// Frames or an ephemeral for a contact, dialling if need be.
    Envelope {
        /// Matches the answer.
        ticket: Ticket,
        /// To whom.
        to: AccountId,
        /// What. An `Ephemeral` is dropped, and answered as unreachable, unless a connection
        /// is open.
        request: EnvelopeRequest,
    },
    /// To the inviter whose code was scanned ([`Know`](Self::Know)n before).
    Invite {
        /// Matches the answer.
        ticket: Ticket,
        /// The inviter.
        to: AccountId,
        /// What.
        request: InviteRequest,
    },
    /// To a relay, under the identity key.
    Register {
        /// Matches the answer.
        ticket: Ticket,
        /// The relay.
        relay: RelayHome,
        /// What.
        request: RegisterRequest,
    },
    /// Home on these relays, and on no other: keep a connection and, where there is a
    /// credential, a circuit reservation.
    Homes(Vec<RelayHome>),
    /// Open a queue, under the identity key.
    OpenQueue {
        /// Matches the answer.
        ticket: Ticket,
        /// The relay.
        relay: RelayHome,
        /// The admission credential.
        credential: Credential,
        /// The queue.
        queue: QueueSpec,
    },
    /// Close a queue, under a throwaway key.
    CloseQueue {
        /// Matches the answer.
        ticket: Ticket,
        /// The relay.
        relay: RelayHome,
        /// The queue.
        queue: OwnedQueue,
    },
    /// Stay subscribed to exactly these queues at this relay, over every reconnection.
    Subscribe {
        /// The relay.
        relay: RelayHome,
        /// All of them.
        queues: Vec<OwnedQueue>,
    },
    /// Leave frames at a contact's relay, under a throwaway key.
    Deposit {
        /// Matches the answer.
        ticket: Ticket,
        /// The relay.
        relay: RelayHome,
        /// At most `protocol::mailbox::wire::MAX_ITEMS`.
        deposits: Vec<SealedDeposit>,
    },
    /// Fetch the bundle beside an invite's drop, under a throwaway key.
    FetchBundle {
        /// Matches the answer.
        ticket: Ticket,
        /// The relay.
        relay: RelayHome,
        /// The drop's depositors' address.
        send: QueueId,
        /// Seed of the drop key.
        key: Secret<32>,
    },
    /// Leave this relay on the lane that collects: nothing of ours is there any more.
    ForgetRelay(RelayId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_not_shown() {
        let shown = format!("{:?}", Some(Credential::from("eyJhbGciOi".to_owned())));
        assert_eq!(shown, "Some(Credential(..))");
    }
}
