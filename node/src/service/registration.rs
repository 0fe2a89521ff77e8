//! Registration at a relay: challenge, answer, credential, renewal; and how the relay stands.
//!
//! ```text
//! (none) ──code right──▶ held ──the relay will not renew it──▶ ended
//!                         │ ▲                                    │
//!     the relay stopped it│ │it serves it again, or a right code │
//!                         ▼ │                                    │
//!                      stopped          held ◀───── code right ──┘
//! ```
//!
//! A registration that holds stays until the code of the next one was right, at whatever relay.
//!
//! Spec: `docs/protocol/registration.md` §9.

mod challenge;
mod error;
mod processes;
mod renewal;
mod standing;

use protocol::contact::RelayHome;
use protocol::ids::RelayId;
use protocol::registration::wire::{Challenged, RegisterRequest, RegisterResponse};
use protocol::time::{MINUTE, Timestamp};
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use challenge::{challenge, next, resend, verify};
pub use error::RegistrationError;
pub(super) use processes::on_reached_at;
pub(super) use renewal::{on_not_admitted, on_time};
pub use standing::{Stop, erase};

use super::error::ServiceError;
use super::{contact, queue};
use crate::engine::state::RelayView;
use crate::engine::{Answer, Ctx, Event};
use crate::net::{NetCommand, NetFailure, RelayPhase};
use crate::store::{StoreError, Tree};

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
    /// What the relay said last.
    admission: Admission,
    /// When the credential ends.
    pub expires_at: Timestamp,
    /// A challenge that waits for its code.
    pub challenge: Option<Pending>,
}

/// What a relay said last.
#[derive(Clone, Serialize, Deserialize)]
enum Admission {
    /// Nothing yet.
    Asked,
    /// It admitted us, with this credential.
    Held(String),
    /// It did, and does not know us any more.
    Ended,
    /// It did with this credential, and does not serve us now.
    Stopped(String, Stop),
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
            .field("admitted", &self.is_admitted())
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
    /// Whether the relay has admitted this node, and still knows it as far as we were told.
    #[must_use]
    pub fn is_admitted(&self) -> bool {
        self.credential().is_some()
    }

    /// Whether the relay admitted this node once, and does not know it any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.admission, Admission::Ended)
    }

    /// Why the relay does not serve this node, if it said so.
    #[must_use]
    pub fn stopped(&self) -> Option<Stop> {
        match &self.admission {
            Admission::Stopped(_, stop) => Some(*stop),
            _ => None,
        }
    }

    fn credential(&self) -> Option<&str> {
        match &self.admission {
            Admission::Held(credential) => Some(credential),
            Admission::Asked | Admission::Ended | Admission::Stopped(..) => None,
        }
    }
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    if let Some(record) = get(ctx)? {
        if record.is_admitted() {
            renewal::resume(ctx, &record);
        } else if record.stopped().is_some() {
            renewal::look_again(ctx);
        }
        ctx.net(NetCommand::Homes(vec![record.relay]));
    }
    Ok(())
}

/// The registration that holds, or held last. One that waits for its code is [`next`].
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>) -> Result<Option<RegistrationRecord>, StoreError> {
    let record: Option<RegistrationRecord> = ctx.get(&key(ctx))?;
    Ok(record.filter(|record| !matches!(record.admission, Admission::Asked)))
}

/// The relay that takes new queues of ours: it admits us.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn home(ctx: &Ctx<'_>) -> Result<Option<RelayHome>, StoreError> {
    Ok(get(ctx)?.filter(RegistrationRecord::is_admitted).map(|record| record.relay))
}

/// The relay that we registered at last, whether or not it still knows us.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn relay(ctx: &Ctx<'_>) -> Result<Option<RelayHome>, StoreError> {
    Ok(get(ctx)?.map(|record| record.relay))
}

/// The credential for a relay.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn credential(ctx: &Ctx<'_>, relay: RelayId) -> Result<Option<String>, StoreError> {
    let record = get(ctx)?.filter(|record| record.relay.relay == relay);
    Ok(record.and_then(|record| record.credential().map(str::to_owned)))
}

/// Forgets the registration here, and a code that was asked for at the same relay. The relay's own record ends when
/// nobody has renewed it for long.
///
/// # Errors
/// [`StoreError`] when the store cannot be written.
pub fn forget(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    let left = relay(ctx)?;
    let key = key(ctx);
    ctx.delete(key);
    let elsewhere =
        |next: RegistrationRecord| left.as_ref().is_some_and(|left| left.relay != next.relay.relay);
    if !challenge::next(ctx)?.is_some_and(elsewhere) {
        challenge::forget(ctx);
    }
    ctx.state.relays.clear();
    ctx.state.renew_at = None;
    ctx.net(NetCommand::Homes(Vec::new()));
    ctx.emit(Event::RegistrationChanged);
    queue::leave_all(ctx)?;
    if let Some(left) = left {
        queue::collect(ctx, left.relay)?;
    }
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
        queue::on_reached(ctx, relay)?;
        standing::ask(ctx, relay)?;
    }
    Ok(())
}

/// Whether a relay in this phase can be spoken to.
#[must_use]
pub fn is_up(phase: RelayPhase) -> bool {
    matches!(phase, RelayPhase::Connected | RelayPhase::Reserved)
}

/// A relay admitted us, for the first time or anew.
fn on_admitted(ctx: &mut Ctx<'_>, record: &RegistrationRecord) -> Result<(), StoreError> {
    let news = home(ctx)?.is_none_or(|home| home != record.relay);
    let left = relay(ctx)?.filter(|left| left.relay != record.relay.relay);
    put(ctx, record)?;
    ctx.emit(Event::RegistrationChanged);
    renewal::plan(ctx, record);
    ctx.net(NetCommand::Homes(vec![record.relay.clone()]));
    queue::on_reached(ctx, record.relay.relay)?;
    if news {
        contact::send_cards(ctx)?;
    }
    if let Some(left) = left {
        ctx.state.relay_news_at = None;
        ctx.state.relays.remove(&left.relay);
        queue::collect(ctx, left.relay)?;
    }
    Ok(())
}

fn ask(
    ctx: &mut Ctx<'_>,
    relay: RelayHome,
    request: RegisterRequest,
    then: impl FnOnce(&mut Ctx<'_>, Result<RegisterResponse, NetFailure>) -> Result<(), StoreError>
    + Send
    + 'static,
) {
    ctx.ask(Answer::Register(Box::new(then)), |ticket| NetCommand::Register {
        ticket,
        relay,
        request,
    });
}

pub(super) fn put(ctx: &mut Ctx<'_>, record: &RegistrationRecord) -> Result<(), StoreError> {
    let key = key(ctx);
    ctx.put(key, record)
}

fn key(ctx: &Ctx<'_>) -> crate::store::Key {
    ctx.key(Tree::Registration, b"current", &[])
}
