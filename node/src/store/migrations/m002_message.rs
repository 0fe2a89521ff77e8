//! Schema 2: a message says whether the contact sent it back.

use protocol::chat::{Author, Delivery, Message, Position};
use protocol::envelope::MAX_TEXT;
use protocol::ids::{ChatId, MessageId};
use protocol::time::Timestamp;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Migration, StoreError, Tree, parse, stored};

pub(super) const MIGRATION: Migration = Migration { to: 2, tree: Tree::Message, convert };

#[derive(Serialize, Deserialize)]
struct Before {
    id: MessageId,
    chat: ChatId,
    author: Author,
    seq: u64,
    position: Position,
    at: Timestamp,
    received_at: Timestamp,
    text: Option<String>,
    delivery: Option<Delivery>,
    client_key: Option<String>,
}

impl Wire for Before {
    const LIMIT: usize = MAX_TEXT + 2048;
}

fn convert(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let before: Before = parse(Tree::Message, value)?;
    let message = Message {
        id: before.id,
        chat: before.chat,
        author: before.author,
        seq: before.seq,
        position: before.position,
        at: before.at,
        received_at: before.received_at,
        text: before.text,
        delivery: before.delivery,
        client_key: before.client_key,
        recovered: false,
    };
    stored(Tree::Message, &message)
}
