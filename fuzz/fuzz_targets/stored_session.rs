//! Stored sessions: no panic on import or use, and an accepted state has one stored form.

#![no_main]

use std::sync::LazyLock;

use crypto::Session;
use fuzz::{NOW, World, splice};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

static STORED: LazyLock<Vec<u8>> = LazyLock::new(|| World::new().alice_session.export().to_vec());

fuzz_target!(|data: &[u8]| {
    for bytes in [data, &splice(&STORED, data)] {
        if let Ok(mut session) = Session::import(bytes) {
            assert_eq!(&session.export()[..], bytes);
            let _ = session.encrypt(b"x", NOW, &mut StdRng::seed_from_u64(2));
        }
    }
});
