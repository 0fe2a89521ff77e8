//! The relays that we home on, each kept connected and reserved.
//!
//! ```text
//!           due             connected          identified
//! Waiting ───────▶ Dialling ─────────▶ Greeting ─────────▶ Identified ◀────────┐
//!    ▲                │ failed             │                    │ due          │ refused,
//!    │                │                    │                    ▼              │ or ended
//!    └────────────────┴────── lost ────────┴──────────── Requested ──────────▶─┤
//!                                                               │ accepted     │
//!                                                               ▼              │
//!                                                            Active ───────────┘
//! ```
//!
//! 1. A home is dialled until it answers; a lost one is dialled again, quickly at first.
//! 2. Nothing is asked of a relay before it has identified itself: only then do we know the
//!    address that it sees us at, without which hole punching is bound to fail.
//! 3. Then a reservation is asked for. libp2p renews it but does not make it again after the
//!    connection dropped; this machine does. A relay that does not know us yet refuses, and is
//!    asked again in a while, or at once when it has admitted us.
//!
//! # Invariants
//! * A reservation is known by its listener, never by its addresses: a listener can end without
//!   naming any.
//! * A listener in `Requested` is never removed: libp2p would panic when the answer arrives. A
//!   home that is given up then stays until the answer is there.
//!
//! Pure: the time and the randomness are arguments. Spec: `docs/protocol/wire.md` §10.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use protocol::ids::RelayId;
use rand::Rng;

use super::backoff::Backoff;
use super::event::RelayPhase;

/// The pause after a lost connection is at most this long, then doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The pause after a refused reservation is at most this long, then doubles.
const FIRST_RESERVATION_PAUSE: Duration = Duration::from_secs(5);
/// A connection that lasted this long ends the doubling.
const STABLE: Duration = Duration::from_secs(60);
/// How often a relay without a reservation is asked what it is, lest it drop an idle connection.
const PROBE_UNRESERVED: Duration = Duration::from_secs(25);
/// How often its clock is compared otherwise.
const PROBE_RESERVED: Duration = Duration::from_secs(10 * 60);

/// What the shell is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Connect, or say that it is connected already.
    Dial(RelayId),
    /// Listen on its circuit address; answer with [`Homes::requested`].
    Reserve(RelayId),
    /// Ask what it is and what time it has.
    Probe(RelayId),
    /// Give this reservation back.
    Unlisten(ListenerId),
    /// It is no home any more.
    Release(RelayId),
    /// Tell the engine.
    Report(RelayId, RelayPhase),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Instant },
    Dialling,
    Greeting,
    Identified { reserve_at: Instant },
    Requested { listener: ListenerId },
    Active { listener: ListenerId },
}

#[derive(Debug)]
struct Home {
    state: State,
    /// No home any more, as soon as the answer to a reservation request is there.
    leaving: bool,
    dials: Backoff,
    reservations: Backoff,
    up_since: Option<Instant>,
    probe_at: Option<Instant>,
    failed: bool,
    reported: Option<RelayPhase>,
}

/// All homes.
#[derive(Debug, Default)]
pub(super) struct Homes {
    homes: BTreeMap<RelayId, Home>,
    actions: VecDeque<Action>,
}

impl Homes {
    /// Exactly these are homes from now on. Naming one again asks it again at once.
    pub(super) fn set(&mut self, relays: &[RelayId], now: Instant) {
        for relay in relays {
            let home = self.homes.entry(*relay).or_insert_with(|| Home::new(now));
            home.leaving = false;
            self.kick(*relay, now);
        }
        let leaving: Vec<RelayId> =
            self.homes.keys().filter(|relay| !relays.contains(relay)).copied().collect();
        for relay in leaving {
            self.leave(relay);
        }
    }

    /// Whether this relay is a home, or still has a reservation of ours in the making.
    pub(super) fn contains(&self, relay: RelayId) -> bool {
        self.homes.contains_key(&relay)
    }

    /// Whether it is being connected to.
    pub(super) fn is_dialling(&self, relay: RelayId) -> bool {
        self.homes.get(&relay).is_some_and(|home| home.state == State::Dialling)
    }

    /// How a home stands.
    pub(super) fn phase(&self, relay: RelayId) -> Option<RelayPhase> {
        self.homes.get(&relay)?.reported
    }

    /// Something changed that makes the next try worth it at once.
    pub(super) fn kick(&mut self, relay: RelayId, now: Instant) {
        if let Some(home) = self.homes.get_mut(&relay) {
            home.dials.reset();
            home.reservations.reset();
            match &mut home.state {
                State::Waiting { until } => *until = now,
                State::Identified { reserve_at } => *reserve_at = now,
                _ => {}
            }
        }
    }

    /// There is a connection.
    pub(super) fn connected(&mut self, relay: RelayId, now: Instant) {
        if let Some(home) = self.homes.get_mut(&relay)
            && matches!(home.state, State::Waiting { .. } | State::Dialling)
        {
            home.state = State::Greeting;
            home.up_since = Some(now);
        }
    }

    /// No address answered.
    pub(super) fn dial_failed<R: Rng + ?Sized>(
        &mut self,
        relay: RelayId,
        now: Instant,
        rng: &mut R,
    ) {
        if let Some(home) = self.homes.get_mut(&relay)
            && home.state == State::Dialling
        {
            home.failed = true;
            home.state = State::Waiting { until: home.dials.failed(now, rng) };
        }
    }

    /// The relay has identified itself.
    pub(super) fn identified(&mut self, relay: RelayId, now: Instant) {
        if let Some(home) = self.homes.get_mut(&relay)
            && matches!(home.state, State::Waiting { .. } | State::Dialling | State::Greeting)
        {
            home.failed = false;
            home.up_since = home.up_since.or(Some(now));
            home.probe_at = Some(now);
            home.state = State::Identified { reserve_at: now };
        }
    }

    /// The shell listens on the circuit address, or could not.
    pub(super) fn requested<R: Rng + ?Sized>(
        &mut self,
        relay: RelayId,
        listener: Option<ListenerId>,
        now: Instant,
        rng: &mut R,
    ) {
        if let Some(home) = self.homes.get_mut(&relay) {
            home.state = match listener {
                Some(listener) => State::Requested { listener },
                None => State::Identified { reserve_at: home.reservations.failed(now, rng) },
            };
        }
    }

    /// The relay reserved a place for us.
    pub(super) fn reserved(&mut self, listener: ListenerId, now: Instant) {
        let Some((relay, home)) = self.of_listener(listener) else {
            return;
        };
        home.state = State::Active { listener };
        home.reservations.reset();
        home.probe_at = Some(now + PROBE_RESERVED);
        if home.leaving {
            self.leave(relay);
        }
    }

    /// A listener ended; perhaps a reservation.
    pub(super) fn listener_closed<R: Rng + ?Sized>(
        &mut self,
        listener: ListenerId,
        now: Instant,
        rng: &mut R,
    ) {
        let Some((relay, home)) = self.of_listener(listener) else {
            return;
        };
        home.state = State::Identified { reserve_at: home.reservations.failed(now, rng) };
        home.probe_at = Some(now + PROBE_UNRESERVED);
        if home.leaving {
            self.leave(relay);
        }
    }

    /// The last connection ended: whether it had lasted, as one to a healthy relay does.
    pub(super) fn disconnected<R: Rng + ?Sized>(
        &mut self,
        relay: RelayId,
        now: Instant,
        rng: &mut R,
    ) -> bool {
        let Some(home) = self.homes.get_mut(&relay) else {
            return false;
        };
        let stable = home.up_since.take().is_some_and(|since| now.duration_since(since) >= STABLE);
        if stable {
            home.dials.reset();
        }
        // The reservation went with the connection; the fresh one is asked for without a pause.
        home.reservations.reset();
        home.probe_at = None;
        home.state = State::Waiting { until: home.dials.failed(now, rng) };
        if home.leaving {
            self.leave(relay);
        }
        stable
    }

    /// What is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        for (relay, home) in &mut self.homes {
            if let Some(action) = home.poll(*relay, now) {
                return Some(action);
            }
        }
        None
    }

    /// When [`Self::poll`] has something to do next, if nothing happens before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.homes.values().filter_map(Home::next_deadline).min()
    }

    fn of_listener(&mut self, wanted: ListenerId) -> Option<(RelayId, &mut Home)> {
        let found = self.homes.iter_mut().find(|(_, home)| match home.state {
            State::Requested { listener } | State::Active { listener } => listener == wanted,
            _ => false,
        });
        found.map(|(relay, home)| (*relay, home))
    }

    fn leave(&mut self, relay: RelayId) {
        let Some(home) = self.homes.get_mut(&relay) else {
            return;
        };
        if matches!(home.state, State::Requested { .. }) {
            home.leaving = true;
            return;
        }
        if let State::Active { listener } = home.state {
            self.actions.push_back(Action::Unlisten(listener));
        }
        self.homes.remove(&relay);
        self.actions.push_back(Action::Release(relay));
    }
}

impl Home {
    fn new(now: Instant) -> Self {
        Self {
            state: State::Waiting { until: now },
            leaving: false,
            dials: Backoff::new(FIRST_PAUSE),
            reservations: Backoff::new(FIRST_RESERVATION_PAUSE),
            up_since: None,
            probe_at: None,
            failed: false,
            reported: None,
        }
    }

    fn phase(&self) -> RelayPhase {
        match self.state {
            State::Waiting { .. } | State::Dialling | State::Greeting if self.failed => {
                RelayPhase::Unreachable
            }
            State::Waiting { .. } | State::Dialling | State::Greeting => RelayPhase::Connecting,
            State::Identified { .. } | State::Requested { .. } => RelayPhase::Connected,
            State::Active { .. } => RelayPhase::Reserved,
        }
    }

    fn poll(&mut self, relay: RelayId, now: Instant) -> Option<Action> {
        let phase = self.phase();
        if self.reported != Some(phase) && !self.leaving {
            self.reported = Some(phase);
            return Some(Action::Report(relay, phase));
        }
        if self.probe_at.is_some_and(|at| at <= now) {
            let reserved = matches!(self.state, State::Active { .. });
            self.probe_at = Some(now + if reserved { PROBE_RESERVED } else { PROBE_UNRESERVED });
            return Some(Action::Probe(relay));
        }
        match self.state {
            State::Waiting { until } if until <= now => {
                self.state = State::Dialling;
                Some(Action::Dial(relay))
            }
            State::Identified { reserve_at } if reserve_at <= now => {
                // Until the shell answers; if it never does, the relay is asked again later.
                self.state = State::Identified { reserve_at: now + FIRST_RESERVATION_PAUSE };
                Some(Action::Reserve(relay))
            }
            _ => None,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let due = match self.state {
            State::Waiting { until } => Some(until),
            State::Identified { reserve_at } => Some(reserve_at),
            _ => None,
        };
        due.into_iter().chain(self.probe_at).min()
    }
}

#[cfg(test)]
mod tests;
