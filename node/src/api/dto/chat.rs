//! Chats, messages, and how far each provably got.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One conversation in the list.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Chat {
    /// The chat's id.
    pub id: String,
    /// The other person's account id.
    pub contact_id: String,
    /// What to call it: their alias, or their name.
    pub name: String,
    /// 8 bytes in hexadecimal, from which their avatar's weave is drawn.
    pub symbol_seed: String,
    /// The newest message.
    pub last_message: Option<LastMessage>,
    /// How many of theirs are unread.
    pub unread: u32,
    /// The oldest of those.
    pub first_unread_id: Option<String>,
    /// What was written and not sent.
    pub draft: String,
    /// When it last moved; the list's order.
    pub last_activity: String,
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("id", &self.id)
            .field("contact_id", &self.contact_id)
            .field("last_message", &self.last_message)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

/// The newest message of a chat, in short.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LastMessage {
    /// The message's id.
    pub id: String,
    /// Who wrote it.
    pub author: Author,
    /// Its first 140 characters.
    pub text: String,
    /// When it was sent, by its author's clock.
    pub sent_at: String,
    /// How far it got; `null` for theirs.
    pub delivery_state: Option<DeliveryState>,
}

impl fmt::Debug for LastMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastMessage")
            .field("id", &self.id)
            .field("author", &self.author)
            .finish_non_exhaustive()
    }
}

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// This node's person.
    Me,
    /// The contact.
    Them,
}

/// One message.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// The message's id.
    pub id: String,
    /// Its chat.
    pub chat_id: String,
    /// Who wrote it.
    pub author: Author,
    /// What it says.
    pub text: String,
    /// When it was sent, by its author's clock.
    pub sent_at: String,
    /// When it arrived here; `null` for this person's own.
    pub received_at: Option<String>,
    /// Its place in the chat: opaque, sorts as text.
    pub position: String,
    /// The `Idempotency-Key` it was sent under, so that a tab knows its own.
    pub client_key: Option<String>,
    /// How far it got; `null` for theirs.
    pub delivery: Option<Delivery>,
    /// This person's own words, lost here and sent back by the contact: nobody else says that they are
    /// this person's.
    pub recovered: bool,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("author", &self.author)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// How far a message provably got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The furthest state reached; never goes back.
    pub state: DeliveryState,
    /// When it was reached.
    pub at: String,
    /// Every state with its evidence, oldest first.
    pub steps: Vec<DeliveryStep>,
    /// Why it is not further yet.
    pub why: Option<Why>,
}

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Durable here.
    Queued,
    /// A relay signed that it holds it.
    Custody,
    /// The contact's node signed for it after a durable write.
    Delivered,
    /// They saw it.
    Read,
    /// It will not arrive without a retry.
    Failed,
}

/// One state a message reached, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryStep {
    /// The state.
    pub state: DeliveryState,
    /// When.
    pub at: String,
    /// On which path.
    pub path: Option<DeliveryPath>,
    /// The relay that signed.
    pub relay: Option<String>,
    /// Until when that relay holds it.
    pub until: Option<String>,
}

/// The path a message took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryPath {
    /// The same local network.
    Lan,
    /// Straight.
    Direct,
    /// Straight, after a relay introduced both.
    HolePunched,
    /// Through a relay's circuit.
    Relayed,
    /// Through the contact's mailbox at a relay.
    Mailbox,
}

/// Why something is not further yet.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The reason's name.
    pub code: WhyCode,
    /// The reason as one plain sentence.
    pub text: String,
    /// When the node tries again.
    pub next_try_at: Option<String>,
}

impl fmt::Debug for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Why")
            .field("code", &self.code)
            .field("next_try_at", &self.next_try_at)
            .finish_non_exhaustive()
    }
}

/// Why a message or a request is not further yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhyCode {
    /// The other node does not answer.
    ContactOffline,
    /// No relay is set that could hold it.
    NoRelay,
    /// The relay does not answer.
    RelayUnreachable,
    /// This account is not registered at a relay.
    NotRegistered,
    /// It is being encrypted, or waits its turn.
    Sealing,
    /// A relay holds it.
    InCustody,
    /// Their mailbox takes no more.
    MailboxFull,
    /// The encrypted session has to be made anew.
    SessionBroken,
    /// The other person has to decide.
    AwaitingAcceptance,
    /// The invite was used, revoked, or ran out.
    InviteGone,
    /// The contact was removed.
    ContactGone,
}

/// A stretch of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// Messages by ascending position.
    pub items: Vec<Message>,
    /// The position to continue from in the direction asked for.
    pub next_cursor: Option<String>,
    /// Whether older ones exist.
    pub has_before: bool,
    /// Whether newer ones exist.
    pub has_after: bool,
}

/// A message to send.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// 16 KiB of UTF-8 at most.
    pub text: String,
}

impl fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewMessage(..)")
    }
}

/// What is written and not sent.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// 16 KiB of UTF-8 at most; empty to forget it.
    pub text: String,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft(..)")
    }
}

/// How far a person read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadUpTo {
    /// The newest message they saw.
    pub up_to: String,
}

/// Whether a person is writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// Repeated at most every 3 s while true.
    pub typing: bool,
}
