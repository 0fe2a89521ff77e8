//! What both sides hash: T0 before the initiator is known, TH with both identities.

use crate::agreement::AgreementKey;
use crate::identity::{AccountKey, DeviceCert};
use crate::kdf::{label, sha256};
use crate::kem::{KEM_CIPHERTEXT_LEN, KEM_KEY_LEN};
use crate::layout::Writer;
use crate::prekey::{TYPE_ABSENT, TYPE_ML_KEM, TYPE_X25519};

/// X25519, ML-KEM-768, HKDF-SHA256, ChaCha20-Poly1305, Ed25519. The only suite of version 1.
const SUITE: u8 = 1;

/// The responder's side of an invite, as both hash it.
#[derive(Debug)]
pub(super) struct ResponderKeys<'a> {
    /// What the handshake is for: an invite, or a re-keying.
    pub(super) purpose: &'a [u8],
    pub(super) tid: &'a [u8; 16],
    pub(super) account: AccountKey,
    pub(super) device: u32,
    pub(super) agreement: AgreementKey,
    pub(super) spk: AgreementKey,
    pub(super) opk: Option<AgreementKey>,
    pub(super) kem: &'a [u8; KEM_KEY_LEN],
}

/// The hash of everything sent and agreed before the certificate.
pub(super) struct T0(pub(super) [u8; 32]);

impl T0 {
    pub(super) fn new(
        responder: &ResponderKeys<'_>,
        ephemeral: &AgreementKey,
        ciphertext: &[u8; KEM_CIPHERTEXT_LEN],
    ) -> Self {
        let mut w = Writer::with_capacity(1536);
        w.bytes(responder.purpose).u8(SUITE).lp(responder.tid);
        w.bytes(responder.account.as_bytes()).u32(responder.device);
        w.bytes(responder.agreement.as_bytes());
        w.u8(TYPE_X25519).bytes(responder.spk.as_bytes());
        match &responder.opk {
            Some(opk) => w.u8(TYPE_X25519).bytes(opk.as_bytes()),
            None => w.u8(TYPE_ABSENT),
        };
        w.u8(TYPE_ML_KEM).bytes(&sha256(&[responder.kem]));
        w.bytes(ephemeral.as_bytes()).bytes(ciphertext);
        Self(sha256(&[w.as_slice()]))
    }

    /// TH: adds the sealed certificate as sent, and whom it names.
    pub(super) fn bind(&self, sealed_cert: &[u8], cert: &DeviceCert) -> [u8; 32] {
        sha256(&[
            label::TRANSCRIPT_1,
            &self.0,
            sealed_cert,
            cert.account().as_bytes(),
            &cert.spec().device.to_be_bytes(),
            cert.spec().agreement_key.as_bytes(),
        ])
    }
}
