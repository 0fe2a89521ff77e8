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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every input of both stages, each of one byte's bits; `one_time` may be missing.
    #[derive(Clone, Copy)]
    struct Inputs {
        psk: u8,
        ephemeral_signed: u8,
        ephemeral_one_time: Option<u8>,
        post_quantum: u8,
        t0: u8,
        identity_signed: u8,
        ephemeral_identity: u8,
        th: u8,
    }

    const BASE: Inputs = Inputs {
        psk: 1,
        ephemeral_signed: 2,
        ephemeral_one_time: Some(3),
        post_quantum: 4,
        t0: 5,
        identity_signed: 6,
        ephemeral_identity: 7,
        th: 8,
    };

    fn secret(byte: u8) -> Secret<32> {
        Secret::from_bytes([byte; 32])
    }

    /// The certificate's key, and every key of the session.
    fn keys(inputs: Inputs) -> (Vec<u8>, Vec<Vec<u8>>) {
        let zero = StageZero {
            psk: &secret(inputs.psk),
            ephemeral_signed: secret(inputs.ephemeral_signed),
            ephemeral_one_time: inputs.ephemeral_one_time.map(secret),
            post_quantum: secret(inputs.post_quantum),
        };
        let preliminary = zero.derive(&T0([inputs.t0; 32]));
        let last = preliminary.derive(
            &secret(inputs.identity_signed),
            &secret(inputs.ephemeral_identity),
            &[inputs.th; 32],
        );
        let session = vec![
            last.ratchet.root.expose().to_vec(),
            last.ratchet.initiator_header.expose().to_vec(),
            last.ratchet.responder_header.expose().to_vec(),
            last.sas_key.expose().to_vec(),
            last.exporter.expose().to_vec(),
            last.sid.to_vec(),
        ];
        (preliminary.cert_key.expose().to_vec(), session)
    }

    /// Whoever lacks one input lacks every key: the invite's secret, each agreement, and the
    /// post-quantum secret by itself.
    #[test]
    fn every_key_depends_on_every_input() {
        let (cert_key, session) = keys(BASE);
        let first = [
            ("the invite's secret", Inputs { psk: 9, ..BASE }),
            ("DH(EA, SPK)", Inputs { ephemeral_signed: 9, ..BASE }),
            ("DH(EA, OPK)", Inputs { ephemeral_one_time: Some(9), ..BASE }),
            ("that there is an OPK", Inputs { ephemeral_one_time: None, ..BASE }),
            ("the KEM's secret", Inputs { post_quantum: 9, ..BASE }),
            ("what was sent", Inputs { t0: 9, ..BASE }),
        ];
        let second = [
            ("DH(IX_A, SPK)", Inputs { identity_signed: 9, ..BASE }),
            ("DH(EA, IX_B)", Inputs { ephemeral_identity: 9, ..BASE }),
            ("who both are", Inputs { th: 9, ..BASE }),
        ];
        for (what, inputs) in first {
            assert_ne!(keys(inputs).0, cert_key, "the certificate's key ignores {what}");
        }
        for (what, inputs) in first.into_iter().chain(second) {
            for (n, (key, base)) in keys(inputs).1.iter().zip(&session).enumerate() {
                assert_ne!(key, base, "key {n} of the session ignores {what}");
            }
        }
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let (cert_key, session) = keys(BASE);
        let starts: std::collections::BTreeSet<&[u8]> =
            session.iter().chain([&cert_key]).map(|key| &key[..16]).collect();
        assert_eq!(starts.len(), session.len() + 1);
    }
}
