//! The initiator: one request, one session.

use core::fmt;

use rand_core::CryptoRng;

use crate::aead;
use crate::agreement::{AgreementKey, AgreementSecret, LowOrderKey};
use crate::handshake::schedule::StageZero;
use crate::handshake::transcript::{ResponderKeys, T0};
use crate::handshake::{
    CERT_NONCE, FIRST_FRAME_LEN, MAX_JOIN_PAYLOAD, OPENING_LEN, REQUEST_VERSION,
};
use crate::identity::{DeviceCert, Identity};
use crate::invite::Token;
use crate::kdf::label;
use crate::kem::{self, BadKemKey, KEM_KEY_LEN};
use crate::layout::Writer;
use crate::prekey::Bundle;
use crate::ratchet::EncryptError;
use crate::secret::Secret;
use crate::session::{Established, Session};

/// Why an invite could not be redeemed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The first payload exceeds [`MAX_JOIN_PAYLOAD`].
    #[error("first payload is too long")]
    PayloadTooLong,
    /// The invite is our own.
    #[error("this is our own invite")]
    OwnInvite,
    /// The bundle was opened with another token.
    #[error("bundle belongs to another invite")]
    BundleMismatch,
    /// The certificate is not one of this identity's, or of another agreement key.
    #[error("certificate does not belong to this identity")]
    CertMismatch,
    /// One of the inviter's keys has low order.
    #[error("inviter's key: {0}")]
    PeerKey(#[from] LowOrderKey),
    /// The inviter's KEM key is not canonical.
    #[error("inviter's key: {0}")]
    KemKey(#[from] BadKemKey),
    /// The first frame could not be sealed.
    #[error("first payload: {0}")]
    Encrypt(#[from] EncryptError),
}

/// A redeemed invite on the initiator's side.
pub struct Joined {
    /// The exact bytes to persist, send and resend; [`JOIN_REQUEST_LEN`](super::JOIN_REQUEST_LEN)
    /// of them.
    pub request: Vec<u8>,
    /// The session, already past its first frame.
    pub session: Session,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request: _, session } = self;
        f.debug_struct("Joined").field("session", session).finish_non_exhaustive()
    }
}

/// Redeems `token` with its verified `bundle`, as the device that `cert` describes.
///
/// `first_payload` (at most [`MAX_JOIN_PAYLOAD`] bytes) travels encrypted inside the request.
/// Call it once per token: a second call makes a different request, which the inviter refuses.
/// Expiry is the caller's to judge.
///
/// # Errors
/// [`JoinError`].
pub fn join<R: CryptoRng + ?Sized>(
    identity: &Identity,
    cert: &DeviceCert,
    token: &Token,
    bundle: &Bundle,
    first_payload: &[u8],
    rng: &mut R,
) -> Result<Joined, JoinError> {
    if first_payload.len() > MAX_JOIN_PAYLOAD {
        return Err(JoinError::PayloadTooLong);
    }
    if identity.account() == token.account() {
        return Err(JoinError::OwnInvite);
    }
    let keys = token.derived();
    if bundle.tid != keys.tid || bundle.cert.account() != token.account() {
        return Err(JoinError::BundleMismatch);
    }
    let offered = Offered {
        purpose: label::TRANSCRIPT_0,
        tid: &keys.tid,
        psk: &keys.psk,
        cert: &bundle.cert,
        spk: bundle.spk,
        opk: bundle.opk,
        kem: &bundle.kem,
    };
    let (opening, session) =
        initiate(identity, cert, &offered, (first_payload, FIRST_FRAME_LEN), rng)?;
    let mut request = vec![REQUEST_VERSION];
    request.extend(opening);
    Ok(Joined { request, session })
}

/// The responder's public keys, and the secret that both have already.
pub(crate) struct Offered<'a> {
    /// What the handshake is for.
    pub(crate) purpose: &'a [u8],
    pub(crate) tid: &'a [u8; 16],
    pub(crate) psk: &'a Secret<32>,
    pub(crate) cert: &'a DeviceCert,
    pub(crate) spk: AgreementKey,
    pub(crate) opk: Option<AgreementKey>,
    pub(crate) kem: &'a [u8; KEM_KEY_LEN],
}

/// `EA ‖ ct ‖ c1 ‖ frame` and the session; the frame has the given length.
pub(crate) fn initiate<R: CryptoRng + ?Sized>(
    identity: &Identity,
    cert: &DeviceCert,
    offered: &Offered<'_>,
    (first_payload, frame_len): (&[u8], usize),
    rng: &mut R,
) -> Result<(Vec<u8>, Session), JoinError> {
    let own_agreement = identity.agreement(cert.spec().agreement_version);
    if cert.account() != identity.account() || cert.spec().agreement_key != own_agreement.public() {
        return Err(JoinError::CertMismatch);
    }
    initiate_as(cert, &own_agreement, offered, (first_payload, frame_len), rng)
}

/// The same, whoever the certificate belongs to.
pub(super) fn initiate_as<R: CryptoRng + ?Sized>(
    cert: &DeviceCert,
    own_agreement: &AgreementSecret,
    offered: &Offered<'_>,
    (first_payload, frame_len): (&[u8], usize),
    rng: &mut R,
) -> Result<(Vec<u8>, Session), JoinError> {
    let ephemeral = AgreementSecret::random(rng);
    let (ciphertext, post_quantum) = kem::encapsulate(offered.kem, rng)?;
    let responder = offered.cert.spec();
    let t0 = T0::new(
        &ResponderKeys {
            purpose: offered.purpose,
            tid: offered.tid,
            account: offered.cert.account(),
            device: responder.device,
            agreement: responder.agreement_key,
            spk: offered.spk,
            opk: offered.opk,
            kem: offered.kem,
        },
        &ephemeral.public(),
        &ciphertext,
    );
    let preliminary = StageZero {
        psk: offered.psk,
        ephemeral_signed: ephemeral.agree(&offered.spk)?,
        ephemeral_one_time: offered.opk.as_ref().map(|opk| ephemeral.agree(opk)).transpose()?,
        post_quantum,
    }
    .derive(&t0);

    let mut sealed_cert = cert.as_bytes().to_vec();
    let tag = aead::seal(preliminary.cert_key.expose(), &CERT_NONCE, &t0.0, &mut sealed_cert);
    sealed_cert.extend_from_slice(&tag);

    let th = t0.bind(&sealed_cert, cert);
    let derived = preliminary.derive(
        &own_agreement.agree(&offered.spk)?,
        &ephemeral.agree(&responder.agreement_key)?,
        &th,
    );
    let shared = Established {
        peer: offered.cert.account(),
        peer_device: responder.device,
        sid: derived.sid,
        transcript: th,
        sas_key: derived.sas_key,
        exporter: derived.exporter,
    };
    let mut session = Session::initiator(shared, derived.ratchet, offered.spk);
    let frame = session.ratchet.encrypt_first(&th, first_payload, frame_len, rng)?;

    let mut w = Writer::with_capacity(OPENING_LEN.saturating_add(frame_len));
    w.bytes(ephemeral.public().as_bytes()).bytes(&*ciphertext);
    w.bytes(&sealed_cert).bytes(&frame);
    Ok((w.finish(), session))
}
