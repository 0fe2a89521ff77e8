//! Services: one per noun. Each loads what it needs, steps the pure machine, and says what
//! changed; the engine commits.
//!
//! Nothing here waits, and nothing here sends: a service answers with changes, events and
//! network commands on the [`Ctx`] of its step.

pub mod backup;
pub mod chat;
pub mod contact;
pub mod erasure;
pub mod error;
pub mod identity;
pub mod invite;
pub mod life;
pub mod outbox;
pub mod pin;
pub mod presence;
pub mod profile;
pub mod queue;
pub mod receipt;
pub mod registration;
pub(crate) mod rekey;
pub mod request;
pub mod scan;
pub mod session;
pub mod sweep;
pub mod verification;

pub use error::{ErrorKind, Refusal, ServiceError};

use protocol::chat::Route;
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse, MAX_FRAMES};

use crate::engine::{Answer, Ctx};
use crate::net::{NetEvent, NetFailure, Path, Ticket};
use crate::store::StoreError;

/// What has to happen at the start of a node.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    life::start(ctx)?;
    registration::start(ctx)?;
    queue::start(ctx)?;
    contact::start(ctx)?;
    rekey::start(ctx)?;
    request::start(ctx)?;
    invite::start(ctx)?;
    on_time(ctx)
}

/// What has to happen at the end of every step: whatever has come due.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    registration::on_time(ctx)?;
    queue::on_time(ctx)?;
    scan::on_time(ctx)?;
    receipt::on_time(ctx)?;
    presence::on_time(ctx)?;
    rekey::on_time(ctx)?;
    chat::on_time(ctx)?;
    sweep::on_time(ctx)?;
    outbox::pump(ctx)
}

/// What the network says.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn on_net_event(ctx: &mut Ctx<'_>, event: NetEvent) -> Result<(), StoreError> {
    match event {
        NetEvent::Connected { account, path } => contact::on_connected(ctx, account, path),
        NetEvent::Disconnected(account) => contact::on_disconnected(ctx, account),
        NetEvent::Unreachable(account) => contact::on_unreachable(ctx, account),
        NetEvent::Envelope { from, path, request, reply } => {
            let response = on_envelope(ctx, from, path, &request)?;
            // Whoever asked may be gone; what they sent is kept all the same.
            ctx.after(move || drop(reply.send(response)));
            Ok(())
        }
        NetEvent::Invite { from: _, request, reply } => {
            let response = invite::on_request(ctx, &request)?;
            ctx.after(move || drop(reply.send(response)));
            Ok(())
        }
        NetEvent::Items { relay, items, reply } => {
            let durable = queue::on_items(ctx, relay, items)?;
            ctx.after(move || drop(reply.send(durable)));
            Ok(())
        }
        NetEvent::Subscribed { relay, missing } => queue::on_subscribed(ctx, relay, &missing),
        NetEvent::Relay { relay, phase, clock_offset_ms } => {
            registration::on_relay(ctx, relay, phase, clock_offset_ms)
        }
        NetEvent::RelayReached { relay, addresses } => {
            registration::on_reached_at(ctx, relay, &addresses)
        }
        NetEvent::Listening(addresses) => contact::on_listening(ctx, addresses),
        NetEvent::EnvelopeDone { ticket, result } => on_envelope_done(ctx, ticket, result),
        NetEvent::DepositDone { ticket, result } => match ctx.state.answer(ticket) {
            Some(Answer::Deposit(account, relay, orders)) => {
                outbox::on_deposited(ctx, account, relay, (&orders.0, orders.1), result)
            }
            Some(Answer::DropJoin(account)) => scan::on_drop_join(ctx, account, result),
            _ => Ok(()),
        },
        NetEvent::InviteDone { ticket, result } => match ctx.state.answer(ticket) {
            Some(Answer::DirectBundle(account)) => scan::on_direct_bundle(ctx, account, result),
            Some(Answer::DirectJoin(account)) => scan::on_direct_join(ctx, account, result),
            _ => Ok(()),
        },
        NetEvent::BundleDone { ticket, result } => match ctx.state.answer(ticket) {
            Some(Answer::RelayBundle(account)) => scan::on_relay_bundle(ctx, account, result),
            _ => Ok(()),
        },
        NetEvent::QueueDone { ticket, result } => match ctx.state.answer(ticket) {
            Some(Answer::QueueOpened(queue)) => queue::on_opened(ctx, queue, result),
            Some(Answer::QueueClosed(queue)) => queue::on_closed(ctx, queue, result),
            _ => Ok(()),
        },
        NetEvent::RegisterDone { ticket, result } => match ctx.state.answer(ticket) {
            Some(Answer::Register(then)) => then(ctx, result),
            _ => Ok(()),
        },
    }
}

fn on_envelope(
    ctx: &mut Ctx<'_>,
    from: protocol::ids::AccountId,
    path: Path,
    request: &EnvelopeRequest,
) -> Result<EnvelopeResponse, StoreError> {
    match request {
        EnvelopeRequest::Deliver { frames } if frames.len() > MAX_FRAMES => {
            Ok(EnvelopeResponse::Refused)
        }
        EnvelopeRequest::Deliver { frames } => {
            let frames = frames.iter().map(|frame| frame.as_slice());
            let received = session::receive(ctx, from, route(path), frames)?;
            let envelopes = received.into_iter().map(|received| received.envelope).collect();
            let receipt = receipt::sign(ctx, from, envelopes);
            Ok(EnvelopeResponse::Durable { receipt })
        }
        EnvelopeRequest::Ephemeral { sealed } => {
            presence::on_ephemeral(ctx, from, sealed)?;
            Ok(EnvelopeResponse::Taken)
        }
    }
}

fn on_envelope_done(
    ctx: &mut Ctx<'_>,
    ticket: Ticket,
    result: Result<(Path, EnvelopeResponse), NetFailure>,
) -> Result<(), StoreError> {
    match ctx.state.answer(ticket) {
        Some(Answer::Envelope(account, orders)) => outbox::on_sent(ctx, account, &orders, result),
        _ => Ok(()),
    }
}

/// The network's path as the ledger names it.
#[must_use]
pub fn route(path: Path) -> Route {
    match path {
        Path::Lan => Route::Lan,
        Path::Direct => Route::Direct,
        Path::HolePunched => Route::HolePunched,
        Path::Relayed => Route::Relayed,
        Path::Mailbox => Route::Mailbox,
    }
}
