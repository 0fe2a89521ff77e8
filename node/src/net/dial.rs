//! How a contact is reached: the local network first, then directly, then over a relay.
//!
//! 1. Somebody wants a contact. Its routes are lined up: addresses on a local network, direct
//!    ones, then each process of the relays that it homes on.
//! 2. Each route gets a head start before the next one is tried beside it, or the next follows
//!    at once when it fails. The first connection ends the attempt.
//! 3. When every route has failed the contact is unreachable, and dialling it again is pointless
//!    until its pause is over: anybody who wants it meanwhile is told so at once.
//!
//! # Invariants
//! * At most [`MAX_TRYING`] contacts are dialled at a time; the others wait their turn.
//! * Every attempt ends: connected or given up, exactly once.
//! * A contact that merely accepted a connection is no success: the pause ends when it has let
//!   us in, so a node that refuses us is not hammered.
//!
//! Pure: it returns [`Step`]s and is told what became of them. Spec: `docs/protocol/wire.md` §10.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use protocol::contact::MAX_ADDRESSES;
use protocol::ids::AccountId;
use rand::Rng;

use super::address::{Reach, reach};
use super::backoff::Backoff;

/// Most contacts dialled at the same time: with three routes each under way, below the connection limits.
pub(super) const MAX_TRYING: usize = 10;
/// The pause after a first failure is at most this long.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Head start of the local network before direct addresses are dialled as well.
const LAN_HEAD_START: Duration = Duration::from_millis(250);
/// Head start of direct addresses before the first relay is tried as well.
const DIRECT_HEAD_START: Duration = Duration::from_millis(500);
/// Head start of one relay before the next.
const RELAY_HEAD_START: Duration = Duration::from_millis(1_500);

/// Names one dial of one route, so that its late failure is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DialId(u64);

/// One way to a contact.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// These addresses, all at once.
    Addresses(Vec<Multiaddr>),
    /// A circuit over this process of a relay.
    Relay(PeerId),
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Addresses locate people: logs get their number only.
            Self::Addresses(addresses) => write!(f, "Addresses({})", addresses.len()),
            Self::Relay(process) => write!(f, "Relay({process})"),
        }
    }
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Dial, and tell [`Dialer::failed`] or [`Dialer::connected`] what became of it.
    Dial {
        /// Whom.
        account: AccountId,
        /// Which dial this is.
        dial: DialId,
        /// How.
        route: Route,
    },
    /// Every route failed.
    GiveUp(AccountId),
}

/// What becomes of a wish to reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// An attempt is under way; it ends in a connection or in [`Step::GiveUp`].
    Trying,
    /// It failed a moment ago, or there is no way to try.
    Unreachable,
}

/// Without `Debug`, as all that holds it: addresses locate people.
struct Entry {
    told: Vec<Multiaddr>,
    seen_on_lan: Vec<Multiaddr>,
    homes: Vec<PeerId>,
    backoff: Backoff,
    attempt: Option<Attempt>,
}

struct Attempt {
    left: VecDeque<(Route, Duration)>,
    running: BTreeSet<DialId>,
    next_at: Instant,
    started: bool,
}

/// Everybody who may be dialled, and the attempts under way.
#[derive(Default)]
pub(super) struct Dialer {
    entries: BTreeMap<AccountId, Entry>,
    queue: VecDeque<AccountId>,
    trying: usize,
    next_dial: u64,
}

impl Dialer {
    /// Replaces what is known of an account. New knowledge ends a pause.
    pub(super) fn know(&mut self, account: AccountId, told: Vec<Multiaddr>, homes: Vec<PeerId>) {
        let entry = self.entries.entry(account).or_insert_with(|| Entry {
            told: Vec::new(),
            seen_on_lan: Vec::new(),
            homes: Vec::new(),
            backoff: Backoff::new(FIRST_PAUSE),
            attempt: None,
        });
        if entry.told != told || entry.homes != homes {
            entry.backoff.reset();
        }
        entry.told = told;
        entry.homes = homes;
    }

    /// Nothing is known of this account any more.
    pub(super) fn forget(&mut self, account: AccountId) {
        self.end_attempt(account);
        self.entries.remove(&account);
    }

    /// Whether this account may be dialled.
    pub(super) fn knows(&self, account: AccountId) -> bool {
        self.entries.contains_key(&account)
    }

    /// Whether a known account may be found at this process of a relay.
    pub(super) fn has_home(&self, process: &PeerId) -> bool {
        self.entries.values().any(|entry| entry.homes.contains(process))
    }

    /// An account's node announced itself on the local network. False when it is nobody's.
    pub(super) fn seen_on_lan(&mut self, account: AccountId, address: Multiaddr) -> bool {
        let Some(entry) = self.entries.get_mut(&account) else {
            return false;
        };
        if !entry.seen_on_lan.contains(&address) {
            entry.seen_on_lan.insert(0, address);
            entry.seen_on_lan.truncate(MAX_ADDRESSES);
            entry.backoff.reset();
        }
        true
    }

    /// The announcement expired.
    pub(super) fn gone_from_lan(&mut self, account: AccountId, address: &Multiaddr) {
        if let Some(entry) = self.entries.get_mut(&account) {
            entry.seen_on_lan.retain(|seen| seen != address);
        }
    }

    /// Somebody wants this account, which is not connected.
    pub(super) fn want(&mut self, account: AccountId, now: Instant) -> Want {
        let Some(entry) = self.entries.get_mut(&account) else {
            return Want::Unreachable;
        };
        if entry.attempt.is_some() {
            return Want::Trying;
        }
        let left = entry.routes();
        if left.is_empty() || !entry.backoff.allows(now) {
            return Want::Unreachable;
        }
        entry.attempt =
            Some(Attempt { left, running: BTreeSet::new(), next_at: now, started: false });
        self.queue.push_back(account);
        Want::Trying
    }

    /// The next thing to do, if anything is due.
    pub(super) fn poll<R: Rng + ?Sized>(&mut self, now: Instant, rng: &mut R) -> Option<Step> {
        while self.trying < MAX_TRYING
            && let Some(account) = self.queue.pop_front()
        {
            if let Some(attempt) = self.attempt_mut(account) {
                attempt.started = true;
                attempt.next_at = now;
                self.trying += 1;
            }
        }
        let account = self.due(now)?;
        let dial = DialId(self.next_dial);
        let entry = self.entries.get_mut(&account)?;
        let attempt = entry.attempt.as_mut()?;
        if let Some((route, head_start)) = attempt.left.pop_front() {
            self.next_dial += 1;
            attempt.running.insert(dial);
            attempt.next_at = now + head_start;
            return Some(Step::Dial { account, dial, route });
        }
        entry.backoff.failed(now, rng);
        self.end_attempt(account);
        Some(Step::GiveUp(account))
    }

    /// A dial came to nothing.
    pub(super) fn failed(&mut self, account: AccountId, dial: DialId) {
        if let Some(attempt) = self.attempt_mut(account) {
            attempt.running.remove(&dial);
        }
    }

    /// There is a connection to this account, whoever dialled.
    pub(super) fn connected(&mut self, account: AccountId) {
        self.end_attempt(account);
    }

    /// The account has let us in: its failures are forgotten.
    pub(super) fn identified(&mut self, account: AccountId) {
        if let Some(entry) = self.entries.get_mut(&account) {
            entry.backoff.reset();
        }
    }

    /// The account hung up before it let us in.
    pub(super) fn turned_away<R: Rng + ?Sized>(
        &mut self,
        account: AccountId,
        now: Instant,
        rng: &mut R,
    ) {
        if let Some(entry) = self.entries.get_mut(&account) {
            entry.backoff.failed(now, rng);
        }
    }

    /// When [`Self::poll`] has something to do next, if nothing happens before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let attempts = self.entries.values().filter_map(|entry| entry.attempt.as_ref());
        attempts
            .filter(|attempt| attempt.started && !attempt.left.is_empty())
            .map(|attempt| attempt.next_at)
            .min()
    }

    fn due(&self, now: Instant) -> Option<AccountId> {
        self.entries.iter().find_map(|(account, entry)| {
            let attempt = entry.attempt.as_ref().filter(|attempt| attempt.started)?;
            let idle = attempt.running.is_empty();
            let next = !attempt.left.is_empty() && attempt.next_at <= now;
            (idle || next).then_some(*account)
        })
    }

    fn attempt_mut(&mut self, account: AccountId) -> Option<&mut Attempt> {
        self.entries.get_mut(&account)?.attempt.as_mut()
    }

    fn end_attempt(&mut self, account: AccountId) {
        let ended = self.entries.get_mut(&account).and_then(|entry| entry.attempt.take());
        match ended {
            Some(attempt) if attempt.started => self.trying -= 1,
            Some(_) => self.queue.retain(|queued| *queued != account),
            None => {}
        }
    }
}

impl Entry {
    fn routes(&self) -> VecDeque<(Route, Duration)> {
        let mut near = self.seen_on_lan.clone();
        let mut far = Vec::new();
        for address in &self.told {
            match reach(address) {
                Reach::Public => far.push(address.clone()),
                _ if near.contains(address) => {}
                _ => near.push(address.clone()),
            }
        }
        let mut routes = VecDeque::new();
        if !near.is_empty() {
            routes.push_back((Route::Addresses(near), LAN_HEAD_START));
        }
        if !far.is_empty() {
            routes.push_back((Route::Addresses(far), DIRECT_HEAD_START));
        }
        routes.extend(self.homes.iter().map(|process| (Route::Relay(*process), RELAY_HEAD_START)));
        routes
    }
}

#[cfg(test)]
mod tests;
