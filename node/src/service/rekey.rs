//! Re-keying: from frames that do not open, or sessions that are gone, to a new session.

use crypto::session::Session;
use protocol::ids::{AccountId, EnvelopeId};
use protocol::outbox::{Class, Parcel};
use protocol::rekey::{FIRST_PAUSE, GRACE, Heard, Me, Rekey};
use protocol::time::{HOUR, SECOND, Timestamp};

use super::{chat, contact, outbox, pin, session};
use crate::engine::Ctx;
use crate::store::{StoreError, Tree};

/// Over so long, for each contact, the offers of a node that has lost all of its sessions are spread.
const SPREAD: u64 = SECOND / 20;

/// How often the offers of all contacts are looked through for those that are over.
const FORGET_EVERY: u64 = HOUR;

/// What came of a frame that no session opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It re-keyed, or was meant to and came too late: it is done with.
    Taken,
    /// It stays with its author; what opens it may be on its way.
    Left,
    /// It stays where it is, for as long as it can: it is needed later.
    Kept,
    /// It was sealed before a renewal, and is sealed anew by its author: a relay may forget it.
    Past,
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let contacts = contact::all(ctx)?;
    let spread = SPREAD * contacts.len() as u64;
    for record in contacts {
        let rekey = get(ctx, record.account)?;
        if rekey.is_empty() {
            learn(ctx, record.account)?;
        } else if rekey.is_lost() {
            let at = ctx.now.plus(ctx.rng.next_u64() % spread);
            ctx.state.doubts.entry(record.account).or_default().be_certain(at);
        }
    }
    Ok(())
}

/// The keys of offers that nobody may answer any more go, on their day.
pub(super) fn forget_over(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    // A time that a clock put far into the future counts as come.
    let at = ctx.state.forget_offers_at;
    if ctx.now < at && at <= ctx.now.plus(FORGET_EVERY) {
        return Ok(());
    }
    ctx.state.forget_offers_at = ctx.now.plus(FORGET_EVERY);
    for record in contact::all(ctx)? {
        let mut rekey = get(ctx, record.account)?;
        if rekey.forget_over(ctx.now) {
            put(ctx, record.account, &rekey)?;
        }
    }
    Ok(())
}

/// A contact was made, or met again: what their sessions share is kept for offers to come.
pub(super) fn learn(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let mut rekey = get(ctx, account)?;
    for session in ctx.sessions(account)?.met() {
        rekey.share(&session.reinit_psk());
    }
    let waited = rekey.on_met();
    put(ctx, account, &rekey)?;
    if waited {
        let mut unsent = Vec::new();
        chat::add_unsent(ctx, account, &mut unsent)?;
        unsent.into_iter().try_for_each(|message| chat::seal_again(ctx, message))?;
    }
    Ok(())
}

/// A relay is about to forget a frame that never opened: there will be no other sign.
pub(super) fn on_forgotten(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    if contact::get(ctx, account)?.is_some() {
        let at = ctx.now.plus(GRACE);
        ctx.state.doubts.entry(account).or_default().be_certain(at);
    }
    Ok(())
}

/// What a backup keeps.
pub(super) fn for_backup(ctx: &Ctx<'_>, account: AccountId) -> Result<Rekey, StoreError> {
    Ok(get(ctx, account)?.for_backup())
}

/// A contact of a backup: there are no sessions, and so an offer is due.
pub(super) fn restore(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    mut rekey: Rekey,
    generation: u64,
) -> Result<(), StoreError> {
    rekey.lose(generation);
    put(ctx, account, &rekey)
}

/// When the keys with a contact were renewed last.
pub(crate) fn renewed_at(
    ctx: &Ctx<'_>,
    account: AccountId,
) -> Result<Option<Timestamp>, StoreError> {
    Ok(get(ctx, account)?.renewed_at())
}

/// Whether a contact has to answer an offer before anything can be sealed for them.
pub(crate) fn is_awaited(ctx: &Ctx<'_>, account: AccountId) -> Result<bool, StoreError> {
    Ok(get(ctx, account)?.is_lost())
}

/// Forgets what is shared with a contact who was removed.
pub(super) fn forget(ctx: &mut Ctx<'_>, account: AccountId) {
    ctx.state.doubts.remove(&account);
    let key = ctx.key(Tree::Rekey, &account.0, &[]);
    ctx.delete(key);
}

/// A frame of a contact that opened.
pub(super) fn on_opened(ctx: &mut Ctx<'_>, account: AccountId, frame: EnvelopeId) {
    if let Some(doubts) = ctx.state.doubts.get_mut(&account) {
        doubts.on_opened(frame);
        if doubts.is_empty() {
            ctx.state.doubts.remove(&account);
        }
    }
}

/// A frame of a contact that no session opens: whether its author broke the rules of a session (rolled
/// back, most likely), and when a relay took it.
pub(super) fn on_unopened(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    frame: &[u8],
    (fault, deposited_at): (bool, Option<Timestamp>),
) -> Result<Outcome, StoreError> {
    let (me, now) = (ctx.account, ctx.now);
    let mut rekey = get(ctx, account)?;
    let me = Me { identity: &me.identity, cert: &me.cert };
    match rekey.hear(me, (account.into(), &pin::get(ctx, account)?), frame, &mut ctx.cx()) {
        Heard::Nothing if deposited_at.is_some_and(|at| rekey.is_past(at, now)) => {
            Ok(Outcome::Past)
        }
        Heard::Nothing => {
            let doubts = ctx.state.doubts.entry(account).or_default();
            doubts.on_unopened(EnvelopeId::of(frame), now);
            if fault {
                doubts.be_certain(now.plus(GRACE));
            }
            Ok(Outcome::Left)
        }
        Heard::TooSoon => Ok(Outcome::Kept),
        Heard::Stale => {
            tracing::info!(account = %account.short(), "an offer to re-key that came too late");
            ctx.state.doubts.entry(account).or_default().be_certain(now);
            Ok(Outcome::Taken)
        }
        Heard::Past => {
            tracing::warn!(account = %account.short(), "an older copy of theirs runs: it gets no keys");
            Ok(Outcome::Taken)
        }
        Heard::Offered { answer, session, cert } => {
            tracing::info!(account = %account.short(), "re-keyed: they had lost the session");
            put(ctx, account, &rekey)?;
            let anew = pin::on_renewed(ctx, account, &cert)?;
            renew(ctx, account, (session, None, anew), (Some(answer), None))?;
            Ok(Outcome::Taken)
        }
        Heard::Answered { session, offered_at, cert } => {
            tracing::info!(account = %account.short(), "re-keyed: they answered our offer");
            put(ctx, account, &rekey)?;
            let anew = pin::on_renewed(ctx, account, &cert)?;
            // What answered the life before is of no use to this one.
            let new = (session, Some(offered_at), anew);
            renew(ctx, account, new, (None, rekey.answer().filter(|_| !anew)))?;
            Ok(Outcome::Taken)
        }
    }
}

/// Offers to those whose frames do not open.
pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    ctx.state.doubts.retain(|_, doubts| doubts.last_for(now));
    let due: Vec<AccountId> = ctx
        .state
        .doubts
        .iter()
        .filter(|(_, doubts)| doubts.due_at().is_some_and(|at| at <= now))
        .map(|(account, _)| *account)
        .collect();
    due.into_iter().try_for_each(|account| offer(ctx, account))
}

fn offer(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    if contact::get(ctx, account)?.is_none() {
        ctx.state.doubts.remove(&account);
        return Ok(());
    }
    let (me, now) = (ctx.account, ctx.now);
    let mut rekey = get(ctx, account)?;
    // One that nobody has signed for yet is still on its way.
    let on_its_way = rekey.pending().is_some_and(|offer| outbox::has(ctx, account, offer));
    let next = if on_its_way {
        now.plus(FIRST_PAUSE)
    } else {
        let me = Me { identity: &me.identity, cert: &me.cert };
        match rekey.offer(me, account.into(), &mut ctx.cx()) {
            Ok(frame) => {
                tracing::info!(account = %account.short(), "offering new keys");
                put(ctx, account, &rekey)?;
                session::queue_frame(ctx, account, frame, Class::Control)?;
                now.plus(FIRST_PAUSE)
            }
            Err(Some(next)) => next,
            Err(None) => {
                ctx.state.doubts.remove(&account);
                return Ok(());
            }
        }
    };
    if let Some(doubts) = ctx.state.doubts.get_mut(&account) {
        doubts.pause(next);
    }
    Ok(())
}

/// There is a new session, of our offer made at `offered_at` or of theirs, with another life of theirs if `anew`: what
/// waits is sealed anew on it, behind the answer that makes it theirs too.
fn renew(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    (session, offered_at, anew): (Session, Option<Timestamp>, bool),
    (answer, earlier): (Option<Vec<u8>>, Option<EnvelopeId>),
) -> Result<(), StoreError> {
    let now = ctx.now;
    // An answer that crossed is still needed: with it they open what was sealed on its session.
    let waiting = outbox::clear(ctx, account, earlier);
    let sessions = ctx.sessions(account)?;
    match offered_at {
        _ if anew => sessions.begin_anew(session, now),
        Some(offered_at) => sessions.renew_as_offered(session, offered_at, now),
        None => sessions.renew(session, now),
    }
    ctx.state.doubts.remove(&account);
    if let Some(record) = contact::get(ctx, account)? {
        contact::reach(ctx, account, &record.card)?;
    }
    if let Some(answer) = answer {
        session::queue_frame(ctx, account, answer, Class::Control)?;
    }
    let message = |parcel: Parcel| match parcel.class {
        Class::Message(message) => Some(message),
        _ => None,
    };
    let mut waiting: Vec<_> = waiting.into_iter().filter_map(message).collect();
    chat::add_unsent(ctx, account, &mut waiting)?;
    chat::on_renewed(ctx, account, anew)?;
    chat::ask(ctx, account, &waiting)?;
    contact::send_card(ctx, account)?;
    for message in waiting {
        chat::seal_again(ctx, message)?;
    }
    // A receipt may have been sealed for nobody.
    chat::tell_read_again(ctx, account)
}

fn get(ctx: &Ctx<'_>, account: AccountId) -> Result<Rekey, StoreError> {
    Ok(ctx.get(&ctx.key(Tree::Rekey, &account.0, &[]))?.unwrap_or_default())
}

fn put(ctx: &mut Ctx<'_>, account: AccountId, rekey: &Rekey) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Rekey, &account.0, &[]);
    ctx.put(key, rekey)
}
