//! What `Debug` shows of everything that people or keys are in: what is planted below never comes out, of this
//! or of anything that holds it.

#![allow(clippy::unwrap_used, reason = "tests")]

use serde_bytes::ByteBuf;

use crate::chat::{Author, Chat, Message, Position};
use crate::contact::{Address, ContactCard, DepositCapability, RelayHome};
use crate::envelope::{Content, Envelope, Hold, Reveal, Text};
use crate::ids::{AccountId, ChatId, MessageId, QueueId, RelayId};
use crate::invite::{JoinPayload, Kind, MintSpec};
use crate::request::Request;
use crate::time::Timestamp;

/// Planted wherever a name, words, an address or a key is.
const WORDS: &str = "nasturtium";
const KEY: [u8; 32] = [0xA7; 32];

fn card() -> ContactCard {
    let home =
        RelayHome { relay: RelayId([1; 32]), addresses: vec![Address(ByteBuf::from(WORDS))] };
    ContactCard {
        name: WORDS.into(),
        about: WORDS.into(),
        addresses: vec![Address(ByteBuf::from(WORDS))],
        mailboxes: vec![DepositCapability {
            home: home.clone(),
            send: QueueId([2; 16]),
            key: KEY.into(),
        }],
        homes: vec![home],
        ..ContactCard::default()
    }
}

fn message() -> Message {
    Message {
        id: MessageId([3; 16]),
        chat: ChatId([4; 16]),
        author: Author::Me,
        seq: 1,
        position: Position([0; Position::LEN]),
        at: Timestamp(0),
        received_at: Timestamp(0),
        text: Some(WORDS.into()),
        delivery: None,
        client_key: Some(WORDS.into()),
        recovered: false,
    }
}

fn envelope(content: Content) -> Envelope {
    Envelope {
        message: MessageId([3; 16]),
        chat: ChatId([4; 16]),
        seq: 1,
        lamport: 1,
        at: Timestamp(0),
        expiry_seconds: 0,
        content,
    }
}

#[test]
fn debug_shows_no_words_no_names_no_addresses_and_no_keys() {
    let mut chat = Chat::new(AccountId([5; 32]), AccountId([6; 32]), Timestamp(0));
    chat.draft = WORDS.into();
    let mut request = Request::outgoing(
        AccountId([7; 32]),
        crate::ids::InviteId([8; 16]),
        KEY.to_vec(),
        KEY,
        Timestamp(0),
    );
    request.claimed_name = Some(WORDS.into());
    request.label = WORDS.into();
    request.card = Some(card());
    let spec = MintSpec {
        kind: Kind::Link,
        label: WORDS.into(),
        life: None,
        relays: Vec::new(),
        name: Some(WORDS.into()),
    };
    let shown = [
        format!("{:?}", card()),
        format!("{:?}", message()),
        format!("{chat:?}"),
        format!("{request:?}"),
        format!("{spec:?}"),
        format!("{:?}", JoinPayload { commitment: KEY, card: card() }),
        format!("{:?}", envelope(Content::Text(Text { text: WORDS.into() }))),
        format!("{:?}", envelope(Content::Yours(Text { text: WORDS.into() }))),
        format!("{:?}", envelope(Content::Accept(card()))),
        format!("{:?}", envelope(Content::Card(card()))),
        format!("{:?}", envelope(Content::Hold(Hold { nonce: KEY, card: card() }))),
        format!("{:?}", envelope(Content::Reveal(Reveal { nonce: KEY }))),
    ];
    let key = format!("{:?}", &KEY[..4]);
    for text in &shown {
        for planted in [WORDS, key.trim_matches(['[', ']']), "a7a7a7a7", "A7A7A7A7"] {
            assert!(!text.contains(planted), "{text}");
        }
    }
}
