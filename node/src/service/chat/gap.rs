//! Gaps that stand: messages of a contact that never came, though later ones did. An older copy of this
//! profile may have taken them out of the mailbox.
//!
//! 1. [`note`]: a message came and one before it did not. What is merely late is given [`PATIENCE`].
//! 2. [`on_time`]: what has not come by then is asked for, with pauses that double up to [`MAX_PAUSE`].
//! 3. A question that is not answered, after a renewal or of a gap, is asked again in the same way.
//! 4. They send what they have, and say when that is all: what is missing then is no more.
//!
//! # Invariants
//! * For a gap, my own words are not asked for, and none are taken: a contact can make a gap, and nothing but
//!   theirs comes of it.

use protocol::chat::Chat;
use protocol::envelope::Content;
use protocol::ids::{AccountId, ChatId};
use protocol::outbox::Class;
use protocol::time::{DAY, HOUR, Timestamp};

use super::{all, get};
use crate::engine::Ctx;
use crate::service::{rekey, session};
use crate::store::StoreError;

/// How long a message that was overtaken is waited for, milliseconds.
const PATIENCE: u64 = HOUR;
/// Longest pause between two questions, milliseconds.
const MAX_PAUSE: u64 = DAY;

/// A gap that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When it is asked about next.
    ask_at: Timestamp,
    /// The pause after that.
    pause: u64,
}

/// Whether something is to come that may not come by itself: a message, or the answer to a question.
fn is_open(conversation: &Chat) -> bool {
    conversation.has_gap() || conversation.gaps.asked.is_some()
}

/// A conversation has changed: its gap, if it has one, is waited for; if not, nothing is.
pub(super) fn note(ctx: &mut Ctx<'_>, conversation: &Chat) {
    let ask_at = ctx.now.plus(PATIENCE);
    if is_open(conversation) {
        let gap = Gap { ask_at, pause: PATIENCE };
        ctx.state.gaps.entry(conversation.them).or_insert(gap);
    } else {
        ctx.state.gaps.remove(&conversation.them);
    }
}

/// Notes what stood before the node started.
pub(super) fn resume(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for conversation in all(ctx)? {
        note(ctx, &conversation);
    }
    Ok(())
}

/// What they are sent does not open: a question has time until the next renewal, or a day.
pub(super) fn postpone(ctx: &mut Ctx<'_>, account: AccountId) {
    if let Some(gap) = ctx.state.gaps.get_mut(&account) {
        (gap.ask_at, gap.pause) = (ctx.now.plus(MAX_PAUSE), MAX_PAUSE);
    }
}

/// Asks for what is due.
pub(in crate::service) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    // One that a clock put far into the future counts as due.
    let due = |gap: &Gap| gap.ask_at <= now || gap.ask_at > now.plus(MAX_PAUSE);
    let gaps = ctx.state.gaps.iter().filter(|(_, gap)| due(gap));
    let due: Vec<AccountId> = gaps.map(|(account, _)| *account).collect();
    due.into_iter().try_for_each(|account| ask(ctx, account))
}

fn ask(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let conversation = get(ctx, ChatId::of_pair(ctx.account.id, account))?;
    let Some(conversation) = conversation.filter(is_open) else {
        ctx.state.gaps.remove(&account);
        return Ok(());
    };
    // The question after a renewal asks for all of it; without a session none can be asked; and one that they have
    // not signed for yet is enough.
    let lane = ctx.state.lanes.get(&account);
    let waits = lane.is_some_and(|lane| lane.parcels().any(|each| each.class == Class::Control));
    let asked = conversation.gaps.asked.is_some();
    let due = !asked || conversation.asks_again(ctx.now);
    let asks = due && !waits && !rekey::is_awaited(ctx, account)?;
    if let Some(gap) = ctx.state.gaps.get_mut(&account) {
        gap.ask_at = ctx.now.plus(gap.pause);
        if asks {
            gap.pause = (gap.pause * 2).min(MAX_PAUSE);
        }
    }
    match asks {
        true if asked => super::missing::ask(ctx, account, &[]),
        true => {
            tracing::debug!(account = %account.short(), "asking for messages that never came");
            let missing = Content::Missing(conversation.missing());
            session::send_unasked(ctx, account, missing, Class::Control)
        }
        false => Ok(()),
    }
}
