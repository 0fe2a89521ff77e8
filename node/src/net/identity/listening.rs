//! Where this node can be reached, told to the engine when it has settled.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use protocol::contact::Address;

use crate::net::address;
use crate::net::event::NetEvent;

/// Interfaces come and go in groups; this long after a change it is reported.
const SETTLE: Duration = Duration::from_millis(250);

/// Our addresses. Without `Debug`: they locate a person.
pub(super) struct Listening {
    loopback: bool,
    /// Of our listeners, circuits apart.
    listen: BTreeSet<Multiaddr>,
    /// Confirmed by somebody who reached us there. A hint: they are never tested again.
    external: BTreeSet<Multiaddr>,
    told: Option<Vec<Address>>,
    report_at: Option<Instant>,
}

impl Listening {
    pub(super) fn new(loopback: bool) -> Self {
        let (listen, external) = (BTreeSet::new(), BTreeSet::new());
        Self { loopback, listen, external, told: None, report_at: None }
    }

    pub(super) fn listening(&mut self, address: Multiaddr, now: Instant) {
        let changed = self.listen.insert(address);
        self.changed(changed, now);
    }

    pub(super) fn not_listening(&mut self, address: &Multiaddr, now: Instant) {
        let changed = self.listen.remove(address);
        self.changed(changed, now);
    }

    pub(super) fn confirmed(&mut self, address: Multiaddr, now: Instant) {
        let changed = self.external.insert(address);
        self.changed(changed, now);
    }

    pub(super) fn unconfirmed(&mut self, address: &Multiaddr, now: Instant) {
        let changed = self.external.remove(address);
        self.changed(changed, now);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.report_at
    }

    /// What to tell, once it has settled and differs from what was told.
    pub(super) fn report(&mut self, now: Instant) -> Option<NetEvent> {
        self.report_at.filter(|at| *at <= now)?;
        self.report_at = None;
        let told = address::tellable(self.external.iter().chain(&self.listen), self.loopback);
        if self.told.as_ref() == Some(&told) {
            return None;
        }
        self.told = Some(told.clone());
        Some(NetEvent::Listening(told))
    }

    fn changed(&mut self, changed: bool, now: Instant) {
        if changed {
            self.report_at = self.report_at.or(Some(now + SETTLE));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_of_changes_is_told_once_and_no_change_not_at_all() {
        let mut listening = Listening::new(false);
        let now = Instant::now();
        listening.listening(addr("/ip4/192.168.1.2/tcp/1"), now);
        listening.confirmed(addr("/ip4/9.9.9.9/tcp/1"), now);
        assert!(listening.report(now).is_none());
        let settled = listening.next_deadline().unwrap();
        let Some(NetEvent::Listening(told)) = listening.report(settled) else {
            panic!("two addresses to tell");
        };
        assert_eq!(told.len(), 2);
        assert_eq!(listening.next_deadline(), None);
        listening.confirmed(addr("/ip4/127.0.0.1/tcp/1"), settled);
        assert!(
            listening.report(settled + SETTLE).is_none(),
            "a confirmed loopback address is none"
        );
    }
}
