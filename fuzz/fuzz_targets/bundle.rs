//! Sealed bundles, damaged anywhere: refused unless untouched.

#![no_main]

use std::sync::LazyLock;

use crypto::Bundle;
use fuzz::{World, splice};
use libfuzzer_sys::fuzz_target;

static SEALED: LazyLock<(World, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new();
    let sealed = world.bundle.seal(&world.token, &mut world.rng);
    (world, sealed)
});

fuzz_target!(|data: &[u8]| {
    let (world, sealed) = &*SEALED;
    let damaged = splice(sealed, data);
    assert_eq!(Bundle::open(&world.token, &damaged).is_ok(), damaged == *sealed);
    let _ = Bundle::open(&world.token, data);
});
