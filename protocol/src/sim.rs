//! A network in virtual time, for simulations: seeded, lossy, and the same every time.
//!
//! 1. A party [sends](Network::send); the link decides by the seed how often and when the
//!    message arrives, if at all.
//! 2. [`Network::next`] moves the clock to the next arrival and hands it over.
//! 3. What waits for time instead of messages moves the clock itself
//!    ([`Network::advance_to`]), but never past an arrival.
//!
//! # Invariants
//! * Virtual time never goes back, and nothing takes time by itself.
//! * The same seed and the same calls give the same arrivals.
//! * A failing simulation prints its seed.
//!
//! Knows nothing of what travels. For tests only.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::time::Timestamp;

/// A party of the network.
pub type Party = usize;

/// How a link treats what is sent over it. Chances are in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Chance that a message is lost.
    pub loss: u8,
    /// Chance that a message arrives twice.
    pub duplication: u8,
    /// Chance that a message may be overtaken, or overtake.
    pub reorder: u8,
    /// Shortest and longest delay in milliseconds.
    pub delay: (u64, u64),
}

impl Link {
    /// Everything arrives once, in order, after 10 ms.
    pub const GOOD: Self = Self { loss: 0, duplication: 0, reorder: 0, delay: (10, 10) };
    /// Everything arrives, some of it twice and in any order.
    pub const DUPLICATING: Self = Self { loss: 0, duplication: 50, reorder: 50, delay: (5, 2_000) };
    /// A third is lost, a third is doubled, half of it out of order.
    pub const BAD: Self = Self { loss: 33, duplication: 33, reorder: 50, delay: (5, 3_000) };
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival<M> {
    /// Who sent it.
    pub from: Party,
    /// Whose it is.
    pub to: Party,
    /// What.
    pub message: M,
}

/// The network.
#[derive(Debug)]
pub struct Network<M> {
    seed: u64,
    rng: StdRng,
    now: Timestamp,
    common: Link,
    links: BTreeMap<(Party, Party), Link>,
    cut: BTreeSet<(Party, Party)>,
    arrivals: BTreeMap<(Timestamp, u64), Arrival<M>>,
    last_arrival: BTreeMap<(Party, Party), Timestamp>,
    sent: u64,
    /// Keeps apart what arrives in one millisecond.
    serial: u64,
}

impl<M: Clone> Network<M> {
    /// A network of [good](Link::GOOD) links at the time `start`.
    #[must_use]
    pub fn seeded(seed: u64, start: Timestamp) -> Self {
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            now: start,
            common: Link::GOOD,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            sent: 0,
            serial: 0,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The randomness of the simulation: everything in it draws from here.
    pub fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    /// Messages sent so far, whatever became of them.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Makes every link that was not [set](Self::set_link) by itself like this.
    pub fn set_all(&mut self, link: Link) {
        self.common = link;
    }

    /// Makes the link of two parties like this, both ways.
    pub fn set_link(&mut self, one: Party, other: Party, link: Link) {
        self.links.insert(pair(one, other), link);
    }

    /// Cuts the link of two parties. What is on its way is lost.
    pub fn cut(&mut self, one: Party, other: Party) {
        self.cut.insert(pair(one, other));
        self.arrivals.retain(|_, arrival| pair(arrival.from, arrival.to) != pair(one, other));
    }

    /// Mends a link that was cut.
    pub fn heal(&mut self, one: Party, other: Party) {
        self.cut.remove(&pair(one, other));
    }

    /// Whether the link of two parties is cut.
    #[must_use]
    pub fn is_cut(&self, one: Party, other: Party) -> bool {
        self.cut.contains(&pair(one, other))
    }

    /// Loses everything that is on its way to a party: it crashed.
    pub fn lose_arrivals(&mut self, to: Party) {
        self.arrivals.retain(|_, arrival| arrival.to != to);
    }

    /// Sends a message.
    pub fn send(&mut self, from: Party, to: Party, message: M) {
        self.sent += 1;
        if self.is_cut(from, to) {
            return;
        }
        let link = self.links.get(&pair(from, to)).copied().unwrap_or(self.common);
        if self.chance(link.loss) {
            return;
        }
        let copies = if self.chance(link.duplication) { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.arrival_time(from, to, link);
            self.serial += 1;
            let arrival = Arrival { from, to, message: message.clone() };
            self.arrivals.insert((at, self.serial), arrival);
        }
    }

    /// When the next message arrives.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        self.arrivals.keys().next().map(|(at, _)| *at)
    }

    /// The next arrival, at its time; `None` when nothing is on its way.
    #[allow(clippy::should_implement_trait, reason = "more can come after `None`")]
    pub fn next(&mut self) -> Option<Arrival<M>> {
        let ((at, _), arrival) = self.arrivals.pop_first()?;
        self.now = self.now.max(at);
        Some(arrival)
    }

    /// Lets time pass until `to`, or until the next arrival, whichever comes first.
    pub fn advance_to(&mut self, to: Timestamp) {
        let to = self.next_at().map_or(to, |next| to.min(next));
        self.now = self.now.max(to);
    }

    fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    fn arrival_time(&mut self, from: Party, to: Party, link: Link) -> Timestamp {
        let (shortest, longest) = link.delay;
        let at = self.now.plus(self.rng.random_range(shortest..=longest.max(shortest)));
        if self.chance(link.reorder) {
            return at;
        }
        let last = self.last_arrival.entry((from, to)).or_insert(at);
        *last = at.max(*last);
        *last
    }
}

/// A failed test says how to repeat it.
impl<M> Drop for Network<M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[allow(clippy::disallowed_macros, reason = "who reads a failed test needs the seed")]
            {
                eprintln!("simulation seed: {}", self.seed);
            }
        }
    }
}

fn pair(one: Party, other: Party) -> (Party, Party) {
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_000);

    fn all<M: Clone>(network: &mut Network<M>) -> Vec<M> {
        std::iter::from_fn(|| network.next()).map(|arrival| arrival.message).collect()
    }

    #[test]
    fn a_good_link_keeps_number_order_and_delay() {
        let mut network = Network::seeded(1, START);
        (0..50).for_each(|n| network.send(0, 1, n));
        assert_eq!(all(&mut network), (0..50).collect::<Vec<_>>());
        assert_eq!(network.now(), START.plus(10));
    }

    #[test]
    fn a_bad_link_loses_doubles_and_reorders_alike_for_one_seed() {
        let run = |seed| {
            let mut network = Network::seeded(seed, START);
            network.set_all(Link::BAD);
            (0..200).for_each(|n| network.send(0, 1, n));
            all(&mut network)
        };
        let arrived = run(7);
        assert_eq!(arrived, run(7));
        assert_ne!(arrived, run(8));
        let missing = (0..200).filter(|n| !arrived.contains(n)).count();
        let doubled = (0..200).filter(|n| arrived.iter().filter(|m| *m == n).count() > 1).count();
        assert!(missing > 20 && doubled > 20 && !arrived.is_sorted());
    }

    #[test]
    fn a_cut_link_loses_what_was_on_its_way_and_time_stops_at_arrivals() {
        let mut network = Network::seeded(1, START);
        network.send(0, 1, 'a');
        network.send(2, 1, 'b');
        network.cut(1, 0);
        network.send(0, 1, 'c');
        network.advance_to(START.plus(60_000));
        assert_eq!(network.now(), START.plus(10));
        assert_eq!(all(&mut network), ['b']);
        network.heal(0, 1);
        network.send(0, 1, 'd');
        assert_eq!(all(&mut network), ['d']);
    }
}
