//! Scanning: from a code in hand to a request that the inviter's node holds.
//!
//! 1. The token is checked, and says who the inviter is.
//! 2. Their bundle is asked for: of their node, then of the relay that the code names.
//! 3. The join request is made once, stored, and sent: to their node, then into the drop.
//! 4. Each round that comes to nothing is followed by another, until the request expires.

use crypto::{Bundle, Token, join};
use protocol::contact::{Address, ContactCard, RelayHome};
use protocol::ids::{AccountId, InviteId, QueueId, RelayId};
use protocol::invite::{CERT_DOUBT, join_payload};
use protocol::mailbox::wire::{CustodyReceipt, DepositRefusal};
use protocol::request::{Request, State};
use protocol::time::{DAY, MINUTE, SECOND, Timestamp};
use protocol::wire::invite::{InviteRequest, InviteResponse};
use serde_bytes::ByteBuf;

use super::error::{ErrorKind, Refusal};
use super::{contact, outbox, pin, profile, request, session};
use crate::engine::state::Scan;
use crate::engine::{Answer, Ctx, Event, Failure};
use crate::net::{NetCommand, NetFailure, SealedDeposit};
use crate::store::StoreError;

/// First wait after a round that came to nothing; doubles up to [`RETRY_MAX`].
const RETRY_MIN: u64 = SECOND;
/// Longest wait between rounds.
const RETRY_MAX: u64 = 2 * MINUTE;
/// How long ago by our clock a code may have expired and still be tried: the inviter's clock
/// decides, and ours may be wrong.
const CLOCK_DOUBT: u64 = DAY;
/// How long a join request waits in a drop, seconds.
const DROP_TTL_SECONDS: u32 = 7 * 24 * 3600;

/// Why a code is not redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Not a code of Kith's, or damaged, or forged.
    #[error("This is not a valid Kith invite ({0}). Ask for a new code.")]
    Invalid(crypto::TokenError),
    /// A group's code.
    #[error("This code is for a group, which this version of Kith cannot join yet.")]
    Group,
    /// One's own.
    #[error("This is your own code. Show it to the person you want to meet.")]
    Own,
    /// Over for more than a day.
    #[error("This code has expired. Ask for a new one.")]
    Expired,
    /// Already connected.
    #[error("You are already connected with this person.")]
    AlreadyContact,
    /// Already asked, or asked by them.
    #[error("There is already a request between you and this person.")]
    Pending,
}

impl Refusal for ScanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_invite",
            Self::Group => "group_invite",
            Self::Own => "own_invite",
            Self::Expired => "invite_expired",
            Self::AlreadyContact => "already_contact",
            Self::Pending => "request_pending",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::Group | Self::Own | Self::Expired => ErrorKind::Invalid,
            Self::AlreadyContact | Self::Pending => ErrorKind::Conflict,
        }
    }
}

/// Reads a code and says what would stand in its way. No side effect.
///
/// # Errors
/// [`Failure`] when the text is no code at all.
pub fn inspect(ctx: &Ctx<'_>, text: &str) -> Result<(Token, Result<(), ScanError>), Failure> {
    let token = Token::parse(text).map_err(ScanError::Invalid)?;
    let verdict = verdict(ctx, &token)?;
    Ok((token, verdict))
}

/// Redeems a code: a request is made, and pursued until it is answered or expires.
///
/// # Errors
/// [`Failure`] when something stands in its way.
pub fn redeem(ctx: &mut Ctx<'_>, text: &str) -> Result<Request, Failure> {
    let (token, verdict) = inspect(ctx, text)?;
    verdict?;
    let account = AccountId::from(token.account());
    let nonce = crypto::sas_nonce(ctx.rng);
    let invite = InviteId(token.derived().tid);
    let made = Request::outgoing(account, invite, token.as_bytes().to_vec(), nonce, ctx.now);
    request::put(ctx, &made)?;
    ctx.emit(Event::RequestChanged(account));
    resume(ctx, &made);
    Ok(made)
}

/// Goes on with a request that is looking or asking.
pub(super) fn resume(ctx: &mut Ctx<'_>, request: &Request) {
    if let Some(token) = token_of(request) {
        let homes = homes(&token);
        let account = request.account;
        ctx.net(NetCommand::Know { account, addresses: Vec::new(), homes });
        ctx.state.scans.insert(account, Scan { failures: 0, next_try: Some(ctx.now) });
    }
}

/// There is nothing to pursue any more.
pub(super) fn end(ctx: &mut Ctx<'_>, account: AccountId) {
    ctx.state.scans.remove(&account);
}

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let now = ctx.now;
    let due: Vec<AccountId> = ctx
        .state
        .scans
        .iter()
        .filter(|(_, scan)| scan.next_try.is_some_and(|at| at <= now))
        .map(|(account, _)| *account)
        .collect();
    for account in due {
        round(ctx, account)?;
    }
    Ok(())
}

pub(super) fn on_direct_bundle(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    result: Result<InviteResponse, NetFailure>,
) -> Result<(), StoreError> {
    match result {
        Ok(InviteResponse::Bundle { sealed }) => on_bundle(ctx, account, &sealed),
        Ok(InviteResponse::Gone) => gone(ctx, account),
        _ => {
            let Some((request, token)) = pursued(ctx, account, State::Looking)? else {
                return Ok(());
            };
            let Some(relay) = homes(&token).into_iter().next() else {
                return retry(ctx, &request);
            };
            let keys = token.derived();
            let (send, key) = (QueueId(keys.rid), keys.drop_key.seed());
            ctx.ask(Answer::RelayBundle(account), |ticket| NetCommand::FetchBundle {
                ticket,
                relay,
                send,
                key,
            });
            Ok(())
        }
    }
}

pub(super) fn on_relay_bundle(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    result: Result<Vec<u8>, NetFailure>,
) -> Result<(), StoreError> {
    match result {
        Ok(sealed) => on_bundle(ctx, account, &sealed),
        Err(_) => match pursued(ctx, account, State::Looking)? {
            Some((request, _)) => retry(ctx, &request),
            None => Ok(()),
        },
    }
}

pub(super) fn on_direct_join(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    result: Result<InviteResponse, NetFailure>,
) -> Result<(), StoreError> {
    let Some((request, token)) = pursued(ctx, account, State::Asking)? else { return Ok(()) };
    match result {
        Ok(InviteResponse::Held { frame }) => {
            let route = protocol::chat::Route::Direct;
            session::receive(ctx, account, route, [frame.as_slice()])?;
            match pursued(ctx, account, State::Asking)? {
                Some((request, _)) => retry(ctx, &request),
                None => Ok(()),
            }
        }
        Ok(InviteResponse::Gone) => gone(ctx, account),
        _ => {
            let relay = homes(&token).into_iter().next();
            let (Some(relay), Some(body)) = (relay, request.join_request.clone()) else {
                return retry(ctx, &request);
            };
            let keys = token.derived();
            let deposit = SealedDeposit {
                send: QueueId(keys.rid),
                key: keys.drop_key.seed(),
                ttl_seconds: DROP_TTL_SECONDS,
                reserved: false,
                body: body.into_vec(),
            };
            ctx.ask(Answer::DropJoin(account), |ticket| NetCommand::Deposit {
                ticket,
                relay,
                deposits: vec![deposit],
            });
            Ok(())
        }
    }
}

pub(super) fn on_drop_join(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    result: Result<Vec<Result<CustodyReceipt, DepositRefusal>>, NetFailure>,
) -> Result<(), StoreError> {
    let Some((request, token)) = pursued(ctx, account, State::Asking)? else { return Ok(()) };
    // A drop that had taken it in time would say so again: this one closed before.
    let denied = |results: Vec<_>| matches!(results[..], [Err(DepositRefusal::Denied)]);
    let closed = result.is_ok_and(denied);
    if closed && is_over(&token, ctx.now) {
        return gone(ctx, account);
    }
    // Taken or not, their node is asked again: a drop has no memory of an answer.
    retry(ctx, &request)
}

fn round(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let Some(request) = request::get(ctx, account)? else {
        end(ctx, account);
        return Ok(());
    };
    // Nothing was asked of anybody yet, and by now no clock is wrong enough for it to be taken.
    let over = token_of(&request).is_some_and(|token| is_over(&token, ctx.now));
    if request.state == State::Looking && over {
        return gone(ctx, account);
    }
    let (asked, answer) = match (request.state, &request.join_request) {
        (State::Looking, _) => {
            (InviteRequest::Bundle { invite: request.invite }, Answer::DirectBundle(account))
        }
        (State::Asking, Some(join)) => (
            InviteRequest::Join { invite: request.invite, request: join.clone() },
            Answer::DirectJoin(account),
        ),
        _ => {
            end(ctx, account);
            return Ok(());
        }
    };
    if let Some(scan) = ctx.state.scans.get_mut(&account) {
        scan.next_try = None;
    }
    ctx.ask(answer, |ticket| NetCommand::Invite { ticket, to: account, request: asked });
    Ok(())
}

/// The inviter's keys are here: the join request is made, once.
fn on_bundle(ctx: &mut Ctx<'_>, account: AccountId, sealed: &[u8]) -> Result<(), StoreError> {
    let Some((mut request, token)) = pursued(ctx, account, State::Looking)? else {
        return Ok(());
    };
    let Ok(bundle) = Bundle::open(&token, sealed) else { return retry(ctx, &request) };
    if !bundle.cert().is_current(ctx.now.minus(CERT_DOUBT).seconds()) {
        return retry(ctx, &request);
    }
    let card = profile::card_for(ctx, account, true)?;
    let payload = join_payload(request.commitment(), card.clone()).or_else(|_| {
        // A card that does not fit is cut to what an answer needs.
        let shorter = ContactCard {
            about: String::new(),
            addresses: card.addresses.into_iter().take(1).collect(),
            ..card
        };
        join_payload(request.commitment(), shorter)
    });
    let Ok(payload) = payload else { return retry(ctx, &request) };
    let me = ctx.account;
    let joined = join(&me.identity, &me.cert, &token, &bundle, &payload, ctx.rng);
    let Ok(joined) = joined else { return retry(ctx, &request) };
    let (now, name) = (ctx.now, bundle.info().name.clone());
    let stepped = request.on_joined(joined.request, joined.session.id(), name, now);
    if stepped.is_err() {
        return Ok(());
    }
    pin::meet(ctx, account, bundle.cert())?;
    ctx.sessions(account)?.add(joined.session, now);
    outbox::start_over(ctx, account)?;
    request::put(ctx, &request)?;
    ctx.emit(Event::RequestChanged(account));
    ctx.state.scans.insert(account, Scan { failures: 0, next_try: Some(now) });
    Ok(())
}

fn gone(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    end(ctx, account);
    let Some(mut request) = request::get(ctx, account)? else { return Ok(()) };
    let now = ctx.now;
    if request.end(State::Gone, now) {
        request::put(ctx, &request)?;
        request::release(ctx, account)?;
        ctx.emit(Event::RequestChanged(account));
    }
    Ok(())
}

fn retry(ctx: &mut Ctx<'_>, request: &Request) -> Result<(), StoreError> {
    let jitter = ctx.rng.next_u64();
    let scan = ctx.state.scans.entry(request.account).or_default();
    scan.failures = scan.failures.saturating_add(1);
    let ceiling = RETRY_MIN.saturating_mul(1 << scan.failures.min(10)).min(RETRY_MAX);
    scan.next_try = Some(ctx.now.plus(RETRY_MIN / 2 + jitter % ceiling));
    let told = crate::view::request(ctx, request);
    ctx.emit_volatile(crate::api::dto::EventBody::RequestChanged(told));
    Ok(())
}

fn pursued(
    ctx: &Ctx<'_>,
    account: AccountId,
    state: State,
) -> Result<Option<(Request, Token)>, StoreError> {
    let request = request::get(ctx, account)?.filter(|request| request.state == state);
    Ok(request.and_then(|request| {
        let token = token_of(&request)?;
        Some((request, token))
    }))
}

fn token_of(request: &Request) -> Option<Token> {
    request.token.as_ref().and_then(|token| Token::decode(token).ok())
}

/// Whether a code is over by any clock that is right to a day.
fn is_over(token: &Token, now: Timestamp) -> bool {
    now >= Timestamp::from_seconds(token.expires_at()).plus(CLOCK_DOUBT)
}

/// Where the inviter's node may be found, for a last word to it after the token is forgotten.
pub(super) fn way_back(request: &Request) -> Option<ContactCard> {
    let homes = homes(&token_of(request)?);
    Some(ContactCard { homes, ..ContactCard::default() })
}

fn homes(token: &Token) -> Vec<RelayHome> {
    let home = |hint: &crypto::RelayHint| RelayHome {
        relay: RelayId(hint.relay),
        addresses: vec![Address(ByteBuf::from(hint.addr.clone()))],
    };
    token.spec().relays.iter().map(home).collect()
}

fn verdict(ctx: &Ctx<'_>, token: &Token) -> Result<Result<(), ScanError>, StoreError> {
    let account = AccountId::from(token.account());
    let refusal = if token.spec().kind.is_group() {
        Some(ScanError::Group)
    } else if account == ctx.account.id {
        Some(ScanError::Own)
    } else if contact::get(ctx, account)?.is_some() {
        Some(ScanError::AlreadyContact)
    } else if request::get(ctx, account)?.is_some_and(|request| !request.state.is_final()) {
        Some(ScanError::Pending)
    } else if is_over(token, ctx.now) {
        Some(ScanError::Expired)
    } else {
        None
    };
    Ok(refusal.map_or(Ok(()), Err))
}
