use super::*;
use stun::attributes::{ATTR_USERNAME, AttrType};
use stun::message::{
    BINDING_REQUEST, BINDING_SUCCESS, METHOD_CREATE_PERMISSION, METHOD_SEND, MessageType,
};

/// The bytes of a message with attributes of these lengths.
fn with(typ: MessageType, attributes: &[(AttrType, usize)]) -> Vec<u8> {
    let mut message = Message::new();
    message.set_type(typ);
    message.write_header();
    for (attribute, length) in attributes {
        message.add(*attribute, &vec![b'x'; *length]);
    }
    message.raw
}

fn message(typ: MessageType, attribute: AttrType, length: usize) -> Vec<u8> {
    with(typ, &[(attribute, length)])
}

/// A request of somebody who claims to know a password.
fn signed(typ: MessageType) -> Vec<u8> {
    let mut message = Message::new();
    message.set_type(typ);
    message.write_header();
    message.add(ATTR_NONCE, b"nonce");
    message.add(ATTR_MESSAGE_INTEGRITY, &[0; 20]);
    message.raw
}

#[test]
fn datagrams_are_told_apart() {
    let permission = MessageType::new(METHOD_CREATE_PERMISSION, CLASS_REQUEST);
    let indication = MessageType::new(METHOD_SEND, CLASS_INDICATION);
    for (datagram, expected) in [
        (message(BINDING_REQUEST, ATTR_USERNAME, 8), Kind::Request { nonce: None }),
        (message(permission, ATTR_MESSAGE_INTEGRITY, 20), Kind::Request { nonce: None }),
        (signed(permission), Kind::Request { nonce: Some("nonce".into()) }),
        (signed(BINDING_REQUEST), Kind::Request { nonce: None }),
        (with(permission, &[(ATTR_EVEN_PORT, 4)]), Kind::Nothing),
        (with(permission, &[(ATTR_RESERVATION_TOKEN, 8)]), Kind::Nothing),
        (with(permission, &[(ATTR_XOR_PEER_ADDRESS, 8)]), Kind::Request { nonce: None }),
        (with(permission, &[(ATTR_XOR_PEER_ADDRESS, 8); 2]), Kind::Nothing),
        (message(permission, ATTR_USERNAME, 500), Kind::Nothing),
        (message(indication, ATTR_USERNAME, 500), Kind::Data),
        (message(BINDING_SUCCESS, ATTR_USERNAME, 8), Kind::Nothing),
        (vec![0x40, 0, 0, 4, 1, 2, 3, 4], Kind::Data),
        (vec![0x40, 0, 0, 4], Kind::Nothing),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Kind::Nothing),
        (Vec::new(), Kind::Nothing),
        (vec![0x40; MAX_DATAGRAM + 1], Kind::Nothing),
    ] {
        assert_eq!(kind(&datagram), expected, "{:?}…", datagram.get(..4));
    }
}
