//! What the unit tests share: a reproducible generator and two people who met.

#![allow(clippy::unwrap_used, reason = "tests")]

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use crate::identity::{DeviceCert, Identity, Seed};
use crate::invite::{InviteKind, RelayHint, Token, TokenSpec};
use crate::kdf::sha256;
use crate::prekey::{Bundle, BundleInfo, InvitePrekeys};
use crate::secret::Secret;
use crate::session::Session;
use crate::{join, respond};

/// Block `i` is SHA-256(name ‖ i as u64 big-endian): frozen vectors must not depend on a crate's
/// generator, and a second implementation can reproduce it.
pub(crate) struct TestRng {
    name: &'static str,
    block: [u8; 32],
    used: usize,
    counter: u64,
}

impl TestRng {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, block: [0; 32], used: 32, counter: 0 }
    }
}

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            if self.used == 32 {
                self.block = sha256(&[self.name.as_bytes(), &self.counter.to_be_bytes()]);
                self.counter += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

/// 2026-01-01T00:00:00Z in Unix seconds.
pub(crate) const NOW: u64 = 1_767_225_600;

pub(crate) fn identity(byte: u8) -> Identity {
    Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])))
}

pub(crate) fn cert(identity: &Identity) -> DeviceCert {
    identity.primary_cert(1, NOW, 0)
}

pub(crate) fn contact_spec() -> TokenSpec {
    TokenSpec {
        kind: InviteKind::Contact,
        approval: true,
        expires_minutes: u32::try_from(NOW / 60).unwrap() + 10,
        relays: Vec::new(),
    }
}

pub(crate) fn group_spec() -> TokenSpec {
    TokenSpec {
        kind: InviteKind::Group { max_uses: 8 },
        relays: vec![
            RelayHint { relay: [7; 32], addr: b"eleven-byte".to_vec() },
            RelayHint { relay: [8; 32], addr: vec![9; 64] },
        ],
        ..contact_spec()
    }
}

/// Alice has issued an invite.
pub(crate) struct Invited {
    pub(crate) alice: Identity,
    pub(crate) token: Token,
    pub(crate) prekeys: InvitePrekeys,
    pub(crate) bundle: Bundle,
}

pub(crate) fn invited(spec: TokenSpec, rng: &mut TestRng) -> Invited {
    let alice = identity(0xA1);
    let token = Token::mint(&alice, spec, rng).unwrap();
    let cert = cert(&alice);
    let prekeys = InvitePrekeys::generate(&cert, &token, rng);
    let info = BundleInfo { name: Some("Alice".to_owned()), preview: Vec::new() };
    let bundle = Bundle::sign(&alice, &cert, &token, &prekeys, info).unwrap();
    Invited { alice, token, prekeys, bundle }
}

/// Bob (initiator) and Alice (responder) after Alice understood Bob's request.
pub(crate) fn sessions(rng: &mut TestRng) -> (Session, Session) {
    let invited = invited(contact_spec(), rng);
    let bob = identity(0xB0);
    let joined = join(&bob, &cert(&bob), &invited.token, &invited.bundle, b"hello", rng).unwrap();
    let responded =
        respond(&invited.alice, &invited.token, &invited.prekeys, &joined.request).unwrap();
    (joined.session, responded.session)
}
