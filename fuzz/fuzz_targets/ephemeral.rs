//! Droppable messages: refused unless untouched.

#![no_main]

use std::sync::LazyLock;

use fuzz::{NOW, World, splice};
use libfuzzer_sys::fuzz_target;

static SEALED: LazyLock<(World, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new();
    let sealed = world.bob_session.seal_ephemeral(b"here", NOW, &mut world.rng).expect("short");
    (world, sealed)
});

fuzz_target!(|data: &[u8]| {
    let (world, sealed) = &*SEALED;
    let damaged = splice(sealed, data);
    let opened = world.alice_session.open_ephemeral(&damaged, NOW);
    assert_eq!(opened.is_ok(), damaged == *sealed);
    let _ = world.alice_session.open_ephemeral(data, NOW);
});
