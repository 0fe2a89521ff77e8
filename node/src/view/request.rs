//! Requests, and why they wait.

use protocol::request::{self as machine, Direction, State};

use crate::api::dto::{self, RequestState, WhyCode, rfc3339};
use crate::engine::Ctx;
use crate::service::request as service;
use crate::store::StoreError;

use super::{person, symbol_seed};

pub(crate) fn request(ctx: &Ctx<'_>, request: &machine::Request) -> dto::Request {
    let incoming = request.direction == Direction::Incoming;
    dto::Request {
        id: request.account.to_string(),
        direction: match incoming {
            true => dto::Direction::Incoming,
            false => dto::Direction::Outgoing,
        },
        account: request.account.to_string(),
        symbol_seed: symbol_seed(request.account),
        name: request.claimed_name.clone().filter(|name| !name.is_empty()),
        state: match request.state {
            State::Looking => RequestState::Looking,
            State::Asking => RequestState::Asking,
            State::Held if incoming => RequestState::Held,
            State::Held => RequestState::Waiting,
            State::Accepted => RequestState::Accepted,
            State::Rejected => RequestState::Rejected,
            State::Withdrawn => RequestState::Withdrawn,
            State::Expired => RequestState::Expired,
            State::Gone => RequestState::Gone,
        },
        symbols: request.symbols,
        via: person::via(request.via),
        invite_id: incoming.then(|| request.invite.to_string()),
        invite_label: Some(request.label.clone()).filter(|label| !label.is_empty()),
        created_at: rfc3339(request.created_at),
        updated_at: rfc3339(request.updated_at),
        why: why(ctx, request),
    }
}

/// The newest first; what still waits before what is over.
pub(crate) fn all(ctx: &Ctx<'_>) -> Result<Vec<dto::Request>, StoreError> {
    let mut requests = service::all(ctx)?;
    requests.sort_by_key(|request| {
        (request.state.is_final(), std::cmp::Reverse(request.updated_at), request.account)
    });
    Ok(requests.iter().map(|one| request(ctx, one)).collect())
}

fn why(ctx: &Ctx<'_>, request: &machine::Request) -> Option<dto::Why> {
    let name = request.claimed_name.clone().unwrap_or_else(|| "The other person".to_owned());
    let scan = ctx.state.scans.get(&request.account);
    let failed = scan.is_some_and(|scan| scan.failures > 0);
    let next = scan.and_then(|scan| scan.next_try).map(rfc3339);
    let (code, text) = match (request.direction, request.state) {
        (Direction::Outgoing, State::Looking | State::Asking) if failed => (
            WhyCode::ContactOffline,
            format!(
                "{name}’s computer does not answer yet. It may be off, or its relay out of reach. \
                 Kith keeps trying; you can close this window."
            ),
        ),
        (Direction::Outgoing, State::Looking) => {
            (WhyCode::Sealing, "Looking for the other computer.".to_owned())
        }
        (Direction::Outgoing, State::Asking) => {
            (WhyCode::Sealing, "The request is on its way.".to_owned())
        }
        (Direction::Outgoing, State::Held) => (
            WhyCode::AwaitingAcceptance,
            format!(
                "{name}’s computer has your request. {name} decides; you can close this window."
            ),
        ),
        (_, State::Gone) => (
            WhyCode::InviteGone,
            "This code was used by somebody, taken back, or has expired. Ask for a new one."
                .to_owned(),
        ),
        _ => return None,
    };
    Some(dto::Why { code, text, next_try_at: next })
}
