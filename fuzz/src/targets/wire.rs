//! What strangers and contacts send.

use protocol::contact::{MAX_NAME, displayable_name};
use protocol::envelope::Envelope;
use protocol::blob::{Blob, BlobRequest, BlobResponse};
use protocol::mailbox::wire::{MailboxRequest, MailboxResponse};
use protocol::registration::wire::{RegisterRequest, RegisterResponse};
use protocol::turn::{TurnRequest, TurnResponse};
use protocol::wire::envelope::{EnvelopeRequest, EnvelopeResponse};
use protocol::wire::invite::{InviteRequest, InviteResponse};

use crate::{said_again, text};

/// Everything that a stranger may send to a node or a relay.
pub fn wire_messages(data: &[u8]) {
    said_again::<EnvelopeRequest>(data);
    said_again::<EnvelopeResponse>(data);
    said_again::<InviteRequest>(data);
    said_again::<InviteResponse>(data);
    said_again::<Blob>(data);
    said_again::<BlobRequest>(data);
    said_again::<BlobResponse>(data);
    said_again::<TurnRequest>(data);
    said_again::<TurnResponse>(data);
    said_again::<MailboxRequest>(data);
    said_again::<MailboxResponse>(data);
    said_again::<RegisterRequest>(data);
    said_again::<RegisterResponse>(data);
}

/// What a session opened: an envelope, or a typed refusal.
pub fn envelope(data: &[u8]) {
    if let Ok(envelope) = Envelope::from_bytes(data) {
        // What was understood can be said again, and is then understood as the same.
        if let Ok(bytes) = envelope.to_bytes() {
            assert_eq!(Envelope::from_bytes(&bytes).as_ref(), Ok(&envelope));
        }
    }
}

/// A claimed name: whatever it was, what is shown is short and plain.
pub fn displayed_name(data: &[u8]) {
    let shown = displayable_name(text(data));
    assert!(shown.len() <= MAX_NAME);
    assert!(!shown.chars().any(char::is_control));
    assert_eq!(displayable_name(&shown), shown);
}
