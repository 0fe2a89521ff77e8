//! Who signs: the root seed, the account key, device certificates and free-standing keys.
//!
//! 1. A person's [`Seed`] (24 words) yields the account key and, per version, the identity
//!    agreement key; the two never convert into each other.
//! 2. The account signs a [`DeviceCert`] that names a device's key and its agreement key.
//! 3. Everything signed anywhere is `"KITH/1 sig <purpose>\0" ‖ LP(field)…`, so a signature for
//!    one [`Purpose`] can never pass for another, nor for one of libp2p's.
//!
//! # Invariants
//! * Verification is strict (RFC 8032 with small-order keys and points refused).
//! * A [`DeviceCert`] value exists only if the account's signature over its bytes was checked.
//! * Prekeys never derive from the seed, or the 24 words would undo forward secrecy.
//!
//! Knows nothing of peer ids, addresses, clocks or storage. Spec: `docs/protocol/session.md` §3.

mod device_cert;

use core::fmt;

use ed25519_dalek::Signer;
use rand_core::CryptoRng;

use crate::agreement::AgreementSecret;
use crate::kdf::{hkdf, label};
use crate::layout::Writer;
use crate::secret::Secret;

pub use self::device_cert::{DEVICE_CERT_LEN, DeviceCert, DeviceCertError, DeviceCertSpec};

/// Bytes of an Ed25519 public key.
pub const ACCOUNT_KEY_LEN: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// The first version of the identity agreement key.
pub const FIRST_AGREEMENT_VERSION: u32 = 1;
/// The device that holds the account key itself; the only one in release 1.
pub const PRIMARY_DEVICE: u32 = 0;

/// Bytes of a public key that logs may show.
const SHORT_BYTES: usize = 5;

/// The first five bytes in hexadecimal: enough to tell keys apart in a log, too few to look
/// anybody up.
pub(crate) fn short_hex(bytes: &[u8; 32]) -> String {
    let (head, _) = bytes.split_at(SHORT_BYTES);
    data_encoding::HEXLOWER.encode(head)
}

/// What a signature is for. The table of every signature label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// An invite token.
    Invite,
    /// The bundle behind an invite.
    Bundle,
    /// A device certificate.
    DeviceCert,
    /// An offer to re-key, for one account.
    RekeyOffer,
    /// A move from one account key to another, signed by both.
    AccountMove,
    /// Opening, reading or closing an invite's drop at a relay (by the inviter).
    DropOwner,
    /// A deposit into an invite's drop (by a holder of the token).
    Drop,
    /// Finishing a registration at a relay.
    Register,
    /// A relay's promise that it holds an item.
    Custody,
    /// A recipient's statement that items arrived.
    Delivered,
    /// Creating, reading or deleting a mailbox queue.
    MailboxOwner,
    /// A deposit into a mailbox queue.
    MailboxDeposit,
    /// Fetching the bundle kept beside an invite's drop (by a holder of the deposit key).
    MailboxBundle,
    /// A relay's word that a process is one of its own.
    RelayProcess,
    /// A relay's description of itself.
    RelayDescriptor,
    /// A peer's own addresses, handed over inside a session.
    Addresses,
    /// Consent to be added to a group.
    JoinConsent,
    /// An entry of a group's membership log.
    GroupEntry,
    /// A frame of a group's sender chain.
    GroupFrame,
}

impl Purpose {
    /// The label as it is signed, without prefix and terminator.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Bundle => "bundle",
            Self::DeviceCert => "device cert",
            Self::RekeyOffer => "rekey offer",
            Self::AccountMove => "account move",
            Self::DropOwner => "drop owner",
            Self::Drop => "drop",
            Self::Register => "register",
            Self::Custody => "custody",
            Self::Delivered => "delivered",
            Self::MailboxOwner => "mailbox owner",
            Self::MailboxDeposit => "mailbox deposit",
            Self::MailboxBundle => "mailbox bundle",
            Self::RelayProcess => "relay process",
            Self::RelayDescriptor => "relay descriptor",
            Self::Addresses => "addresses",
            Self::JoinConsent => "join consent",
            Self::GroupEntry => "group entry",
            Self::GroupFrame => "group frame",
        }
    }

    /// The exact bytes that are signed.
    fn message(self, fields: &[&[u8]]) -> Vec<u8> {
        let label = self.label().as_bytes();
        let payload: usize = fields.iter().map(|field| field.len().saturating_add(4)).sum();
        let mut w = Writer::with_capacity(payload.saturating_add(label.len()).saturating_add(12));
        w.bytes(b"KITH/1 sig ").bytes(label).u8(0);
        for field in fields {
            w.lp(field);
        }
        w.finish()
    }
}

/// A signature was refused: wrong key, purpose, fields or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_LEN]);

impl Signature {
    /// Takes bytes as they are; they are judged at verification.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; SIGNATURE_LEN]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes `R ‖ S`.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// A public Ed25519 key of a queue, a drop or a relay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifyingKey([u8; ACCOUNT_KEY_LEN]);

impl VerifyingKey {
    /// Takes bytes as they are; they are judged at verification.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ACCOUNT_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The compressed point.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ACCOUNT_KEY_LEN] {
        &self.0
    }

    /// The first five bytes in hexadecimal, for logs.
    #[must_use]
    pub fn short(&self) -> String {
        short_hex(&self.0)
    }

    /// Checks a signature strictly.
    ///
    /// # Errors
    /// [`BadSignature`], for every cause alike.
    pub fn verify(
        &self,
        purpose: Purpose,
        fields: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.verify_bytes(&purpose.message(fields), signature)
    }

    /// Checks a signature over exactly these bytes (RFC 8032 §5.1.7, and no key of small order).
    pub(crate) fn verify_bytes(
        &self,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.short())
    }
}

/// A secret Ed25519 key that stands alone: for a queue, a drop or a relay.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Draws a fresh key.
    #[must_use]
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_seed(&Secret::random(rng))
    }

    /// Uses a 32-byte Ed25519 seed (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_seed(seed: &Secret<32>) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// The seed to store.
    #[must_use]
    pub fn seed(&self) -> Secret<32> {
        Secret::from_bytes(*self.0.as_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `fields` for one purpose.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, fields: &[&[u8]]) -> Signature {
        Signature(self.0.sign(&purpose.message(fields)).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The public key that is an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey([u8; ACCOUNT_KEY_LEN]);

impl AccountKey {
    /// Takes bytes as they are; they are judged when a signature is verified.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; ACCOUNT_KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// The compressed Ed25519 point.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; ACCOUNT_KEY_LEN] {
        &self.0
    }

    /// The first five bytes in hexadecimal, for logs.
    #[must_use]
    pub fn short(&self) -> String {
        short_hex(&self.0)
    }

    /// The same key as a plain verifying key.
    #[must_use]
    pub const fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0)
    }

    /// Checks this account's signature strictly.
    ///
    /// # Errors
    /// [`BadSignature`], for every cause alike.
    pub fn verify(
        &self,
        purpose: Purpose,
        fields: &[&[u8]],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.verifying_key().verify(purpose, fields, signature)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.short())
    }
}

/// The 32 bytes from which an account can be restored.
pub struct Seed(Secret<32>);

impl Seed {
    /// Draws a fresh seed.
    #[must_use]
    pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(Secret::random(rng))
    }

    /// Takes over stored or typed bytes.
    #[must_use]
    pub const fn from_secret(secret: Secret<32>) -> Self {
        Self(secret)
    }

    /// The bytes, to be sealed in the vault or shown as words.
    #[must_use]
    pub const fn secret(&self) -> &Secret<32> {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// An account with its secrets.
pub struct Identity {
    seed: Secret<32>,
    signing: SigningKey,
    account: AccountKey,
}

impl Identity {
    /// Derives the account from its seed.
    #[must_use]
    pub fn from_seed(seed: &Seed) -> Self {
        let signing = SigningKey::from_seed(&hkdf(b"", &[seed.0.expose()], &[label::ACCOUNT]));
        let account = AccountKey(*signing.verifying_key().as_bytes());
        Self { seed: seed.0.duplicate(), signing, account }
    }

    /// The account key, which is also the key inside device 0's peer id.
    #[must_use]
    pub const fn account(&self) -> AccountKey {
        self.account
    }

    /// The Ed25519 seed of the account key, for the transport's key pair.
    #[must_use]
    pub fn signing_seed(&self) -> Secret<32> {
        self.signing.seed()
    }

    /// Signs `fields` for one purpose with the account key.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, fields: &[&[u8]]) -> Signature {
        self.signing.sign(purpose, fields)
    }

    /// The identity agreement key of a version.
    #[must_use]
    pub fn agreement(&self, version: u32) -> AgreementSecret {
        let info: &[&[u8]] = &[label::AGREEMENT, &version.to_be_bytes()];
        AgreementSecret::from_secret(&hkdf(b"", &[self.seed.expose()], info))
    }

    /// The certificate of device 0: its key is the account key.
    ///
    /// `created` and `expires` are Unix seconds; `expires` 0 means never.
    #[must_use]
    pub fn primary_cert(&self, agreement_version: u32, created: u64, expires: u64) -> DeviceCert {
        self.certify(&DeviceCertSpec {
            device: PRIMARY_DEVICE,
            device_key: self.account.verifying_key(),
            agreement_key: self.agreement(agreement_version).public(),
            agreement_version,
            capabilities: 0,
            created,
            expires,
        })
    }

    /// Signs a device certificate.
    #[must_use]
    pub fn certify(&self, spec: &DeviceCertSpec) -> DeviceCert {
        DeviceCert::sign(self, spec)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed: _, signing: _, account } = self;
        f.debug_struct("Identity").field("account", account).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
