//! Renewing the credential before it ends, and noticing that the relay does not know us any more.

use protocol::ids::RelayId;
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse};
use protocol::time::{DAY, HOUR, Timestamp};

use super::standing::{self, stopped};
use super::{Admission, RegistrationRecord, Stop, get, on_admitted, put};
use crate::engine::{Ctx, Event};
use crate::net::NetFailure;
use crate::store::StoreError;

/// How long before its end a credential is renewed.
const MARGIN: u64 = 2 * DAY;
/// How long after a renewal the next is tried.
const RETRY: u64 = HOUR;

/// Plans the renewal of a credential that the relay gave just now.
pub(super) fn plan(ctx: &mut Ctx<'_>, record: &RegistrationRecord) {
    // By a clock that runs ahead, a fresh credential is over already: renewing it at once, and
    // again at once, would help nobody.
    let soonest = ctx.now.plus(RETRY);
    ctx.state.renew_at = Some(due(record).max(soonest));
}

/// Plans the renewal of a credential that was there at the start.
pub(super) fn resume(ctx: &mut Ctx<'_>, record: &RegistrationRecord) {
    ctx.state.renew_at = Some(due(record).max(ctx.now));
}

/// Plans a renewal for now.
pub(super) fn at_once(ctx: &mut Ctx<'_>) {
    ctx.state.renew_at = Some(ctx.now);
}

/// Plans the next question to a relay that does not serve us.
pub(super) fn look_again(ctx: &mut Ctx<'_>) {
    ctx.state.renew_at = Some(ctx.now.plus(RETRY));
}

fn due(record: &RegistrationRecord) -> Timestamp {
    record.expires_at.minus(MARGIN)
}

/// The relay does not take the credential. Perhaps it only forgot that it admitted us, which a
/// renewal mends; and if it refuses that as well, we know that we must register again.
pub(in crate::service) fn on_not_admitted(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
) -> Result<(), StoreError> {
    if get(ctx)?.is_none_or(|record| !record.is_admitted() || record.relay.relay != relay) {
        return Ok(());
    }
    let now = ctx.now;
    let soonest = ctx.state.renewed_at.map_or(now, |at| at.plus(RETRY).max(now));
    ctx.state.renew_at = Some(ctx.state.renew_at.map_or(soonest, |at| at.min(soonest)));
    Ok(())
}

pub(in crate::service) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    if ctx.state.renew_at.is_none_or(|at| ctx.now < at) {
        return Ok(());
    }
    if let Some(relay) = get(ctx)?.filter(|record| record.stopped().is_some()) {
        look_again(ctx);
        return standing::ask(ctx, relay.relay.relay);
    }
    let held = get(ctx)?.and_then(|record| match record.admission {
        Admission::Held(credential) => Some((record.relay, credential)),
        _ => None,
    });
    let Some((relay, credential)) = held else {
        ctx.state.renew_at = None;
        return Ok(());
    };
    ctx.state.renew_at = Some(ctx.now.plus(RETRY));
    ctx.state.renewed_at = Some(ctx.now);
    let request = RegisterRequest::Renew { credential: credential.clone() };
    super::ask(ctx, relay, request, move |ctx, result| on_renewed(ctx, &credential, result));
    Ok(())
}

fn on_renewed(
    ctx: &mut Ctx<'_>,
    asked: &str,
    result: Result<RegisterResponse, NetFailure>,
) -> Result<(), StoreError> {
    // Whoever registered anew meanwhile has another credential, perhaps of another relay.
    let same = |record: &RegistrationRecord| record.credential() == Some(asked);
    let Some(record) = get(ctx)?.filter(same) else { return Ok(()) };
    match result {
        Ok(RegisterResponse::Admitted { credential, expires_at }) => {
            let admission = Admission::Held(credential);
            on_admitted(ctx, &RegistrationRecord { admission, expires_at, ..record })
        }
        Ok(RegisterResponse::Refused(RegisterRefusal::NotRenewable)) => {
            tracing::warn!(relay = %record.relay.relay.short(), "the relay ended the registration");
            ctx.state.renew_at = None;
            put(ctx, &RegistrationRecord { admission: Admission::Ended, ..record })?;
            ctx.emit(Event::RegistrationChanged);
            Ok(())
        }
        Ok(RegisterResponse::Refused(refusal)) => match Stop::of_refusal(refusal) {
            Some(stop) => stopped(ctx, record, stop),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}
