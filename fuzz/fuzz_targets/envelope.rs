//! What a session opened: an envelope, or a typed refusal.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::envelope::Envelope;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::from_bytes(data) {
        // What was understood can be said again, and is then understood as the same.
        if let Ok(bytes) = envelope.to_bytes() {
            assert_eq!(Envelope::from_bytes(&bytes).as_ref(), Ok(&envelope));
        }
    }
});
