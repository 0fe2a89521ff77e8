//! What a registrar counts, and how far it may go. At every bound newcomers are refused: registration fails closed.

use std::collections::{BTreeMap, VecDeque};

use super::Policy;
use crate::ids::AccountId;
use crate::registration::identifier::{Identifier, IdentifierHash};
use crate::registration::wire::{IdentifierKind, RegisterRefusal};
use crate::time::{DAY, HOUR, MINUTE, Timestamp};

/// Waiting time named when the relay as a whole is at a bound.
const AT_CAPACITY_RETRY: u64 = MINUTE;

/// Moments of something that is counted, oldest first; never longer than its largest limit.
type Log = VecDeque<Timestamp>;

/// Somewhere to send to, under the names by which it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) identifier: IdentifierHash,
    /// A telephone number's.
    phone: Option<Phone>,
}

#[derive(Debug, Clone, Copy)]
struct Phone {
    calling_code: u16,
    range: IdentifierHash,
}

impl Place {
    pub(super) fn of(identifier: &Identifier, pepper: &[u8; 32]) -> Self {
        let phone = identifier
            .calling_code()
            .zip(identifier.range_hash(pepper))
            .map(|(calling_code, range)| Phone { calling_code, range });
        debug_assert_eq!(phone.is_some(), identifier.kind() == IdentifierKind::Phone);
        Self { identifier: identifier.hash(pepper), phone }
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    identifier_challenges: BTreeMap<IdentifierHash, Log>,
    identifier_sends: BTreeMap<IdentifierHash, Log>,
    account_challenges: BTreeMap<AccountId, Log>,
    range_sends: BTreeMap<IdentifierHash, Log>,
    country_sends: BTreeMap<u16, Log>,
    phone_sends: Log,
    relay_sends: Log,
}

impl Counts {
    /// Whether `account` may ask for a code there.
    pub(super) fn may_challenge(
        &self,
        policy: &Policy,
        account: AccountId,
        place: Place,
        now: Timestamp,
    ) -> Result<(), RegisterRefusal> {
        let hash = place.identifier;
        let full = self.identifier_sends.len() >= policy.max_tracked
            && !self.identifier_sends.contains_key(&hash)
            || self.account_challenges.len() >= policy.max_tracked
                && !self.account_challenges.contains_key(&account);
        if full {
            return Err(at_capacity());
        }
        within(self.identifier_challenges.get(&hash), policy.challenges_per_hour, HOUR, now)?;
        within(self.account_challenges.get(&account), policy.account_challenges_per_day, DAY, now)
    }

    /// Whether another code may go there.
    pub(super) fn may_send(
        &self,
        policy: &Policy,
        place: Place,
        now: Timestamp,
    ) -> Result<(), RegisterRefusal> {
        within(self.identifier_sends.get(&place.identifier), policy.sends_per_day, DAY, now)?;
        within(Some(&self.relay_sends), policy.relay_sends_per_hour, HOUR, now)?;
        within(Some(&self.relay_sends), policy.relay_sends_per_day, DAY, now)?;
        let Some(Phone { calling_code, range }) = place.phone else { return Ok(()) };
        if !policy.countries.is_empty() && !policy.countries.contains(&calling_code) {
            return Err(RegisterRefusal::CountryNotServed);
        }
        let country = self.country_sends.get(&calling_code);
        within(country, policy.country_sends_per_hour, HOUR, now)?;
        within(country, policy.country_sends_per_day, DAY, now)?;
        within(self.range_sends.get(&range), policy.range_sends_per_day, DAY, now)?;
        within(Some(&self.phone_sends), policy.phone_sends_per_hour, HOUR, now)?;
        within(Some(&self.phone_sends), policy.phone_sends_per_day, DAY, now)
    }

    pub(super) fn count_challenge(&mut self, account: AccountId, place: Place, now: Timestamp) {
        self.account_challenges.entry(account).or_default().push_back(now);
        self.identifier_challenges.entry(place.identifier).or_default().push_back(now);
    }

    pub(super) fn count_send(&mut self, place: Place, now: Timestamp) {
        self.identifier_sends.entry(place.identifier).or_default().push_back(now);
        self.relay_sends.push_back(now);
        if let Some(Phone { calling_code, range }) = place.phone {
            self.country_sends.entry(calling_code).or_default().push_back(now);
            self.range_sends.entry(range).or_default().push_back(now);
            self.phone_sends.push_back(now);
        }
    }

    /// Forgets what is over.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        prune(&mut self.identifier_challenges, now, HOUR);
        prune(&mut self.identifier_sends, now, DAY);
        prune(&mut self.account_challenges, now, DAY);
        prune(&mut self.range_sends, now, DAY);
        prune(&mut self.country_sends, now, DAY);
        forget_before(&mut self.phone_sends, now.minus(DAY));
        forget_before(&mut self.relay_sends, now.minus(DAY));
    }
}

pub(super) fn at_capacity() -> RegisterRefusal {
    too_soon(AT_CAPACITY_RETRY)
}

pub(super) fn too_soon(millis: u64) -> RegisterRefusal {
    RegisterRefusal::TooSoon { retry_ms: u32::try_from(millis.max(1)).unwrap_or(u32::MAX) }
}

pub(super) fn wait_until(moment: Timestamp, now: Timestamp) -> Result<(), RegisterRefusal> {
    if now < moment { Err(too_soon(moment.since(now))) } else { Ok(()) }
}

/// Whether one more fits: fewer than `most` in the `window` that ends now.
fn within(
    log: Option<&Log>,
    most: usize,
    window: u64,
    now: Timestamp,
) -> Result<(), RegisterRefusal> {
    if most == 0 {
        return Err(too_soon(window));
    }
    let Some(log) = log else { return Ok(()) };
    // The entry that has to leave the window before another may enter.
    let Some(blocking) = log.len().checked_sub(most).and_then(|index| log.get(index)) else {
        return Ok(());
    };
    wait_until(blocking.plus(window), now)
}

fn forget_before(log: &mut Log, moment: Timestamp) {
    while log.front().is_some_and(|at| *at <= moment) {
        log.pop_front();
    }
}

fn prune<K: Ord>(logs: &mut BTreeMap<K, Log>, now: Timestamp, window: u64) {
    logs.retain(|_, log| {
        forget_before(log, now.minus(window));
        !log.is_empty()
    });
}
