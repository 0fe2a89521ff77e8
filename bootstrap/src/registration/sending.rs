//! Codes on their way: a few tries in the time that their request has, and what did not leave.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::registration::Dispatch;
use protocol::registration::wire::SentVia;
use protocol::time::Timestamp;
use rand::RngExt;
use tokio::time::{sleep, timeout};

use super::driver::{Driver, DriverError};
use crate::behaviour::REQUEST_TIMEOUT;

/// Longest time that all tries of one code may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(8);
/// What has to be left of a request's time for waiting in line and for the way back.
const SPARE: Duration = Duration::from_secs(2);
// A code that arrives is worth nothing to somebody who was not told its challenge.
const _: () = assert!(SEND_TIMEOUT.as_millis() + SPARE.as_millis() <= REQUEST_TIMEOUT.as_millis());
/// Most tries of one code.
const TRIES: u8 = 3;
/// Before the second try; doubles, and up to as much again at random.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// Most dead letters that are kept; the oldest give way.
pub const MAX_DEAD_LETTERS: usize = 1_000;

/// How long a code is tried for.
#[derive(Debug, Clone, Copy)]
struct Pace {
    first_pause: Duration,
    all: Duration,
}

const PACE: Pace = Pace { first_pause: FIRST_PAUSE, all: SEND_TIMEOUT };

/// A code that did not leave. Whose it was is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// When the person asked for it, by the relay's clock.
    pub at: Timestamp,
    /// The way that it was to take.
    pub via: SentVia,
    /// Tries that were made.
    pub tries: u8,
    /// What the last one came to.
    pub why: String,
}

/// The last [`MAX_DEAD_LETTERS`] codes that did not leave, in memory. Clones share them.
#[derive(Clone, Default)]
pub struct DeadLetters(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    letters: VecDeque<DeadLetter>,
    ever: u64,
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetters").field("ever", &self.ever()).finish_non_exhaustive()
    }
}

impl DeadLetters {
    /// Those that are kept, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<DeadLetter> {
        self.kept().letters.iter().cloned().collect()
    }

    /// How many there were since the relay started.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.kept().ever
    }

    fn add(&self, letter: DeadLetter) {
        let mut kept = self.kept();
        kept.ever += 1;
        if kept.letters.len() == MAX_DEAD_LETTERS {
            kept.letters.pop_front();
        }
        kept.letters.push_back(letter);
    }

    /// A poisoned lock is taken as it is: whole letters go in and out.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands a code to its driver, again if it surely did not leave, and returns whether it left. If not, it becomes a
/// dead letter of `now`, when it was asked for.
pub(super) async fn send(
    driver: &dyn Driver,
    dispatch: &Dispatch,
    via: SentVia,
    letters: &DeadLetters,
    now: Timestamp,
) -> bool {
    let mut tries = 0;
    let Err(why) = within(PACE, driver, dispatch, &mut tries).await else { return true };
    tracing::warn!(challenge = %dispatch.challenge.short(), ?via, tries, why, "a code was not sent");
    letters.add(DeadLetter { at: now, via, tries, why });
    false
}

/// # Errors
/// Why it was given up.
async fn within(
    pace: Pace,
    driver: &dyn Driver,
    dispatch: &Dispatch,
    tries: &mut u8,
) -> Result<(), String> {
    match timeout(pace.all, all_tries(pace.first_pause, driver, dispatch, tries)).await {
        Ok(end) => end.map_err(|error| error.to_string()),
        Err(_) => Err("the driver took too long".to_owned()),
    }
}

async fn all_tries(
    mut pause: Duration,
    driver: &dyn Driver,
    dispatch: &Dispatch,
    tries: &mut u8,
) -> Result<(), DriverError> {
    loop {
        *tries += 1;
        match driver.send(&dispatch.identifier, &dispatch.code).await {
            Err(DriverError::NotNow(_)) if *tries < TRIES => {}
            end => return end,
        }
        let jitter = pause.mul_f64(rand::rng().random::<f64>());
        sleep(pause + jitter).await;
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use futures::future::BoxFuture;
    use protocol::registration::wire::IdentifierKind;
    use protocol::registration::{Code, Identifier, Keys, Policy, Registrar};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    /// Answers as it was told to, one try after the other; nothing left means that it never answers.
    #[derive(Debug)]
    struct Scripted(Mutex<VecDeque<Result<(), DriverError>>>);

    impl Driver for Scripted {
        fn via(&self, _: IdentifierKind) -> Option<SentVia> {
            Some(SentVia::Email)
        }

        fn send<'a>(
            &'a self,
            _: &'a Identifier,
            _: &'a Code,
        ) -> BoxFuture<'a, Result<(), DriverError>> {
            let next = self.0.lock().expect("a lock").pop_front();
            Box::pin(async move {
                match next {
                    Some(end) => end,
                    None => std::future::pending().await,
                }
            })
        }
    }

    fn dispatch() -> Dispatch {
        let keys = Keys { otp: [1; 32], pepper: [2; 32] };
        let relay = protocol::ids::RelayId([3; 32]);
        let mut registrar = Registrar::new(Policy::default(), keys, relay);
        let ada = Identifier::parse(IdentifierKind::Email, "ada@example.org").expect("valid");
        let mut rng = rand::rng();
        let mut cx = protocol::Cx { now: NOW, rng: &mut rng };
        let asked = protocol::ids::AccountId([4; 32]);
        registrar.challenge(asked, ada, SentVia::Email, &mut cx).1
    }

    /// The tries of a code, and why it was given up.
    async fn outcome(script: Vec<Result<(), DriverError>>) -> (u8, Result<(), String>) {
        let driver = Scripted(Mutex::new(script.into()));
        let pace = Pace { first_pause: Duration::from_millis(1), all: Duration::from_secs(1) };
        let mut tries = 0;
        let end = within(pace, &driver, &dispatch(), &mut tries).await;
        (tries, end)
    }

    fn not_now() -> Result<(), DriverError> {
        Err(DriverError::NotNow("busy".to_owned()))
    }

    #[tokio::test]
    async fn a_code_that_surely_did_not_leave_is_tried_three_times() {
        assert_eq!(outcome(vec![not_now(), not_now(), Ok(())]).await, (3, Ok(())));
        let given_up = outcome(vec![not_now(), not_now(), not_now(), Ok(())]).await;
        assert_eq!(given_up, (3, Err("not now: busy".to_owned())));
    }

    #[tokio::test]
    async fn what_was_refused_or_may_have_left_is_not_tried_again() {
        for (error, why) in [
            (DriverError::Refused("no such way".to_owned()), "refused: no such way"),
            (DriverError::Unsure("no answer".to_owned()), "it may have left: no answer"),
        ] {
            assert_eq!(outcome(vec![Err(error), Ok(())]).await, (1, Err(why.to_owned())));
        }
    }

    #[tokio::test]
    async fn a_driver_that_never_answers_is_given_up() {
        let (tries, end) = outcome(vec![not_now()]).await;
        assert_eq!((tries, end), (2, Err("the driver took too long".to_owned())));
    }

    #[tokio::test]
    async fn what_did_not_leave_becomes_a_dead_letter() {
        let refusal = Err(DriverError::Refused("no such way".to_owned()));
        let (driver, letters) =
            (Scripted(Mutex::new([refusal, Ok(())].into())), DeadLetters::default());
        assert!(!send(&driver, &dispatch(), SentVia::Email, &letters, NOW).await);
        let why = "refused: no such way".to_owned();
        assert_eq!(letters.all(), [DeadLetter { at: NOW, via: SentVia::Email, tries: 1, why }]);
        assert!(send(&driver, &dispatch(), SentVia::Email, &letters, NOW).await);
        assert_eq!(letters.ever(), 1);
    }

    #[test]
    fn a_thousand_dead_letters_are_kept_and_all_are_counted() {
        let letters = DeadLetters::default();
        for n in 0..1_001 {
            let at = Timestamp(n);
            letters.add(DeadLetter { at, via: SentVia::Sms, tries: 1, why: String::new() });
        }
        let kept = letters.all();
        assert_eq!((kept.len(), letters.ever()), (1_000, 1_001));
        assert_eq!(kept.first().map(|letter| letter.at), Some(Timestamp(1)));
    }
}
