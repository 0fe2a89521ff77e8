//! The two key stages.

use crate::handshake::transcript::T0;
use crate::kdf::{hkdf_fill, label};
use crate::ratchet::InitialKeys;
use crate::secret::Secret;

/// Separates the input from any X25519 public key (PQXDH, X3DH §2.2).
const F: [u8; 32] = [0xFF; 32];

/// What the first stage takes.
#[derive(Debug)]
pub(super) struct StageZero<'a> {
    pub(super) psk: &'a Secret<32>,
    /// DH(EA, SPK).
    pub(super) ephemeral_signed: Secret<32>,
    /// DH(EA, OPK).
    pub(super) ephemeral_one_time: Option<Secret<32>>,
    /// The KEM's shared secret.
    pub(super) post_quantum: Secret<32>,
}

/// What the first stage yields.
#[derive(Debug)]
pub(super) struct Preliminary {
    /// Salt of the second stage.
    k0: Secret<32>,
    /// Seals the initiator's certificate; used once.
    pub(super) cert_key: Secret<32>,
}

/// What the second stage yields.
#[derive(Debug)]
pub(super) struct Final {
    pub(super) ratchet: InitialKeys,
    pub(super) sas_key: Secret<32>,
    pub(super) exporter: Secret<32>,
    pub(super) sid: [u8; 16],
}

impl StageZero<'_> {
    /// K0 ‖ Kid.
    pub(super) fn derive(&self, t0: &T0) -> Preliminary {
        let one_time: &[u8] = self.ephemeral_one_time.as_ref().map_or(&[], |dh| dh.expose());
        let (mut k0, mut cert_key) = (Secret::zero(), Secret::zero());
        hkdf_fill(
            self.psk.expose(),
            &[&F, self.ephemeral_signed.expose(), one_time, self.post_quantum.expose()],
            &[label::KEYS_0, &t0.0],
            &mut [k0.bytes_mut(), cert_key.bytes_mut()],
        );
        Preliminary { k0, cert_key }
    }
}

impl Preliminary {
    /// RK0 ‖ HKa0 ‖ NHKb0 ‖ SAS_K ‖ EXP ‖ SID from DH(IX_A, SPK) and DH(EA, IX_B).
    pub(super) fn derive(
        &self,
        identity_signed: &Secret<32>,
        ephemeral_identity: &Secret<32>,
        th: &[u8; 32],
    ) -> Final {
        let (mut root, mut initiator, mut responder) =
            (Secret::zero(), Secret::zero(), Secret::zero());
        let (mut sas_key, mut exporter, mut sid) = (Secret::zero(), Secret::zero(), [0; 16]);
        hkdf_fill(
            self.k0.expose(),
            &[identity_signed.expose(), ephemeral_identity.expose()],
            &[label::KEYS_1, th],
            &mut [
                root.bytes_mut(),
                initiator.bytes_mut(),
                responder.bytes_mut(),
                sas_key.bytes_mut(),
                exporter.bytes_mut(),
                &mut sid,
            ],
        );
        let ratchet =
            InitialKeys { root, initiator_header: initiator, responder_header: responder };
        Final { ratchet, sas_key, exporter, sid }
    }
}
