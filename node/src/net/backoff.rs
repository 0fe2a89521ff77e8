//! When to try again: exponential, with full jitter, bounded.
//!
//! After the n-th failure in a row the next try comes at a random moment between now and
//! `floor · 2ⁿ⁻¹`, never later than the ceiling. Full jitter spreads the many nodes that lost
//! one relay in the same instant.
//!
//! Pure: the time and the randomness are arguments.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

/// Longest pause between two tries.
pub(super) const CEILING: Duration = Duration::from_secs(5 * 60);

/// The failures so far and the pause that they earned.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    floor: Duration,
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// No failure yet; the first pause will be at most `floor`.
    pub(super) fn new(floor: Duration) -> Self {
        Self { floor, failures: 0, until: None }
    }

    /// One more failure. Answers when the next try is due.
    pub(super) fn failed<R: Rng + ?Sized>(&mut self, now: Instant, rng: &mut R) -> Instant {
        let doubled =
            self.floor.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let most = doubled.min(CEILING);
        self.failures = self.failures.saturating_add(1);
        let due = now + most.mul_f64(rng.random_range(0.0..1.0));
        self.until = Some(due);
        due
    }

    /// All is well again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// Whether a try is allowed now.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn pauses_grow_to_the_ceiling_and_never_beyond() {
        let mut rng = StdRng::seed_from_u64(7);
        let now = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let mut longest = Duration::ZERO;
        for failure in 0..64u32 {
            let pause = backoff.failed(now, &mut rng) - now;
            let bound = Duration::from_secs(1u64.checked_shl(failure).unwrap_or(u64::MAX).min(300));
            assert!(pause <= bound, "failure {failure}: {pause:?} over {bound:?}");
            longest = longest.max(pause);
        }
        assert!(longest > Duration::from_secs(100), "the jitter spans the whole pause");
    }

    #[test]
    fn a_reset_allows_at_once() {
        let mut rng = StdRng::seed_from_u64(7);
        let now = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let due = backoff.failed(now, &mut rng);
        assert!(!backoff.allows(now) && backoff.allows(due));
        backoff.reset();
        assert!(backoff.allows(now));
    }
}
