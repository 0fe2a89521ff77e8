//! The end of one process among several: first its people are sent to the others, little by little.
//!
//! All at once they would come to the others at once, which then is what a failure looks like.

use tokio_util::sync::CancellationToken;

/// Between whoever ends the relay and those who have to know. Its end is part of it: whoever waits is not left waiting.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    asked: CancellationToken,
    done: CancellationToken,
    end: CancellationToken,
}

impl Drain {
    /// That of a relay, with the token that ends it.
    pub(crate) fn of_a_relay() -> (CancellationToken, Self) {
        let end = CancellationToken::new();
        let drain = Self { asked: end.child_token(), done: end.child_token(), end: end.clone() };
        (end, drain)
    }

    /// Cancelled when the relay ends.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.end.clone()
    }

    /// Nobody is taken in any more.
    pub(crate) fn begin(&self) {
        self.asked.cancel();
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Waits for [`Self::begin`], or the end.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Everybody has gone, or the time is over.
    pub(crate) fn finish(&self) {
        self.done.cancel();
    }

    /// Waits for [`Self::finish`], or the end.
    pub(crate) async fn done(&self) {
        self.done.cancelled().await;
    }
}

/// How many of those who are connected are sent away now, lest anybody is left after `turns`, this one included.
pub(crate) fn share(connected: usize, turns: u64) -> usize {
    let turns = usize::try_from(turns.max(1)).unwrap_or(usize::MAX);
    connected.div_ceil(turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_goes_in_equal_parts_and_nobody_is_left() {
        let (mut connected, mut parts) = (100, Vec::new());
        for turns in (1..=8).rev() {
            parts.push(share(connected, turns));
            connected -= share(connected, turns);
        }
        assert_eq!(connected, 0);
        assert!(parts.iter().all(|part| (12..=13).contains(part)), "{parts:?}");
        assert_eq!((share(5, 0), share(0, 3)), (5, 0));
    }

    #[tokio::test]
    async fn the_end_of_the_relay_ends_all_waiting() {
        let (shutdown, drain) = Drain::of_a_relay();
        assert!(!drain.is_asked());
        shutdown.cancel();
        drain.asked().await;
        drain.done().await;
    }
}
