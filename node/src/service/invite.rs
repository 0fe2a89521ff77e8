//! Invites: the ledger, and the one claim that each of them has.

use crypto::{MAX_BUNDLE_NAME, MAX_RELAY_ADDR, RelayHint, Secret};
use protocol::envelope::{Content, Hold};
use protocol::ids::{AccountId, EnvelopeId, InviteId, MessageId, QueueId};
use protocol::invite::{
    Arrival, Attempt, ClaimError, Invite, Kind, MAX_OUTSTANDING, MintError, MintSpec, Opened,
};
use protocol::mailbox::wire::Item;
use protocol::outbox::{Class, Parcel};
use protocol::pin::Standing;
use protocol::request::Request;
use protocol::time::{MINUTE, SECOND};
use protocol::wire::invite::{InviteRequest, InviteResponse};
use serde_bytes::ByteBuf;

use super::error::{ErrorKind, NotFound, Refusal};
use super::{chat, contact, identity, outbox, pin, profile, queue, registration, request, session};
use crate::engine::{Ctx, Event, Failure};
use crate::net::NetCommand;
use crate::store::{StoreError, Tree};

/// Most invites that the ledger keeps.
pub const MAX_LEDGER: usize = 2_000;
/// Failed tries of one invite are told at most this often.
const TELL_FAILED_EVERY: u64 = MINUTE;

/// Why an invite was not made or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Too many are outstanding.
    #[error("There are {MAX_OUTSTANDING} open invites already. Revoke one first.")]
    TooMany,
    /// The mint refused.
    #[error("That invite cannot be made: {0}.")]
    Mint(MintError),
    /// It was claimed, or has ended.
    #[error("This invite is used or over; there is nothing to revoke.")]
    NotActive,
}

impl Refusal for InviteError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "too_many_invites",
            Self::Mint(_) => "invalid_invite_request",
            Self::NotActive => "invite_not_active",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Mint(_) => ErrorKind::Invalid,
            Self::TooMany | Self::NotActive => ErrorKind::Conflict,
        }
    }
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    admit(ctx)
}

/// An invite.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>, id: InviteId) -> Result<Option<Invite>, StoreError> {
    ctx.get(&ctx.key(Tree::Invite, &id.0, &[]))
}

/// The ledger.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn all(ctx: &Ctx<'_>) -> Result<Vec<Invite>, StoreError> {
    let rows = ctx.all(Tree::Invite, MAX_LEDGER)?;
    Ok(rows.into_iter().map(|(_, invite)| invite).collect())
}

/// Makes an invite. `life` is in seconds.
///
/// # Errors
/// [`Failure`] when a bound is broken or too many are outstanding.
pub fn create(
    ctx: &mut Ctx<'_>,
    kind: Kind,
    label: String,
    life: Option<u64>,
) -> Result<Invite, Failure> {
    let now = ctx.now;
    let ledger = all(ctx)?;
    if ledger.iter().filter(|invite| invite.is_open(now)).count() >= MAX_OUTSTANDING
        || ledger.len() >= MAX_LEDGER
    {
        return Err(InviteError::TooMany.into());
    }
    let home = registration::home(ctx)?;
    let hint = home.as_ref().and_then(|home| {
        let fits = |addr: &&protocol::contact::Address| addr.0.len() <= MAX_RELAY_ADDR;
        let addr = home.addresses.iter().find(fits)?;
        Some(RelayHint { relay: home.relay.0, addr: addr.0.to_vec() })
    });
    let hinted = hint.is_some();
    let spec = MintSpec {
        kind,
        label,
        life: life.map(|seconds| seconds.saturating_mul(SECOND)),
        relays: hint.into_iter().collect(),
        name: identity::me(ctx)?.name.as_deref().map(fitting).map(str::to_owned),
    };
    let account = ctx.account;
    let (invite, token) = Invite::mint(&account.identity, &account.cert, spec, &mut ctx.cx())
        .map_err(InviteError::Mint)?;
    put(ctx, &invite)?;
    if hinted && let Some(bundle) = invite.bundle() {
        let keys = token.derived();
        let address = (QueueId(keys.rid), keys.drop_key.seed());
        // The token ends on a whole minute.
        let closes_at = protocol::time::Timestamp::from_seconds(token.expires_at());
        queue::open_drop(ctx, invite.id, address, closes_at, bundle)?;
    }
    ctx.emit(Event::InviteChanged(invite.id));
    admit(ctx)?;
    Ok(invite)
}

/// As much of a name as a bundle has room for.
fn fitting(name: &str) -> &str {
    let ends = name.char_indices().map(|(at, char)| at + char.len_utf8());
    &name[..ends.take_while(|&end| end <= MAX_BUNDLE_NAME).last().unwrap_or(0)]
}

/// Takes an invite back.
///
/// # Errors
/// [`Failure`] when there is none, or it is not open any more.
pub fn revoke(ctx: &mut Ctx<'_>, id: InviteId) -> Result<(), Failure> {
    let mut invite = get(ctx, id)?.ok_or(NotFound("invite"))?;
    if !invite.revoke() {
        return Err(InviteError::NotActive.into());
    }
    put(ctx, &invite)?;
    queue::close(ctx, queue::Purpose::Drop(id))?;
    ctx.emit(Event::InviteChanged(id));
    admit(ctx)?;
    Ok(())
}

/// A scanner asks this node directly.
pub(super) fn on_request(
    ctx: &mut Ctx<'_>,
    asked: &InviteRequest,
) -> Result<InviteResponse, StoreError> {
    Ok(match asked {
        InviteRequest::Bundle { invite } => match bundle(ctx, *invite)? {
            Some(sealed) => InviteResponse::Bundle { sealed: ByteBuf::from(sealed) },
            None => InviteResponse::Gone,
        },
        InviteRequest::Join { invite, request } => {
            match claim(ctx, *invite, request, Arrival::Direct)? {
                Some(frame) => InviteResponse::Held { frame: ByteBuf::from(frame) },
                None => InviteResponse::Gone,
            }
        }
    })
}

/// A request that waited in an invite's drop. Its answer goes to the joiner's own mailbox.
pub(super) fn on_drop_item(ctx: &mut Ctx<'_>, id: InviteId, item: &Item) -> Result<(), StoreError> {
    let hold = claim(ctx, id, &item.body, Arrival::Mailbox(item.deposited_at))?;
    let claimant = get(ctx, id)?.and_then(|invite| invite.claimant());
    let (Some(frame), Some(account)) = (hold, claimant) else { return Ok(()) };
    // Asked again here, after an answer that was given straight: that answer was lost.
    let heard = request::get(ctx, account)?.is_some_and(|request| request.symbols.is_some());
    if heard || outbox::has(ctx, account, EnvelopeId::of(&frame)) {
        return Ok(());
    }
    session::queue_frame(ctx, account, frame, Class::Control)
}

/// The sealed bundle of an invite that can be claimed.
fn bundle(ctx: &mut Ctx<'_>, id: InviteId) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(mut invite) = get(ctx, id)? else { return Ok(None) };
    let now = ctx.now;
    if invite.admits_strangers(now)
        && let Some(bundle) = invite.bundle()
    {
        return Ok(Some(bundle.to_vec()));
    }
    // Only a holder of the code can name it: this is a scan that came too late.
    invite.failed_tries = invite.failed_tries.saturating_add(1);
    invite.last_failed_at = Some(now);
    put(ctx, &invite)?;
    tell_failed_try(ctx, id)?;
    Ok(None)
}

/// Changes the invite that somebody claimed; `change` says whether it did.
pub(super) fn decide(
    ctx: &mut Ctx<'_>,
    id: InviteId,
    change: impl FnOnce(&mut Invite) -> bool,
) -> Result<(), StoreError> {
    let Some(mut invite) = get(ctx, id)? else { return Ok(()) };
    if change(&mut invite) {
        put(ctx, &invite)?;
        ctx.emit(Event::InviteChanged(id));
        admit(ctx)?;
    }
    Ok(())
}

/// Ends what is over, and forgets what has been over for long.
pub(super) fn expire(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    for mut invite in all(ctx)? {
        let id = invite.id;
        if invite.expire(now) {
            put(ctx, &invite)?;
            queue::close(ctx, queue::Purpose::Drop(id))?;
            ctx.emit(Event::InviteChanged(id));
        } else if invite.is_forgotten(now) {
            let key = ctx.key(Tree::Invite, &id.0, &[]);
            ctx.delete(key);
            queue::close(ctx, queue::Purpose::Drop(id))?;
        }
    }
    admit(ctx)
}

/// Strangers may connect only while there is an invite that one of them could hold.
fn admit(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let admits = all(ctx)?.iter().any(|invite| invite.admits_strangers(now));
    if admits != ctx.state.admits_strangers {
        ctx.state.admits_strangers = admits;
        ctx.net(NetCommand::AdmitStrangers(admits));
    }
    Ok(())
}

fn claim(
    ctx: &mut Ctx<'_>,
    id: InviteId,
    asked: &[u8],
    arrival: Arrival,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(mut invite) = get(ctx, id)? else { return Ok(None) };
    match invite.open(&ctx.account.identity, asked, arrival, ctx.now) {
        Ok(Attempt::Repeat(hold)) => Ok(Some(hold)),
        Ok(Attempt::New(opened)) => claim_for(ctx, invite, *opened),
        Err(ClaimError::Taken) => {
            put(ctx, &invite)?;
            tell_failed_try(ctx, id)?;
            Ok(None)
        }
        Err(_) => Ok(None),
    }
}

/// The first request that opened. Everything that follows from it is one commit.
fn claim_for(
    ctx: &mut Ctx<'_>,
    mut invite: Invite,
    opened: Opened,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (account, now) = (opened.by, ctx.now);
    let hash = opened.request_hash();
    let earlier = request::get(ctx, account)?;
    let met = contact::get(ctx, account)?.is_some();
    let crossing = earlier.as_ref().is_some_and(request::is_open_outgoing);
    if !met && earlier.as_ref().is_some_and(|earlier| earlier.cools_down(now)) {
        return Ok(None);
    }
    // Contacts join again without being asked; an old copy of theirs does not.
    if met && pin::get(ctx, account)?.judge(&opened.cert) == Standing::Past {
        return Ok(None);
    }
    if !met && !crossing {
        if let Some(earlier) = earlier.filter(|earlier| !earlier.state.is_final()) {
            // They ask once more: they took the earlier request back, and their word of it is
            // lost or still on its way.
            decide(ctx, earlier.invite, Invite::withdraw)?;
        }
        ctx.delete_sessions(account);
        outbox::start_over(ctx, account)?;
    }
    let waiting = begin_anew(ctx, account, &opened)?;
    let session = opened.session.id();
    pin::meet(ctx, account, &opened.cert)?;
    ctx.sessions(account)?.add(opened.session, now);
    contact::reach(ctx, account, &opened.payload.card)?;
    let nonce = *Secret::<32>::random(ctx.rng).expose();
    let card = profile::card_for(ctx, account, false)?;
    let hold = session::Outgoing::detached(Content::Hold(Hold { nonce, card }));
    let frame = match session::seal(ctx, account, Some(session), hold) {
        Ok(frame) => frame,
        Err(Failure::Store(error)) => return Err(error),
        Err(Failure::Refused(_)) => {
            ctx.sessions(account)?.remove(session);
            seal_again(ctx, waiting)?;
            return Ok(None);
        }
    };
    let asked = (invite.id, invite.kind, invite.label.clone());
    let payload = (opened.payload.commitment, opened.payload.card.clone());
    invite.claim(account, hash, frame.clone());
    put(ctx, &invite)?;
    ctx.emit(Event::InviteChanged(invite.id));
    if met || crossing {
        // Both scanned each other, or a contact lost its session: both have said what they want.
        request::complete(ctx, account, session, (invite.id, opened.payload.card, invite.kind))?;
        seal_again(ctx, waiting)?;
    } else {
        let incoming = Request::incoming(account, asked, session, payload, nonce, now);
        request::put(ctx, &incoming)?;
        ctx.emit(Event::RequestChanged(account));
    }
    admit(ctx)?;
    Ok(Some(frame))
}

/// A contact who joins with a newer card than any we have seen removed us and starts over: they
/// cannot open what waits for them any more. Takes it out, and returns the messages among it. In
/// a glare, by contrast, the card is older than the one that made the contact.
fn begin_anew(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    opened: &Opened,
) -> Result<Vec<MessageId>, StoreError> {
    let known = contact::get(ctx, account)?.map(|record| record.card.version);
    if known.is_none_or(|version| opened.payload.card.version <= version) {
        return Ok(Vec::new());
    }
    let parcels = outbox::clear(ctx, account, None);
    let message = |parcel: Parcel| match parcel.class {
        Class::Message(message) => Some(message),
        _ => None,
    };
    Ok(parcels.into_iter().filter_map(message).collect())
}

fn seal_again(ctx: &mut Ctx<'_>, messages: Vec<MessageId>) -> Result<(), StoreError> {
    messages.into_iter().try_for_each(|message| chat::seal_again(ctx, message))
}

fn tell_failed_try(ctx: &mut Ctx<'_>, id: InviteId) -> Result<(), StoreError> {
    let now = ctx.now;
    let told = ctx.state.failed_try_told.get(&id).copied();
    if told.is_none_or(|at| now.since(at) >= TELL_FAILED_EVERY) {
        ctx.state.failed_try_told.insert(id, now);
        ctx.emit(Event::InviteFailedTry(id));
        ctx.emit(Event::InviteChanged(id));
    }
    Ok(())
}

fn put(ctx: &mut Ctx<'_>, invite: &Invite) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Invite, &invite.id.0, &[]);
    ctx.put(key, invite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_between_characters_to_what_a_bundle_holds() {
        assert_eq!(fitting("Ada"), "Ada");
        assert_eq!(fitting(&"a".repeat(64)).len(), 64);
        assert_eq!(fitting(&"漢".repeat(30)), "漢".repeat(21));
    }
}
