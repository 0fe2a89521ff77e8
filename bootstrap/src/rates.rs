//! How often one key and one address may ask.
//!
//! Checked by the network task before a request costs anything. Throwaway keys are free, so
//! the address counts as well: an IPv4 address or an IPv6 /56, and for challenges (which cost
//! the operator money) an IPv4 /24.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use crate::config::{Bucket, Config};

/// Most keys that one limiter counts. At the bound, and while none of them is idle, newcomers
/// are refused.
const MAX_KEYS: usize = 200_000;
/// Waiting time named when a limiter is full.
const FULL_RETRY_MS: u32 = 10_000;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// All limiters of a relay.
pub(crate) struct Rates {
    clock: DefaultClock,
    peers: DefaultKeyedRateLimiter<PeerId>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    challenges: DefaultKeyedRateLimiter<IpAddr>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rates({} peers, {} addresses)", self.peers.len(), self.addresses.len())
    }
}

impl Rates {
    pub(crate) fn new(config: &Config) -> Self {
        let per_day = config.registration.prefix_challenges_per_day.max(1);
        let challenges = Bucket::new(
            per_day,
            u64::try_from(DAY.as_millis()).unwrap_or(u64::MAX) / u64::from(per_day),
        );
        Self {
            clock: DefaultClock::default(),
            peers: RateLimiter::keyed(quota(config.rates.peer)),
            addresses: RateLimiter::keyed(quota(config.rates.address)),
            challenges: RateLimiter::keyed(quota(challenges)),
        }
    }

    /// Takes the cost of a request; `Err` names the milliseconds to wait.
    pub(crate) fn request(
        &self,
        peer: &PeerId,
        address: Option<IpAddr>,
        cost: NonZeroU32,
    ) -> Result<(), u32> {
        self.take(&self.peers, peer, cost)?;
        match address {
            Some(address) => self.take(&self.addresses, &prefix(address, 32), cost),
            None => Ok(()),
        }
    }

    /// Takes one challenge of an address; `Err` names the milliseconds to wait.
    pub(crate) fn challenge(&self, address: Option<IpAddr>) -> Result<(), u32> {
        match address {
            Some(address) => self.take(&self.challenges, &prefix(address, 24), NonZeroU32::MIN),
            None => Ok(()),
        }
    }

    /// Forgets who has been quiet.
    pub(crate) fn sweep(&self) {
        self.peers.retain_recent();
        self.addresses.retain_recent();
        self.challenges.retain_recent();
    }

    fn take<K: Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
        cost: NonZeroU32,
    ) -> Result<(), u32> {
        if limiter.len() >= MAX_KEYS {
            limiter.retain_recent();
            if limiter.len() >= MAX_KEYS {
                return Err(FULL_RETRY_MS);
            }
        }
        match limiter.check_key_n(key, cost) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(self.clock.now()).as_millis();
                Err(u32::try_from(wait).unwrap_or(u32::MAX).max(1))
            }
            // The configuration guarantees that every request fits into a full bucket.
            Err(_) => Err(FULL_RETRY_MS),
        }
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
        let rates = Rates::new(&config);
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
}
