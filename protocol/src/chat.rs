//! A conversation: its order, its messages, and how far each provably got.
//!
//! 1. Ada writes: her node takes the next sequence number and Lamport time ([`Chat::compose`]).
//! 2. Ben's node takes what arrives ([`Chat::receive`]): once, in Lamport order, gaps noted.
//! 3. Evidence moves a message's [`Delivery`] forward: custody, delivered, read.
//!
//! # Invariants
//! * A delivery state never goes back; evidence that says less than what is known changes
//!   nothing.
//! * The order of two messages is the same on both sides: Lamport time, then a hash of author
//!   and message id.
//! * A message id is stored once.
//!
//! Knows nothing of sessions, frames or transports. Spec: `docs/protocol/wire.md` §7.

mod gaps;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ids::{AccountId, ChatId, MessageId, RelayId};
use crate::time::Timestamp;
use crate::wire::Wire;

pub use self::gaps::{
    ASK_AGAIN, Behind, Gaps, MAX_RESENT, MAX_RUNS, Missing, NUMBERS_A_SECOND, Owed, Resent, Run,
};

/// Longest jump of the Lamport clock that one message may cause. A hostile peer could
/// otherwise exhaust it and pin a message to the end of the conversation for ever.
pub const MAX_LAMPORT_JUMP: u64 = 1 << 20;
/// Longest draft in bytes.
pub const MAX_DRAFT: usize = crate::envelope::MAX_TEXT;
/// Longest client key (idempotency key of a send) in bytes.
pub const MAX_CLIENT_KEY: usize = 128;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// This account.
    Me,
    /// The contact.
    Them,
}

/// Where a message stands in its conversation; compares as the conversation is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position(pub [u8; Position::LEN]);

impl Position {
    /// Lamport time, then 16 bytes of SHA-256 over the author's account and the message id:
    /// both sides break ties alike, and the bytes name nobody.
    pub const LEN: usize = 24;
    /// Before every message.
    pub const FIRST: Self = Self([0; Self::LEN]);
    /// After every message.
    pub const LAST: Self = Self([0xff; Self::LEN]);

    fn new(lamport: u64, author: AccountId, message: MessageId) -> Self {
        let mut bytes = [0u8; Self::LEN];
        bytes[..8].copy_from_slice(&lamport.to_be_bytes());
        let tie = Sha256::new().chain_update(author.0).chain_update(message.0).finalize();
        bytes[8..].copy_from_slice(&tie[..16]);
        Self(bytes)
    }
}

impl std::fmt::Debug for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut lamport = [0u8; 8];
        lamport.copy_from_slice(&self.0[..8]);
        write!(f, "Position({})", u64::from_be_bytes(lamport))
    }
}

/// A conversation with one contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Its name, the same on both sides.
    pub id: ChatId,
    /// This account.
    pub me: AccountId,
    /// The contact.
    pub them: AccountId,
    /// Sequence number of my last message.
    pub my_seq: u64,
    /// Highest sequence number of theirs up to which nothing is missing.
    pub their_seq: u64,
    /// Highest sequence number of theirs that was seen.
    pub their_highest_seq: u64,
    /// Lamport time of the last message either way.
    pub lamport: u64,
    /// Messages of theirs not yet read.
    pub unread: u32,
    /// The last message of theirs that was read here.
    pub read_up_to: Position,
    /// The last message of theirs that they were told we read.
    pub told_read_up_to: Position,
    /// The last message of mine that they say they read.
    pub they_read_up_to: Position,
    /// Where the last message stands, if there is one.
    pub last: Option<Position>,
    /// When something last happened, by this node's clock.
    pub last_activity: Timestamp,
    /// What was being written.
    pub draft: String,
    /// What is missing here, and what they miss.
    pub gaps: Gaps,
}

impl Wire for Chat {
    const LIMIT: usize = MAX_DRAFT + 2048;
}

/// One message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its name.
    pub id: MessageId,
    /// The conversation.
    pub chat: ChatId,
    /// Who wrote it.
    pub author: Author,
    /// Its author's sequence number.
    pub seq: u64,
    /// Where it stands.
    pub position: Position,
    /// When it was written, as shown: a peer's claim is clamped.
    pub at: Timestamp,
    /// When it arrived here; for one's own, when it was written.
    pub received_at: Timestamp,
    /// The words. `None` for a kind that this build does not know.
    pub text: Option<String>,
    /// How far it got: one's own only.
    pub delivery: Option<Delivery>,
    /// The idempotency key that a client sent it with.
    pub client_key: Option<String>,
    /// My own words, and the contact sent them back: nobody else says that they are mine.
    pub recovered: bool,
}

impl Wire for Message {
    const LIMIT: usize = crate::envelope::MAX_TEXT + 2048;
}

impl std::fmt::Debug for Chat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chat")
            .field("id", &self.id)
            .field("my_seq", &self.my_seq)
            .field("their_seq", &self.their_seq)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("author", &self.author)
            .field("seq", &self.seq)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// How bytes reached the other node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Route {
    /// Over the local network.
    Lan,
    /// Straight to a public address.
    Direct,
    /// Straight, after both NATs were punched.
    HolePunched,
    /// Over a relay's circuit.
    Relayed,
    /// Through a relay's mailbox.
    Mailbox,
}

/// A relay's signed custody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// Which relay.
    pub relay: RelayId,
    /// Since when.
    pub at: Timestamp,
    /// Until when it promised to keep it.
    pub until: Timestamp,
}

/// Evidence that the recipient's node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// When, by the recipient's clock, clamped.
    pub at: Timestamp,
    /// How it got there, where that is known.
    pub route: Option<Route>,
}

/// Why a message will not be tried again by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Nobody took it within its life.
    Expired,
    /// The contact was removed.
    ContactGone,
    /// The other node cannot open what this one seals.
    SessionBroken,
}

/// The ledger of one of my messages. Every field is evidence; none is a guess.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When it was queued here.
    pub queued_at: Timestamp,
    /// A relay's signed word.
    pub custody: Option<Custody>,
    /// The recipient's signed word.
    pub delivered: Option<Delivered>,
    /// The recipient's word that it was shown and read.
    pub read_at: Option<Timestamp>,
    /// It was given up.
    pub failed: Option<(Timestamp, Failure)>,
}

/// How far a message got, in order.
///
/// `Queued → Custody → Delivered → Read`; `Queued → Failed → Queued` (retried by the person).
/// Later evidence may skip states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryState {
    /// Given up; the person decides.
    Failed,
    /// Durable here only.
    Queued,
    /// A relay holds it.
    Custody,
    /// The recipient's node has it.
    Delivered,
    /// The recipient saw it.
    Read,
}

impl Delivery {
    /// A fresh ledger.
    #[must_use]
    pub fn queued(now: Timestamp) -> Self {
        Self { queued_at: now, ..Self::default() }
    }

    /// The furthest state that the evidence proves.
    #[must_use]
    pub fn state(&self) -> DeliveryState {
        if self.read_at.is_some() {
            DeliveryState::Read
        } else if self.delivered.is_some() {
            DeliveryState::Delivered
        } else if self.custody.is_some() {
            DeliveryState::Custody
        } else if self.failed.is_some() {
            DeliveryState::Failed
        } else {
            DeliveryState::Queued
        }
    }

    /// A relay signed for it. Returns whether that says anything new.
    pub fn on_custody(&mut self, custody: Custody) -> bool {
        if self.delivered.is_some() || self.custody.is_some() {
            return false;
        }
        self.failed = None;
        self.custody = Some(custody);
        true
    }

    /// The recipient signed for it. Returns whether that says anything new.
    pub fn on_delivered(&mut self, delivered: Delivered) -> bool {
        if self.delivered.is_some() {
            return false;
        }
        self.failed = None;
        self.delivered = Some(delivered);
        true
    }

    /// The recipient read it, which proves delivery as well. Returns whether it is news.
    pub fn on_read(&mut self, at: Timestamp) -> bool {
        if self.read_at.is_some() {
            return false;
        }
        self.failed = None;
        self.delivered.get_or_insert(Delivered { at, route: None });
        self.read_at = Some(at);
        true
    }

    /// It is given up, unless somebody already signed for it. Returns whether that is news.
    pub fn on_failed(&mut self, now: Timestamp, why: Failure) -> bool {
        if self.state() != DeliveryState::Queued {
            return false;
        }
        self.failed = Some((now, why));
        true
    }

    /// It is sealed anew: what a relay signed for cannot be opened any more. Returns whether that is news.
    pub fn on_sealed_anew(&mut self) -> bool {
        self.state() == DeliveryState::Custody && self.custody.take().is_some()
    }

    /// The person asked to try again. Returns whether there was something to try.
    pub fn on_retry(&mut self, now: Timestamp) -> bool {
        if self.state() != DeliveryState::Failed {
            return false;
        }
        self.failed = None;
        self.queued_at = now;
        true
    }
}

/// What a peer's content message claims about its place.
#[derive(Clone, Copy, Debug)]
pub struct Claimed {
    /// Its name.
    pub message: MessageId,
    /// Its author's sequence number.
    pub seq: u64,
    /// Its Lamport time.
    pub lamport: u64,
    /// Its author's clock.
    pub at: Timestamp,
}

/// Why a received message has no place in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The Lamport clock would jump by more than [`MAX_LAMPORT_JUMP`].
    #[error("lamport time far ahead of the conversation")]
    LamportJump,
    /// Sequence numbers begin at 1.
    #[error("no sequence number")]
    NoSequence,
}

impl Chat {
    /// An empty conversation.
    #[must_use]
    pub fn new(me: AccountId, them: AccountId, now: Timestamp) -> Self {
        Self {
            id: ChatId::of_pair(me, them),
            me,
            them,
            my_seq: 0,
            their_seq: 0,
            their_highest_seq: 0,
            lamport: 0,
            unread: 0,
            read_up_to: Position::FIRST,
            told_read_up_to: Position::FIRST,
            they_read_up_to: Position::FIRST,
            last: None,
            last_activity: now,
            draft: String::new(),
            gaps: Gaps::default(),
        }
    }

    /// Places a new message of mine at the end.
    pub fn compose(
        &mut self,
        id: MessageId,
        text: String,
        client_key: Option<String>,
        now: Timestamp,
    ) -> Message {
        self.my_seq = self.my_seq.saturating_add(1);
        self.lamport = self.lamport.saturating_add(1);
        let position = Position::new(self.lamport, self.me, id);
        self.note(position, now);
        self.draft.clear();
        Message {
            id,
            chat: self.id,
            author: Author::Me,
            seq: self.my_seq,
            position,
            at: now,
            received_at: now,
            text: Some(text),
            delivery: Some(Delivery::queued(now)),
            client_key,
            recovered: false,
        }
    }

    /// Lamport time of a message of this chat, from its position.
    #[must_use]
    pub fn lamport_of(position: Position) -> u64 {
        let mut lamport = [0u8; 8];
        lamport.copy_from_slice(&position.0[..8]);
        u64::from_be_bytes(lamport)
    }

    /// Places a message of theirs. The caller has checked that its id is not stored yet.
    ///
    /// # Errors
    /// [`ReceiveError`] when its claims cannot be placed; the conversation is unchanged.
    pub fn receive(
        &mut self,
        claimed: Claimed,
        text: Option<String>,
        now: Timestamp,
    ) -> Result<Message, ReceiveError> {
        if claimed.seq == 0 {
            return Err(ReceiveError::NoSequence);
        }
        if claimed.lamport > self.lamport.saturating_add(MAX_LAMPORT_JUMP) {
            return Err(ReceiveError::LamportJump);
        }
        self.lamport = self.lamport.max(claimed.lamport);
        self.their_highest_seq = self.their_highest_seq.max(claimed.seq);
        self.their_seq = self.gaps.on_seq(self.their_seq, claimed.seq);
        let position = Position::new(claimed.lamport, self.them, claimed.message);
        self.note(position, now);
        self.unread = self.unread.saturating_add(1);
        Ok(Message {
            id: claimed.message,
            chat: self.id,
            author: Author::Them,
            seq: claimed.seq,
            position,
            at: crate::envelope::shown_time(claimed.at, now),
            received_at: now,
            text,
            delivery: None,
            client_key: None,
            recovered: false,
        })
    }

    /// I read their messages up to `position`; `newly` of them were unread. Returns whether
    /// that is news for them.
    pub fn read(&mut self, position: Position, newly: u32) -> bool {
        if position <= self.read_up_to {
            return false;
        }
        self.read_up_to = position;
        self.unread = self.unread.saturating_sub(newly);
        true
    }

    /// They read mine up to `position`. Returns the position after which messages are newly
    /// read, or `None` if this says nothing new.
    pub fn they_read(&mut self, position: Position) -> Option<Position> {
        if position <= self.they_read_up_to {
            return None;
        }
        Some(std::mem::replace(&mut self.they_read_up_to, position))
    }

    fn note(&mut self, position: Position, now: Timestamp) {
        self.last = self.last.max(Some(position));
        self.last_activity = self.last_activity.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ME: AccountId = AccountId([1; 32]);
    const THEM: AccountId = AccountId([2; 32]);
    const NOW: Timestamp = Timestamp(1_000_000);

    fn claimed(byte: u8, seq: u64, lamport: u64) -> Claimed {
        Claimed { message: MessageId([byte; 16]), seq, lamport, at: NOW }
    }

    #[test]
    fn both_sides_read_a_conversation_in_the_same_order() {
        let mut ada = Chat::new(ME, THEM, NOW);
        let mut ben = Chat::new(THEM, ME, NOW);
        let one = ada.compose(MessageId([1; 16]), "one".into(), None, NOW);
        let cross = ben.compose(MessageId([2; 16]), "cross".into(), None, NOW);
        let to = |message: &Message| Claimed {
            message: message.id,
            seq: message.seq,
            lamport: Chat::lamport_of(message.position),
            at: message.at,
        };
        let one_at_ben = ben.receive(to(&one), one.text.clone(), NOW).expect("fits");
        let cross_at_ada = ada.receive(to(&cross), cross.text.clone(), NOW).expect("fits");
        assert_eq!(one.position, one_at_ben.position);
        assert_eq!(cross.position, cross_at_ada.position);
        let reply = ben.compose(MessageId([3; 16]), "reply".into(), None, NOW);
        assert!(reply.position > one_at_ben.position && reply.position > cross.position);
    }

    #[test]
    fn a_gap_keeps_the_watermark_and_is_visible() {
        let mut chat = Chat::new(ME, THEM, NOW);
        chat.receive(claimed(1, 1, 1), None, NOW).expect("first");
        chat.receive(claimed(3, 3, 3), None, NOW).expect("third");
        assert_eq!((chat.their_seq, chat.their_highest_seq), (1, 3));
    }

    #[test]
    fn a_hostile_lamport_time_or_sequence_changes_nothing() {
        let mut chat = Chat::new(ME, THEM, NOW);
        let before = chat.clone();
        assert_eq!(
            chat.receive(claimed(1, 1, u64::MAX), None, NOW),
            Err(ReceiveError::LamportJump)
        );
        assert_eq!(chat.receive(claimed(1, 0, 1), None, NOW), Err(ReceiveError::NoSequence));
        assert_eq!(chat, before);
    }

    #[test]
    fn reading_twice_or_backwards_is_no_news() {
        let mut chat = Chat::new(ME, THEM, NOW);
        let first = chat.receive(claimed(1, 1, 1), None, NOW).expect("first").position;
        let second = chat.receive(claimed(2, 2, 2), None, NOW).expect("second").position;
        assert!(chat.read(second, 2));
        assert!(!chat.read(second, 2) && !chat.read(first, 1));
        assert_eq!(chat.unread, 0);
        assert_eq!(chat.they_read(first), Some(Position::FIRST));
        assert_eq!(chat.they_read(first), None);
        assert_eq!(chat.they_read(second), Some(first));
    }

    #[derive(Clone, Debug)]
    enum Evidence {
        Custody,
        Delivered,
        Read,
        Failed,
    }

    proptest! {
        #[test]
        fn delivery_never_goes_back(evidence in proptest::collection::vec(
            prop_oneof![
                Just(Evidence::Custody), Just(Evidence::Delivered), Just(Evidence::Read), Just(Evidence::Failed),
            ], 0..12))
        {
            let mut delivery = Delivery::queued(NOW);
            let mut furthest = DeliveryState::Queued;
            for one in evidence {
                let before = delivery.clone();
                let news = match one {
                    Evidence::Custody => delivery.on_custody(Custody { relay: RelayId([1; 32]), at: NOW, until: NOW }),
                    Evidence::Delivered => delivery.on_delivered(Delivered { at: NOW, route: None }),
                    Evidence::Read => delivery.on_read(NOW),
                    Evidence::Failed => delivery.on_failed(NOW, Failure::Expired),
                };
                prop_assert_eq!(news, delivery != before);
                if delivery.state() != DeliveryState::Failed {
                    prop_assert!(delivery.state() >= furthest);
                    furthest = delivery.state();
                } else {
                    prop_assert_eq!(furthest, DeliveryState::Queued);
                }
            }
        }
    }
}
