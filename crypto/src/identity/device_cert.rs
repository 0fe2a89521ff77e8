//! Device certificates: what an account states about one of its devices.
//!
//! ```text
//! ver 1 ‖ acct 32 ‖ dev u32 ‖ dev_pk 32 ‖ ix_pk 32 ‖ ix_ver u32 ‖ caps u32 ‖ created u64
//! ‖ expires u64 ‖ sig 64 over all preceding bytes, purpose "device cert"
//! ```
//!
//! Spec: `docs/protocol/session.md` §3.

use core::fmt;

use crate::agreement::AgreementKey;
use crate::identity::{
    AccountKey, BadSignature, Identity, PRIMARY_DEVICE, Purpose, SIGNATURE_LEN, Signature,
    VerifyingKey,
};
use crate::layout::{LayoutError, Reader, Writer};

/// Bytes of a device certificate.
pub const DEVICE_CERT_LEN: usize = 189;

/// Version byte of [`DeviceCert`].
const DEVICE_CERT_VERSION: u8 = 1;

/// What an account states about one of its devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertSpec {
    /// Device number; [`PRIMARY_DEVICE`] holds the account key.
    pub device: u32,
    /// The device's own Ed25519 key (the account key for device 0).
    pub device_key: VerifyingKey,
    /// The identity agreement key.
    pub agreement_key: AgreementKey,
    /// Its version; monotone per account.
    pub agreement_version: u32,
    /// Capability bits; unknown bits are kept and ignored.
    pub capabilities: u32,
    /// Unix seconds at which the certificate was made.
    pub created: u64,
    /// Unix seconds after which it is void; 0 for never.
    pub expires: u64,
}

/// A device certificate whose signature has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCert {
    bytes: [u8; DEVICE_CERT_LEN],
    account: AccountKey,
    spec: DeviceCertSpec,
}

/// Why bytes are no device certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceCertError {
    /// The bytes do not have the layout.
    #[error("device certificate: {0}")]
    Layout(#[from] LayoutError),
    /// A version this release does not know.
    #[error("unknown device certificate version")]
    UnknownVersion,
    /// Device 0 with a key other than the account's.
    #[error("the primary device does not hold the account key")]
    PrimaryKeyMismatch,
    /// The account did not sign it.
    #[error("device certificate: {0}")]
    Signature(#[from] BadSignature),
}

impl DeviceCert {
    /// Signs what `spec` states; reached through [`Identity::certify`].
    pub(super) fn sign(identity: &Identity, spec: &DeviceCertSpec) -> Self {
        let mut w = Writer::with_capacity(DEVICE_CERT_LEN);
        w.u8(DEVICE_CERT_VERSION)
            .bytes(identity.account().as_bytes())
            .u32(spec.device)
            .bytes(spec.device_key.as_bytes())
            .bytes(spec.agreement_key.as_bytes())
            .u32(spec.agreement_version)
            .u32(spec.capabilities)
            .u64(spec.created)
            .u64(spec.expires);
        let signature = identity.sign(Purpose::DeviceCert, &[w.as_slice()]);
        w.bytes(signature.as_bytes());
        let mut bytes = [0; DEVICE_CERT_LEN];
        bytes.copy_from_slice(w.as_slice());
        Self { bytes, account: identity.account(), spec: spec.clone() }
    }

    /// Reads and verifies a certificate.
    ///
    /// Expiry is the caller's: see [`DeviceCert::is_current`].
    ///
    /// # Errors
    /// [`DeviceCertError`] for every way in which the bytes are not a certificate.
    pub fn decode(bytes: &[u8]) -> Result<Self, DeviceCertError> {
        let mut r = Reader::new(bytes);
        let raw: [u8; DEVICE_CERT_LEN] = r.array()?;
        r.finish()?;
        let mut r = Reader::new(&raw);
        if r.u8()? != DEVICE_CERT_VERSION {
            return Err(DeviceCertError::UnknownVersion);
        }
        let account = AccountKey::from_bytes(r.array()?);
        let spec = DeviceCertSpec {
            device: r.u32()?,
            device_key: VerifyingKey::from_bytes(r.array()?),
            agreement_key: AgreementKey::from_bytes(r.array()?),
            agreement_version: r.u32()?,
            capabilities: r.u32()?,
            created: r.u64()?,
            expires: r.u64()?,
        };
        let signature = Signature::from_bytes(r.array()?);
        r.finish()?;
        if spec.device == PRIMARY_DEVICE && spec.device_key != account.verifying_key() {
            return Err(DeviceCertError::PrimaryKeyMismatch);
        }
        let (signed, _) = raw.split_at(DEVICE_CERT_LEN - SIGNATURE_LEN);
        account.verify(Purpose::DeviceCert, &[signed], &signature)?;
        Ok(Self { bytes: raw, account, spec })
    }

    /// The bytes as signed.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; DEVICE_CERT_LEN] {
        &self.bytes
    }

    /// The account that signed.
    #[must_use]
    pub const fn account(&self) -> AccountKey {
        self.account
    }

    /// What it states.
    #[must_use]
    pub const fn spec(&self) -> &DeviceCertSpec {
        &self.spec
    }

    /// Whether the certificate has not expired at `now` (Unix seconds).
    #[must_use]
    pub const fn is_current(&self, now: u64) -> bool {
        self.spec.expires == 0 || now <= self.spec.expires
    }
}

impl fmt::Debug for DeviceCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes: _, account, spec } = self;
        f.debug_struct("DeviceCert")
            .field("account", account)
            .field("device", &spec.device)
            .finish_non_exhaustive()
    }
}
