//! How the relay stands to us, asked after each connection; and leaving it for good.

use protocol::ids::RelayId;
use protocol::registration::wire::{RegisterRefusal, RegisterRequest, RegisterResponse, Told};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Admission, RegistrationError, RegistrationRecord, Reply, forget, get, on_admitted, put, renewal,
};
use crate::engine::{Ctx, Event};
use crate::net::NetFailure;
use crate::service::error::{NotFound, ServiceError};
use crate::store::StoreError;

/// Why a relay that admitted us does not serve us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// Its operator said so.
    Suspended,
    /// Somebody proved the same address with another key.
    Displaced(Timestamp),
}

impl Stop {
    pub(super) fn of_refusal(refusal: RegisterRefusal) -> Option<Self> {
        match refusal {
            RegisterRefusal::Suspended => Some(Self::Suspended),
            RegisterRefusal::Displaced { at } => Some(Self::Displaced(at)),
            _ => None,
        }
    }
}

/// Asks the relay that admitted us how it stands to us now; while it does not serve us, again every hour.
pub(super) fn ask(ctx: &mut Ctx<'_>, relay: RelayId) -> Result<(), StoreError> {
    let may_be_served = move |record: &RegistrationRecord| {
        record.relay.relay == relay && (record.is_admitted() || record.stopped().is_some())
    };
    let Some(record) = get(ctx)?.filter(may_be_served) else { return Ok(()) };
    super::ask(ctx, record.relay, RegisterRequest::Standing, move |ctx, result| {
        match (result, get(ctx)?.filter(may_be_served)) {
            (Ok(RegisterResponse::Standing(told)), Some(record)) => on_told(ctx, record, told),
            _ => Ok(()),
        }
    });
    Ok(())
}

fn on_told(ctx: &mut Ctx<'_>, record: RegistrationRecord, told: Told) -> Result<(), StoreError> {
    match (told, record.admission.clone()) {
        (Told::Suspended, _) => stopped(ctx, record, Stop::Suspended),
        (Told::Displaced { at }, _) => stopped(ctx, record, Stop::Displaced(at)),
        // It serves us again.
        (Told::Admitted | Told::Unknown, Admission::Stopped(credential, _)) => {
            let admission = Admission::Held(credential);
            on_admitted(ctx, &RegistrationRecord { admission, ..record })?;
            renewal::at_once(ctx);
            Ok(())
        }
        // Once for each connection, so that an account that is gone is known at once.
        (Told::Unknown, _) => {
            renewal::at_once(ctx);
            Ok(())
        }
        (Told::Admitted, _) => Ok(()),
    }
}

/// The relay does not serve us.
pub(super) fn stopped(
    ctx: &mut Ctx<'_>,
    record: RegistrationRecord,
    stop: Stop,
) -> Result<(), StoreError> {
    let (Admission::Held(credential) | Admission::Stopped(credential, _)) = &record.admission
    else {
        return Ok(());
    };
    if record.stopped() == Some(stop) {
        renewal::look_again(ctx);
        return Ok(());
    }
    tracing::warn!(relay = %record.relay.relay.short(), ?stop, "the relay does not serve this node");
    let admission = Admission::Stopped(credential.clone(), stop);
    renewal::look_again(ctx);
    put(ctx, &RegistrationRecord { admission, ..record })?;
    ctx.emit(Event::RegistrationChanged);
    Ok(())
}

/// Has the relay forget us, with everything that it holds for us, and forgets it then.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn erase(ctx: &mut Ctx<'_>, reply: Reply) -> Result<(), StoreError> {
    let Some(record) = get(ctx)? else {
        let refusal = ServiceError::from(NotFound("registration"));
        ctx.after(move || drop(reply.send(Err(refusal))));
        return Ok(());
    };
    let relay = record.relay.relay;
    super::ask(ctx, record.relay, RegisterRequest::Erase, move |ctx, result| {
        let outcome = match result {
            Ok(RegisterResponse::Erased) => {
                // Whoever registered elsewhere meanwhile keeps that.
                if get(ctx)?.is_some_and(|record| record.relay.relay == relay) {
                    forget(ctx)?;
                }
                Ok(())
            }
            Ok(RegisterResponse::Refused(RegisterRefusal::Suspended)) => {
                Err(ServiceError::from(RegistrationError::KeptSuspended))
            }
            Ok(RegisterResponse::Refused(refusal)) => {
                Err(ServiceError::from(RegistrationError::from(refusal)))
            }
            // It was asked, and may have done it: asking again does no harm.
            Err(NetFailure::TimedOut | NetFailure::ConnectionLost) => {
                Err(ServiceError::from(RegistrationError::ErasureUnsure))
            }
            Ok(_) => Err(ServiceError::from(RegistrationError::Unexpected)),
            Err(_) => Err(ServiceError::from(RegistrationError::RelayUnreachable)),
        };
        ctx.after(move || drop(reply.send(outcome)));
        Ok(())
    });
    Ok(())
}
