//! Re-keying: a new session with a contact, when one side has lost the old ones.
//!
//! 1. Whoever lost them draws [`RekeyPrekeys`] and sends an [`Offer`]: their public halves, signed,
//!    with a counter that only rises, sealed under a key that the two have shared since they met.
//! 2. The other [`answer`]s as if the offer were an invite: the handshake of `docs/protocol/session.md`
//!    with that shared key as `psk`. Its new session can seal at once.
//! 3. The first [`complete`]s, and deletes the prekeys.
//!
//! ```text
//! offer   0x01 ‖ N 24 ‖ XChaCha20-Poly1305(k_offer, pad(content), ad = label ‖ from ‖ to) ‖ tag 16
//! content counter u64 ‖ DeviceCert 189 ‖ 0x01 ‖ SPK 32 ‖ 0x02 ‖ ek 1184 ‖ signature 64
//! answer  0x01 ‖ N 24 ‖ XChaCha20-Poly1305(k_answer, EA ‖ ct ‖ c1 ‖ frame, ad = label ‖ from ‖ to) ‖ tag 16
//! ```
//!
//! # Invariants
//! * Both have the length and the first byte of a frame, and look random behind it: a relay cannot
//!   tell a re-keying from a message.
//! * Prekeys belong to one offer and are deleted by the transaction that stores its session.
//! * An account that is not the one we know never re-keys: it is another contact.
//!
//! Knows nothing of when to offer, or of counters seen before. Spec: `docs/protocol/rekey.md`.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::agreement::{AgreementKey, AgreementSecret};
use crate::handshake::{
    Held, JoinError, OPENING_LEN, Offered, RespondError, Responded, accept, initiate,
};
use crate::identity::{
    AccountKey, BadSignature, DEVICE_CERT_LEN, DeviceCert, DeviceCertError, Identity, Purpose,
    SIGNATURE_LEN, Signature,
};
use crate::kdf::{hkdf, label};
use crate::kem::{self, BadKemKey, KEM_KEY_LEN, KemSecret};
use crate::layout::{self, LayoutError, Reader, Writer};
use crate::prekey::{PrekeyImportError, TYPE_ML_KEM, TYPE_X25519};
use crate::secret::Secret;
use crate::session::Session;

/// Bytes of an offer and of an answer: the second class of frames.
pub const REKEY_LEN: usize = 2048;

/// First byte of both, and of a frame.
const VERSION: u8 = 1;
/// Bytes inside the seal.
const INNER_LEN: usize = REKEY_LEN - 1 - XNONCE_LEN - TAG_LEN;
/// Bytes of the frame that fills an answer up.
const FRAME_LEN: usize = INNER_LEN - OPENING_LEN;
/// Bytes of exported prekeys.
const PREKEYS_LEN: usize = 1 + 8 + 4 + 4 + 32 + 64;

/// The secret prekeys of one offer.
pub struct RekeyPrekeys {
    counter: u64,
    device: u32,
    agreement_version: u32,
    spk: AgreementSecret,
    kem: KemSecret,
}

impl RekeyPrekeys {
    /// Draws the prekeys of offer number `counter`, for the device that `cert` describes.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(cert: &DeviceCert, counter: u64, rng: &mut R) -> Self {
        Self {
            counter,
            device: cert.spec().device,
            agreement_version: cert.spec().agreement_version,
            spk: AgreementSecret::random(rng),
            kem: KemSecret::random(rng),
        }
    }

    /// The bytes to seal in the vault.
    #[must_use]
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(PREKEYS_LEN);
        w.u8(VERSION).u64(self.counter).u32(self.device).u32(self.agreement_version);
        w.bytes(self.spk.to_secret().expose()).bytes(self.kem.seed().expose());
        Zeroizing::new(w.finish())
    }

    /// Reads what [`RekeyPrekeys::export`] wrote.
    ///
    /// # Errors
    /// [`PrekeyImportError`].
    pub fn import(bytes: &[u8]) -> Result<Self, PrekeyImportError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(PrekeyImportError::UnknownForm);
        }
        let counter = r.u64()?;
        let (device, agreement_version) = (r.u32()?, r.u32()?);
        let spk = AgreementSecret::from_secret(&Secret::from_bytes(r.array()?));
        let kem = KemSecret::from_seed(Secret::from_bytes(r.array()?));
        r.finish()?;
        Ok(Self { counter, device, agreement_version, spk, kem })
    }
}

impl fmt::Debug for RekeyPrekeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counter, device, agreement_version: _, spk: _, kem: _ } = self;
        f.debug_struct("RekeyPrekeys")
            .field("counter", counter)
            .field("device", device)
            .finish_non_exhaustive()
    }
}

/// Why bytes are no offer of this contact. Most frames that do not open are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Not sealed by this contact for us under this key, or altered.
    #[error("no offer of this contact")]
    Sealed,
    /// The content does not have the layout.
    #[error("offer: {0}")]
    Layout(#[from] LayoutError),
    /// A field has a value that the layout does not allow.
    #[error("offer has a field out of range")]
    Fields,
    /// The certificate in it is not one.
    #[error("offer: {0}")]
    Cert(#[from] DeviceCertError),
    /// The certificate is another account's.
    #[error("offer names another account")]
    Mismatch,
    /// The KEM key is not canonical.
    #[error("offer: {0}")]
    KemKey(#[from] BadKemKey),
    /// The account did not sign it for us.
    #[error("offer: {0}")]
    Signature(#[from] BadSignature),
}

/// A contact's verified public keys for one re-keying.
#[derive(Clone)]
pub struct Offer {
    counter: u64,
    cert: DeviceCert,
    spk: AgreementKey,
    kem: Box<[u8; KEM_KEY_LEN]>,
}

impl Offer {
    /// Seals the public halves of `prekeys` for `to`; always [`REKEY_LEN`] bytes. Costs an ML-KEM key
    /// generation.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        (identity, cert): (&Identity, &DeviceCert),
        prekeys: &RekeyPrekeys,
        to: AccountKey,
        psk: &Secret<32>,
        rng: &mut R,
    ) -> Vec<u8> {
        let mut w = Writer::with_capacity(INNER_LEN);
        w.u64(prekeys.counter).bytes(cert.as_bytes());
        w.u8(TYPE_X25519).bytes(prekeys.spk.public().as_bytes());
        w.u8(TYPE_ML_KEM).bytes(&*prekeys.kem.public());
        let signature = identity.sign(Purpose::RekeyOffer, &[to.as_bytes(), w.as_slice()]);
        w.bytes(signature.as_bytes());
        let mut content = w.finish();
        layout::pad(&mut content, INNER_LEN);
        Seal::new(label::REKEY_OFFER, psk, identity.account(), to).seal(content, rng)
    }

    /// Opens and verifies an offer of `from` to `to`.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn open(
        sealed: &[u8],
        from: AccountKey,
        to: AccountKey,
        psk: &Secret<32>,
    ) -> Result<Self, OfferError> {
        let body = Seal::new(label::REKEY_OFFER, psk, from, to).open(sealed);
        let body = body.ok_or(OfferError::Sealed)?;
        let len = layout::unpadded_len(&body).ok_or(OfferError::Fields)?;
        let (content, _) = body.split_at(len);
        let mut r = Reader::new(content);
        let counter = r.u64()?;
        let cert: [u8; DEVICE_CERT_LEN] = r.array()?;
        if r.u8()? != TYPE_X25519 {
            return Err(OfferError::Fields);
        }
        let spk = AgreementKey::from_bytes(r.array()?);
        if r.u8()? != TYPE_ML_KEM {
            return Err(OfferError::Fields);
        }
        let kem: Box<[u8; KEM_KEY_LEN]> = Box::new(r.array()?);
        let signature = Signature::from_bytes(r.array()?);
        r.finish()?;
        let (signed, _) = content.split_at(content.len().saturating_sub(SIGNATURE_LEN));
        from.verify(Purpose::RekeyOffer, &[to.as_bytes(), signed], &signature)?;
        let cert = DeviceCert::decode(&cert)?;
        if cert.account() != from {
            return Err(OfferError::Mismatch);
        }
        kem::check_key(&kem)?;
        Ok(Self { counter, cert, spk, kem })
    }

    /// Its number; a contact's offers only rise.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// The device that offers; expiry is the caller's to judge.
    #[must_use]
    pub const fn cert(&self) -> &DeviceCert {
        &self.cert
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counter, cert, spk: _, kem: _ } = self;
        f.debug_struct("Offer")
            .field("counter", counter)
            .field("cert", cert)
            .finish_non_exhaustive()
    }
}

/// An answered offer.
pub struct Answered {
    /// The exact bytes to persist, send and resend; [`REKEY_LEN`] of them.
    pub answer: Vec<u8>,
    /// The session, already past its first frame.
    pub session: Session,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answer: _, session } = self;
        f.debug_struct("Answered").field("session", session).finish_non_exhaustive()
    }
}

/// Answers an offer, as the device that `cert` describes. Call it once per offer.
///
/// # Errors
/// [`JoinError`].
pub fn answer<R: CryptoRng + ?Sized>(
    identity: &Identity,
    cert: &DeviceCert,
    offer: &Offer,
    psk: &Secret<32>,
    rng: &mut R,
) -> Result<Answered, JoinError> {
    let (from, to) = (identity.account(), offer.cert.account());
    let offered = Offered {
        purpose: label::REKEY_TRANSCRIPT,
        tid: &id(psk, offer.counter, to, from),
        psk,
        cert: &offer.cert,
        spk: offer.spk,
        opk: None,
        kem: &offer.kem,
    };
    let (opening, session) = initiate(identity, cert, &offered, (b"", FRAME_LEN), rng)?;
    let answer = Seal::new(label::REKEY_ANSWER, psk, from, to).seal(opening, rng);
    Ok(Answered { answer, session })
}

/// Reads the answer of `from` to the offer that was made with `prekeys`. What its first frame says is
/// to be ignored.
///
/// # Errors
/// [`RespondError`]; [`RespondError::Sealed`] for whatever is no answer to this offer. Nothing has
/// changed, and the prekeys stay good.
pub fn complete(
    identity: &Identity,
    prekeys: &RekeyPrekeys,
    from: AccountKey,
    psk: &Secret<32>,
    answer: &[u8],
) -> Result<Responded, RespondError> {
    let to = identity.account();
    let opening = Seal::new(label::REKEY_ANSWER, psk, from, to).open(answer);
    let opening = opening.ok_or(RespondError::Sealed)?;
    let held = Held {
        purpose: label::REKEY_TRANSCRIPT,
        tid: &id(psk, prekeys.counter, to, from),
        psk,
        device: prekeys.device,
        agreement_version: prekeys.agreement_version,
        spk: &prekeys.spk,
        opk: None,
        kem: &prekeys.kem,
    };
    let responded = accept(identity, &held, &opening)?;
    // Whoever else has the shared key is not who answers for them.
    if responded.peer == from { Ok(responded) } else { Err(RespondError::Sealed) }
}

/// What stands for the offer in the transcript.
fn id(psk: &Secret<32>, counter: u64, offers: AccountKey, answers: AccountKey) -> [u8; 16] {
    let info: &[&[u8]] =
        &[label::REKEY_ID, &counter.to_be_bytes(), offers.as_bytes(), answers.as_bytes()];
    *hkdf::<16>(b"", &[psk.expose()], info).expose()
}

/// What makes both look like frames.
struct Seal {
    key: Secret<32>,
    ad: Vec<u8>,
}

impl Seal {
    fn new(label: &[u8], psk: &Secret<32>, from: AccountKey, to: AccountKey) -> Self {
        let ad = [label, from.as_bytes(), to.as_bytes()].concat();
        Self { key: hkdf(b"", &[psk.expose()], &[&ad]), ad }
    }

    fn seal<R: CryptoRng + ?Sized>(&self, mut body: Vec<u8>, rng: &mut R) -> Vec<u8> {
        let mut nonce = [0; XNONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let tag = aead::xseal(&self.key, &nonce, &self.ad, &mut body);
        let mut w = Writer::with_capacity(REKEY_LEN);
        w.u8(VERSION).bytes(&nonce).bytes(&body).bytes(&tag);
        w.finish()
    }

    fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.len() != REKEY_LEN {
            return None;
        }
        let mut r = Reader::new(sealed);
        if r.u8().ok()? != VERSION {
            return None;
        }
        let nonce = r.array().ok()?;
        let mut body = Zeroizing::new(r.take(INNER_LEN).ok()?.to_vec());
        let tag = r.array().ok()?;
        aead::xopen(&self.key, &nonce, &self.ad, &mut body, &tag).ok()?;
        Some(body)
    }
}

#[cfg(test)]
mod tests;
