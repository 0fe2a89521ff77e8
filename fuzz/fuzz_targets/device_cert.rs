//! Device certificates: no panic, one encoding.

#![no_main]

use crypto::DeviceCert;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(cert) = DeviceCert::decode(data) {
        assert_eq!(&cert.as_bytes()[..], data);
    }
});
