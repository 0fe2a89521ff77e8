//! Presence: leases that decay, never state that sticks.
//!
//! 1. A focused tab renews Ada's lease ([`Focus`]); the process running means nothing.
//! 2. While she is here, her node tells connected contacts, under the session's exporter key:
//!    droppable, never journaled, never mailboxed, costing no ratchet key.
//! 3. Ben's node keeps what it heard for [`LEASE`]; then Ada decays to "last seen".
//!
//! # Invariants
//! * A crash or a lost network ends presence by itself: nothing has to be sent for it.
//! * "Last seen" is computed by the receiver's clock, from when it heard.
//!
//! Spec: `docs/protocol/wire.md` §9.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::time::{SECOND, Timestamp};
use crate::wire::Wire;

/// How long one statement of presence holds.
pub const LEASE: u64 = 45 * SECOND;
/// How often it is renewed while it is true.
pub const RENEWAL: u64 = 20 * SECOND;
/// How long "typing" holds without renewal.
pub const TYPING_LEASE: u64 = 6 * SECOND;
/// Most statements remembered per contact, so that none is believed twice.
pub const MAX_REPLAYS: usize = 64;
/// Most tabs that are tracked at once.
pub const MAX_TABS: usize = 64;

/// What a node tells a contact that is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ephemeral {
    /// Somebody is there.
    pub here: bool,
    /// They are writing in this conversation.
    pub typing: bool,
}

impl Wire for Ephemeral {
    const LIMIT: usize = 32;
}

/// This person's own tabs.
#[derive(Clone, Debug, Default)]
pub struct Focus {
    tabs: BTreeMap<u64, Timestamp>,
}

impl Focus {
    /// A tab has, or has lost, the focus.
    pub fn set(&mut self, tab: u64, focused: bool, now: Timestamp) {
        self.expire(now);
        if !focused {
            self.tabs.remove(&tab);
        } else if self.tabs.len() < MAX_TABS || self.tabs.contains_key(&tab) {
            self.tabs.insert(tab, now.plus(LEASE));
        }
    }

    /// Whether any lease holds.
    #[must_use]
    pub fn is_here(&self, now: Timestamp) -> bool {
        self.tabs.values().any(|&until| now < until)
    }

    /// When the answer of [`is_here`](Self::is_here) may change by itself.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        self.tabs.values().copied().filter(|&until| until > now).max()
    }

    fn expire(&mut self, now: Timestamp) {
        self.tabs.retain(|_, until| now < *until);
    }
}

/// What is known of a contact's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    replays: VecDeque<[u8; 16]>,
    here_until: Option<Timestamp>,
    typing_until: Option<Timestamp>,
    last_seen: Option<Timestamp>,
}

impl Seen {
    /// What was last known before this start.
    #[must_use]
    pub fn restore(last_seen: Option<Timestamp>) -> Self {
        Self { last_seen, ..Self::default() }
    }

    /// They said something, under the name `id`. Returns whether it was said for the first
    /// time; its freshness was proved when it was opened.
    pub fn on_ephemeral(&mut self, id: [u8; 16], heard: Ephemeral, now: Timestamp) -> bool {
        if self.replays.contains(&id) {
            return false;
        }
        if self.replays.len() == MAX_REPLAYS {
            self.replays.pop_front();
        }
        self.replays.push_back(id);
        if heard.here {
            self.here_until = Some(now.plus(LEASE));
            self.last_seen = Some(now);
        } else {
            self.here_until = None;
        }
        self.typing_until = heard.typing.then(|| now.plus(TYPING_LEASE));
        true
    }

    /// Ends the leases that have run out. Returns whether any did since this was last asked.
    pub fn lapse(&mut self, now: Timestamp) -> bool {
        let over = |until: &mut Option<Timestamp>| until.take_if(|until| *until <= now).is_some();
        let here = over(&mut self.here_until);
        let typing = over(&mut self.typing_until);
        here || typing
    }

    /// A message of theirs arrived: they are not writing it any more.
    pub fn on_message(&mut self) {
        self.typing_until = None;
    }

    /// The last connection closed.
    pub fn on_disconnected(&mut self) {
        self.here_until = None;
        self.typing_until = None;
    }

    /// Whether they are here.
    #[must_use]
    pub fn is_here(&self, now: Timestamp) -> bool {
        self.here_until.is_some_and(|until| now < until)
    }

    /// Whether they are writing.
    #[must_use]
    pub fn is_typing(&self, now: Timestamp) -> bool {
        self.typing_until.is_some_and(|until| now < until)
    }

    /// When they were last here, by this node's clock.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.last_seen
    }

    /// When any answer above changes by itself.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        [self.here_until, self.typing_until]
            .into_iter()
            .flatten()
            .filter(|&until| until > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn heard(here: bool, typing: bool) -> Ephemeral {
        Ephemeral { here, typing }
    }

    #[test]
    fn presence_decays_without_any_goodbye() {
        let mut seen = Seen::default();
        assert!(seen.on_ephemeral([1; 16], heard(true, true), NOW));
        assert!(seen.is_here(NOW) && seen.is_typing(NOW));
        assert!(!seen.is_typing(NOW.plus(TYPING_LEASE)));
        assert!(!seen.is_here(NOW.plus(LEASE)));
        assert!(seen.lapse(NOW.plus(LEASE)) && !seen.lapse(NOW.plus(LEASE)));
        assert_eq!(seen.last_seen(), Some(NOW));
    }

    #[test]
    fn a_replayed_statement_is_not_believed() {
        let mut seen = Seen::default();
        assert!(seen.on_ephemeral([1; 16], heard(true, false), NOW));
        assert!(seen.on_ephemeral([2; 16], heard(false, false), NOW));
        assert!(!seen.on_ephemeral([1; 16], heard(true, false), NOW));
        assert!(!seen.is_here(NOW));
    }

    #[test]
    fn one_focused_tab_is_enough_and_a_dead_one_decays() {
        let mut focus = Focus::default();
        focus.set(1, true, NOW);
        focus.set(2, true, NOW.plus(SECOND));
        focus.set(2, false, NOW.plus(2 * SECOND));
        assert!(focus.is_here(NOW.plus(3 * SECOND)));
        assert!(!focus.is_here(NOW.plus(LEASE)));
    }

    #[test]
    fn tabs_are_bounded() {
        let mut focus = Focus::default();
        for tab in 0..1_000 {
            focus.set(tab, true, NOW);
        }
        assert_eq!(focus.tabs.len(), MAX_TABS);
    }
}
