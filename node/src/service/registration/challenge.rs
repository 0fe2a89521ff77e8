//! Asking for a code and answering with it. What is asked for replaces nothing before a code
//! was right: until then it is a row of its own.

use protocol::contact::RelayHome;
use protocol::ids::ChallengeId;
use protocol::registration::wire::{
    CODE_DIGITS, Challenged, IdentifierKind, MAX_IDENTIFIER, RegisterRefusal, RegisterRequest,
    RegisterResponse,
};
use protocol::time::Timestamp;
use serde_bytes::ByteArray;

use super::{Admission, Pending, RegistrationError, RegistrationRecord, Reply, on_admitted};
use crate::engine::{Ctx, Event};
use crate::net;
use crate::service::error::{NotFound, Refusal, ServiceError};
use crate::store::{StoreError, Tree};

/// The registration that waits for its code.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn next(ctx: &Ctx<'_>) -> Result<Option<RegistrationRecord>, StoreError> {
    ctx.get(&key(ctx))
}

/// Asks a relay for a code.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn challenge(
    ctx: &mut Ctx<'_>,
    relay: Option<&str>,
    identifier: &str,
    kind: Option<IdentifierKind>,
    reply: Reply,
) -> Result<(), StoreError> {
    let wanted = relay.map(str::trim).filter(|text| !text.is_empty());
    let address = wanted.map(str::to_owned).or_else(|| ctx.state.settings.suggested_relay.clone());
    let Some(address) = address else { return refuse(ctx, reply, RegistrationError::NoRelay) };
    let Ok(relay) = net::parse_relay(&address) else {
        return refuse(ctx, reply, RegistrationError::RelayAddress);
    };
    let identifier = identifier.trim().to_owned();
    if identifier.is_empty() || identifier.len() > MAX_IDENTIFIER {
        return refuse(ctx, reply, RegistrationError::InvalidIdentifier);
    }
    let kind = kind.unwrap_or(match identifier.contains('@') {
        true => IdentifierKind::Email,
        false => IdentifierKind::Phone,
    });
    let masked = mask(&identifier, kind);
    let home = relay.clone();
    let info = RegisterRequest::Info;
    ask(ctx, home, info, None, reply, move |ctx, response, reply| {
        let RegisterResponse::Info { development, .. } = response else {
            return refuse(ctx, reply, RegistrationError::Unexpected);
        };
        let home = relay.clone();
        let request = RegisterRequest::Challenge { kind, identifier };
        ask(ctx, home, request, None, reply, move |ctx, response, reply| {
            let RegisterResponse::Challenged(challenged) = response else {
                return refuse(ctx, reply, RegistrationError::Unexpected);
            };
            let record = RegistrationRecord {
                relay,
                address,
                development,
                identifier: masked,
                admission: Admission::Asked,
                expires_at: Timestamp(0),
                challenge: None,
            };
            on_challenged(ctx, record, challenged, reply)
        })
    })
}

/// Asks for the code again.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn resend(ctx: &mut Ctx<'_>, challenge: ChallengeId, reply: Reply) -> Result<(), StoreError> {
    let Some((record, _)) = pending(ctx, challenge)? else {
        return refuse(ctx, reply, NotFound("code request"));
    };
    let request = RegisterRequest::Resend { challenge };
    let relay = record.relay;
    ask(ctx, relay, request, Some(challenge), reply, move |ctx, response, reply| {
        let RegisterResponse::Challenged(challenged) = response else {
            return refuse(ctx, reply, RegistrationError::Unexpected);
        };
        match pending(ctx, challenge)? {
            Some((record, _)) => on_challenged(ctx, record, challenged, reply),
            // Another code was asked for meanwhile.
            None => refuse(ctx, reply, NotFound("code request")),
        }
    })
}

/// Answers a challenge.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn verify(
    ctx: &mut Ctx<'_>,
    challenge: ChallengeId,
    code: &str,
    reply: Reply,
) -> Result<(), StoreError> {
    let code: String = code.chars().filter(|character| !character.is_whitespace()).collect();
    if code.len() != CODE_DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return refuse(ctx, reply, RegistrationError::MalformedCode);
    }
    let Some((record, challenged)) = pending(ctx, challenge)? else {
        return refuse(ctx, reply, NotFound("code request"));
    };
    let fields: &[&[u8]] = &[&challenged.nonce, &record.relay.relay.0];
    let proof = ctx.account.identity.sign(crypto::Purpose::Register, fields);
    let request =
        RegisterRequest::Verify { challenge, code, proof: ByteArray::new(*proof.as_bytes()) };
    let relay = record.relay.clone();
    ask(ctx, relay, request, Some(challenge), reply, move |ctx, response, reply| {
        let RegisterResponse::Admitted { credential, expires_at } = response else {
            return refuse(ctx, reply, RegistrationError::Unexpected);
        };
        if pending(ctx, challenge)?.is_some() {
            let key = key(ctx);
            ctx.delete(key);
        }
        let admission = Admission::Held(credential);
        let record = RegistrationRecord { admission, expires_at, challenge: None, ..record };
        on_admitted(ctx, &record)?;
        ctx.after(move || drop(reply.send(Ok(()))));
        Ok(())
    })
}

/// Forgets what waits for a code.
pub(super) fn forget(ctx: &mut Ctx<'_>) {
    let key = key(ctx);
    ctx.delete(key);
}

fn on_challenged(
    ctx: &mut Ctx<'_>,
    mut record: RegistrationRecord,
    challenged: Challenged,
    reply: Reply,
) -> Result<(), StoreError> {
    record.challenge = Some(Pending { challenged });
    let key = key(ctx);
    ctx.put(key, &record)?;
    ctx.emit(Event::RegistrationChanged);
    ctx.after(move || drop(reply.send(Ok(()))));
    Ok(())
}

/// Asks a relay something that the person waits for. `about` is the challenge that it concerns.
fn ask(
    ctx: &mut Ctx<'_>,
    relay: RelayHome,
    request: RegisterRequest,
    about: Option<ChallengeId>,
    reply: Reply,
    then: impl FnOnce(&mut Ctx<'_>, RegisterResponse, Reply) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    super::ask(ctx, relay, request, move |ctx, result| match result {
        Ok(RegisterResponse::Refused(refusal)) => {
            if let Some(challenge) = about {
                on_refused(ctx, challenge, refusal)?;
            }
            refuse(ctx, reply, RegistrationError::from(refusal))
        }
        Ok(response) => then(ctx, response, reply),
        Err(_) => refuse(ctx, reply, RegistrationError::RelayUnreachable),
    });
    Ok(())
}

/// Keeps the challenge's count of tries honest, and forgets one that is burnt.
fn on_refused(
    ctx: &mut Ctx<'_>,
    challenge: ChallengeId,
    refusal: RegisterRefusal,
) -> Result<(), StoreError> {
    let Some((record, mut challenged)) = pending(ctx, challenge)? else { return Ok(()) };
    match refusal {
        RegisterRefusal::WrongCode { attempts_left } if attempts_left > 0 => {
            challenged.attempts_left = attempts_left;
            let key = key(ctx);
            let challenge = Some(Pending { challenged });
            ctx.put(key, &RegistrationRecord { challenge, ..record })?;
        }
        // A code that was right is used up, whatever came of it.
        RegisterRefusal::WrongCode { .. }
        | RegisterRefusal::NoChallenge
        | RegisterRefusal::Suspended
        | RegisterRefusal::Unavailable => forget(ctx),
        _ => return Ok(()),
    }
    ctx.emit(Event::RegistrationChanged);
    Ok(())
}

fn refuse(ctx: &mut Ctx<'_>, reply: Reply, refusal: impl Refusal) -> Result<(), StoreError> {
    let refusal = ServiceError::from(refusal);
    ctx.after(move || drop(reply.send(Err(refusal))));
    Ok(())
}

fn pending(
    ctx: &Ctx<'_>,
    challenge: ChallengeId,
) -> Result<Option<(RegistrationRecord, Challenged)>, StoreError> {
    let Some(record) = next(ctx)? else { return Ok(None) };
    let challenged = record.challenge.as_ref().map(|pending| pending.challenged.clone());
    Ok(challenged
        .filter(|challenged| challenged.challenge == challenge)
        .map(|challenged| (record, challenged)))
}

fn key(ctx: &Ctx<'_>) -> crate::store::Key {
    ctx.key(Tree::Registration, b"next", &[])
}

/// An identifier as it may be shown and stored: enough to recognise one's own.
fn mask(identifier: &str, kind: IdentifierKind) -> String {
    let (shown, domain) = match (kind, identifier.rsplit_once('@')) {
        (IdentifierKind::Email, Some((local, domain))) => {
            (local.chars().take(1).collect::<String>(), format!("@{domain}"))
        }
        _ => {
            let digits: Vec<char> = identifier.chars().filter(char::is_ascii_digit).collect();
            let tail = digits.iter().skip(digits.len().saturating_sub(2)).collect::<String>();
            (String::new(), tail)
        }
    };
    format!("{shown}•••{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_identifier_is_recognisable_and_not_recoverable() {
        assert_eq!(mask("ada@example.org", IdentifierKind::Email), "a•••@example.org");
        assert_eq!(mask("+49 151 234567", IdentifierKind::Phone), "•••67");
        assert_eq!(mask("7", IdentifierKind::Phone), "•••7");
    }
}
