//! Frames: whatever is refused leaves the state as it was.

#![no_main]

use std::sync::LazyLock;

use crypto::Session;
use fuzz::{NOW, World, splice};
use libfuzzer_sys::fuzz_target;

static FRAME: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new();
    let frame = world.bob_session.encrypt(b"honest", NOW, &mut world.rng).expect("short");
    (world.alice_session.export().to_vec(), frame)
});

fuzz_target!(|data: &[u8]| {
    let (stored, frame) = &*FRAME;
    let mut session = Session::import(stored).expect("our own export");
    let damaged = splice(frame, data);
    for bytes in [data, &damaged] {
        if session.decrypt(bytes, NOW).is_err() {
            assert_eq!(&session.export()[..], &stored[..]);
        } else {
            assert_eq!(bytes, frame);
        }
    }
});
