//! Safety numbers: the permanent check that two people hold each other's keys.
//!
//! 60 decimal digits: 30 for each account key, the smaller half first, so that both screens show
//! the same. Each half is 5,200 rounds of SHA-512, which makes a near-collision search costly.
//!
//! A [`VerificationCode`] is the same check for a camera: one person's node shows whom it belongs to and whom
//! it holds as the other, and the other's node compares both with what it holds.
//!
//! Both cover accounts and nothing else: devices and sessions may change under them.
//! Spec: `docs/protocol/session.md` §10.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha512};

use crate::identity::AccountKey;
use crate::kdf::{label, sha256};

/// Digits of a safety number.
pub const SAFETY_DIGITS: usize = 60;

/// Rounds of SHA-512 per account.
const ROUNDS: u32 = 5200;
/// Digits come in groups of five, each from five bytes.
const GROUP_DIGITS: usize = 5;
const GROUPS: usize = SAFETY_DIGITS / 2 / GROUP_DIGITS;

/// The safety number of two accounts: [`SAFETY_DIGITS`] ASCII digits, the same for both.
#[must_use]
pub fn safety_number(one: &AccountKey, other: &AccountKey) -> String {
    let mut halves = [half(one), half(other)];
    halves.sort_unstable();
    halves.concat()
}

fn half(account: &AccountKey) -> String {
    let mut hash =
        Sha512::new().chain_update(label::SAFETY).chain_update(account.as_bytes()).finalize();
    for _ in 1..ROUNDS {
        hash = Sha512::new().chain_update(hash).chain_update(account.as_bytes()).finalize();
    }
    hash.chunks_exact(GROUP_DIGITS)
        .take(GROUPS)
        .map(|group| {
            let value = group.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            format!("{:05}", value % 100_000)
        })
        .collect()
}

/// What a verification code begins with.
const CODE_PREFIX: &str = "KITH:V1/";
/// Bytes of an account's fingerprint: a second key with the same takes 2¹²⁸ tries.
const FINGERPRINT_LEN: usize = 16;
/// Letters of a code behind its prefix: 52.
const CODE_LETTERS: usize = (2 * FINGERPRINT_LEN * 8).div_ceil(5);

/// What one person's screen shows the other's camera: `KITH:V1/` and, in Base32 (RFC 4648) without padding,
/// the fingerprint of the account that shows it, then of the account it is shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationCode {
    shower: [u8; FINGERPRINT_LEN],
    reader: [u8; FINGERPRINT_LEN],
}

/// The text is no verification code of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a verification code")]
pub struct NotAVerificationCode;

/// What a verification code says to who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Both hold each other's keys.
    Match,
    /// Whoever shows it is another account than the one held for them.
    AnotherShower,
    /// They are who they are held for, and hold another account for the reader.
    AnotherReader,
}

impl VerificationCode {
    /// The code that `shower` shows to `reader`.
    #[must_use]
    pub fn new(shower: &AccountKey, reader: &AccountKey) -> Self {
        Self { shower: fingerprint(shower), reader: fingerprint(reader) }
    }

    /// What a QR code holds: upper case, which it stores densely.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{CODE_PREFIX}{}", BASE32_NOPAD.encode(&[self.shower, self.reader].concat()))
    }

    /// Reads what a camera saw; in any case, with white space around it.
    ///
    /// # Errors
    /// [`NotAVerificationCode`].
    pub fn parse(text: &str) -> Result<Self, NotAVerificationCode> {
        let text = text.trim();
        if text.len() != CODE_PREFIX.len().saturating_add(CODE_LETTERS) {
            return Err(NotAVerificationCode);
        }
        let text = text.to_ascii_uppercase();
        let letters = text.strip_prefix(CODE_PREFIX).ok_or(NotAVerificationCode)?;
        let bytes = BASE32_NOPAD.decode(letters.as_bytes()).map_err(|_| NotAVerificationCode)?;
        let (shower, reader) = bytes.split_first_chunk().ok_or(NotAVerificationCode)?;
        let reader = reader.try_into().map_err(|_| NotAVerificationCode)?;
        Ok(Self { shower: *shower, reader })
    }

    /// Compares it with what its reader holds: itself, and who is said to show it.
    #[must_use]
    pub fn judge(&self, reader: &AccountKey, shower: &AccountKey) -> Verdict {
        if self.shower != fingerprint(shower) {
            Verdict::AnotherShower
        } else if self.reader != fingerprint(reader) {
            Verdict::AnotherReader
        } else {
            Verdict::Match
        }
    }
}

fn fingerprint(account: &AccountKey) -> [u8; FINGERPRINT_LEN] {
    let hash = sha256(&[label::VERIFICATION, account.as_bytes()]);
    let (half, _) = hash.split_first_chunk().expect("16 is below 32");
    *half
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn account(byte: u8) -> AccountKey {
        AccountKey::from_bytes([byte; 32])
    }

    #[test]
    fn both_people_see_the_same_sixty_digits() {
        let number = safety_number(&account(1), &account(2));
        assert_eq!(number, safety_number(&account(2), &account(1)));
        assert_eq!(number.len(), SAFETY_DIGITS);
        assert!(number.bytes().all(|byte| byte.is_ascii_digit()));
        insta::assert_snapshot!("safety_number", number);
    }

    #[test]
    fn another_account_has_another_number() {
        assert_ne!(
            safety_number(&account(1), &account(2)),
            safety_number(&account(1), &account(3))
        );
    }

    #[test]
    fn a_code_is_right_for_the_two_it_names_and_for_nobody_else() {
        let (ada, ben, eve) = (account(1), account(2), account(3));
        let shown = VerificationCode::new(&ada, &ben);
        insta::assert_snapshot!("verification_code", shown.to_text());
        let read =
            VerificationCode::parse(&format!(" {}\n", shown.to_text().to_lowercase())).unwrap();
        assert_eq!(read.judge(&ben, &ada), Verdict::Match);
        // Eve stands between them: Ben holds her for Ada, or Ada holds her for Ben.
        assert_eq!(read.judge(&ben, &eve), Verdict::AnotherShower);
        let fooled = VerificationCode::new(&ada, &eve);
        assert_eq!(fooled.judge(&ben, &ada), Verdict::AnotherReader);
        // One's own code, read from one's own screen.
        assert_eq!(read.judge(&ada, &ben), Verdict::AnotherShower);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        let text = VerificationCode::new(&account(1), &account(2)).to_text();
        let longer = format!("{text}A");
        for wrong in ["", "KITH:V1/", "KITH:I1/MFRGG", &text[..text.len() - 1], &longer] {
            assert_eq!(VerificationCode::parse(wrong), Err(NotAVerificationCode), "{wrong}");
        }
        let other_version = text.replace("V1", "V2");
        assert_eq!(VerificationCode::parse(&other_version), Err(NotAVerificationCode));
        // The four bits that fill up the last letter are zero.
        let loose = format!("{}Z", &text[..text.len() - 1]);
        assert_eq!(VerificationCode::parse(&loose), Err(NotAVerificationCode));
        assert_eq!(VerificationCode::parse(&"é".repeat(30)), Err(NotAVerificationCode));
    }
}
