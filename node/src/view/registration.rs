//! The registration at a relay.

use protocol::registration::wire::SentVia;

use crate::api::dto::{self, RegistrationState, rfc3339};
use crate::engine::Ctx;
use crate::service::registration::{self as service, RegistrationRecord, Stop};
use crate::store::StoreError;

use super::relay_name;

pub(crate) fn registration(ctx: &Ctx<'_>) -> Result<dto::Registration, StoreError> {
    let held = service::get(ctx)?;
    let next = service::next(ctx)?;
    let stop = held.as_ref().and_then(RegistrationRecord::stopped);
    let state = match (&held, &next) {
        (Some(held), _) if held.is_admitted() && ctx.now < held.expires_at => {
            RegistrationState::Registered
        }
        // A code that is waited for is what to do next, whatever was before.
        (Some(held), Some(_)) if !held.is_admitted() => RegistrationState::Challenged,
        (None, Some(_)) => RegistrationState::Challenged,
        _ if stop == Some(Stop::Suspended) => RegistrationState::Suspended,
        _ if stop.is_some() => RegistrationState::Displaced,
        (Some(_), _) => RegistrationState::Expired,
        (None, None) => RegistrationState::None,
    };
    let record = match state {
        RegistrationState::Challenged => next.as_ref(),
        _ => held.as_ref().or(next.as_ref()),
    };
    Ok(dto::Registration {
        state,
        relay: record.map(|record| dto::RelaySummary {
            id: relay_name(record.relay.relay),
            address: record.address.clone(),
            development: record.development,
        }),
        identifier: record.map(|record| record.identifier.clone()),
        displaced_at: stop.and_then(|stop| match stop {
            Stop::Displaced(at) => Some(rfc3339(at)),
            Stop::Suspended => None,
        }),
        expires_at: record
            .filter(|record| record.is_admitted())
            .map(|record| rfc3339(record.expires_at)),
        challenge: next.as_ref().and_then(challenge),
        suggested_relay: ctx.state.settings.suggested_relay.clone(),
    })
}

fn challenge(record: &RegistrationRecord) -> Option<dto::Challenge> {
    let challenged = &record.challenge.as_ref()?.challenged;
    Some(dto::Challenge {
        id: challenged.challenge.to_string(),
        identifier_masked: record.identifier.clone(),
        sent_via: match challenged.sent_via {
            SentVia::Console => dto::SentVia::Console,
            SentVia::Email => dto::SentVia::Email,
            SentVia::Sms => dto::SentVia::Sms,
        },
        expires_at: rfc3339(challenged.expires_at),
        resend_after: rfc3339(challenged.resend_after),
        attempts_left: u32::from(challenged.attempts_left),
        // Only what a development relay itself gives away.
        development_code: challenged.development_code.clone().filter(|_| record.development),
    })
}
