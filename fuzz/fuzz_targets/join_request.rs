//! Join requests, damaged anywhere: refused unless untouched.

#![no_main]

use std::sync::LazyLock;

use crypto::respond;
use fuzz::{World, splice};
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|data: &[u8]| {
    let world = &*WORLD;
    let damaged = splice(&world.request, data);
    let answer = respond(&world.alice, &world.token, &world.prekeys, &damaged);
    assert_eq!(answer.is_ok(), damaged == world.request);
    let _ = respond(&world.alice, &world.token, &world.prekeys, data);
});
