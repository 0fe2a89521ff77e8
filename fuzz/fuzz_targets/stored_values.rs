//! What a node keeps: damaged values are refused, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::chat::{Chat, Message};
use protocol::invite::Invite;
use protocol::outbox::Parcel;
use protocol::request::Request;
use protocol::session::Sessions;
use protocol::wire::decode;

fuzz_target!(|data: &[u8]| {
    let _ = decode::<Chat>(data);
    let _ = decode::<Message>(data);
    let _ = decode::<Parcel>(data);
    let _ = decode::<Request>(data);
    let _ = Sessions::from_bytes(data);
    if let Ok(invite) = decode::<Invite>(data) {
        let _ = invite.token();
    }
});
