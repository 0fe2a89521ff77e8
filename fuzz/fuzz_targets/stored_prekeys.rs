//! Stored prekeys: no panic, one stored form.

#![no_main]

use crypto::{ContactPrekeys, InvitePrekeys};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(prekeys) = InvitePrekeys::import(data) {
        assert_eq!(&prekeys.export()[..], data);
    }
    if let Ok(prekeys) = ContactPrekeys::import(data) {
        assert_eq!(&prekeys.export()[..], data);
    }
});
