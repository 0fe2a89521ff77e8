//! Invites, and codes that were scanned.

use crypto::Token;
use protocol::ids::AccountId;
use protocol::invite::{self as machine, Kind, State};
use protocol::time::Timestamp;

use crate::api::dto::{self, InviteState, InviteVerdict, rfc3339};
use crate::engine::Ctx;
use crate::service::scan::ScanError;
use crate::service::{contact, invite as service, registration, request};
use crate::store::StoreError;

use super::symbol_seed;

pub(crate) fn invite(ctx: &Ctx<'_>, invite: &machine::Invite) -> Result<dto::Invite, StoreError> {
    let claimed_by = match invite.claimant() {
        Some(account) => Some(claimant(ctx, account)?),
        None => None,
    };
    let open = invite.is_open(ctx.now);
    Ok(dto::Invite {
        id: invite.id.to_string(),
        kind: match invite.kind {
            Kind::InPerson => dto::InviteKind::InPerson,
            Kind::Link => dto::InviteKind::Link,
        },
        label: invite.label.clone(),
        state: match invite.state {
            State::Active if open => InviteState::Active,
            State::Active | State::Expired => InviteState::Expired,
            State::Claimed(_) => InviteState::Claimed,
            State::Accepted(_) => InviteState::Accepted,
            State::Rejected(_) | State::Withdrawn(_) => InviteState::Rejected,
            State::Revoked => InviteState::Revoked,
        },
        text: invite.token().filter(|_| open).map(|token| token.to_text()),
        created_at: rfc3339(invite.created_at),
        expires_at: rfc3339(invite.expires_at),
        failed_tries: invite.failed_tries,
        last_failed_at: invite.last_failed_at.map(rfc3339),
        request_id: claimed_by.as_ref().map(|claimant| claimant.account.clone()),
        claimed_by,
        reachable: reachable(ctx, invite)?,
    })
}

pub(crate) fn all(ctx: &Ctx<'_>) -> Result<Vec<dto::Invite>, StoreError> {
    let mut invites = service::all(ctx)?;
    invites.sort_by_key(|invite| (std::cmp::Reverse(invite.created_at), invite.id));
    invites.iter().map(|one| invite(ctx, one)).collect()
}

/// What a scanned code says, and whether anything stands in its way.
pub(crate) fn decoded(token: &Token, verdict: Result<(), ScanError>) -> dto::DecodedInvite {
    let account = AccountId::from(token.account());
    let detail = match &verdict {
        Ok(()) => "This code is ready to be used.".to_owned(),
        Err(error) => error.to_string(),
    };
    dto::DecodedInvite {
        text: token.to_text(),
        inviter: account.to_string(),
        symbol_seed: symbol_seed(account),
        expires_at: rfc3339(Timestamp::from_seconds(token.expires_at())),
        relay: !token.spec().relays.is_empty(),
        verdict: match verdict {
            Ok(()) => InviteVerdict::Ok,
            Err(ScanError::Own) => InviteVerdict::Own,
            Err(ScanError::AlreadyContact) => InviteVerdict::Contact,
            Err(ScanError::Pending) => InviteVerdict::Pending,
            Err(ScanError::Expired | ScanError::Group | ScanError::Invalid(_)) => {
                InviteVerdict::Expired
            }
        },
        detail,
    }
}

fn claimant(ctx: &Ctx<'_>, account: AccountId) -> Result<dto::InviteClaimant, StoreError> {
    let name = match contact::get(ctx, account)? {
        Some(record) => Some(record.shown_name()),
        None => request::get(ctx, account)?.and_then(|mut request| request.claimed_name.take()),
    };
    Ok(dto::InviteClaimant { account: account.to_string(), name })
}

fn reachable(ctx: &Ctx<'_>, invite: &machine::Invite) -> Result<dto::Reachable, StoreError> {
    let hinted = invite.token().is_some_and(|token| !token.spec().relays.is_empty());
    let home = registration::home(ctx)?;
    let up = home
        .and_then(|home| ctx.state.relays.get(&home.relay))
        .is_some_and(|view| registration::is_up(view.phase));
    let direct = !ctx.state.listening.is_empty();
    let detail = match (hinted && up, direct) {
        (true, _) => "People can reach you with this code from anywhere.",
        (false, _) if hinted => "Your relay does not answer now. The code works once it does.",
        (false, true) => "Without a relay, this code works for people on your own network.",
        (false, false) => "This computer is offline. The code works once it is back.",
    };
    Ok(dto::Reachable { direct, relay: hinted && up, detail: detail.to_owned() })
}
