//! Prekeys and the bundle that publishes them.
//!
//! 1. Alice generates [`InvitePrekeys`] for one invite and keeps them sealed.
//! 2. She signs a [`Bundle`] over their public halves and her [`DeviceCert`], seals it under a key
//!    of the token, and serves it herself or through a relay's drop.
//! 3. Bob opens it with the same token; a [`Bundle`] exists only if seal, signatures and account
//!    all agreed.
//!
//! # Invariants
//! * Prekeys are random, belong to one invite and are deleted by the transaction
//!   that claims it: there is no directory to deplete or to substitute.
//! * Every public key in the signed bytes carries a type byte, so none passes for another.
//! * A sealed bundle always has [`BUNDLE_LEN`] bytes.
//!
//! Knows nothing of who asks for a bundle or how often. Spec: `docs/protocol/invite.md` §4.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::agreement::{AgreementKey, AgreementSecret};
use crate::identity::{
    BadSignature, DEVICE_CERT_LEN, DeviceCert, DeviceCertError, Identity, Purpose, SIGNATURE_LEN,
    Signature,
};
use crate::invite::Token;
use crate::kdf::label;
use crate::kem::{self, BadKemKey, KEM_KEY_LEN, KemSecret};
use crate::layout::{self, LayoutError, Reader, Writer};
use crate::secret::Secret;

/// Bytes of a sealed bundle.
pub const BUNDLE_LEN: usize = 2048;
/// Longest name in a bundle, in bytes of UTF-8.
pub const MAX_BUNDLE_NAME: usize = 64;
/// Longest group preview in a bundle, in bytes; opaque here.
pub const MAX_BUNDLE_PREVIEW: usize = 384;
/// Longest export of [`InvitePrekeys`].
pub const MAX_PREKEYS_LEN: usize = 138;

/// Version byte of a bundle, of its sealed form and of exported prekeys.
const VERSION: u8 = 1;
/// Type byte of an X25519 key in signed and hashed bytes.
pub(crate) const TYPE_X25519: u8 = 0x01;
/// Type byte of an ML-KEM-768 key in signed and hashed bytes.
pub(crate) const TYPE_ML_KEM: u8 = 0x02;
/// Stands where an optional key is absent.
pub(crate) const TYPE_ABSENT: u8 = 0x00;

const KIND_CONTACT: u8 = 1;
const KIND_GROUP: u8 = 2;
/// Bytes inside the seal.
const PADDED_LEN: usize = BUNDLE_LEN - 1 - XNONCE_LEN - TAG_LEN;

/// Why stored prekeys could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrekeyImportError {
    /// The bytes do not have the layout.
    #[error("stored prekeys: {0}")]
    Layout(#[from] LayoutError),
    /// Another version, or a field out of range.
    #[error("stored prekeys are of an unknown form")]
    UnknownForm,
}

/// The secret prekeys of one invite.
pub struct InvitePrekeys {
    pub(crate) device: u32,
    pub(crate) agreement_version: u32,
    pub(crate) spk: AgreementSecret,
    pub(crate) opk: Option<AgreementSecret>,
    pub(crate) kem: KemSecret,
}

impl InvitePrekeys {
    /// Draws the prekeys of `token` for the device that `cert` describes.
    ///
    /// A group token has no one-time prekey: several people redeem it.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(cert: &DeviceCert, token: &Token, rng: &mut R) -> Self {
        let one_time = !token.spec().kind.is_group();
        Self {
            device: cert.spec().device,
            agreement_version: cert.spec().agreement_version,
            spk: AgreementSecret::random(rng),
            opk: one_time.then(|| AgreementSecret::random(rng)),
            kem: KemSecret::random(rng),
        }
    }

    /// The bytes to seal in the vault.
    #[must_use]
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(MAX_PREKEYS_LEN);
        w.u8(VERSION).u32(self.device).u32(self.agreement_version);
        w.bytes(self.spk.to_secret().expose());
        match &self.opk {
            Some(opk) => w.u8(TYPE_X25519).bytes(opk.to_secret().expose()),
            None => w.u8(TYPE_ABSENT),
        };
        w.bytes(self.kem.seed().expose());
        Zeroizing::new(w.finish())
    }

    /// Reads what [`InvitePrekeys::export`] wrote.
    ///
    /// # Errors
    /// [`PrekeyImportError`].
    pub fn import(bytes: &[u8]) -> Result<Self, PrekeyImportError> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(PrekeyImportError::UnknownForm);
        }
        let (device, agreement_version) = (r.u32()?, r.u32()?);
        let spk = AgreementSecret::from_secret(&Secret::from_bytes(r.array()?));
        let opk = match r.u8()? {
            TYPE_ABSENT => None,
            TYPE_X25519 => Some(AgreementSecret::from_secret(&Secret::from_bytes(r.array()?))),
            _ => return Err(PrekeyImportError::UnknownForm),
        };
        let kem = KemSecret::from_seed(Secret::from_bytes(r.array()?));
        r.finish()?;
        Ok(Self { device, agreement_version, spk, opk, kem })
    }
}

impl fmt::Debug for InvitePrekeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, agreement_version, spk: _, opk: _, kem: _ } = self;
        f.debug_struct("InvitePrekeys")
            .field("device", device)
            .field("agreement_version", agreement_version)
            .finish_non_exhaustive()
    }
}

/// What the inviter may tell a token holder beside keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleInfo {
    /// A name as claimed by the inviter; at most [`MAX_BUNDLE_NAME`] bytes.
    pub name: Option<String>,
    /// A group preview, opaque here; at most [`MAX_BUNDLE_PREVIEW`] bytes.
    pub preview: Vec<u8>,
}

/// Why a bundle could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleBuildError {
    /// The name is empty or longer than [`MAX_BUNDLE_NAME`].
    #[error("bundle name is empty or too long")]
    Name,
    /// The preview is longer than [`MAX_BUNDLE_PREVIEW`].
    #[error("bundle preview is too long")]
    Preview,
    /// Identity, certificate, token and prekeys are not of one account, device and kind.
    #[error("bundle parts do not belong together")]
    Mismatch,
}

/// Why bytes are not the bundle of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not [`BUNDLE_LEN`] bytes.
    #[error("bundle has the wrong length")]
    Length,
    /// A version this release does not know.
    #[error("unknown bundle version")]
    UnknownVersion,
    /// Not sealed under this token's key, or altered.
    #[error("bundle does not open with this invite")]
    Sealed,
    /// The content does not have the layout.
    #[error("bundle: {0}")]
    Layout(#[from] LayoutError),
    /// A field has a value that the layout does not allow.
    #[error("bundle has a field out of range")]
    Fields,
    /// The certificate in it is not one.
    #[error("bundle: {0}")]
    Cert(#[from] DeviceCertError),
    /// It is another account's or another kind of invite's.
    #[error("bundle belongs to another invite")]
    Mismatch,
    /// The KEM key is not canonical.
    #[error("bundle: {0}")]
    KemKey(#[from] BadKemKey),
    /// The inviter did not sign it for this invite.
    #[error("bundle: {0}")]
    Signature(#[from] BadSignature),
}

/// The inviter's verified public keys for one invite.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    pub(crate) tid: [u8; 16],
    pub(crate) cert: DeviceCert,
    pub(crate) spk: AgreementKey,
    pub(crate) opk: Option<AgreementKey>,
    pub(crate) kem: Box<[u8; KEM_KEY_LEN]>,
    info: BundleInfo,
    bytes: Vec<u8>,
}

impl Bundle {
    /// Signs the public halves of `prekeys` for the invite `token`.
    ///
    /// # Errors
    /// [`BundleBuildError`] if a bound is exceeded or the parts do not belong together.
    pub fn sign(
        identity: &Identity,
        cert: &DeviceCert,
        token: &Token,
        prekeys: &InvitePrekeys,
        info: BundleInfo,
    ) -> Result<Self, BundleBuildError> {
        let spec = cert.spec();
        let belongs = cert.account() == identity.account()
            && token.account() == identity.account()
            && (spec.device, spec.agreement_version) == (prekeys.device, prekeys.agreement_version)
            && prekeys.opk.is_none() == token.spec().kind.is_group();
        if !belongs {
            return Err(BundleBuildError::Mismatch);
        }
        let name = info.name.as_deref().unwrap_or_default().as_bytes();
        if name.len() > MAX_BUNDLE_NAME || (info.name.is_some() && name.is_empty()) {
            return Err(BundleBuildError::Name);
        }
        if info.preview.len() > MAX_BUNDLE_PREVIEW {
            return Err(BundleBuildError::Preview);
        }
        let name_len = u8::try_from(name.len()).map_err(|_| BundleBuildError::Name)?;
        let preview_len =
            u16::try_from(info.preview.len()).map_err(|_| BundleBuildError::Preview)?;
        let kem = prekeys.kem.public();
        let (spk, opk) = (prekeys.spk.public(), prekeys.opk.as_ref().map(AgreementSecret::public));

        let mut w = Writer::with_capacity(PADDED_LEN);
        w.u8(VERSION).u8(if token.spec().kind.is_group() { KIND_GROUP } else { KIND_CONTACT });
        w.u32(token.spec().expires_minutes).bytes(cert.as_bytes());
        w.u8(TYPE_X25519).bytes(spk.as_bytes());
        match &opk {
            Some(opk) => w.u8(TYPE_X25519).bytes(opk.as_bytes()),
            None => w.u8(TYPE_ABSENT),
        };
        w.u8(TYPE_ML_KEM).bytes(&*kem);
        w.u8(name_len).bytes(name).u16(preview_len).bytes(&info.preview);
        let tid = token.derived().tid;
        let signature = identity.sign(Purpose::Bundle, &[&tid, w.as_slice()]);
        w.bytes(signature.as_bytes());
        Ok(Self { tid, cert: cert.clone(), spk, opk, kem, info, bytes: w.finish() })
    }

    /// Seals the bundle for holders of `token`; always [`BUNDLE_LEN`] bytes.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(&self, token: &Token, rng: &mut R) -> Vec<u8> {
        let mut nonce = [0; XNONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut body = Zeroizing::new(Vec::with_capacity(PADDED_LEN));
        body.extend_from_slice(&self.bytes);
        layout::pad(&mut body, PADDED_LEN);
        let tag = aead::xseal(&token.derived().bundle_key, &nonce, label::BUNDLE, &mut body);
        let mut w = Writer::with_capacity(BUNDLE_LEN);
        w.u8(VERSION).bytes(&nonce).bytes(&body).bytes(&tag);
        w.finish()
    }

    /// Opens and verifies the bundle of `token`.
    ///
    /// # Errors
    /// [`BundleError`]; toward the network all of them should look the same.
    pub fn open(token: &Token, sealed: &[u8]) -> Result<Self, BundleError> {
        if sealed.len() != BUNDLE_LEN {
            return Err(BundleError::Length);
        }
        let mut r = Reader::new(sealed);
        if r.u8()? != VERSION {
            return Err(BundleError::UnknownVersion);
        }
        let nonce = r.array()?;
        let mut body = Zeroizing::new(r.take(PADDED_LEN)?.to_vec());
        let tag = r.array()?;
        let keys = token.derived();
        aead::xopen(&keys.bundle_key, &nonce, label::BUNDLE, &mut body, &tag)
            .map_err(|_| BundleError::Sealed)?;
        let len = layout::unpadded_len(&body).ok_or(BundleError::Fields)?;
        let (content, _) = body.split_at(len);
        Self::decode(token, keys.tid, content)
    }

    fn decode(token: &Token, tid: [u8; 16], content: &[u8]) -> Result<Self, BundleError> {
        let mut r = Reader::new(content);
        if r.u8()? != VERSION {
            return Err(BundleError::UnknownVersion);
        }
        let group = match r.u8()? {
            KIND_CONTACT => false,
            KIND_GROUP => true,
            _ => return Err(BundleError::Fields),
        };
        let expires_minutes = r.u32()?;
        let cert: [u8; DEVICE_CERT_LEN] = r.array()?;
        let spk = typed_agreement_key(&mut r)?.ok_or(BundleError::Fields)?;
        let opk = typed_agreement_key(&mut r)?;
        if r.u8()? != TYPE_ML_KEM {
            return Err(BundleError::Fields);
        }
        let kem: Box<[u8; KEM_KEY_LEN]> = Box::new(r.array()?);
        let info = read_info(&mut r)?;
        let signature = Signature::from_bytes(r.array()?);
        r.finish()?;

        let (signed, _) = content.split_at(content.len().saturating_sub(SIGNATURE_LEN));
        token.account().verify(Purpose::Bundle, &[&tid, signed], &signature)?;
        let cert = DeviceCert::decode(&cert)?;
        let belongs = cert.account() == token.account()
            && group == token.spec().kind.is_group()
            && opk.is_none() == group
            && expires_minutes == token.spec().expires_minutes;
        if !belongs {
            return Err(BundleError::Mismatch);
        }
        kem::check_key(&kem)?;
        Ok(Self { tid, cert, spk, opk, kem, info, bytes: content.to_vec() })
    }

    /// The inviter's device certificate.
    #[must_use]
    pub const fn cert(&self) -> &DeviceCert {
        &self.cert
    }

    /// What the inviter tells about himself; claimed, not proven.
    #[must_use]
    pub const fn info(&self) -> &BundleInfo {
        &self.info
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tid: _, cert, spk: _, opk, kem: _, info: _, bytes: _ } = self;
        f.debug_struct("Bundle")
            .field("cert", cert)
            .field("one_time", &opk.is_some())
            .finish_non_exhaustive()
    }
}

fn typed_agreement_key(r: &mut Reader<'_>) -> Result<Option<AgreementKey>, BundleError> {
    match r.u8()? {
        TYPE_X25519 => Ok(Some(AgreementKey::from_bytes(r.array()?))),
        TYPE_ABSENT => Ok(None),
        _ => Err(BundleError::Fields),
    }
}

fn read_info(r: &mut Reader<'_>) -> Result<BundleInfo, BundleError> {
    let name_len = usize::from(r.u8()?);
    if name_len > MAX_BUNDLE_NAME {
        return Err(BundleError::Fields);
    }
    let name = core::str::from_utf8(r.take(name_len)?).map_err(|_| BundleError::Fields)?;
    let preview_len = usize::from(r.u16()?);
    if preview_len > MAX_BUNDLE_PREVIEW {
        return Err(BundleError::Fields);
    }
    Ok(BundleInfo {
        name: (!name.is_empty()).then(|| name.to_owned()),
        preview: r.take(preview_len)?.to_vec(),
    })
}

#[cfg(test)]
mod tests;
