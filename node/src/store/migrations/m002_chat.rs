//! Schema 2: a conversation knows what is missing of it.

use protocol::chat::{Chat, Gaps, MAX_DRAFT, Position};
use protocol::ids::{AccountId, ChatId};
use protocol::time::Timestamp;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Migration, StoreError, Tree, parse, stored};

pub(super) const MIGRATION: Migration = Migration { to: 2, tree: Tree::Chat, convert };

#[derive(Serialize, Deserialize)]
struct Before {
    id: ChatId,
    me: AccountId,
    them: AccountId,
    my_seq: u64,
    their_seq: u64,
    their_highest_seq: u64,
    lamport: u64,
    unread: u32,
    read_up_to: Position,
    told_read_up_to: Position,
    they_read_up_to: Position,
    last: Option<Position>,
    last_activity: Timestamp,
    draft: String,
}

impl Wire for Before {
    const LIMIT: usize = MAX_DRAFT + 512;
}

fn convert(value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let before: Before = parse(Tree::Chat, value)?;
    let chat = Chat {
        id: before.id,
        me: before.me,
        them: before.them,
        my_seq: before.my_seq,
        their_seq: before.their_seq,
        their_highest_seq: before.their_highest_seq,
        lamport: before.lamport,
        unread: before.unread,
        read_up_to: before.read_up_to,
        told_read_up_to: before.told_read_up_to,
        they_read_up_to: before.they_read_up_to,
        last: before.last,
        last_activity: before.last_activity,
        draft: before.draft,
        gaps: Gaps::default(),
    };
    stored(Tree::Chat, &chat)
}
