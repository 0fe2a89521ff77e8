//! What a lane holds, and what is said about it.

use serde::{Deserialize, Serialize};

use super::{CONTROL_TTL_SECONDS, TTL_SECONDS};
use crate::ids::{EnvelopeId, MessageId};
use crate::time::Timestamp;
use crate::wire::Wire;

/// What a frame carries, as far as its delivery is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// A message that a person sees ticks for.
    Message(MessageId),
    /// The handshake: must arrive, shown nowhere.
    Control,
    /// Receipts: a relay's custody is enough.
    Receipt,
    /// A contact card: a newer one makes it pointless.
    Card,
}

impl Class {
    /// Whether it may use the room that a mailbox keeps for what must arrive: without it two people lose each other.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::Control | Self::Card)
    }

    /// How long a relay is asked to keep it, seconds.
    #[must_use]
    pub fn ttl_seconds(self) -> u32 {
        if self.is_control() { CONTROL_TTL_SECONDS } else { TTL_SECONDS }
    }
}

/// What became of a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositEnd {
    /// The relay took some of it.
    Taken,
    /// It took nothing: the mailbox is full.
    Full,
    /// It did not answer, or took nothing for another reason.
    Failed,
}

/// A stored, sealed frame, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Position in the lane; rises with every frame for this contact.
    pub order: u64,
    /// Hash of the frame.
    pub envelope: EnvelopeId,
    /// Bytes of the frame.
    pub size: u32,
    /// What it carries.
    pub class: Class,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// A relay signed that it keeps it until then.
    pub custody_until: Option<Timestamp>,
}

impl Wire for Parcel {
    const LIMIT: usize = 128;
}

/// What the shell should do for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for a connection.
    Connect,
    /// Send these straight.
    Deliver(Vec<u64>),
    /// Leave these at the contact's relay.
    Deposit(Vec<u64>),
    /// Leave these there, in the room for control messages.
    DepositReserved(Vec<u64>),
}

/// Why a parcel is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hopeless {
    /// Nobody took it within [`LIFE`](super::LIFE).
    TooOld,
    /// The other node answered [`MAX_REFUSALS`](super::MAX_REFUSALS) times without being able to open it.
    NeverOpened,
}

/// Why what waits is still waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// On its way now.
    Sending,
    /// A relay has it; the contact is away.
    Custody,
    /// The contact is away, and we know no relay of theirs.
    NoMailbox,
    /// The contact is away, and their relay does not answer.
    MailboxFailed,
    /// The contact is away, and their mailbox takes no more.
    MailboxFull,
    /// The other node answered, but could not open it.
    NotOpened,
}
