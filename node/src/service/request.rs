//! Requests between two people: at most one for the pair.

use protocol::contact::ContactCard;
use protocol::envelope::{Content, Hold, Reveal};
use protocol::ids::{AccountId, InviteId};
use protocol::invite::{Invite, Kind};
use protocol::outbox::Class;
use protocol::request::{Direction, Request, State};

use super::error::{ErrorKind, NotFound, Refusal};
use super::{contact, invite, outbox, pin, presence, profile, queue, scan, session};
use crate::engine::{Ctx, Event, Failure};
use crate::net::NetCommand;
use crate::store::{StoreError, Tree};

/// Most requests that are kept.
pub const MAX_REQUESTS: usize = 2_000;

/// Why a request was not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It was decided, withdrawn, or has expired.
    #[error("This request was already decided, withdrawn, or has expired.")]
    NotPending,
    /// Only the other side can do that.
    #[error("Only the person whose code was scanned can accept or reject.")]
    NotYours,
}

impl Refusal for RequestError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotPending => "request_not_pending",
            Self::NotYours => "request_not_yours",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for request in all(ctx)? {
        let account = request.account;
        if contact::get(ctx, account)?.is_some() {
            continue;
        }
        if let Some(card) = &request.card {
            contact::reach(ctx, account, card)?;
        }
        // A request that is over keeps its lane only for a last word that is still on its way.
        if request.state.is_final() {
            release(ctx, account)?;
            continue;
        }
        if is_open_outgoing(&request) && request.state != State::Held {
            scan::resume(ctx, &request);
        }
    }
    Ok(())
}

/// The request with a person.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>, account: AccountId) -> Result<Option<Request>, StoreError> {
    ctx.get(&ctx.key(Tree::Request, &account.0, &[]))
}

/// All requests.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn all(ctx: &Ctx<'_>) -> Result<Vec<Request>, StoreError> {
    let rows = ctx.all(Tree::Request, MAX_REQUESTS)?;
    Ok(rows.into_iter().map(|(_, request)| request).collect())
}

/// How a person whose request is pending can be reached.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn card(ctx: &Ctx<'_>, account: AccountId) -> Result<Option<ContactCard>, StoreError> {
    Ok(get(ctx, account)?.and_then(|mut request| request.card.take()))
}

/// Stores a request.
///
/// # Errors
/// [`StoreError`] when it exceeds its bound.
pub fn put(ctx: &mut Ctx<'_>, request: &Request) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Request, &request.account.0, &[]);
    ctx.put(key, request)
}

/// Whether this side asked and is not answered yet.
#[must_use]
pub fn is_open_outgoing(request: &Request) -> bool {
    request.direction == Direction::Outgoing && !request.state.is_final()
}

/// The person accepts: a contact is made.
///
/// # Errors
/// [`Failure`] when there is nothing to accept.
pub fn accept(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), Failure> {
    let request = pending_incoming(ctx, account)?;
    let (Some(session), Some(card), Some(kind)) =
        (request.session, request.card.clone(), request.via)
    else {
        return Err(RequestError::NotPending.into());
    };
    complete(ctx, account, session, (request.invite, card, kind))?;
    Ok(())
}

/// The person rejects.
///
/// # Errors
/// [`Failure`] when there is nothing to reject.
pub fn reject(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), Failure> {
    let mut request = pending_incoming(ctx, account)?;
    let now = ctx.now;
    request.end(State::Rejected, now);
    put(ctx, &request)?;
    invite::decide(ctx, request.invite, Invite::reject)?;
    part(ctx, &request, Content::Reject)?;
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

/// The person takes their own request back.
///
/// # Errors
/// [`Failure`] when there is nothing to take back.
pub fn withdraw(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), Failure> {
    let mut request = get(ctx, account)?.ok_or(NotFound("request"))?;
    if request.direction == Direction::Incoming {
        return Err(RequestError::NotYours.into());
    }
    let now = ctx.now;
    if request.card.is_none() {
        request.card = scan::way_back(&request);
    }
    if !request.end(State::Withdrawn, now) {
        return Err(RequestError::NotPending.into());
    }
    put(ctx, &request)?;
    scan::end(ctx, account);
    part(ctx, &request, Content::Cancel)?;
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

/// Makes the contact that an incoming session asks for, and tells the other side.
///
/// # Errors
/// [`StoreError`] when it cannot be stored.
pub(super) fn complete(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    session: [u8; 16],
    (invite, card, kind): (InviteId, ContactCard, Kind),
) -> Result<(), StoreError> {
    let now = ctx.now;
    let mut symbols = None;
    if let Some(mut request) = get(ctx, account)? {
        symbols = request.symbols.filter(|_| request.session == Some(session));
        request.end(State::Accepted, now);
        put(ctx, &request)?;
        ctx.emit(Event::RequestChanged(account));
    }
    scan::end(ctx, account);
    contact::add(ctx, account, contact::Origin { card, via: Some(kind), symbols })?;
    invite::decide(ctx, invite, Invite::accept)?;
    let mine = profile::card_for(ctx, account, true)?;
    send(ctx, account, session, Content::Accept(mine), Class::Control)
}

/// A frame of the handshake.
pub(super) fn on_content(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    session: [u8; 16],
    content: Content,
) -> Result<(), StoreError> {
    if let Content::Done(card) = content {
        contact::on_card(ctx, account, card)?;
        if let Some(mut request) = get(ctx, account)? {
            request.confirm();
            put(ctx, &request)?;
        }
        // Only now do they listen to what is said of presence.
        return presence::greet(ctx, account);
    }
    let Some(request) = get(ctx, account)? else { return Ok(()) };
    if request.session != Some(session) {
        return Ok(());
    }
    match (request.direction, content) {
        (Direction::Outgoing, Content::Hold(hold)) => on_hold(ctx, request, session, hold),
        (Direction::Outgoing, Content::Accept(card)) => on_accept(ctx, request, session, card),
        (Direction::Outgoing, Content::Reject) => on_ended(ctx, request, State::Rejected),
        (Direction::Incoming, Content::Reveal(reveal)) => on_reveal(ctx, request, session, &reveal),
        (Direction::Incoming, Content::Cancel) => on_cancel(ctx, request),
        _ => Ok(()),
    }
}

/// Forgets everything about a request whose contact was removed.
pub(super) fn forget(ctx: &mut Ctx<'_>, account: AccountId) {
    let key = ctx.key(Tree::Request, &account.0, &[]);
    ctx.delete(key);
    scan::end(ctx, account);
}

/// Ends what nobody answered in time.
pub(super) fn expire(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    for mut request in all(ctx)? {
        let account = request.account;
        if request.expire(now) {
            put(ctx, &request)?;
            scan::end(ctx, account);
            if request.direction == Direction::Incoming {
                invite::decide(ctx, request.invite, Invite::reject)?;
            }
            release(ctx, account)?;
            ctx.emit(Event::RequestChanged(account));
        } else if request.state.is_final() && ctx.state.lanes.contains_key(&account) {
            // Its last word has been said by now, or is still on its way.
            release(ctx, account)?;
        }
    }
    Ok(())
}

fn on_hold(
    ctx: &mut Ctx<'_>,
    mut request: Request,
    session: [u8; 16],
    hold: Hold,
) -> Result<(), StoreError> {
    let (account, now) = (request.account, ctx.now);
    if hold.card.accept(0).is_err() {
        return Ok(());
    }
    let Some(open) = ctx.sessions(account)?.get(session) else { return Ok(()) };
    let held = request.on_hold(&hold.nonce, hold.card, |mine, theirs| open.sas(mine, theirs), now);
    if held.is_err() {
        return Ok(());
    }
    put(ctx, &request)?;
    show_symbols(ctx, &request)?;
    scan::end(ctx, account);
    if let Some(card) = &request.card {
        contact::reach(ctx, account, card)?;
    }
    let reveal = Content::Reveal(Reveal { nonce: request.my_nonce() });
    send(ctx, account, session, reveal, Class::Control)?;
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

fn on_reveal(
    ctx: &mut Ctx<'_>,
    mut request: Request,
    session: [u8; 16],
    reveal: &Reveal,
) -> Result<(), StoreError> {
    let (account, now) = (request.account, ctx.now);
    let Some(open) = ctx.sessions(account)?.get(session) else { return Ok(()) };
    let revealed = request.on_reveal(&reveal.nonce, |theirs, mine| open.sas(theirs, mine), now);
    if revealed.is_err() {
        return Ok(());
    }
    put(ctx, &request)?;
    show_symbols(ctx, &request)?;
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

/// A contact may have been made before the symbols could be shown.
fn show_symbols(ctx: &mut Ctx<'_>, request: &Request) -> Result<(), StoreError> {
    let Some(mut record) = contact::get(ctx, request.account)? else { return Ok(()) };
    if record.symbols.is_some() {
        return Ok(());
    }
    record.symbols = request.symbols;
    contact::put(ctx, &record)?;
    ctx.emit(Event::ContactChanged(request.account));
    Ok(())
}

fn on_accept(
    ctx: &mut Ctx<'_>,
    mut request: Request,
    session: [u8; 16],
    card: ContactCard,
) -> Result<(), StoreError> {
    let (account, now) = (request.account, ctx.now);
    let met = contact::get(ctx, account)?.is_some();
    if card.accept(0).is_err() || (!request.end(State::Accepted, now) && !met) {
        return Ok(());
    }
    put(ctx, &request)?;
    scan::end(ctx, account);
    let origin = contact::Origin { card, via: request.via, symbols: request.symbols };
    contact::add(ctx, account, origin)?;
    let mine = profile::card_for(ctx, account, true)?;
    send(ctx, account, session, Content::Done(mine), Class::Control)?;
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

fn on_cancel(ctx: &mut Ctx<'_>, mut request: Request) -> Result<(), StoreError> {
    if request.state != State::Accepted {
        invite::decide(ctx, request.invite, Invite::withdraw)?;
        return on_ended(ctx, request, State::Withdrawn);
    }
    // They took it back before our acceptance reached them, and will never be a contact.
    let (account, now) = (request.account, ctx.now);
    if !request.unaccept(now) {
        return Ok(());
    }
    match contact::remove(ctx, account) {
        Err(Failure::Store(error)) => return Err(error),
        Err(Failure::Refused(_)) => return Ok(()),
        Ok(()) => put(ctx, &request)?,
    }
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

fn on_ended(ctx: &mut Ctx<'_>, mut request: Request, state: State) -> Result<(), StoreError> {
    let (account, now) = (request.account, ctx.now);
    if !request.end(state, now) {
        return Ok(());
    }
    put(ctx, &request)?;
    scan::end(ctx, account);
    release(ctx, account)?;
    ctx.emit(Event::RequestChanged(account));
    Ok(())
}

/// Says a last word, if there is a session to say it on, and lets go.
fn part(ctx: &mut Ctx<'_>, request: &Request, word: Content) -> Result<(), StoreError> {
    if let Some(session) = request.session {
        send(ctx, request.account, session, word, Class::Receipt)?;
    }
    release(ctx, request.account)
}

/// Lets go of what a request held open, unless the two are contacts.
pub(super) fn release(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    if contact::get(ctx, account)?.is_some() {
        return Ok(());
    }
    ctx.delete_sessions(account);
    pin::forget(ctx, account);
    queue::close(ctx, queue::Purpose::Contact(account))?;
    let waits = ctx.state.lanes.get(&account).is_some_and(|lane| !lane.is_empty());
    if !waits {
        outbox::drop_lane(ctx, account)?;
        ctx.net(NetCommand::Forget(account));
    }
    Ok(())
}

fn send(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    session: [u8; 16],
    content: Content,
    class: Class,
) -> Result<(), StoreError> {
    let outgoing = session::Outgoing::detached(content);
    match session::send_on(ctx, account, Some(session), outgoing, class) {
        Err(Failure::Store(error)) => Err(error),
        Err(Failure::Refused(refusal)) => {
            tracing::debug!(account = %account.short(), code = refusal.code(), "not sent");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn pending_incoming(ctx: &Ctx<'_>, account: AccountId) -> Result<Request, Failure> {
    let request = get(ctx, account)?.ok_or(NotFound("request"))?;
    if request.direction == Direction::Outgoing {
        return Err(RequestError::NotYours.into());
    }
    if request.state != State::Held {
        return Err(RequestError::NotPending.into());
    }
    Ok(request)
}
