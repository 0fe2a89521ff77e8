//! Invites: tokens, certificates, bundles and the requests that they lead to.

use std::sync::LazyLock;

use crypto::{Bundle, DeviceCert, Token, respond};

use crate::{WORLD, World, splice, text};

static SEALED: LazyLock<(World, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new();
    let sealed = world.bundle.seal(&world.token, &mut world.rng);
    (world, sealed)
});

/// Binary tokens: no panic, and what is accepted has one encoding.
pub fn token_bytes(data: &[u8]) {
    if let Ok(token) = Token::decode(data) {
        assert_eq!(token.as_bytes(), data);
    }
}

/// Token texts: no panic, and what is accepted is canonical up to case and white space.
pub fn token_text(data: &[u8]) {
    let text = text(data);
    if let Ok(token) = Token::parse(text) {
        assert!(token.to_text().eq_ignore_ascii_case(text.trim()));
    }
}

/// Device certificates: no panic, one encoding.
pub fn device_cert(data: &[u8]) {
    if let Ok(cert) = DeviceCert::decode(data) {
        assert_eq!(&cert.as_bytes()[..], data);
    }
}

/// Sealed bundles, damaged anywhere: refused unless untouched.
pub fn bundle(data: &[u8]) {
    let (world, sealed) = &*SEALED;
    let damaged = splice(sealed, data);
    assert_eq!(Bundle::open(&world.token, &damaged).is_ok(), damaged == *sealed);
    let _ = Bundle::open(&world.token, data);
}

/// Join requests, damaged anywhere: refused unless untouched.
pub fn join_request(data: &[u8]) {
    let world = &*WORLD;
    let damaged = splice(&world.request, data);
    let answer = respond(&world.alice, &world.token, &world.prekeys, &damaged);
    assert_eq!(answer.is_ok(), damaged == world.request);
    let _ = respond(&world.alice, &world.token, &world.prekeys, data);
}
