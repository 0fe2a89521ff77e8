//! Stored prekeys: no panic, one stored form.

#![no_main]

use crypto::InvitePrekeys;
use crypto::rekey::RekeyPrekeys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(prekeys) = InvitePrekeys::import(data) {
        assert_eq!(&prekeys.export()[..], data);
    }
    if let Ok(prekeys) = RekeyPrekeys::import(data) {
        assert_eq!(&prekeys.export()[..], data);
    }
});
