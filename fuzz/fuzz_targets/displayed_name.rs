//! A claimed name: whatever it was, what is shown is short and plain.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::contact::{MAX_NAME, displayable_name};

fuzz_target!(|claimed: &str| {
    let shown = displayable_name(claimed);
    assert!(shown.len() <= MAX_NAME);
    assert!(!shown.chars().any(char::is_control));
    assert_eq!(displayable_name(&shown), shown);
});
