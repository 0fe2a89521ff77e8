//! The fuzz targets, and what they share: the same two people and the same invite on every run.
//!
//! A target is a function of bytes that panics when something is wrong. cargo-fuzz drives it through
//! `fuzz_targets`; `tests/corpus.rs` gives it what was found before.

use std::sync::LazyLock;

use crypto::{
    Bundle, BundleInfo, Identity, InviteKind, InvitePrekeys, Joined, Secret, Seed, Session, Token,
    TokenSpec, join, respond,
};
use protocol::wire::{Wire, decode, encode};
use rand::SeedableRng;
use rand::rngs::StdRng;

mod targets;

pub use targets::backup::backup;
pub use targets::conversation::conversation;
pub use targets::interaction::interaction;
pub use targets::invite::{bundle, device_cert, join_request, token_bytes, token_text};
pub use targets::session::{ephemeral, frame, rekey, stored_session};
pub use targets::stored::{key_file, stored_prekeys, stored_rows, stored_values};
pub use targets::texts::texts;
pub use targets::wire::{displayed_name, envelope, wire_messages};

macro_rules! named {
    ($($target:ident),* $(,)?) => { &[$((stringify!($target), $target)),*] };
}

/// Every target and its name: that of its entry point in `fuzz_targets`, and of its folder in `corpus`.
pub const TARGETS: &[(&str, fn(&[u8]))] = named![
    backup,
    bundle,
    conversation,
    device_cert,
    displayed_name,
    envelope,
    ephemeral,
    frame,
    interaction,
    join_request,
    key_file,
    rekey,
    stored_prekeys,
    stored_rows,
    stored_session,
    stored_values,
    texts,
    token_bytes,
    token_text,
    wire_messages,
];

/// 2026-01-01T00:00:00Z in Unix seconds.
pub const NOW: u64 = 1_767_225_600;

/// What most targets need, made once.
pub static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// An invite and both sides of the session it led to.
pub struct World {
    pub alice: Identity,
    pub bob: Identity,
    pub token: Token,
    pub prekeys: InvitePrekeys,
    pub bundle: Bundle,
    pub request: Vec<u8>,
    pub bob_session: Session,
    pub alice_session: Session,
    pub rng: StdRng,
}

fn identity(byte: u8) -> Identity {
    Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])))
}

impl World {
    /// Builds it, always the same.
    pub fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let (alice, bob) = (identity(1), identity(2));
        let spec = TokenSpec {
            kind: InviteKind::Contact,
            approval: true,
            expires_minutes: u32::MAX,
            relays: Vec::new(),
        };
        let token = Token::mint(&alice, spec, &mut rng).expect("a valid specification");
        let cert = alice.primary_cert(1, NOW, 0);
        let prekeys = InvitePrekeys::generate(&cert, &token, &mut rng);
        let bundle = Bundle::sign(&alice, &cert, &token, &prekeys, BundleInfo::default())
            .expect("parts of one account");
        let cert = bob.primary_cert(1, NOW, 0);
        let Joined { request, session } =
            join(&bob, &cert, &token, &bundle, b"", &mut rng).expect("an honest bundle");
        let responded = respond(&alice, &token, &prekeys, &request).expect("an honest request");
        Self {
            alice,
            bob,
            token,
            prekeys,
            bundle,
            request,
            bob_session: session,
            alice_session: responded.session,
            rng,
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Overwrites the front of `honest` with `data`, so that the fuzzer starts close to acceptance:
/// the first two bytes say where.
pub fn splice(honest: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = honest.to_vec();
    if let Some((at, patch)) = data.split_first_chunk::<2>() {
        let at = usize::from(u16::from_be_bytes(*at)) % out.len().max(1);
        for (byte, patch) in out.iter_mut().skip(at).zip(patch) {
            *byte ^= patch;
        }
    }
    out
}

/// The text that `data` begins with.
pub fn text(data: &[u8]) -> &str {
    data.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// What decodes is encoded to something that decodes to the same.
pub fn said_again<T: Wire + PartialEq>(data: &[u8]) -> Option<T> {
    let value = decode::<T>(data).ok()?;
    let bytes = encode(&value).expect("what was short enough to decode is short enough");
    assert!(decode::<T>(&bytes).is_ok_and(|again| again == value));
    Some(value)
}
