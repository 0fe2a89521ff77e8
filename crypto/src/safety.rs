//! Safety numbers: the permanent check that two people hold each other's keys.
//!
//! 60 decimal digits: 30 for each account key, the smaller half first, so that both screens show
//! the same. Each half is 5,200 rounds of SHA-512, which makes a near-collision search costly.
//!
//! Covers accounts and nothing else: devices and sessions may change under it.
//! Spec: `docs/protocol/session.md` §10.

use sha2::{Digest, Sha512};

use crate::identity::AccountKey;
use crate::kdf::label;

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

#[cfg(test)]
mod tests {
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
}
