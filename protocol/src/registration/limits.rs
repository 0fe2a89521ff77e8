//! What is counted before a code is sent, and how far it may go. At every bound newcomers are refused: registration
//! fails closed.
//!
//! 1. [`Registrar`](super::Registrar) says what a step costs: [`Charges`].
//! 2. Whoever keeps the counts judges them ([`judge`]) and counts, as one.
//! 3. A code that was right is counted too, and one that did not leave: a range or a country to which many codes go and
//!    from which few come back gets a trickle only, until more do. Those who are paid for texts do not type codes. It is
//!    never closed: then nobody could open it again, and it would be cheap to close it for others.

use std::collections::{BTreeMap, VecDeque};

use super::identifier::{Identifier, IdentifierHash};
use super::machine::Policy;
use super::wire::{IdentifierKind, RegisterRefusal};
use crate::ids::AccountId;
use crate::time::{DAY, HOUR, MINUTE, Timestamp};

/// Waiting time named when the relay as a whole is at a bound.
const AT_CAPACITY_RETRY: u64 = MINUTE;

/// Moments of something that is counted, oldest first.
pub type Log = VecDeque<Timestamp>;
/// What was counted.
pub type Logs = BTreeMap<Counted, Log>;

/// Something that is counted by moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Challenges of an identifier.
    Challenges(IdentifierHash),
    /// Codes sent to an identifier.
    Sends(IdentifierHash),
    /// Challenges of an account key.
    Account(AccountId),
    /// Codes sent to a range of telephone numbers.
    Range(IdentifierHash),
    /// Codes of such a range that were right.
    RangeRight(IdentifierHash),
    /// Codes for such a range that did not leave.
    RangeFailed(IdentifierHash),
    /// Codes sent to the numbers of a calling code.
    Country(u16),
    /// Codes of a calling code that were right.
    CountryRight(u16),
    /// Codes for a calling code that did not leave.
    CountryFailed(u16),
    /// Codes sent to telephone numbers.
    Phones,
    /// Codes sent.
    Relay,
}

impl Counted {
    /// How long a moment matters, milliseconds.
    #[must_use]
    pub fn window(self) -> u64 {
        match self {
            Self::Challenges(_) => HOUR,
            _ => DAY,
        }
    }
}

/// A limit, in words for metrics and the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitName {
    /// Of one address.
    Address,
    /// Of one account key.
    Account,
    /// Of a range of telephone numbers.
    Range,
    /// A range to which codes go, and from which too few come back.
    RangeUnanswered,
    /// Of a calling code.
    Country,
    /// A calling code to which codes go, and from which too few come back.
    CountryUnanswered,
    /// Of all texts.
    Phones,
    /// Of the relay.
    Relay,
    /// More is counted than there is room for.
    Capacity,
}

impl LimitName {
    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Account => "account",
            Self::Range => "range",
            Self::RangeUnanswered => "range_unanswered",
            Self::Country => "country",
            Self::CountryUnanswered => "country_unanswered",
            Self::Phones => "phones",
            Self::Relay => "relay",
            Self::Capacity => "capacity",
        }
    }
}

/// A limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a limit was reached")]
pub struct Over {
    /// Which.
    pub limit: LimitName,
    /// Milliseconds until it allows one more, at least 1.
    pub retry: u64,
}

impl From<Over> for RegisterRefusal {
    fn from(over: Over) -> Self {
        Self::TooSoon { retry_ms: u32::try_from(over.retry.max(1)).unwrap_or(u32::MAX) }
    }
}

/// Fewer than so many in the window that ends now.
#[derive(Clone, Copy, Debug)]
struct Limit {
    counted: Counted,
    most: usize,
    window: u64,
    name: LimitName,
}

/// Of the codes that left in a day and had their time, so many in a hundred have to have been right, or there is only a
/// trickle; looked at from so many on.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    sent: Counted,
    right: Counted,
    failed: Counted,
    from: usize,
    percent: usize,
    /// Codes in an hour while too few are right.
    trickle: usize,
    name: LimitName,
}

/// What a step costs, and what it may cost at most.
#[derive(Clone, Debug)]
pub struct Charges {
    limits: Vec<Limit>,
    ratios: Vec<Ratio>,
    /// How long a code is good, milliseconds.
    answered_within: u64,
    /// What one more is counted of.
    pub counted: Vec<Counted>,
}

impl Charges {
    /// Everything that has to be known to judge them.
    pub fn looked_at(&self) -> impl Iterator<Item = Counted> {
        let limits = self.limits.iter().map(|limit| limit.counted);
        let of = |ratio: &Ratio| [ratio.sent, ratio.right, ratio.failed];
        let ratios = self.ratios.iter().flat_map(of);
        limits.chain(ratios).chain(self.counted.iter().copied())
    }
}

/// Somewhere to send to, under the names by which it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    identifier: IdentifierHash,
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

    /// What a code that was right counts for.
    pub(super) fn right(self) -> Vec<Counted> {
        let right = |Phone { calling_code, range }| {
            [Counted::RangeRight(range), Counted::CountryRight(calling_code)]
        };
        self.phone.into_iter().flat_map(right).collect()
    }

    /// What a code that did not leave counts for.
    pub(super) fn failed(self) -> Vec<Counted> {
        let failed = |Phone { calling_code, range }| {
            [Counted::RangeFailed(range), Counted::CountryFailed(calling_code)]
        };
        self.phone.into_iter().flat_map(failed).collect()
    }

    /// What another code to there costs.
    ///
    /// # Errors
    /// [`RegisterRefusal::CountryNotServed`].
    pub(super) fn send(self, policy: &Policy) -> Result<Charges, RegisterRefusal> {
        let address = Counted::Sends(self.identifier);
        let mut limits = vec![
            limit(address, policy.sends_per_day, DAY, LimitName::Address),
            limit(Counted::Relay, policy.relay_sends_per_hour, HOUR, LimitName::Relay),
            limit(Counted::Relay, policy.relay_sends_per_day, DAY, LimitName::Relay),
        ];
        let (mut ratios, mut counted) = (Vec::new(), vec![address, Counted::Relay]);
        if let Some(Phone { calling_code, range }) = self.phone {
            if !policy.countries.is_empty() && !policy.countries.contains(&calling_code) {
                return Err(RegisterRefusal::CountryNotServed);
            }
            let (country, range_sends) = (Counted::Country(calling_code), Counted::Range(range));
            limits.extend([
                limit(country, policy.country_sends_per_hour, HOUR, LimitName::Country),
                limit(country, policy.country_sends_per_day, DAY, LimitName::Country),
                limit(range_sends, policy.range_sends_per_day, DAY, LimitName::Range),
                limit(Counted::Phones, policy.phone_sends_per_hour, HOUR, LimitName::Phones),
                limit(Counted::Phones, policy.phone_sends_per_day, DAY, LimitName::Phones),
            ]);
            let percent = policy.answered_percent;
            ratios.extend([
                Ratio {
                    sent: range_sends,
                    right: Counted::RangeRight(range),
                    failed: Counted::RangeFailed(range),
                    from: policy.range_unanswered,
                    percent,
                    trickle: policy.range_trickle,
                    name: LimitName::RangeUnanswered,
                },
                Ratio {
                    sent: country,
                    right: Counted::CountryRight(calling_code),
                    failed: Counted::CountryFailed(calling_code),
                    from: policy.country_unanswered,
                    percent,
                    trickle: policy.country_trickle,
                    name: LimitName::CountryUnanswered,
                },
            ]);
            counted.extend([country, range_sends, Counted::Phones]);
        }
        Ok(Charges { limits, ratios, answered_within: policy.code_lifetime, counted })
    }

    /// What a challenge costs: a code, and the question itself.
    ///
    /// # Errors
    /// [`RegisterRefusal::CountryNotServed`].
    pub(super) fn challenge(
        self,
        policy: &Policy,
        account: AccountId,
    ) -> Result<Charges, RegisterRefusal> {
        let mut charges = self.send(policy)?;
        let (address, account) = (Counted::Challenges(self.identifier), Counted::Account(account));
        charges.limits.extend([
            limit(address, policy.challenges_per_hour, HOUR, LimitName::Address),
            limit(account, policy.account_challenges_per_day, DAY, LimitName::Account),
        ]);
        charges.counted.extend([address, account]);
        Ok(charges)
    }
}

fn limit(counted: Counted, most: usize, window: u64, name: LimitName) -> Limit {
    Limit { counted, most, window, name }
}

/// Whether charges are within their limits, by what was counted of everything that they look at.
///
/// # Errors
/// The limit that lasts longest.
pub fn judge(charges: &Charges, logs: &Logs, now: Timestamp) -> Result<(), Over> {
    let limits = charges.limits.iter().map(|limit| limit.judge(logs.get(&limit.counted), now));
    let ratios = charges.ratios.iter().map(|ratio| ratio.judge(logs, charges.answered_within, now));
    match limits.chain(ratios).flatten().max_by_key(|over| over.retry) {
        None => Ok(()),
        Some(over) => Err(over),
    }
}

impl Limit {
    /// How it is reached, if it is: as many as it allows are in the window that ends now.
    fn judge(self, log: Option<&Log>, now: Timestamp) -> Option<Over> {
        let over = |retry| Some(Over { limit: self.name, retry });
        if self.most == 0 {
            return over(self.window);
        }
        let log = log?;
        // The entry that has to leave the window before another may enter.
        let blocking = log.len().checked_sub(self.most).and_then(|index| log.get(index))?;
        let free = blocking.plus(self.window);
        if now < free { over(free.since(now)) } else { None }
    }
}

impl Ratio {
    fn judge(self, logs: &Logs, answered_within: u64, now: Timestamp) -> Option<Over> {
        let begun = now.minus(DAY);
        let sent = logs.get(&self.sent)?;
        // Whoever was sent a code just now may still type it.
        let had_time = |at: &&Timestamp| at.plus(answered_within) <= now && **at > begun;
        let in_the_day = |counted| {
            let log: Option<&Log> = logs.get(counted);
            log.map_or(0, |log| log.iter().filter(|at| **at > begun).count())
        };
        let left = sent.iter().filter(had_time).count().saturating_sub(in_the_day(&self.failed));
        let enough =
            in_the_day(&self.right).saturating_mul(100) >= left.saturating_mul(self.percent);
        if left < self.from.max(1) || enough {
            return None;
        }
        limit(self.sent, self.trickle, HOUR, self.name).judge(Some(sent), now)
    }
}

/// What one relay counted, in its memory.
#[derive(Debug, Default)]
pub struct Counts {
    logs: Logs,
    swept: Timestamp,
    /// Identifiers and accounts among the keys.
    tracked: usize,
}

impl Counts {
    /// Judges charges and, if they are within their limits, counts them. `most` is the bound of identifiers and
    /// accounts that are counted.
    ///
    /// # Errors
    /// [`Over`]: nothing is counted.
    pub fn charge(&mut self, charges: &Charges, most: usize, now: Timestamp) -> Result<(), Over> {
        if now.since(self.swept) >= MINUTE {
            self.sweep(now);
        }
        let new = |counted: &&Counted| is_tracked(**counted) && !self.logs.contains_key(counted);
        let newcomers = charges.counted.iter().filter(new).count();
        if newcomers > 0 && self.tracked.saturating_add(newcomers) > most.saturating_mul(2) {
            return Err(Over { limit: LimitName::Capacity, retry: AT_CAPACITY_RETRY });
        }
        judge(charges, &self.logs, now)?;
        self.tracked += newcomers;
        self.add(&charges.counted, now);
        Ok(())
    }

    /// Counts what has no limit.
    pub fn add(&mut self, counted: &[Counted], now: Timestamp) {
        for counted in counted {
            self.logs.entry(*counted).or_default().push_back(now);
        }
    }

    /// Forgets what is over. Costs a walk over everything that is counted, so [`charge`](Self::charge) does it once a
    /// minute at most; no limit depends on it.
    pub fn sweep(&mut self, now: Timestamp) {
        self.swept = now;
        self.logs.retain(|counted, log| {
            let begun = now.minus(counted.window());
            while log.front().is_some_and(|at| *at <= begun) {
                log.pop_front();
            }
            !log.is_empty()
        });
        self.tracked = self.logs.keys().filter(|counted| is_tracked(**counted)).count();
    }
}

/// Whether there are as many of them as strangers like: of the rest there are fewer.
fn is_tracked(counted: Counted) -> bool {
    matches!(counted, Counted::Sends(_) | Counted::Account(_))
}

/// At its bound, the relay as a whole.
pub(super) fn at_capacity() -> RegisterRefusal {
    Over { limit: LimitName::Capacity, retry: AT_CAPACITY_RETRY }.into()
}

pub(super) fn wait_until(moment: Timestamp, now: Timestamp) -> Result<(), RegisterRefusal> {
    let over = || Over { limit: LimitName::Address, retry: moment.since(now) };
    if now < moment { Err(over().into()) } else { Ok(()) }
}
