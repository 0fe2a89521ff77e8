//! Everything that a stranger may send to a node or a relay.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::mailbox::wire::{MailboxRequest, MailboxResponse};
use protocol::registration::wire::{RegisterRequest, RegisterResponse};
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use protocol::wire::invite::{InviteRequest, InviteResponse};
use protocol::wire::{Wire, decode, encode};

/// What decodes is encoded to something that decodes to the same.
fn check<T: Wire + PartialEq>(data: &[u8]) {
    if let Ok(value) = decode::<T>(data) {
        let bytes = encode(&value).expect("what was short enough to decode is short enough");
        assert!(decode::<T>(&bytes).is_ok_and(|again| again == value));
    }
}

fuzz_target!(|data: &[u8]| {
    check::<EnvelopeRequest>(data);
    check::<EnvelopeResponse>(data);
    check::<InviteRequest>(data);
    check::<InviteResponse>(data);
    check::<MailboxRequest>(data);
    check::<MailboxResponse>(data);
    check::<RegisterRequest>(data);
    check::<RegisterResponse>(data);
});
