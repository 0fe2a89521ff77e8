//! How much the API does at once.
//!
//! Every bound is a constant here; what exceeds one is refused at once, never queued.

use std::time::Duration;

use protocol::time::Timestamp;

/// Connections that are open at once; further ones wait in the listener's backlog.
pub(super) const CONNECTIONS: usize = 256;
/// Requests that are handled at once, streams not counted; further ones answer 503.
pub(super) const REQUESTS: usize = 64;
/// Event streams that are open at once; further ones answer 503.
pub(super) const STREAMS: usize = 32;
/// Pictures that are decoded at once; further ones answer 503.
pub(super) const SCANS: usize = 2;
/// A JSON body, in bytes: a 16 KiB text with every byte escaped fits.
pub(super) const JSON_BYTES: usize = 128 * 1024;
/// A picture to scan, in bytes.
pub(super) const PICTURE_BYTES: usize = 8 * 1024 * 1024;
/// The head of a request, in bytes.
pub(super) const HEAD_BYTES: usize = 32 * 1024;
/// For the head of a request to arrive, and for a connection to idle.
pub(super) const HEAD_READ: Duration = Duration::from_secs(30);
/// For a request's body to arrive and its answer to be made.
pub(super) const HANDLING: Duration = Duration::from_secs(60);
/// The same while a backup arrives or is restored.
pub(super) const RESTORING: Duration = Duration::from_secs(30 * 60);
/// For open requests to end once the node stops.
pub(super) const DRAIN: Duration = Duration::from_secs(3);

/// Requests a session may make: a burst, then a steady rate. Generous: it stops loops, not people.
pub(super) const SESSION_RATE: Rate = Rate { burst: 300, per_second: 60 };
/// Wrong tokens and wrong links, from everyone together.
pub(super) const GUESS_RATE: Rate = Rate { burst: 20, per_second: 1 };

/// So many at once, then so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

/// A bucket that refills with time. One token is 1000 units, so that milliseconds count.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBucket {
    rate: Rate,
    units: u64,
    at: Timestamp,
}

const UNITS: u64 = 1_000;

impl TokenBucket {
    /// A full one.
    #[must_use]
    pub(super) fn new(rate: Rate, now: Timestamp) -> Self {
        Self { rate, units: u64::from(rate.burst) * UNITS, at: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Seconds until there is one, at least 1.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        let full = u64::from(self.rate.burst) * UNITS;
        let gained = now.since(self.at).saturating_mul(u64::from(self.rate.per_second));
        self.units = self.units.saturating_add(gained).min(full);
        self.at = self.at.max(now);
        if self.units >= UNITS {
            self.units -= UNITS;
            return Ok(());
        }
        let missing = UNITS - self.units;
        Err(missing.div_ceil(u64::from(self.rate.per_second) * 1_000).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = TokenBucket::new(Rate { burst: 2, per_second: 1 }, Timestamp(0));
        assert_eq!(bucket.take(Timestamp(0)), Ok(()));
        assert_eq!(bucket.take(Timestamp(0)), Ok(()));
        assert_eq!(bucket.take(Timestamp(0)), Err(1));
        assert_eq!(bucket.take(Timestamp(999)), Err(1));
        assert_eq!(bucket.take(Timestamp(1_000)), Ok(()));
        assert_eq!(bucket.take(Timestamp(1_000_000)), Ok(()));
        assert_eq!(bucket.take(Timestamp(1_000_000)), Ok(()));
        assert_eq!(bucket.take(Timestamp(1_000_000)), Err(1));
    }

    #[test]
    fn a_clock_that_goes_back_gains_nothing() {
        let mut bucket = TokenBucket::new(Rate { burst: 1, per_second: 1 }, Timestamp(5_000));
        assert_eq!(bucket.take(Timestamp(5_000)), Ok(()));
        assert_eq!(bucket.take(Timestamp(0)), Err(1));
        assert_eq!(bucket.take(Timestamp(5_500)), Err(1));
    }
}
