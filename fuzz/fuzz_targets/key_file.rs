//! Key files under a device key: refused unless untouched, and never an allocation by the file's
//! say-so.

#![no_main]

use std::sync::LazyLock;

use crypto::{KdfParams, Secret, Unlock, Vault};
use fuzz::splice;
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

static KEY: Secret<32> = Secret::from_bytes([7; 32]);
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(1);
    Vault::create(Unlock::DeviceKey(&KEY), KdfParams::default(), &mut rng)
        .expect("a device key needs no memory")
        .key_file(&mut rng)
});

fuzz_target!(|data: &[u8]| {
    let damaged = splice(&FILE, data);
    let opened = Vault::open(&damaged, Unlock::DeviceKey(&KEY));
    assert_eq!(opened.is_ok(), damaged == *FILE);
    let _ = Vault::open(data, Unlock::DeviceKey(&KEY));
});
