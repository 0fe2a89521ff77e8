//! What is held of a contact's device certificate, and what another one means.
//!
//! An account is one key for ever, and so it is its certificate that shows when it begins another *life*: on
//! another computer, from a backup, or in the hands of whoever has the recovery phrase. A life is told by when
//! its certificate was made. The newest life is the account; an older one is a copy that should not run.
//!
//! Spec: `docs/protocol/session.md` §3.

use crypto::DeviceCert;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Most changes that are remembered of one contact.
pub const MAX_CHANGES: usize = 8;

/// Of which life a certificate is, and which of its agreement keys it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Life {
    /// Unix seconds.
    began: u64,
    agreement: u32,
}

impl Life {
    fn of(cert: &DeviceCert) -> Self {
        let spec = cert.spec();
        Self { began: spec.created, agreement: spec.agreement_version }
    }

    fn is_older_than(self, other: Self) -> bool {
        (self.began, self.agreement) < (other.began, other.agreement)
    }
}

/// What a certificate is beside the one that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Of the same life, or the first.
    Known,
    /// Of a later life: the person is to be told.
    Anew,
    /// Of a life that is over, or with a key that was replaced: nothing is to be done with it.
    Past,
}

/// The certificate of one contact, as far as it is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    held: Option<Life>,
    /// Of a meeting that is not decided yet.
    met: Option<Life>,
    /// When another life was seen to begin, the last ones, the oldest first.
    changes: Vec<Timestamp>,
}

impl Pin {
    /// A handshake by an invite was made; whether the two become contacts is to be decided.
    pub fn meet(&mut self, cert: &DeviceCert) {
        self.met = Some(Life::of(cert));
    }

    /// The two met, be it for the first time or again: what was shown then is held, whatever was before. Returns
    /// whether the person is to be told.
    pub fn on_met(&mut self, now: Timestamp) -> bool {
        let Some(met) = self.met.take() else { return false };
        let changed = self.held.is_some_and(|held| held != met);
        self.held = Some(met);
        if changed {
            self.note(now);
        }
        changed
    }

    /// What a certificate means that a renewal brings.
    #[must_use]
    pub fn judge(&self, cert: &DeviceCert) -> Standing {
        let shown = Life::of(cert);
        match self.held {
            Some(held) if shown.is_older_than(held) => Standing::Past,
            Some(held) if shown.began > held.began => Standing::Anew,
            _ => Standing::Known,
        }
    }

    /// Whether a certificate of a renewal says that it was made after `until` (Unix seconds), and is none that is
    /// held already: whoever made it cannot know, and would be past for nobody until then.
    #[must_use]
    pub fn is_ahead(&self, cert: &DeviceCert, until: u64) -> bool {
        let shown = Life::of(cert);
        shown.began > until && self.held.is_none_or(|held| held.began != shown.began)
    }

    /// Holds the certificate of a renewal, unless it is past. Returns whether the person is to be told.
    pub fn renew(&mut self, cert: &DeviceCert, now: Timestamp) -> bool {
        let standing = self.judge(cert);
        if standing != Standing::Past {
            self.held = Some(Life::of(cert));
        }
        if standing == Standing::Anew {
            self.note(now);
        }
        standing == Standing::Anew
    }

    /// When another life of theirs was seen to begin, the oldest first; the last [`MAX_CHANGES`].
    #[must_use]
    pub fn changes(&self) -> &[Timestamp] {
        &self.changes
    }

    fn note(&mut self, now: Timestamp) {
        self.changes.push(now);
        let surplus = self.changes.len().saturating_sub(MAX_CHANGES);
        self.changes.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::{Identity, Seed};

    fn cert(began: u64, agreement: u32) -> DeviceCert {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
        Identity::from_seed(&Seed::random(&mut rng)).primary_cert(agreement, began, 0)
    }

    fn held(began: u64, agreement: u32) -> Pin {
        let mut pin = Pin::default();
        pin.meet(&cert(began, agreement));
        assert!(!pin.on_met(Timestamp(1)), "the first is no change");
        pin
    }

    #[test]
    fn the_newest_life_counts_and_an_older_one_is_past() {
        for (shown, standing) in [
            ((10, 2), Standing::Known),
            ((10, 3), Standing::Known),
            ((10, 1), Standing::Past),
            ((9, 2), Standing::Past),
            ((9, 3), Standing::Past),
            ((11, 2), Standing::Anew),
            ((11, 1), Standing::Anew),
        ] {
            let (mut pin, cert) = (held(10, 2), cert(shown.0, shown.1));
            assert_eq!(pin.judge(&cert), standing, "{shown:?}");
            assert_eq!(pin.renew(&cert, Timestamp(5)), standing == Standing::Anew);
            let told: &[Timestamp] = if standing == Standing::Anew { &[Timestamp(5)] } else { &[] };
            assert_eq!(pin.changes(), told);
            // Held from now on, unless it was past.
            let next = if standing == Standing::Past { standing } else { Standing::Known };
            assert_eq!(pin.judge(&cert), next, "{shown:?}");
        }
        let pin = held(10, 2);
        let ahead = [9, 10, 11, 12].map(|began| pin.is_ahead(&cert(began, 2), 9));
        assert_eq!(ahead, [false, false, true, true], "what is held is held");
        assert!(!pin.is_ahead(&cert(12, 2), 12));
        assert_eq!(Pin::default().judge(&cert(1, 1)), Standing::Known);
    }

    #[test]
    fn a_meeting_counts_once_it_is_decided_whatever_was_before() {
        let mut pin = held(10, 1);
        pin.meet(&cert(9, 1));
        assert_eq!(pin.judge(&cert(9, 1)), Standing::Past, "not decided yet");
        assert!(pin.on_met(Timestamp(2)));
        assert_eq!(pin.judge(&cert(9, 1)), Standing::Known);
        pin.meet(&cert(9, 1));
        assert!(!pin.on_met(Timestamp(3)), "the same again");
        assert!(!pin.on_met(Timestamp(3)), "nothing was shown");
        assert_eq!(pin.changes(), [Timestamp(2)]);
    }

    #[test]
    fn the_last_changes_are_remembered() {
        let mut pin = held(0, 1);
        for n in 1..=10 {
            assert!(pin.renew(&cert(n, 1), Timestamp(n)));
        }
        assert_eq!(pin.changes().len(), MAX_CHANGES);
        assert_eq!(pin.changes().first(), Some(&Timestamp(3)));
        assert_eq!(pin.changes().last(), Some(&Timestamp(10)));
    }
}
