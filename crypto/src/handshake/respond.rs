//! The responder: who asks, what they say, and the same session.

use core::fmt;

use crate::aead::{self, TAG_LEN};
use crate::agreement::{AgreementKey, AgreementSecret, LowOrderKey};
use crate::handshake::schedule::StageZero;
use crate::handshake::transcript::{ResponderKeys, T0};
use crate::handshake::{CERT_NONCE, JOIN_REQUEST_LEN, REQUEST_VERSION, SEALED_CERT_LEN};
use crate::identity::{AccountKey, DeviceCert, DeviceCertError, Identity};
use crate::invite::Token;
use crate::kdf::label;
use crate::kem::KemSecret;
use crate::layout::{LayoutError, Reader};
use crate::prekey::InvitePrekeys;
use crate::ratchet::DecryptError;
use crate::secret::Secret;
use crate::session::{Established, Session};

/// Why a join request was refused. Toward the network all of these look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RespondError {
    /// Not [`JOIN_REQUEST_LEN`] bytes.
    #[error("join request has the wrong length")]
    Length,
    /// A version this release does not know.
    #[error("unknown join request version")]
    UnknownVersion,
    /// The bytes do not have the layout.
    #[error("join request: {0}")]
    Layout(#[from] LayoutError),
    /// The token is not this identity's: a bug of the caller.
    #[error("invite belongs to another identity")]
    ForeignInvite,
    /// The requester's ephemeral key has low order.
    #[error("join request key: {0}")]
    PeerKey(#[from] LowOrderKey),
    /// Not made with this invite's secret and prekeys, or altered.
    #[error("join request does not open with this invite")]
    Sealed,
    /// The certificate in it is not one.
    #[error("join request: {0}")]
    Cert(#[from] DeviceCertError),
    /// The request names our own account.
    #[error("join request names our own account")]
    OwnAccount,
    /// The first frame is not authentic: the requester does not hold the certified agreement key.
    #[error("join request payload: {0}")]
    Payload(#[from] DecryptError),
}

/// An understood join request.
pub struct Responded {
    /// Who asks; proven by possession of the certified agreement key.
    pub peer: AccountKey,
    /// The requester's verified certificate; expiry is the caller's to judge.
    pub cert: DeviceCert,
    /// The first payload.
    pub payload: Vec<u8>,
    /// The session. Until the user accepts, it may carry nothing but the answer.
    pub session: Session,
}

impl fmt::Debug for Responded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, cert, payload: _, session } = self;
        f.debug_struct("Responded")
            .field("peer", peer)
            .field("cert", cert)
            .field("session", session)
            .finish_non_exhaustive()
    }
}

/// Reads a join request made with `token` and the public halves of `prekeys`.
///
/// The caller deletes `prekeys` of a contact invite in the transaction that stores the session.
///
/// # Errors
/// [`RespondError`]; nothing has changed, and the prekeys stay good for the next request.
pub fn respond(
    identity: &Identity,
    token: &Token,
    prekeys: &InvitePrekeys,
    request: &[u8],
) -> Result<Responded, RespondError> {
    if request.len() != JOIN_REQUEST_LEN {
        return Err(RespondError::Length);
    }
    let mut r = Reader::new(request);
    if r.u8()? != REQUEST_VERSION {
        return Err(RespondError::UnknownVersion);
    }
    if token.account() != identity.account() {
        return Err(RespondError::ForeignInvite);
    }
    let keys = token.derived();
    let held = Held {
        purpose: label::TRANSCRIPT_0,
        tid: &keys.tid,
        psk: &keys.psk,
        device: prekeys.device,
        agreement_version: prekeys.agreement_version,
        spk: &prekeys.spk,
        opk: prekeys.opk.as_ref(),
        kem: &prekeys.kem,
    };
    accept(identity, &held, r.into_rest())
}

/// The secret halves of what was [offered](super::join::Offered).
pub(crate) struct Held<'a> {
    /// What the handshake is for.
    pub(crate) purpose: &'a [u8],
    pub(crate) tid: &'a [u8; 16],
    pub(crate) psk: &'a Secret<32>,
    pub(crate) device: u32,
    pub(crate) agreement_version: u32,
    pub(crate) spk: &'a AgreementSecret,
    pub(crate) opk: Option<&'a AgreementSecret>,
    pub(crate) kem: &'a KemSecret,
}

/// Reads `EA ‖ ct ‖ c1 ‖ frame`; everything after `c1` is the frame.
pub(crate) fn accept(
    identity: &Identity,
    held: &Held<'_>,
    opening: &[u8],
) -> Result<Responded, RespondError> {
    let mut r = Reader::new(opening);
    let ephemeral = AgreementKey::from_bytes(r.array()?);
    let ciphertext = r.array()?;
    let sealed_cert: [u8; SEALED_CERT_LEN] = r.array()?;
    let frame = r.into_rest();

    let own_agreement = identity.agreement(held.agreement_version);
    let t0 = T0::new(
        &ResponderKeys {
            purpose: held.purpose,
            tid: held.tid,
            account: identity.account(),
            device: held.device,
            agreement: own_agreement.public(),
            spk: held.spk.public(),
            opk: held.opk.map(AgreementSecret::public),
            kem: &held.kem.public(),
        },
        &ephemeral,
        &ciphertext,
    );
    let preliminary = StageZero {
        psk: held.psk,
        ephemeral_signed: held.spk.agree(&ephemeral)?,
        ephemeral_one_time: held.opk.map(|opk| opk.agree(&ephemeral)).transpose()?,
        post_quantum: held.kem.decapsulate(&ciphertext),
    }
    .derive(&t0);
    let cert = open_cert(preliminary.cert_key.expose(), &t0, &sealed_cert)?;
    if cert.account() == identity.account() {
        return Err(RespondError::OwnAccount);
    }

    let th = t0.bind(&sealed_cert, &cert);
    let derived = preliminary.derive(
        &held.spk.agree(&cert.spec().agreement_key)?,
        &own_agreement.agree(&ephemeral)?,
        &th,
    );
    let shared = Established {
        peer: cert.account(),
        peer_device: cert.spec().device,
        sid: derived.sid,
        transcript: th,
        sas_key: derived.sas_key,
        exporter: derived.exporter,
    };
    let mut session = Session::responder(shared, derived.ratchet, held.spk);
    let payload = session.ratchet.decrypt(&th, frame, 0)?;
    Ok(Responded { peer: cert.account(), cert, payload, session })
}

fn open_cert(
    key: &[u8; 32],
    t0: &T0,
    sealed: &[u8; SEALED_CERT_LEN],
) -> Result<DeviceCert, RespondError> {
    let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(RespondError::Length)?;
    let mut body = body.to_vec();
    aead::open(key, &CERT_NONCE, &t0.0, &mut body, tag).map_err(|_| RespondError::Sealed)?;
    Ok(DeviceCert::decode(&body)?)
}
