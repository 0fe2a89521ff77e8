#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::registration::limits::Counts;
use crate::registration::wire::IdentifierKind;
use crate::time::{DAY, HOUR};
use crypto::identity::{Identity, Seed};
use crypto::secret::Secret;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

const RELAY: RelayId = RelayId([9; 32]);

struct World {
    registrar: Registrar,
    counts: Counts,
    rng: StdRng,
    now: Timestamp,
}

struct Person {
    identity: Identity,
    account: AccountId,
}

fn person(byte: u8) -> Person {
    let identity = Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])));
    let account = AccountId(*identity.account().as_bytes());
    Person { identity, account }
}

fn address(text: &str) -> Identifier {
    let phone = text.starts_with('+');
    let kind = if phone { IdentifierKind::Phone } else { IdentifierKind::Email };
    Identifier::parse(kind, text).unwrap()
}

impl World {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        let keys = Keys { otp: [1; 32], pepper: [2; 32] };
        Self {
            registrar: Registrar::new(policy, keys, RELAY),
            counts: Counts::default(),
            rng: StdRng::seed_from_u64(7),
            now: Timestamp(1_000 * DAY),
        }
    }

    fn challenge(
        &mut self,
        who: &Person,
        to: &str,
    ) -> Result<(Challenged, Dispatch), RegisterRefusal> {
        let charges = self.registrar.may_challenge(who.account, &address(to), self.now)?;
        self.counts.charge(&charges, self.registrar.policy.max_tracked, self.now)?;
        let mut cx = Cx { now: self.now, rng: &mut self.rng };
        Ok(self.registrar.challenge(who.account, address(to), SentVia::Console, &mut cx))
    }

    fn resend(
        &mut self,
        who: &Person,
        id: ChallengeId,
    ) -> Result<(Challenged, Dispatch), RegisterRefusal> {
        let charges = self.registrar.may_resend(who.account, id, self.now)?;
        self.counts.charge(&charges, self.registrar.policy.max_tracked, self.now)?;
        let mut cx = Cx { now: self.now, rng: &mut self.rng };
        self.registrar.resend(who.account, id, &mut cx)
    }

    fn verify(
        &mut self,
        who: &Person,
        challenged: &Challenged,
        code: &str,
    ) -> Result<Option<IdentifierHash>, RegisterRefusal> {
        let answer = proof::sign(&who.identity, &challenged.nonce, RELAY);
        match self.registrar.verify(who.account, challenged.challenge, code, &answer, self.now)? {
            Verified::Right(right) => {
                self.counts.add(&right.counted, self.now);
                Ok(Some(right.identifier))
            }
            Verified::Again => Ok(None),
        }
    }
}

/// Six digits that are not these.
fn other_than(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[test]
fn a_right_code_is_accepted_exactly_once() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let code = dispatch.code.digits().to_owned();
    assert_eq!(
        world.verify(&ada, &challenged, &code),
        Ok(Some(address("ada@example.org").hash(&[2; 32])))
    );
    assert_eq!(world.verify(&ada, &challenged, &code), Ok(None), "nothing is proved twice");
}

#[test]
fn an_answer_that_was_lost_is_given_again_until_the_code_is_over_or_replaced() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let code = dispatch.code.digits().to_owned();
    assert!(matches!(world.verify(&ada, &challenged, &code), Ok(Some(_))));
    for _ in 0..10 {
        assert_eq!(world.verify(&ada, &challenged, &code), Ok(None));
    }
    // Nothing else can be done with it, and it is in nobody's way.
    let wrong = world.verify(&ada, &challenged, &other_than(&code));
    assert_eq!(wrong, Err(RegisterRefusal::NoChallenge));
    let again = world.registrar.may_resend(ada.account, challenged.challenge, world.now);
    assert!(matches!(again, Err(RegisterRefusal::NoChallenge)));
    world.challenge(&ada, "ada@example.org").unwrap();
    assert_eq!(world.verify(&ada, &challenged, &code), Err(RegisterRefusal::NoChallenge));

    let (challenged, dispatch) = world.challenge(&person(2), "ben@example.org").unwrap();
    let code = dispatch.code.digits().to_owned();
    assert!(world.verify(&person(2), &challenged, &code).is_ok());
    world.now = challenged.expires_at;
    assert_eq!(world.verify(&person(2), &challenged, &code), Err(RegisterRefusal::NoChallenge));
}

#[test]
fn five_wrong_codes_burn_the_challenge_even_for_the_right_one() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let wrong = other_than(dispatch.code.digits());
    for attempts_left in (0..5).rev() {
        assert_eq!(
            world.verify(&ada, &challenged, &wrong),
            Err(RegisterRefusal::WrongCode { attempts_left })
        );
    }
    assert_eq!(
        world.verify(&ada, &challenged, dispatch.code.digits()),
        Err(RegisterRefusal::NoChallenge)
    );
}

#[test]
fn a_code_relayed_to_another_key_is_worthless() {
    let (mut world, ada, eve) = (World::new(), person(1), person(2));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    assert_eq!(
        world.verify(&eve, &challenged, dispatch.code.digits()),
        Err(RegisterRefusal::NoChallenge)
    );
    let forged = proof::sign(&eve.identity, &challenged.nonce, RELAY);
    assert_eq!(
        world.registrar.verify(
            ada.account,
            challenged.challenge,
            dispatch.code.digits(),
            &forged,
            world.now
        ),
        Err(RegisterRefusal::WrongProof)
    );
    assert!(world.verify(&ada, &challenged, dispatch.code.digits()).is_ok());
}

#[test]
fn a_proof_for_another_relay_is_wrong() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let elsewhere = proof::sign(&ada.identity, &challenged.nonce, RelayId([8; 32]));
    let answer = world.registrar.verify(
        ada.account,
        challenged.challenge,
        dispatch.code.digits(),
        &elsewhere,
        world.now,
    );
    assert_eq!(answer, Err(RegisterRefusal::WrongProof));
}

#[test]
fn a_code_dies_after_ten_minutes() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    world.now = world.now.plus(10 * MINUTE);
    assert_eq!(
        world.verify(&ada, &challenged, dispatch.code.digits()),
        Err(RegisterRefusal::NoChallenge)
    );
    assert_eq!(world.registrar.live_challenges(), 0);
}

#[test]
fn a_newer_challenge_ends_the_older_one() {
    let (mut world, ada) = (World::new(), person(1));
    let (first, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let (second, _) = world.challenge(&ada, "ada@example.net").unwrap();
    assert_ne!(first.challenge, second.challenge);
    assert_eq!(
        world.verify(&ada, &first, dispatch.code.digits()),
        Err(RegisterRefusal::NoChallenge)
    );
    assert_eq!(world.registrar.live_challenges(), 1);
}

#[test]
fn resending_backs_off_and_the_older_code_dies() {
    let (mut world, ada) = (World::new(), person(1));
    let (mut challenged, mut dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    assert_eq!(
        world.challenge(&ada, "ada@example.org").unwrap_err(),
        RegisterRefusal::TooSoon { retry_ms: 30_000 }
    );
    for wait in [30, 60, 120, 240] {
        assert_eq!(challenged.resend_after, world.now.plus(wait * SECOND));
        world.now = world.now.plus(wait * SECOND - 1);
        assert_eq!(
            world.resend(&ada, challenged.challenge).unwrap_err(),
            RegisterRefusal::TooSoon { retry_ms: 1 }
        );
        world.now = world.now.plus(1);
        let older = dispatch.code.digits().to_owned();
        (challenged, dispatch) = world.resend(&ada, challenged.challenge).unwrap();
        assert_ne!(older, dispatch.code.digits());
    }
    world.now = challenged.resend_after;
    assert!(matches!(
        world.resend(&ada, challenged.challenge),
        Err(RegisterRefusal::TooSoon { .. } | RegisterRefusal::NoChallenge)
    ));
}

#[test]
fn resending_gives_no_more_tries() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let wrong = other_than(dispatch.code.digits());
    let _ = world.verify(&ada, &challenged, &wrong);
    world.now = world.now.plus(30 * SECOND);
    let (again, _) = world.resend(&ada, challenged.challenge).unwrap();
    assert_eq!(again.attempts_left, 4);
    assert_eq!(again.expires_at, challenged.expires_at);
}

#[test]
fn an_identifier_has_three_challenges_an_hour_whoever_asks() {
    let mut world = World::new();
    for asker in 1..=3 {
        assert!(world.challenge(&person(asker), "ada@example.org").is_ok());
    }
    assert_eq!(
        world.challenge(&person(4), "Ada@EXAMPLE.org").unwrap_err(),
        RegisterRefusal::TooSoon { retry_ms: 3_600_000 }
    );
    assert!(world.challenge(&person(4), "ben@example.org").is_ok());
    world.now = world.now.plus(HOUR);
    assert!(world.challenge(&person(5), "ada@example.org").is_ok());
}

#[test]
fn an_identifier_is_sent_ten_codes_a_day() {
    let mut world = World::new();
    let mut sent = 0;
    for hour in 0..23u8 {
        for asker in 0..3u8 {
            let who = person(1 + hour * 3 + asker);
            sent += usize::from(world.challenge(&who, "ada@example.org").is_ok());
        }
        world.now = world.now.plus(HOUR);
    }
    assert_eq!(sent, 10);
}

#[test]
fn the_relay_as_a_whole_has_a_spending_cap_and_bounded_memory() {
    let mut world = World::with(Policy { relay_sends_per_hour: 5, ..Policy::default() });
    for n in 0..5u8 {
        assert!(world.challenge(&person(n), &format!("p{n}@example.org")).is_ok());
    }
    assert!(world.challenge(&person(9), "p9@example.org").is_err());

    let mut world = World::with(Policy { max_tracked: 5, ..Policy::default() });
    for n in 0..5u8 {
        assert!(world.challenge(&person(n), &format!("p{n}@example.org")).is_ok());
    }
    assert!(world.challenge(&person(9), "p9@example.org").is_err());
}

/// How many of these numbers a fresh registrar sends a code to at once, each asked for by another account.
fn sent_to(policy: Policy, numbers: impl IntoIterator<Item = String>) -> usize {
    let mut w = World::with(policy);
    let mut asked_by = 0;
    numbers
        .into_iter()
        .filter(|number| {
            asked_by += 1;
            w.challenge(&person(asked_by), number).is_ok()
        })
        .count()
}

/// German mobile numbers, each in a range of its own.
fn spread(count: u32) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("+4915{:09}", 123_000_000 + n * 10_000 + n))
}

#[test]
fn a_range_a_country_and_all_texts_together_have_budgets_of_their_own() {
    let policy = || Policy {
        range_sends_per_day: 3,
        country_sends_per_hour: 5,
        phone_sends_per_hour: 7,
        ..Policy::default()
    };
    let range = (0..9).map(|n| format!("+491512345678{n}"));
    assert_eq!(sent_to(policy(), range.clone()), 3, "the budget of the range");
    assert_eq!(sent_to(policy(), spread(9)), 5, "the budget of the country");
    let austrian = (0..9).map(|n| format!("+43664{}", 1_230_000 + n * 10_001));
    assert_eq!(sent_to(policy(), spread(9).chain(austrian.clone())), 7, "of all texts");
    // None of it holds for e-mail, and what was refused is not counted.
    let mut w = World::with(Policy { phone_sends_per_hour: 0, ..Policy::default() });
    assert!(w.challenge(&person(1), "+4915123456789").is_err());
    assert!(w.challenge(&person(1), "ada@example.org").is_ok());
}

#[test]
fn budgets_of_texts_come_back_with_time() {
    let policy = Policy { country_sends_per_hour: 1, range_sends_per_day: 2, ..Policy::default() };
    let mut w = World::with(policy);
    let [one, two, three] = ["+4915123456781", "+4915123456782", "+4915123456783"];
    assert!(w.challenge(&person(1), one).is_ok());
    let refused = w.challenge(&person(2), two).expect_err("one an hour");
    assert_eq!(refused, RegisterRefusal::TooSoon { retry_ms: 3_600_000 });
    w.now = w.now.plus(HOUR);
    assert!(w.challenge(&person(2), two).is_ok());
    w.now = w.now.plus(HOUR);
    let refused = w.challenge(&person(3), three).expect_err("two a day");
    assert_eq!(refused, RegisterRefusal::TooSoon { retry_ms: 22 * 3_600_000 });
}

#[test]
fn a_country_that_is_not_on_the_list_is_not_sent_to_and_costs_nothing() {
    let policy = Policy { countries: [43].into(), ..Policy::default() };
    let mut w = World::with(policy);
    for _ in 0..20 {
        let refused = w.challenge(&person(1), "+4915123456789").expect_err("not served");
        assert_eq!(refused, RegisterRefusal::CountryNotServed);
    }
    assert!(w.challenge(&person(1), "+436641234567").is_ok());
}

/// Codes to ranges of their own in one country, each asked for an hour after the one before; every nth is typed.
fn sent_while_answered(policy: &Policy, codes: usize, every: Option<usize>) -> usize {
    let mut w = World::with(policy.clone());
    let mut sent = 0;
    for (nth, number) in spread(24).take(codes).enumerate() {
        let who = person(1 + u8::try_from(nth).unwrap());
        if let Ok((told, dispatch)) = w.challenge(&who, &number) {
            sent += 1;
            if every.is_some_and(|every| nth % every == 0) {
                w.verify(&who, &told, dispatch.code.digits()).unwrap();
            }
        }
        w.now = w.now.plus(20 * MINUTE);
    }
    sent
}

#[test]
fn a_country_from_which_too_few_codes_come_back_gets_a_trickle_until_more_do() {
    let policy = Policy {
        country_unanswered: 10,
        country_trickle: 1,
        answered_percent: 20,
        ..Policy::default()
    };
    // Three an hour are asked for, one an hour is sent from the tenth on.
    assert_eq!(sent_while_answered(&policy, 24, None), 14, "nobody types");
    assert_eq!(sent_while_answered(&policy, 24, Some(20)), 14, "one of twenty types");
    assert_eq!(sent_while_answered(&policy, 24, Some(5)), 24, "one of five types");

    let mut w = World::with(Policy { country_unanswered: 3, ..policy });
    let numbers: Vec<_> = spread(9).collect();
    let ask = |w: &mut World, nth: usize| {
        w.challenge(&person(1 + u8::try_from(nth).unwrap()), &numbers[nth])
    };
    for nth in 0..3 {
        ask(&mut w, nth).unwrap();
    }
    assert!(ask(&mut w, 3).is_ok(), "they may still type");
    w.now = w.now.plus(11 * MINUTE);
    let refused = ask(&mut w, 4).unwrap_err();
    assert_eq!(refused, RegisterRefusal::TooSoon { retry_ms: 49 * 60_000 }, "one an hour");
    assert!(w.challenge(&person(100), "+436641234567").is_ok(), "another country");
    w.now = w.now.plus(49 * MINUTE);
    // Somebody honest comes through, types, and it is open again.
    let (told, sent) = ask(&mut w, 4).expect("the trickle");
    w.verify(&person(5), &told, sent.code.digits()).unwrap();
    assert!(ask(&mut w, 5).is_ok());
}

#[test]
fn codes_that_did_not_leave_are_not_held_against_anybody() {
    let policy = Policy { country_unanswered: 3, country_trickle: 1, ..Policy::default() };
    let mut w = World::with(policy);
    for (nth, number) in spread(9).enumerate() {
        let (_, sent) = w.challenge(&person(1 + u8::try_from(nth).unwrap()), &number).unwrap();
        w.counts.add(&sent.if_failed, w.now);
        w.now = w.now.plus(11 * MINUTE);
    }
}

#[test]
fn a_range_from_which_too_few_codes_come_back_is_slow_alone() {
    let mut w = World::with(Policy { range_unanswered: 2, ..Policy::default() });
    assert!(w.challenge(&person(1), "+4915123456781").is_ok());
    assert!(w.challenge(&person(2), "+4915123456782").is_ok());
    w.now = w.now.plus(11 * MINUTE);
    assert!(w.challenge(&person(3), "+4915123456783").is_err());
    assert!(w.challenge(&person(3), "+4915123466783").is_ok());
    w.now = w.now.plus(HOUR);
    assert!(w.challenge(&person(4), "+4915123456783").is_ok(), "one an hour");
    assert!(w.challenge(&person(5), "+4915123456784").is_err());
}

#[test]
fn the_limit_that_lasts_longest_is_named() {
    let mut w = World::with(Policy {
        relay_sends_per_hour: 1,
        relay_sends_per_day: 1,
        ..Policy::default()
    });
    assert!(w.challenge(&person(1), "ada@example.org").is_ok());
    let charges = w.registrar.may_challenge(person(2).account, &address("ben@example.org"), w.now);
    let over = w.counts.charge(&charges.unwrap(), 100, w.now).unwrap_err();
    assert_eq!(over, Over { limit: LimitName::Relay, retry: DAY });
}

#[test]
fn an_undeliverable_challenge_ends_but_stays_counted() {
    let (mut world, ada) = (World::new(), person(1));
    let (challenged, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    world.registrar.undeliverable(challenged.challenge);
    assert_eq!(
        world.verify(&ada, &challenged, dispatch.code.digits()),
        Err(RegisterRefusal::NoChallenge)
    );
    assert!(world.challenge(&ada, "ada@example.org").is_ok());
    assert!(world.challenge(&ada, "ada@example.org").is_err(), "back-off of the second");
}

#[test]
fn nothing_secret_is_in_debug() {
    let (mut world, ada) = (World::new(), person(1));
    let (_, dispatch) = world.challenge(&ada, "ada@example.org").unwrap();
    let shown = format!("{dispatch:?} {:?}", world.registrar.keys);
    assert!(!shown.contains(dispatch.code.digits()), "{shown}");
    assert!(!shown.contains("ada"), "{shown}");
}

proptest! {
    #[test]
    fn codes_are_six_digits(seed in any::<u64>()) {
        let code = Code::random(&mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(code.digits().len(), CODE_DIGITS);
        prop_assert!(code.digits().bytes().all(|b| b.is_ascii_digit()));
    }

    /// Whatever is asked in whatever order: at most one success per challenge, at most five
    /// tries each, and both maps of live challenges describe the same ones.
    #[test]
    fn tries_and_successes_are_bounded(
        steps in proptest::collection::vec((0u8..3, 0u8..3, 0u8..4, 0u64..200), 1..60),
    ) {
        let mut world = World::new();
        let people: Vec<_> = (0..3).map(|n| person(n + 1)).collect();
        let mut seen: Vec<(Challenged, String, u32, u32)> = Vec::new();
        for (who, to, what, wait) in steps {
            world.now = world.now.plus(wait * SECOND);
            let who = &people[usize::from(who)];
            match what {
                0 => if let Ok((told, sent)) = world.challenge(who, &format!("p{to}@example.org")) {
                    seen.push((told, sent.code.digits().to_owned(), 0, 0));
                },
                1 => if let Some(last) = seen.last_mut()
                    && let Ok((told, sent)) = world.resend(who, last.0.challenge) {
                    last.0 = told;
                    last.1 = sent.code.digits().to_owned();
                },
                _ => if let Some((told, code, tries, successes)) = seen.last().cloned() {
                    let code = if what == 2 { code } else { other_than(&code) };
                    let result = world.verify(who, &told, &code);
                    let counted =
                        matches!(result, Ok(Some(_)) | Err(RegisterRefusal::WrongCode { .. }));
                    let last = seen.last_mut().unwrap();
                    last.2 = tries + u32::from(counted);
                    last.3 = successes + u32::from(matches!(result, Ok(Some(_))));
                    prop_assert!(last.2 <= 5 && last.3 <= 1);
                    prop_assert!(result != Ok(None) || successes == 1, "what was not heard was said");
                },
            }
            prop_assert_eq!(world.registrar.challenges.len(), world.registrar.by_account.len());
        }
    }
}
