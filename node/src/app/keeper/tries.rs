//! How often a passphrase may be tried, and what is said when it opens nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::service::{ErrorKind, Refusal};

/// Wrong passphrases in a row that cost nothing but their stretching.
const FREE_TRIES: u32 = 5;
/// How long the first one after them waits; each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// The shortest passphrase, in characters.
pub(super) const MIN_PASSPHRASE: usize = 8;

/// Wrong passphrases in a row, and when the next may be tried.
#[derive(Debug, Default)]
pub(super) struct Tries {
    wrong: u32,
    next: Option<Instant>,
}

impl Tries {
    /// # Errors
    /// [`KeeperError::Wait`] while the next try has to wait.
    pub(super) fn may_try(&self, now: Instant) -> Result<(), KeeperError> {
        match self.next.map(|next| next.saturating_duration_since(now)) {
            Some(wait) if !wait.is_zero() => Err(KeeperError::Wait(seconds(wait))),
            _ => Ok(()),
        }
    }

    pub(super) fn was_wrong(&mut self, now: Instant) -> KeeperError {
        self.wrong = self.wrong.saturating_add(1);
        let left = FREE_TRIES.saturating_sub(self.wrong);
        if left > 0 {
            return KeeperError::Wrong(left);
        }
        let doublings = self.wrong.saturating_sub(FREE_TRIES).min(16);
        let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        self.next = Some(now + wait);
        KeeperError::WrongAndWait(seconds(wait))
    }
}

fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Why the keeper will not.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeeperError {
    #[error("That is not the passphrase. {} before a pause.", left(.0))]
    Wrong(u32),
    #[error("That is not the passphrase. The next try can be made in {0} seconds.")]
    WrongAndWait(u64),
    #[error("That was wrong too often. The next try can be made in {0} seconds.")]
    Wait(u64),
    #[error("A passphrase has at least {MIN_PASSPHRASE} characters and at most 1024 bytes.")]
    Unfit,
    #[error("The vault is open already.")]
    IsOpen,
    #[error("The vault is locked. Unlock it with your passphrase.")]
    IsLocked,
    #[error("This profile has no passphrase, so there is none to remove.")]
    NothingToRemove,
    #[error("This profile has a passphrase already. Give it to change it.")]
    CurrentMissing,
    #[error(
        "Kith cannot start with this profile: {0}. Your data was left as it is; the log says more."
    )]
    Start(String),
    #[error("The passphrase was not changed: {0}.")]
    NotChanged(String),
}

/// Why a passphrase opened nothing.
pub(super) enum Tried {
    Refused(KeeperError),
    /// Not the passphrase's fault.
    Failed(String),
}

/// Tries, as a person counts them.
fn left(tries: &u32) -> String {
    match tries {
        1 => "One try is left".to_owned(),
        tries => format!("{tries} tries are left"),
    }
}

impl Refusal for KeeperError {
    fn code(&self) -> &'static str {
        match self {
            Self::Wrong(_) | Self::WrongAndWait(_) => "wrong_passphrase",
            Self::Wait(_) => "too_many_tries",
            Self::Unfit => "unfit_passphrase",
            Self::IsOpen => "not_locked",
            Self::NothingToRemove => "no_passphrase",
            Self::IsLocked => "locked",
            Self::CurrentMissing => "current_passphrase_missing",
            Self::Start(_) => "cannot_start",
            Self::NotChanged(_) => "not_changed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Wrong(_) | Self::WrongAndWait(_) => ErrorKind::Forbidden,
            Self::Wait(seconds) => ErrorKind::TooMany { retry_after_seconds: *seconds },
            Self::Unfit | Self::CurrentMissing => ErrorKind::Invalid,
            Self::IsOpen | Self::NothingToRemove => ErrorKind::Conflict,
            Self::IsLocked => ErrorKind::Locked,
            Self::Start(_) | Self::NotChanged(_) => ErrorKind::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_wrong_passphrases_the_next_waits_ever_longer() {
        let mut tries = Tries::default();
        let mut now = Instant::now();
        for left in [4, 3, 2, 1] {
            assert!(tries.may_try(now).is_ok());
            assert!(matches!(tries.was_wrong(now), KeeperError::Wrong(n) if n == left));
        }
        for wait in [5, 10, 20, 40, 80, 160, 320, 640, 900, 900] {
            assert!(tries.may_try(now).is_ok());
            let refused = tries.was_wrong(now);
            assert!(matches!(refused, KeeperError::WrongAndWait(s) if s == wait), "{refused:?}");
            assert!(matches!(tries.may_try(now), Err(KeeperError::Wait(s)) if s == wait));
            now += Duration::from_secs(wait) - Duration::from_millis(1);
            assert!(matches!(tries.may_try(now), Err(KeeperError::Wait(1))));
            now += Duration::from_millis(1);
        }
    }
}
