//! The machine that deals out challenges and judges answers.
//!
//! A challenge is `live` from [`Registrar::challenge`] until it is answered, replaced by
//! another challenge of the same account, burnt by its last wrong answer, undeliverable, or
//! ten minutes old. Nothing leads back to `live`.
//!
//! Each step that sends a code is two: what it costs is [asked](Registrar::may_challenge), and once that was counted
//! ([`limits`](super::limits)), it is done.
//!
//! Everything here lives in the relay's memory: the address has to be known for a resend, and
//! is not to be at rest. A restart therefore ends live challenges, which nobody but the operator can cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::identifier::{Identifier, IdentifierHash};
use super::limits::{Charges, Counted, LimitName, Over, Place, at_capacity, wait_until};
use super::proof;
use super::wire::{CODE_DIGITS, Challenged, RegisterRefusal, SentVia};
use crate::Cx;
use crate::ids::{AccountId, ChallengeId, RelayId};
use crate::mailbox::wire::Proof;
use crate::time::{MINUTE, SECOND, Timestamp};

/// The numbers of a relay's registration, all changeable by its operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a code is good, milliseconds.
    pub code_lifetime: u64,
    /// Wrong answers until a challenge is burnt.
    pub attempts: u8,
    /// Waiting time before the second send, milliseconds; doubles with every further one.
    pub resend_after: u64,
    /// Most sends of one challenge, the first included.
    pub max_sends: u8,
    /// Most challenges of one identifier in an hour.
    pub challenges_per_hour: usize,
    /// Most codes sent to one identifier in a day.
    pub sends_per_day: usize,
    /// Most challenges of one account key in a day.
    pub account_challenges_per_day: usize,
    /// Most codes sent by the relay in an hour: a cap on what pumping can cost.
    pub relay_sends_per_hour: usize,
    /// Most codes sent by the relay in a day.
    pub relay_sends_per_day: usize,
    /// Calling codes of the countries whose telephone numbers are sent to; empty: all.
    pub countries: BTreeSet<u16>,
    /// Most codes sent to the numbers of one country in an hour.
    pub country_sends_per_hour: usize,
    /// Most codes sent to the numbers of one country in a day.
    pub country_sends_per_day: usize,
    /// Most codes sent in a day to numbers that differ in their last four digits only: those who are paid for
    /// texts rent whole ranges.
    pub range_sends_per_day: usize,
    /// Most codes sent to telephone numbers in an hour: a cap on what texts can cost.
    pub phone_sends_per_hour: usize,
    /// Most codes sent to telephone numbers in a day.
    pub phone_sends_per_day: usize,
    /// From so many codes on that left for a range in a day, [`answered_percent`](Self::answered_percent) of them have
    /// to have been right, or only [`range_trickle`](Self::range_trickle) go there.
    pub range_unanswered: usize,
    /// The same for a calling code.
    pub country_unanswered: usize,
    /// How many in a hundred have to be right.
    pub answered_percent: usize,
    /// Codes in an hour to a range from which too few come back.
    pub range_trickle: usize,
    /// The same for a calling code.
    pub country_trickle: usize,
    /// Most live challenges, and most identifiers and accounts that are counted. At the bound
    /// newcomers are refused: registration fails closed.
    pub max_tracked: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            code_lifetime: 10 * MINUTE,
            attempts: 5,
            resend_after: 30 * SECOND,
            max_sends: 5,
            challenges_per_hour: 3,
            sends_per_day: 10,
            account_challenges_per_day: 10,
            relay_sends_per_hour: 2_000,
            relay_sends_per_day: 20_000,
            countries: BTreeSet::new(),
            country_sends_per_hour: 200,
            country_sends_per_day: 1_000,
            range_sends_per_day: 30,
            phone_sends_per_hour: 300,
            phone_sends_per_day: 2_000,
            range_unanswered: 8,
            country_unanswered: 50,
            answered_percent: 20,
            range_trickle: 1,
            country_trickle: 10,
            max_tracked: 100_000,
        }
    }
}

/// The relay's registration secrets.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    /// Hashes codes.
    pub otp: [u8; 32],
    /// Hashes identifiers.
    pub pepper: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Six digits on their way to a person. Wiped when dropped.
#[derive(Clone)]
pub struct Code(Zeroizing<String>);

impl Code {
    fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        const CODES: u32 = 10u32.pow(CODE_DIGITS as u32);
        // Rejection keeps every code equally likely.
        const FAIR: u32 = u32::MAX - u32::MAX % CODES;
        loop {
            let drawn = rng.next_u32();
            if drawn < FAIR {
                return Self(Zeroizing::new(format!(
                    "{:0width$}",
                    drawn % CODES,
                    width = CODE_DIGITS
                )));
            }
        }
    }

    /// The digits, for a driver.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

/// A code that the shell now has to send.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Which challenge it belongs to.
    pub challenge: ChallengeId,
    /// Where to.
    pub identifier: Identifier,
    /// What to send.
    pub code: Code,
    /// What is to be counted if it does not leave.
    pub if_failed: Vec<Counted>,
}

/// What an answer with the right code means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// The address is proved.
    Right(Right),
    /// It was before, with this code: whoever asks did not hear the answer. Nothing is proved anew, for somebody else may
    /// have proved the address since.
    Again,
}

/// A code that was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The identifier that was proved.
    pub identifier: IdentifierHash,
    /// How the code travelled.
    pub via: SentVia,
    /// What it is to be counted for.
    pub counted: Vec<Counted>,
}

/// A live challenge. Holds the address because a resend needs it.
#[derive(Debug)]
pub struct Challenge {
    account: AccountId,
    identifier: Identifier,
    nonce: [u8; 32],
    code_hash: [u8; 32],
    expires_at: Timestamp,
    resend_after: Timestamp,
    attempts_left: u8,
    sends: u8,
    via: SentVia,
    /// Its code was right. It is kept until it expires, for an answer that was lost.
    used: bool,
}

/// The relay's side of registration.
#[derive(Debug)]
pub struct Registrar {
    policy: Policy,
    keys: Keys,
    relay: RelayId,
    challenges: BTreeMap<ChallengeId, Challenge>,
    by_account: BTreeMap<AccountId, ChallengeId>,
    swept: Timestamp,
}

impl Registrar {
    /// A registrar with no live challenge.
    #[must_use]
    pub fn new(policy: Policy, keys: Keys, relay: RelayId) -> Self {
        Self {
            policy,
            keys,
            relay,
            challenges: BTreeMap::new(),
            by_account: BTreeMap::new(),
            swept: Timestamp::default(),
        }
    }

    /// Other limits from now on. What was drawn and counted stays.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// What a challenge costs.
    ///
    /// # Errors
    /// [`RegisterRefusal::TooSoon`] before a code for the same address may be sent again, and when too many challenges
    /// live; [`RegisterRefusal::CountryNotServed`].
    pub fn may_challenge(
        &mut self,
        account: AccountId,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Charges, RegisterRefusal> {
        self.sweep_if_due(now);
        if let Some(live) = self.by_account.get(&account).and_then(|id| self.challenges.get(id))
            && live.identifier == *identifier
            && !live.used
        {
            wait_until(live.resend_after, now)?;
        }
        if self.challenges.len() >= self.policy.max_tracked {
            return Err(at_capacity());
        }
        Place::of(identifier, &self.keys.pepper).challenge(&self.policy, account)
    }

    /// Deals out a challenge whose costs were counted; the account's earlier one, if any, ends.
    #[must_use]
    pub fn challenge(
        &mut self,
        account: AccountId,
        identifier: Identifier,
        via: SentVia,
        cx: &mut Cx<'_>,
    ) -> (Challenged, Dispatch) {
        let now = cx.now;
        if let Some(replaced) = self.by_account.remove(&account) {
            self.challenges.remove(&replaced);
        }
        let id = ChallengeId::random(cx.rng);
        let mut nonce = [0u8; 32];
        cx.rng.fill_bytes(&mut nonce);
        let code = Code::random(cx.rng);
        let challenge = Challenge {
            account,
            nonce,
            code_hash: self.code_hash(code.digits(), account, &nonce),
            expires_at: now.plus(self.policy.code_lifetime),
            resend_after: now.plus(self.policy.resend_after),
            attempts_left: self.policy.attempts,
            sends: 1,
            via,
            used: false,
            identifier: identifier.clone(),
        };
        let answer = challenge.told(id);
        self.by_account.insert(account, id);
        self.challenges.insert(id, challenge);
        let if_failed = Place::of(&identifier, &self.keys.pepper).failed();
        (answer, Dispatch { challenge: id, identifier, code, if_failed })
    }

    /// What another code for a live challenge costs.
    ///
    /// # Errors
    /// [`RegisterRefusal::NoChallenge`], or [`RegisterRefusal::TooSoon`] before its time and after the last send.
    pub fn may_resend(
        &mut self,
        account: AccountId,
        id: ChallengeId,
        now: Timestamp,
    ) -> Result<Charges, RegisterRefusal> {
        self.sweep_if_due(now);
        let live = self.live(account, id, now)?;
        wait_until(live.resend_after, now)?;
        if live.sends >= self.policy.max_sends {
            let retry = live.expires_at.since(now);
            return Err(Over { limit: LimitName::Address, retry }.into());
        }
        Place::of(&live.identifier, &self.keys.pepper).send(&self.policy)
    }

    /// Draws another code for a live challenge, whose costs were counted. The earlier code is good no more; tries
    /// and expiry stay as they are.
    ///
    /// # Errors
    /// [`RegisterRefusal::NoChallenge`].
    pub fn resend(
        &mut self,
        account: AccountId,
        id: ChallengeId,
        cx: &mut Cx<'_>,
    ) -> Result<(Challenged, Dispatch), RegisterRefusal> {
        let now = cx.now;
        let live = self.live(account, id, now)?;
        let (identifier, nonce) = (live.identifier.clone(), live.nonce);
        let code = Code::random(cx.rng);
        let code_hash = self.code_hash(code.digits(), account, &nonce);
        let first_wait = self.policy.resend_after;
        let live = self.challenges.get_mut(&id).ok_or(RegisterRefusal::NoChallenge)?;
        live.code_hash = code_hash;
        live.resend_after = now.plus(first_wait.saturating_mul(1 << live.sends.min(16)));
        live.sends = live.sends.saturating_add(1);
        let told = live.told(id);
        let if_failed = Place::of(&identifier, &self.keys.pepper).failed();
        Ok((told, Dispatch { challenge: id, identifier, code, if_failed }))
    }

    /// Judges an answer. Right or wrong, it is counted before it is compared. A code that was right is so again until it
    /// expires.
    ///
    /// # Errors
    /// [`RegisterRefusal::NoChallenge`], [`RegisterRefusal::WrongProof`] (no try is used: no
    /// code was looked at), or [`RegisterRefusal::WrongCode`].
    pub fn verify(
        &mut self,
        account: AccountId,
        id: ChallengeId,
        code: &str,
        answer: &Proof,
        now: Timestamp,
    ) -> Result<Verified, RegisterRefusal> {
        self.sweep_if_due(now);
        let live = self.told(account, id, now)?;
        if !proof::verifies(account, &live.nonce, self.relay, answer) {
            return Err(RegisterRefusal::WrongProof);
        }
        let expected = live.code_hash;
        let given = self.code_hash(code, account, &live.nonce);
        let right: bool = expected.ct_eq(&given).into();
        if live.used {
            return if right { Ok(Verified::Again) } else { Err(RegisterRefusal::NoChallenge) };
        }
        let identifier = live.identifier.hash(&self.keys.pepper);
        let counted = Place::of(&live.identifier, &self.keys.pepper).right();
        let via = live.via;
        let live = self.challenges.get_mut(&id).ok_or(RegisterRefusal::NoChallenge)?;
        live.attempts_left = live.attempts_left.saturating_sub(1);
        let attempts_left = live.attempts_left;
        live.used = right;
        if !right && attempts_left == 0 {
            self.end(id);
        }
        match right {
            true => Ok(Verified::Right(Right { identifier, via, counted })),
            false => Err(RegisterRefusal::WrongCode { attempts_left }),
        }
    }

    /// The code of this challenge could not be sent: it ends. The send stays counted, or a
    /// failing driver would lift the limits.
    pub fn undeliverable(&mut self, id: ChallengeId) {
        self.end(id);
    }

    /// Forgets what is over. Costs a walk over everything that is counted, so the inputs do it
    /// once a minute at most; no limit and no expiry depends on it.
    pub fn sweep(&mut self, now: Timestamp) {
        self.swept = now;
        let over: Vec<_> = self
            .challenges
            .iter()
            .filter(|(_, live)| live.expires_at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.end(id);
        }
    }

    /// Live challenges.
    #[must_use]
    pub fn live_challenges(&self) -> usize {
        self.challenges.len()
    }

    fn sweep_if_due(&mut self, now: Timestamp) {
        if now.since(self.swept) >= MINUTE {
            self.sweep(now);
        }
    }

    fn live(
        &self,
        account: AccountId,
        id: ChallengeId,
        now: Timestamp,
    ) -> Result<&Challenge, RegisterRefusal> {
        let told = self.told(account, id, now)?;
        if told.used { Err(RegisterRefusal::NoChallenge) } else { Ok(told) }
    }

    /// One that is live, or was until its code was right.
    fn told(
        &self,
        account: AccountId,
        id: ChallengeId,
        now: Timestamp,
    ) -> Result<&Challenge, RegisterRefusal> {
        self.challenges
            .get(&id)
            .filter(|live| live.account == account && live.expires_at > now)
            .ok_or(RegisterRefusal::NoChallenge)
    }

    fn end(&mut self, id: ChallengeId) {
        if let Some(ended) = self.challenges.remove(&id) {
            self.by_account.remove(&ended.account);
        }
    }

    /// HMAC-SHA256(otp key, code length (u8) ‖ code ‖ account ‖ nonce).
    fn code_hash(&self, code: &str, account: AccountId, nonce: &[u8; 32]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.keys.otp).expect("HMAC takes keys of any length");
        mac.update(&[u8::try_from(code.len()).unwrap_or(u8::MAX)]);
        mac.update(code.as_bytes());
        mac.update(&account.0);
        mac.update(nonce);
        mac.finalize().into_bytes().into()
    }
}

impl Challenge {
    fn told(&self, id: ChallengeId) -> Challenged {
        Challenged {
            challenge: id,
            nonce: self.nonce,
            expires_at: self.expires_at,
            resend_after: self.resend_after,
            attempts_left: self.attempts_left,
            sent_via: self.via,
            development_code: None,
        }
    }
}

#[cfg(test)]
mod tests;
