//! Kith as people run it: separate processes, spoken to over the local API alone.
//!
//! `KITH_ROUNDS`, `KITH_TRIALS` and `KITH_DAMAGES` make the short forms long, `KITH_SEED` repeats
//! one; each prints what it came to. The programs must be built first.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "processes/conversation.rs"]
mod conversation;
#[path = "processes/crashes.rs"]
mod crashes;
#[path = "processes/leaks.rs"]
mod leaks;
#[path = "processes/moving.rs"]
mod moving;
#[path = "processes/restore.rs"]
mod restore;
#[path = "processes/scanners.rs"]
mod scanners;
#[path = "processes/stores.rs"]
mod stores;
#[path = "processes/vault.rs"]
mod vault;

/// A number from the environment, or the short form's.
fn setting(variable: &str, short: u64) -> u64 {
    std::env::var(variable).ok().map_or(short, |text| text.parse().expect("a number"))
}
