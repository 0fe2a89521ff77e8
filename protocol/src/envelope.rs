//! What is inside a sealed frame: one envelope, with who, where, when and what.
//!
//! The fixed header lets gaps be seen and repaired: every message of a conversation carries
//! its author's sequence number and a Lamport time. The time of day is for display only and is
//! clamped by whoever reads it.
//!
//! # Invariants
//! * A kind that this build does not know is not an error: it becomes
//!   [`Content::Unsupported`], so that old nodes acknowledge what newer ones say.
//! * Until a contact is accepted, only [handshake kinds](Content::is_handshake) are legal.
//!
//! Spec: `docs/protocol/wire.md` §3.

use serde::{Deserialize, Serialize};

use crate::chat::{MAX_RUNS, Missing, Resent};
use crate::contact::ContactCard;
use crate::ids::{ChatId, MessageId};
use crate::receipt::DeliveryReceipt;
use crate::time::Timestamp;
use crate::wire::{DecodeError, EncodeError, Wire, decode, encode};

/// First byte of every envelope.
pub const VERSION: u8 = 1;
/// Bytes before the extensions.
pub const HEADER_LEN: usize = 71;
/// Longest text of one message in bytes of UTF-8.
pub const MAX_TEXT: usize = 16 * 1024;
/// Most bytes of extensions.
pub const MAX_EXTENSIONS: usize = 512;

/// One envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Its name, chosen by its author; the dedupe key of a conversation.
    pub message: MessageId,
    /// The conversation.
    pub chat: ChatId,
    /// Rises by one with every content message of this author in this conversation; 0 for
    /// what is no part of it (receipts, cards, the handshake).
    pub seq: u64,
    /// Lamport time of the conversation.
    pub lamport: u64,
    /// The author's clock. Display only.
    pub at: Timestamp,
    /// Seconds until it disappears after being read; 0 for never.
    pub expiry_seconds: u32,
    /// What it says.
    pub content: Content,
}

/// What an envelope says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The inviter's node holds the join request.
    Hold(Hold),
    /// The joiner opens its commitment.
    Reveal(Reveal),
    /// The inviter accepted.
    Accept(ContactCard),
    /// The inviter rejected.
    Reject,
    /// The joiner's side is complete.
    Done(ContactCard),
    /// The joiner withdrew.
    Cancel,
    /// Words.
    Text(Text),
    /// These frames of yours are durable here: for those that came through a mailbox.
    Delivered(DeliveryReceipt),
    /// Your messages of this conversation were read, up to and with this one.
    Read(ReadUpTo),
    /// How to reach me has changed.
    Card(ContactCard),
    /// This is what I have got of our conversation: send me the rest.
    Missing(Missing),
    /// Words of yours, for you have lost them: the header is that of your own message.
    Yours(Text),
    /// All that was missing has been sent.
    Resent(Resent),
    /// A kind that this build does not know.
    Unsupported(u16),
}

/// Body of [`Content::Hold`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The inviter's half of what the authentication symbols are made from.
    pub nonce: [u8; 32],
    /// Where the inviter's node can be reached; no name before acceptance.
    pub card: ContactCard,
}

/// Body of [`Content::Reveal`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// The joiner's half; its hash was in the join request.
    pub nonce: [u8; 32],
}

/// Body of [`Content::Text`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// At most [`MAX_TEXT`] bytes.
    pub text: String,
}

/// Body of [`Content::Read`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadUpTo {
    /// The last message read; must be one of the receiver's own.
    pub message: MessageId,
    /// When, by the reader's clock.
    pub at: Timestamp,
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
opaque_debug!(Hold, Reveal, Text);

impl Wire for Hold {
    const LIMIT: usize = ContactCard::LIMIT + 64;
}
impl Wire for Reveal {
    const LIMIT: usize = 64;
}
impl Wire for Text {
    const LIMIT: usize = MAX_TEXT + 8;
}
impl Wire for ReadUpTo {
    const LIMIT: usize = 64;
}
impl Wire for DeliveryReceipt {
    const LIMIT: usize = 16 * crate::receipt::MAX_ENVELOPES + 128;
}

/// Why bytes from inside a session are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Shorter than its own header says.
    #[error("truncated envelope")]
    Truncated,
    /// A version that this build does not know.
    #[error("unknown envelope version {0}")]
    UnknownVersion(u8),
    /// An extension that must be understood, and is not.
    #[error("unknown critical extension")]
    CriticalExtension,
    /// The body is not what its kind promises.
    #[error("malformed body: {0}")]
    Body(#[from] DecodeError),
    /// A text that is longer than [`MAX_TEXT`].
    #[error("text too long")]
    TextTooLong,
}

const KIND_HOLD: u16 = 1;
const KIND_REVEAL: u16 = 2;
const KIND_ACCEPT: u16 = 3;
const KIND_REJECT: u16 = 4;
const KIND_DONE: u16 = 5;
const KIND_CANCEL: u16 = 6;
const KIND_TEXT: u16 = 16;
const KIND_YOURS: u16 = 17;
const KIND_DELIVERED: u16 = 32;
const KIND_READ: u16 = 33;
const KIND_MISSING: u16 = 34;
const KIND_RESENT: u16 = 35;
const KIND_CARD: u16 = 48;

/// An extension type with this bit must be understood by the reader.
const CRITICAL: u16 = 0x8000;

impl Content {
    /// Legal before a contact is accepted.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        matches!(
            self,
            Self::Hold(_)
                | Self::Reveal(_)
                | Self::Accept(_)
                | Self::Reject
                | Self::Done(_)
                | Self::Cancel
        )
    }

    /// Whether a mailbox delivery of it is answered with [`Content::Delivered`]. Receipts are
    /// not, or two nodes would never stop thanking each other.
    #[must_use]
    pub fn wants_receipt(&self) -> bool {
        !matches!(self, Self::Delivered(_) | Self::Read(_))
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Hold(_) => KIND_HOLD,
            Self::Reveal(_) => KIND_REVEAL,
            Self::Accept(_) => KIND_ACCEPT,
            Self::Reject => KIND_REJECT,
            Self::Done(_) => KIND_DONE,
            Self::Cancel => KIND_CANCEL,
            Self::Text(_) => KIND_TEXT,
            Self::Delivered(_) => KIND_DELIVERED,
            Self::Read(_) => KIND_READ,
            Self::Card(_) => KIND_CARD,
            Self::Missing(_) => KIND_MISSING,
            Self::Yours(_) => KIND_YOURS,
            Self::Resent(_) => KIND_RESENT,
            Self::Unsupported(kind) => *kind,
        }
    }

    fn body(&self) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Hold(body) => encode(body),
            Self::Reveal(body) => encode(body),
            Self::Accept(card) | Self::Done(card) | Self::Card(card) => encode(card),
            Self::Reject | Self::Cancel | Self::Unsupported(_) => Ok(Vec::new()),
            Self::Text(body) | Self::Yours(body) if body.text.len() > MAX_TEXT => {
                Err(EncodeError::TooLong)
            }
            Self::Text(body) | Self::Yours(body) => encode(body),
            Self::Missing(body) => encode(body),
            Self::Resent(body) => encode(body),
            Self::Delivered(receipt) => encode(receipt),
            Self::Read(body) => encode(body),
        }
    }

    fn parse(kind: u16, body: &[u8]) -> Result<Self, EnvelopeError> {
        let content = match kind {
            KIND_HOLD => Self::Hold(decode(body)?),
            KIND_REVEAL => Self::Reveal(decode(body)?),
            KIND_ACCEPT => Self::Accept(decode(body)?),
            KIND_REJECT => Self::Reject,
            KIND_DONE => Self::Done(decode(body)?),
            KIND_CANCEL => Self::Cancel,
            KIND_TEXT => Self::Text(decode(body)?),
            KIND_DELIVERED => Self::Delivered(decode(body)?),
            KIND_READ => Self::Read(decode(body)?),
            KIND_CARD => Self::Card(decode(body)?),
            KIND_MISSING => Self::Missing(decode(body)?),
            KIND_YOURS => Self::Yours(decode(body)?),
            KIND_RESENT => Self::Resent(decode(body)?),
            other => return Ok(Self::Unsupported(other)),
        };
        match &content {
            Self::Text(text) | Self::Yours(text) if text.text.len() > MAX_TEXT => {
                Err(EnvelopeError::TextTooLong)
            }
            Self::Missing(missing) if missing.ahead.len() > MAX_RUNS => {
                Err(DecodeError::TooLong.into())
            }
            Self::Reject | Self::Cancel if !body.is_empty() => Err(DecodeError::Trailing.into()),
            _ => Ok(content),
        }
    }
}

impl Envelope {
    /// The bytes that a session seals. Devices are 0 and extensions empty in this release.
    ///
    /// # Errors
    /// [`EncodeError`] when the content breaks a bound.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let body = self.content.body()?;
        let mut bytes = Vec::with_capacity(HEADER_LEN + 2 + body.len());
        bytes.push(VERSION);
        bytes.extend(self.content.kind().to_be_bytes());
        bytes.extend(self.message.0);
        bytes.extend(self.chat.0);
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.lamport.to_be_bytes());
        bytes.extend(self.at.0.to_be_bytes());
        bytes.extend(self.expiry_seconds.to_be_bytes());
        bytes.extend([0u8; 8]); // source and target device
        bytes.extend([0u8; 2]); // no extensions
        bytes.extend(body);
        Ok(bytes)
    }

    /// Parses what a session opened.
    ///
    /// # Errors
    /// [`EnvelopeError`] for anything that is not exactly one envelope.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut rest = bytes;
        let version = take::<1>(&mut rest)?[0];
        if version != VERSION {
            return Err(EnvelopeError::UnknownVersion(version));
        }
        let kind = u16::from_be_bytes(take(&mut rest)?);
        let message = MessageId(take(&mut rest)?);
        let chat = ChatId(take(&mut rest)?);
        let seq = u64::from_be_bytes(take(&mut rest)?);
        let lamport = u64::from_be_bytes(take(&mut rest)?);
        let at = Timestamp(u64::from_be_bytes(take(&mut rest)?));
        let expiry_seconds = u32::from_be_bytes(take(&mut rest)?);
        let _devices: [u8; 8] = take(&mut rest)?;
        skip_extensions(&mut rest)?;
        let content = Content::parse(kind, rest)?;
        Ok(Self { message, chat, seq, lamport, at, expiry_seconds, content })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], EnvelopeError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(EnvelopeError::Truncated)?;
    *rest = tail;
    Ok(*head)
}

fn skip_extensions(rest: &mut &[u8]) -> Result<(), EnvelopeError> {
    let length = usize::from(u16::from_be_bytes(take(rest)?));
    if length > MAX_EXTENSIONS || length > rest.len() {
        return Err(EnvelopeError::Truncated);
    }
    let (mut extensions, tail) = rest.split_at(length);
    *rest = tail;
    while !extensions.is_empty() {
        let kind = u16::from_be_bytes(take(&mut extensions)?);
        let size = usize::from(u16::from_be_bytes(take(&mut extensions)?));
        if size > extensions.len() {
            return Err(EnvelopeError::Truncated);
        }
        if kind & CRITICAL != 0 {
            return Err(EnvelopeError::CriticalExtension);
        }
        extensions = &extensions[size..];
    }
    Ok(())
}

/// Longest time in the past that a claimed time is shown as, milliseconds.
const PAST_SHOWN: u64 = 30 * crate::time::DAY;
/// Longest time in the future that a claimed time is shown as, milliseconds.
const FUTURE_SHOWN: u64 = 5 * crate::time::MINUTE;

/// A peer's time of day, clamped to `[now − 30 d, now + 5 min]`: wrong clocks must neither
/// bury a message nor pin it to the end.
#[must_use]
pub fn shown_time(claimed: Timestamp, now: Timestamp) -> Timestamp {
    Timestamp(claimed.0.clamp(now.minus(PAST_SHOWN).0, now.plus(FUTURE_SHOWN).0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn envelope(content: Content) -> Envelope {
        Envelope {
            message: MessageId([1; 16]),
            chat: ChatId([2; 16]),
            seq: 3,
            lamport: 4,
            at: Timestamp(5),
            expiry_seconds: 6,
            content,
        }
    }

    #[test]
    fn every_kind_round_trips() {
        let card = ContactCard { version: 1, name: "Ada".into(), ..ContactCard::default() };
        for content in [
            Content::Hold(Hold { nonce: [7; 32], card: card.clone() }),
            Content::Reveal(Reveal { nonce: [8; 32] }),
            Content::Accept(card.clone()),
            Content::Reject,
            Content::Done(card.clone()),
            Content::Cancel,
            Content::Text(Text { text: "héllo".into() }),
            Content::Read(ReadUpTo { message: MessageId([9; 16]), at: Timestamp(1) }),
            Content::Card(card),
            Content::Missing(Missing { yours: 1, ahead: vec![(3, 4)], mine: 2 }),
            Content::Yours(Text { text: "mine".into() }),
            Content::Resent(Resent { mine: 4, yours: 2 }),
        ] {
            let envelope = envelope(content);
            let bytes = envelope.to_bytes().expect("within bounds");
            assert_eq!(Envelope::from_bytes(&bytes), Ok(envelope));
        }
    }

    #[test]
    fn the_layout_of_a_text_is_frozen() {
        let bytes = envelope(Content::Text(Text { text: "hi".into() })).to_bytes().expect("small");
        insta::assert_snapshot!(data_encoding::HEXLOWER.encode(&bytes));
    }

    #[test]
    fn an_unknown_kind_is_unsupported_and_not_an_error() {
        let mut bytes = envelope(Content::Reject).to_bytes().expect("small");
        bytes[1..3].copy_from_slice(&999u16.to_be_bytes());
        bytes.extend(b"from the future");
        let parsed = Envelope::from_bytes(&bytes).expect("a newer kind");
        assert_eq!(parsed.content, Content::Unsupported(999));
    }

    #[test]
    fn truncation_is_refused_at_every_length() {
        let bytes = envelope(Content::Text(Text { text: "hi".into() })).to_bytes().expect("small");
        for cut in 0..bytes.len() {
            assert!(Envelope::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn unknown_extensions_are_skipped_unless_critical() {
        let plain = envelope(Content::Reject).to_bytes().expect("small");
        let with = |kind: u16| {
            let mut bytes = plain[..HEADER_LEN].to_vec();
            bytes.extend(6u16.to_be_bytes());
            bytes.extend(kind.to_be_bytes());
            bytes.extend(2u16.to_be_bytes());
            bytes.extend([1, 2]);
            bytes
        };
        assert_eq!(Envelope::from_bytes(&with(5)), Ok(envelope(Content::Reject)));
        assert_eq!(
            Envelope::from_bytes(&with(CRITICAL | 5)),
            Err(EnvelopeError::CriticalExtension)
        );
    }

    #[test]
    fn a_text_over_the_limit_is_refused_both_ways() {
        let long = envelope(Content::Text(Text { text: "x".repeat(MAX_TEXT + 1) }));
        assert_eq!(long.to_bytes(), Err(EncodeError::TooLong));
    }

    #[test]
    fn shown_time_is_clamped() {
        let now = Timestamp(100 * crate::time::DAY);
        assert_eq!(shown_time(Timestamp(0), now), Timestamp(70 * crate::time::DAY));
        assert_eq!(shown_time(Timestamp(u64::MAX), now), now.plus(FUTURE_SHOWN));
        assert_eq!(shown_time(now, now), now);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_envelope_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Envelope::from_bytes(&bytes);
        }

        #[test]
        fn a_mutated_envelope_never_panics(index in 0usize..80, value: u8) {
            let mut bytes = envelope(Content::Text(Text { text: "hello".into() })).to_bytes().expect("small");
            let index = index % bytes.len();
            bytes[index] = value;
            let _ = Envelope::from_bytes(&bytes);
        }
    }
}
