//! How often one key and one address may ask.
//!
//! Checked by the network task before a request costs anything. Throwaway keys are free, so
//! the address counts as well: an IPv4 address or an IPv6 /56, and for challenges (which cost
//! the operator money) an IPv4 /24.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DefaultKeyedStateStore, ShrinkableKeyedStateStore};
use governor::{Quota, RateLimiter};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::config::{Bucket, Config};

/// Most keys that one limiter counts. At the bound, and while none of them is idle, newcomers
/// are refused.
pub(crate) const MAX_KEYS: usize = 200_000;
/// Between two searches of a full limiter for keys that are idle. Each walks over all of them.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// Waiting time named to newcomers when a limiter is full.
const FULL_RETRY_MS: u32 = 10_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// All limiters of a relay.
pub(crate) struct Rates {
    peers: Limiter<PeerId>,
    addresses: Limiter<IpAddr>,
    challenges: Limiter<IpAddr>,
    calls: Limiter<PeerId>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (peers, addresses) = (self.peers.buckets.len(), self.addresses.buckets.len());
        write!(f, "Rates({peers} peers, {addresses} addresses)")
    }
}

impl Rates {
    pub(crate) fn new(config: &Config) -> Self {
        let [peers, addresses, challenges, calls] = Self::buckets(config);
        Self {
            peers: Limiter::of(peers, MAX_KEYS),
            addresses: Limiter::of(addresses, MAX_KEYS),
            challenges: Limiter::of(challenges, MAX_KEYS),
            calls: Limiter::of(calls, MAX_KEYS),
        }
    }

    /// Limits of another configuration. Those that are the same go on with what was used of them.
    pub(crate) fn follow(&mut self, before: &Config, after: &Config) {
        let (was, is) = (Self::buckets(before), Self::buckets(after));
        let Self { peers, addresses, challenges, calls } = Self::new(after);
        let [peer, address, challenge, call] = std::array::from_fn(|nth| was[nth] != is[nth]);
        if peer {
            self.peers = peers;
        }
        if address {
            self.addresses = addresses;
        }
        if challenge {
            self.challenges = challenges;
        }
        if call {
            self.calls = calls;
        }
    }

    fn buckets(config: &Config) -> [Bucket; 4] {
        let per_day = config.registration.prefix_challenges_per_day.max(1);
        let challenges = Bucket::new(
            per_day,
            u64::try_from(DAY.as_millis()).unwrap_or(u64::MAX) / u64::from(per_day),
        );
        let calls = config.turn.clone().unwrap_or_default().calls_per_account;
        [config.rates.peer, config.rates.address, challenges, calls]
    }

    /// Takes the cost of a request; `Err` names the milliseconds to wait.
    pub(crate) fn request(
        &mut self,
        peer: &PeerId,
        address: Option<IpAddr>,
        cost: NonZeroU32,
    ) -> Result<(), u32> {
        self.peers.take(peer, cost)?;
        match address {
            Some(address) => self.addresses.take(&prefix(address, 32), cost),
            None => Ok(()),
        }
    }

    /// Takes one challenge of an address; `Err` names the milliseconds to wait.
    pub(crate) fn challenge(&mut self, address: Option<IpAddr>) -> Result<(), u32> {
        match address {
            Some(address) => self.challenges.take(&prefix(address, 24), NonZeroU32::MIN),
            None => Ok(()),
        }
    }

    /// Takes one call of a key; `Err` names the milliseconds to wait.
    pub(crate) fn call(&mut self, peer: &PeerId) -> Result<(), u32> {
        self.calls.take(peer, NonZeroU32::MIN)
    }

    /// Forgets who has been quiet.
    pub(crate) fn sweep(&mut self) {
        self.peers.sweep();
        self.addresses.sweep();
        self.challenges.sweep();
        self.calls.sweep();
    }
}

/// One bucket per key, for so many keys.
pub(crate) struct Limiter<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: RateLimiter<K, Buckets<K>, C, NoOpMiddleware<C::Instant>>,
    buckets: Buckets<K>,
    clock: C,
    most: usize,
    swept: C::Instant,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// By the system's clock.
    pub(crate) fn of(bucket: Bucket, most: usize) -> Self {
        Self::new(bucket, most, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    fn new(bucket: Bucket, most: usize, clock: C) -> Self {
        let buckets = Buckets(Arc::default());
        let limiter = RateLimiter::new(quota(bucket), buckets.clone(), clock.clone());
        let swept = clock.now();
        Self { limiter, buckets, clock, most, swept }
    }

    /// Takes the cost from the bucket of a key; `Err` names the milliseconds to wait. A limiter
    /// that is full refuses newcomers only.
    pub(crate) fn take(&mut self, key: &K, cost: NonZeroU32) -> Result<(), u32> {
        if !self.buckets.0.contains_key(key) && !self.has_room() {
            return Err(FULL_RETRY_MS);
        }
        match self.limiter.check_key_n(key, cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.clock.now()).as_millis();
                Err(u32::try_from(wait).unwrap_or(u32::MAX).max(1))
            }
            // The configuration guarantees that every request fits into a full bucket.
            Err(_) => Err(FULL_RETRY_MS),
        }
    }

    /// Whether a newcomer fits in, perhaps in the place of a key that is idle.
    fn has_room(&mut self) -> bool {
        let since = self.clock.now().duration_since(self.swept);
        if self.buckets.len() >= self.most && since >= Nanos::from(SEARCH_EVERY) {
            self.sweep();
        }
        self.buckets.len() < self.most
    }

    /// Forgets keys whose bucket is full again.
    pub(crate) fn sweep(&mut self) {
        self.limiter.retain_recent();
        self.swept = self.clock.now();
    }
}

/// The buckets of a limiter, shared with it: governor does not say whom it knows.
#[derive(Clone)]
struct Buckets<K: Hash + Eq>(Arc<DefaultKeyedStateStore<K>>);

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, measure)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Buckets<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn quota(bucket: Bucket) -> Quota {
    let burst = NonZeroU32::new(bucket.burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(Duration::from_millis(bucket.refill_ms.max(1)))
        .expect("the period is not zero")
        .allow_burst(burst)
}

/// The part of an address that one person is taken to have: so many bits of IPv4, 56 of IPv6.
pub(crate) fn prefix(address: IpAddr, v4_bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(v4_bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            const HOST_BITS: u32 = 128 - 56;
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> HOST_BITS << HOST_BITS))
        }
    }
}

/// The IP address in a multiaddress.
pub(crate) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(v4) => Some(v4.into()),
        Protocol::Ip6(v6) => Some(v6.into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn prefixes_group_what_one_person_has() {
        assert_eq!(prefix(ip("192.0.2.77"), 32), ip("192.0.2.77"));
        assert_eq!(prefix(ip("192.0.2.77"), 24), ip("192.0.2.0"));
        assert_eq!(prefix(ip("::ffff:192.0.2.77"), 24), ip("192.0.2.0"));
        assert_eq!(prefix(ip("2001:db8:1:2ff::5"), 32), ip("2001:db8:1:200::"));
    }

    #[test]
    fn a_key_and_an_address_run_dry_separately() {
        let mut config = Config::development("unused");
        config.rates.peer = Bucket::new(128, 60_000);
        config.rates.address = Bucket::new(200, 60_000);
        config.registration.prefix_challenges_per_day = 2;
        let mut rates = Rates::new(&config);
        let (ada, ben) = (PeerId::random(), PeerId::random());
        let here = Some(ip("192.0.2.1"));
        let cost = |n| NonZeroU32::new(n).expect("not zero");
        assert_eq!(rates.request(&ada, here, cost(128)), Ok(()));
        assert!(rates.request(&ada, here, cost(1)).is_err_and(|wait| wait > 1_000));
        assert_eq!(rates.request(&ben, here, cost(72)), Ok(()));
        assert!(rates.request(&ben, here, cost(1)).is_err(), "the address has no more");
        assert_eq!(rates.challenge(here), Ok(()));
        assert_eq!(rates.challenge(Some(ip("192.0.2.200"))), Ok(()));
        assert!(rates.challenge(Some(ip("192.0.2.3"))).is_err(), "one /24");
        assert_eq!(rates.challenge(Some(ip("192.0.3.3"))), Ok(()));
    }

    #[test]
    fn what_was_used_of_a_limit_that_stays_is_not_given_back() {
        let mut before = Config::development("unused");
        before.rates.peer = Bucket::new(128, 60_000);
        before.registration.prefix_challenges_per_day = 1;
        let mut rates = Rates::new(&before);
        let (ada, here) = (PeerId::random(), Some(ip("192.0.2.1")));
        let cost = NonZeroU32::new(128).expect("not zero");
        assert_eq!((rates.request(&ada, here, cost), rates.challenge(here)), (Ok(()), Ok(())));
        let mut after = before.clone();
        after.rates.peer = Bucket::new(256, 60_000);
        rates.follow(&before, &after);
        assert_eq!(rates.request(&ada, here, cost), Ok(()));
        assert!(rates.challenge(here).is_err(), "codes cost money");
    }

    #[test]
    fn a_full_limiter_keeps_whom_it_knows_and_refuses_newcomers() {
        let mut limiter = Limiter::new(Bucket::new(2, 60_000), 2, FakeRelativeClock::default());
        let mut take = |key| limiter.take(&key, NonZeroU32::MIN);
        assert_eq!((take("ada"), take("ben")), (Ok(()), Ok(())));
        assert_eq!(take("eve"), Err(FULL_RETRY_MS));
        assert_eq!(take("ada"), Ok(()), "what is left in her bucket");
        assert!(take("ada").is_err_and(|wait| wait > FULL_RETRY_MS), "her own bucket's time");
        assert_eq!(take("ben"), Ok(()));
    }

    #[test]
    fn a_full_limiter_is_searched_for_idle_keys_once_a_second() {
        let clock = FakeRelativeClock::default();
        let mut limiter = Limiter::new(Bucket::new(1, 100), 1, clock.clone());
        let cost = NonZeroU32::MIN;
        assert_eq!(limiter.take(&"ada", cost), Ok(()));
        clock.advance(Duration::from_millis(999));
        assert_eq!(limiter.take(&"ben", cost), Err(FULL_RETRY_MS), "ada is idle, unseen yet");
        clock.advance(Duration::from_millis(1));
        assert_eq!(limiter.take(&"ben", cost), Ok(()));
        clock.advance(Duration::from_millis(999));
        assert_eq!(limiter.take(&"cleo", cost), Err(FULL_RETRY_MS));
        assert_eq!(limiter.take(&"ben", cost), Ok(()), "known keys need no search");
    }
}
