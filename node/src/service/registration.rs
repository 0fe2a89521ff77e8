//! Registration at a relay: challenge, answer, credential, renewal; and how the relay stands.

use protocol::contact::RelayHome;
use protocol::ids::{ChallengeId, RelayId};
use protocol::registration::wire::{
    CODE_DIGITS, Challenged, IdentifierKind, MAX_IDENTIFIER, RegisterRefusal, RegisterRequest,
    RegisterResponse,
};
use protocol::time::{DAY, HOUR, MINUTE, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use tokio::sync::oneshot;

use super::error::{ErrorKind, NotFound, Refusal, ServiceError};
use super::{contact, queue};
use crate::engine::state::RelayView;
use crate::engine::{Answer, Ctx, Event};
use crate::net::{self, NetCommand, NetFailure, RelayPhase};
use crate::store::{StoreError, Tree};

/// How long before its end a credential is renewed.
const RENEWAL_MARGIN: u64 = 2 * DAY;
/// How long after a failed renewal the next is tried.
const RENEWAL_RETRY: u64 = HOUR;
/// A clock that differs from the relay's by more than this is worth a word.
pub const CLOCK_TOLERANCE: u64 = 2 * MINUTE;

/// Where the result of a registration step goes.
pub type Reply = oneshot::Sender<Result<(), ServiceError>>;

/// A registration.
#[derive(Clone, Serialize, Deserialize)]
pub struct RegistrationRecord {
    /// Where.
    pub relay: RelayHome,
    /// Its address as it was typed.
    pub address: String,
    /// Whether it is a development relay.
    pub development: bool,
    /// The identifier, masked: the node has no use for the rest of it.
    pub identifier: String,
    /// The admission credential, once there is one.
    credential: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// A challenge that waits for its code.
    pub challenge: Option<Pending>,
}

/// A challenge that waits for its code.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    /// What the relay said.
    pub challenged: Challenged,
}

impl Wire for RegistrationRecord {
    const LIMIT: usize = 8 * 1024;
}

impl std::fmt::Debug for RegistrationRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrationRecord")
            .field("relay", &self.relay)
            .field("admitted", &self.credential.is_some())
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.challenged.fmt(f)
    }
}

impl RegistrationRecord {
    /// Whether the relay has admitted this node.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.credential.is_some()
    }
}

/// Why a registration step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// Not an address of a relay.
    #[error("That is not a relay's address. It looks like /dns4/relay.example/tcp/443/p2p/12D3….")]
    RelayAddress,
    /// No relay was given, and none is configured.
    #[error("Which relay? Give its address, or set one in the configuration.")]
    NoRelay,
    /// The relay did not answer.
    #[error("The relay does not answer. Check its address and your connection, then try again.")]
    RelayUnreachable,
    /// The relay's answer makes no sense.
    #[error("The relay answered something that is no answer. It may run another version.")]
    Unexpected,
    /// Too long, empty, or not what it should be.
    #[error("That is not a valid e-mail address or telephone number.")]
    InvalidIdentifier,
    /// This relay cannot reach that kind of address.
    #[error("This relay cannot send codes to that kind of address. Try the other kind.")]
    KindNotServed,
    /// Not six digits.
    #[error("A code has {CODE_DIGITS} digits.")]
    MalformedCode,
    /// The wrong code.
    #[error("That is not the code. You have {attempts_left} more tries.")]
    WrongCode {
        /// Tries left.
        attempts_left: u8,
    },
    /// Used up.
    #[error("That was not the code, and there are no more tries. Ask for a new code.")]
    TooManyAttempts,
    /// Expired, or unknown to the relay.
    #[error("This code has expired. Ask for a new one.")]
    ChallengeExpired,
    /// Wait.
    #[error("Too soon: wait {} s and try again.", retry_ms.div_ceil(1000))]
    TooSoon {
        /// Milliseconds.
        retry_ms: u32,
    },
    /// The relay could not send it.
    #[error("The relay could not send the code. Check the address, or try again later.")]
    SendFailed,
    /// The relay refused for another reason.
    #[error("The relay refused. Try again later, or ask its operator.")]
    Refused,
}

impl Refusal for RegistrationError {
    fn code(&self) -> &'static str {
        match self {
            Self::RelayAddress => "invalid_relay",
            Self::NoRelay => "no_relay",
            Self::RelayUnreachable => "relay_unreachable",
            Self::Unexpected => "relay_unexpected",
            Self::InvalidIdentifier => "invalid_identifier",
            Self::KindNotServed => "kind_not_served",
            Self::MalformedCode => "malformed_code",
            Self::WrongCode { .. } => "wrong_code",
            Self::TooManyAttempts => "too_many_attempts",
            Self::ChallengeExpired => "challenge_expired",
            Self::TooSoon { .. } => "too_soon",
            Self::SendFailed => "send_failed",
            Self::Refused => "relay_refused",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::RelayUnreachable | Self::Unexpected | Self::SendFailed | Self::Refused => {
                ErrorKind::Unavailable
            }
            Self::TooSoon { retry_ms } => {
                ErrorKind::TooMany { retry_after_seconds: u64::from(retry_ms.div_ceil(1000)) }
            }
            _ => ErrorKind::Invalid,
        }
    }
}

impl From<RegisterRefusal> for RegistrationError {
    fn from(refusal: RegisterRefusal) -> Self {
        match refusal {
            RegisterRefusal::InvalidIdentifier => Self::InvalidIdentifier,
            RegisterRefusal::KindNotServed => Self::KindNotServed,
            RegisterRefusal::WrongCode { attempts_left: 0 } => Self::TooManyAttempts,
            RegisterRefusal::WrongCode { attempts_left } => Self::WrongCode { attempts_left },
            RegisterRefusal::NoChallenge => Self::ChallengeExpired,
            RegisterRefusal::TooSoon { retry_ms } => Self::TooSoon { retry_ms },
            RegisterRefusal::SendFailed => Self::SendFailed,
            RegisterRefusal::WrongProof
            | RegisterRefusal::NotRenewable
            | RegisterRefusal::Unavailable => Self::Refused,
        }
    }
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    if let Some(record) = get(ctx)?.filter(RegistrationRecord::is_admitted) {
        let now = ctx.now;
        enter(ctx, &record, now);
    }
    Ok(())
}

/// The registration, if any was begun.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>) -> Result<Option<RegistrationRecord>, StoreError> {
    ctx.get(&key(ctx))
}

/// The relay that keeps our queues, while it admits us.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn home(ctx: &Ctx<'_>) -> Result<Option<RelayHome>, StoreError> {
    Ok(get(ctx)?.filter(RegistrationRecord::is_admitted).map(|record| record.relay))
}

/// The credential for a relay.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn credential(ctx: &Ctx<'_>, relay: RelayId) -> Result<Option<String>, StoreError> {
    let record = get(ctx)?.filter(|record| record.relay.relay == relay);
    Ok(record.and_then(|record| record.credential))
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
    ask(ctx, home, info, reply, move |ctx, response, reply| {
        let RegisterResponse::Info { development, .. } = response else {
            return refuse(ctx, reply, RegistrationError::Unexpected);
        };
        let home = relay.clone();
        let request = RegisterRequest::Challenge { kind, identifier };
        ask(ctx, home, request, reply, move |ctx, response, reply| {
            let RegisterResponse::Challenged(challenged) = response else {
                return refuse(ctx, reply, RegistrationError::Unexpected);
            };
            let record = RegistrationRecord {
                relay,
                address,
                development,
                identifier: masked,
                credential: None,
                expires_at: Timestamp(0),
                challenge: None,
            };
            // A registration that holds stays until the new one is complete.
            let kept = get(ctx)?.filter(|old| old.is_admitted() && old.relay == record.relay);
            on_challenged(ctx, kept.unwrap_or(record), challenged, reply)
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
    ask(ctx, record.relay.clone(), request, reply, move |ctx, response, reply| match response {
        RegisterResponse::Challenged(challenged) => on_challenged(ctx, record, challenged, reply),
        _ => refuse(ctx, reply, RegistrationError::Unexpected),
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
    ask(ctx, record.relay.clone(), request, reply, move |ctx, response, reply| match response {
        RegisterResponse::Admitted { credential, expires_at } => {
            let record = RegistrationRecord {
                credential: Some(credential),
                expires_at,
                challenge: None,
                ..record
            };
            on_admitted(ctx, &record)?;
            ctx.after(move || drop(reply.send(Ok(()))));
            Ok(())
        }
        _ => refuse(ctx, reply, RegistrationError::Unexpected),
    })
}

/// Forgets the registration here. The relay's own record ends with its credential.
///
/// # Errors
/// [`StoreError`] when the store cannot be written.
pub fn forget(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let key = key(ctx);
    ctx.delete(key);
    ctx.state.relays.clear();
    ctx.state.renew_at = None;
    ctx.net(NetCommand::Homes(Vec::new()));
    ctx.emit(Event::RegistrationChanged)?;
    contact::send_cards(ctx)
}

pub(super) fn on_relay(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
    phase: RelayPhase,
    clock_offset_ms: Option<i64>,
) -> Result<(), StoreError> {
    let before = ctx.state.relays.get(&relay).copied();
    let since = match before {
        Some(view) if view.phase == phase => view.since,
        _ => ctx.now,
    };
    let clock_offset_ms = clock_offset_ms.or(before.and_then(|view| view.clock_offset_ms));
    ctx.state.relays.insert(relay, RelayView { phase, since, clock_offset_ms });
    let network = crate::view::network_status(ctx)?;
    ctx.emit_volatile(crate::api::dto::EventBody::Network(network));
    let was_up = before.is_some_and(|view| is_up(view.phase));
    if is_up(phase) && !was_up {
        queue::on_admitted(ctx)?;
    }
    Ok(())
}

/// Whether a relay in this phase can be spoken to.
#[must_use]
pub fn is_up(phase: RelayPhase) -> bool {
    matches!(phase, RelayPhase::Connected | RelayPhase::Reserved)
}

pub(super) fn on_time(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    if ctx.state.renew_at.is_none_or(|at| ctx.now < at) {
        return Ok(());
    }
    let Some(record) = get(ctx)? else { return Ok(()) };
    let Some(credential) = record.credential.clone() else { return Ok(()) };
    ctx.state.renew_at = Some(ctx.now.plus(RENEWAL_RETRY));
    let (reply, _nobody) = oneshot::channel();
    let request = RegisterRequest::Renew { credential };
    ask(ctx, record.relay.clone(), request, reply, move |ctx, response, _| match response {
        RegisterResponse::Admitted { credential, expires_at } => {
            let record = RegistrationRecord { credential: Some(credential), expires_at, ..record };
            on_admitted(ctx, &record)
        }
        _ => Ok(()),
    })
}

fn on_admitted(ctx: &mut Ctx<'_>, record: &RegistrationRecord) -> Result<(), StoreError> {
    let moved = home(ctx)?.is_none_or(|home| home != record.relay);
    let key = key(ctx);
    ctx.put(key, record)?;
    ctx.emit(Event::RegistrationChanged)?;
    // By a clock that runs ahead, a fresh credential is over already: renewing it at once, and
    // again at once, would help nobody.
    let soonest = ctx.now.plus(RENEWAL_RETRY);
    enter(ctx, record, soonest);
    queue::on_admitted(ctx)?;
    if moved {
        contact::send_cards(ctx)?;
    }
    Ok(())
}

/// Homes on the relay, and plans the renewal: not before `soonest`.
fn enter(ctx: &mut Ctx<'_>, record: &RegistrationRecord, soonest: Timestamp) {
    let due = record.expires_at.minus(RENEWAL_MARGIN);
    ctx.state.renew_at = Some(due.max(soonest));
    ctx.net(NetCommand::Homes(vec![record.relay.clone()]));
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
    ctx.emit(Event::RegistrationChanged)?;
    ctx.after(move || drop(reply.send(Ok(()))));
    Ok(())
}

fn ask(
    ctx: &mut Ctx<'_>,
    relay: RelayHome,
    request: RegisterRequest,
    reply: Reply,
    then: impl FnOnce(&mut Ctx<'_>, RegisterResponse, Reply) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let on_answer =
        move |ctx: &mut Ctx<'_>, result: Result<RegisterResponse, NetFailure>| match result {
            Ok(RegisterResponse::Refused(refusal)) => {
                on_refused(ctx, refusal)?;
                refuse(ctx, reply, RegistrationError::from(refusal))
            }
            Ok(response) => then(ctx, response, reply),
            Err(_) => refuse(ctx, reply, RegistrationError::RelayUnreachable),
        };
    ctx.ask(Answer::Register(Box::new(on_answer)), |ticket| NetCommand::Register {
        ticket,
        relay,
        request,
    });
    Ok(())
}

/// Keeps the challenge's count of tries honest, and forgets one that is burnt.
fn on_refused(ctx: &mut Ctx<'_>, refusal: RegisterRefusal) -> Result<(), StoreError> {
    let Some(mut record) = get(ctx)? else { return Ok(()) };
    match (refusal, &mut record.challenge) {
        (RegisterRefusal::WrongCode { attempts_left }, Some(pending)) if attempts_left > 0 => {
            pending.challenged.attempts_left = attempts_left;
        }
        (RegisterRefusal::WrongCode { .. } | RegisterRefusal::NoChallenge, Some(_)) => {
            record.challenge = None;
        }
        _ => return Ok(()),
    }
    let key = key(ctx);
    ctx.put(key, &record)?;
    ctx.emit(Event::RegistrationChanged)
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
    let Some(record) = get(ctx)? else { return Ok(None) };
    let challenged = record.challenge.as_ref().map(|pending| pending.challenged.clone());
    Ok(challenged
        .filter(|challenged| challenged.challenge == challenge)
        .map(|challenged| (record, challenged)))
}

fn key(ctx: &Ctx<'_>) -> crate::store::Key {
    ctx.key(Tree::Registration, b"current", &[])
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
