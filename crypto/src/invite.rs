//! Invite tokens: what a QR code or link carries.
//!
//! 1. Alice mints a [`Token`]: her account key, a 16-byte secret, an expiry and up to two relays,
//!    signed.
//! 2. Bob scans or pastes the text `KITH:I1/…` and parses it; a value exists only if it verified.
//! 3. Both derive the same [`TokenKeys`]; nobody without the token can, and the relay that keeps
//!    the drop learns none of them but the drop's id and public key.
//!
//! # Invariants
//! * One token has exactly one byte encoding, and one text up to letter case.
//! * Parsing allocates nothing before the length is checked.
//!
//! Knows nothing of claims, expiry clocks or relays' protocols. Spec: `docs/protocol/invite.md`.

use core::fmt;

use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;

use crate::identity::{
    AccountKey, BadSignature, Identity, Purpose, SIGNATURE_LEN, Signature, SigningKey, VerifyingKey,
};
use crate::kdf::{hkdf, label};
use crate::layout::{LayoutError, Reader, Writer};
use crate::secret::Secret;

/// What every invite text begins with, in its canonical upper case.
pub const TOKEN_PREFIX: &str = "KITH:I1/";
/// Most relay hints in a token.
pub const MAX_RELAY_HINTS: usize = 2;
/// Longest multiaddr of a relay hint, in bytes.
pub const MAX_RELAY_ADDR: usize = 64;
/// Bytes of the shortest token: a contact token without relays.
pub const TOKEN_LEN_MIN: usize = 119;
/// Bytes of the longest token: a group token with two relays of the longest address.
pub const TOKEN_LEN_MAX: usize = 315;
/// Characters of the longest token text.
pub const TOKEN_TEXT_MAX: usize = 512;
/// Bytes of the invite secret `S`.
pub const INVITE_SECRET_LEN: usize = 16;

/// Version byte of a token.
const TOKEN_VERSION: u8 = 1;
const FLAG_GROUP: u8 = 1;
const FLAG_RELAY: u8 = 1 << 1;
const FLAG_APPROVAL: u8 = 1 << 2;
const KNOWN_FLAGS: u8 = FLAG_GROUP | FLAG_RELAY | FLAG_APPROVAL;

/// Where the inviter can be reached through a relay.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayHint {
    /// The relay's Ed25519 key.
    pub relay: [u8; 32],
    /// A binary multiaddr, opaque here; at most [`MAX_RELAY_ADDR`] bytes.
    pub addr: Vec<u8>,
}

impl fmt::Debug for RelayHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { relay, addr: _ } = self;
        f.debug_struct("RelayHint")
            .field("relay", &crate::identity::short_hex(relay))
            .finish_non_exhaustive()
    }
}

/// Whom an invite admits, and to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InviteKind {
    /// One person, as a contact.
    Contact,
    /// Up to `max_uses` people, into a group.
    Group {
        /// At least 1.
        max_uses: u16,
    },
}

impl InviteKind {
    /// Whether this is a group invite.
    #[must_use]
    pub const fn is_group(self) -> bool {
        matches!(self, Self::Group { .. })
    }
}

/// What to put into a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// Contact or group.
    pub kind: InviteKind,
    /// Whether the inviter will be asked before anything is granted.
    pub approval: bool,
    /// Unix **minutes** after which the invite is void.
    pub expires_minutes: u32,
    /// At most [`MAX_RELAY_HINTS`].
    pub relays: Vec<RelayHint>,
}

/// Why a token could not be minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// More than [`MAX_RELAY_HINTS`].
    #[error("too many relay hints")]
    TooManyRelays,
    /// An address is empty or longer than [`MAX_RELAY_ADDR`].
    #[error("relay address is empty or too long")]
    RelayAddress,
    /// A group invite for nobody.
    #[error("a group invite needs at least one use")]
    NoUses,
}

/// Why text or bytes are not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than any token.
    #[error("invite is too long")]
    TooLong,
    /// The text does not begin with [`TOKEN_PREFIX`].
    #[error("not an invite")]
    Prefix,
    /// The text is not canonical base32.
    #[error("invite text is damaged")]
    Encoding,
    /// The bytes do not have the layout.
    #[error("invite: {0}")]
    Layout(#[from] LayoutError),
    /// A version this release does not know.
    #[error("unknown invite version")]
    UnknownVersion,
    /// Flags or counts that contradict each other or are unknown.
    #[error("invite fields contradict each other")]
    Fields,
    /// The inviter did not sign these bytes.
    #[error("invite: {0}")]
    Signature(#[from] BadSignature),
}

/// A verified invite.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    account: AccountKey,
    secret: [u8; INVITE_SECRET_LEN],
    spec: TokenSpec,
    bytes: Vec<u8>,
}

impl Token {
    /// Makes and signs a fresh invite.
    ///
    /// # Errors
    /// [`MintError`] if `spec` exceeds a bound.
    pub fn mint<R: CryptoRng + ?Sized>(
        identity: &Identity,
        spec: TokenSpec,
        rng: &mut R,
    ) -> Result<Self, MintError> {
        let relay_count = u8::try_from(spec.relays.len()).map_err(|_| MintError::TooManyRelays)?;
        if spec.relays.len() > MAX_RELAY_HINTS {
            return Err(MintError::TooManyRelays);
        }
        let mut secret = [0; INVITE_SECRET_LEN];
        rng.fill_bytes(&mut secret);
        let account = identity.account();

        let mut w = Writer::with_capacity(TOKEN_LEN_MAX);
        w.u8(TOKEN_VERSION).u8(flags(&spec)).bytes(account.as_bytes()).bytes(&secret);
        w.u32(spec.expires_minutes);
        if let InviteKind::Group { max_uses } = spec.kind {
            if max_uses == 0 {
                return Err(MintError::NoUses);
            }
            w.u16(max_uses);
        }
        w.u8(relay_count);
        for hint in &spec.relays {
            if hint.addr.is_empty() || hint.addr.len() > MAX_RELAY_ADDR {
                return Err(MintError::RelayAddress);
            }
            let len = u8::try_from(hint.addr.len()).map_err(|_| MintError::RelayAddress)?;
            w.bytes(&hint.relay).u8(len).bytes(&hint.addr);
        }
        let signature = identity.sign(Purpose::Invite, &[w.as_slice()]);
        w.bytes(signature.as_bytes());
        Ok(Self { account, secret, spec, bytes: w.finish() })
    }

    /// Reads and verifies the binary form.
    ///
    /// # Errors
    /// [`TokenError`]; nothing is allocated for an input longer than [`TOKEN_LEN_MAX`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TokenError> {
        if bytes.len() > TOKEN_LEN_MAX {
            return Err(TokenError::TooLong);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != TOKEN_VERSION {
            return Err(TokenError::UnknownVersion);
        }
        let flags = r.u8()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(TokenError::Fields);
        }
        let account = AccountKey::from_bytes(r.array()?);
        let secret = r.array()?;
        let expires_minutes = r.u32()?;
        let kind = if flags & FLAG_GROUP != 0 {
            InviteKind::Group { max_uses: r.u16()? }
        } else {
            InviteKind::Contact
        };
        let relays = read_relays(&mut r)?;
        if matches!(kind, InviteKind::Group { max_uses: 0 })
            || relays.is_empty() == (flags & FLAG_RELAY != 0)
        {
            return Err(TokenError::Fields);
        }
        let signature = Signature::from_bytes(r.array()?);
        r.finish()?;
        let (signed, _) = bytes.split_at(bytes.len().saturating_sub(SIGNATURE_LEN));
        account.verify(Purpose::Invite, &[signed], &signature)?;
        let spec =
            TokenSpec { kind, approval: flags & FLAG_APPROVAL != 0, expires_minutes, relays };
        Ok(Self { account, secret, spec, bytes: bytes.to_vec() })
    }

    /// Reads and verifies the text form: any letter case, surrounding white space ignored.
    ///
    /// # Errors
    /// [`TokenError`]; nothing is allocated for a text longer than [`TOKEN_TEXT_MAX`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TOKEN_TEXT_MAX {
            return Err(TokenError::TooLong);
        }
        let (prefix, body) = text.split_at_checked(TOKEN_PREFIX.len()).ok_or(TokenError::Prefix)?;
        if !prefix.eq_ignore_ascii_case(TOKEN_PREFIX) {
            return Err(TokenError::Prefix);
        }
        let bytes = BASE32_NOPAD
            .decode(body.to_ascii_uppercase().as_bytes())
            .map_err(|_| TokenError::Encoding)?;
        Self::decode(&bytes)
    }

    /// The binary form, as signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical text: a link and an alphanumeric QR payload at once. Whoever sees it holds
    /// the invite.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(TOKEN_TEXT_MAX);
        text.push_str(TOKEN_PREFIX);
        BASE32_NOPAD.encode_append(&self.bytes, &mut text);
        text
    }

    /// The inviter.
    #[must_use]
    pub const fn account(&self) -> AccountKey {
        self.account
    }

    /// What was minted.
    #[must_use]
    pub const fn spec(&self) -> &TokenSpec {
        &self.spec
    }

    /// Unix seconds after which the invite is void.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        u64::from(self.spec.expires_minutes).saturating_mul(60)
    }

    /// Derives the invite's keys.
    #[must_use]
    pub fn derived(&self) -> TokenKeys {
        let ikm: &[&[u8]] = &[&self.secret, self.account.as_bytes()];
        let derive = |info: &[u8]| hkdf::<32>(label::INVITE, ikm, &[info]);
        TokenKeys {
            tid: *hkdf::<16>(label::INVITE, ikm, &[label::INVITE_TID]).expose(),
            rid: *hkdf::<16>(label::INVITE, ikm, &[label::INVITE_RID]).expose(),
            bundle_key: derive(label::INVITE_BUNDLE),
            drop_key: SigningKey::from_seed(&derive(label::INVITE_DROP)),
            psk: derive(label::INVITE_PSK),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, secret: _, spec, bytes: _ } = self;
        f.debug_struct("Token")
            .field("account", account)
            .field("spec", spec)
            .finish_non_exhaustive()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
        zeroize::Zeroize::zeroize(&mut self.bytes);
    }
}

fn flags(spec: &TokenSpec) -> u8 {
    let group = if spec.kind.is_group() { FLAG_GROUP } else { 0 };
    let relay = if spec.relays.is_empty() { 0 } else { FLAG_RELAY };
    let approval = if spec.approval { FLAG_APPROVAL } else { 0 };
    group | relay | approval
}

fn read_relays(r: &mut Reader<'_>) -> Result<Vec<RelayHint>, TokenError> {
    let count = usize::from(r.u8()?);
    if count > MAX_RELAY_HINTS {
        return Err(TokenError::Fields);
    }
    let mut relays = Vec::with_capacity(count);
    for _ in 0..count {
        let relay = r.array()?;
        let len = usize::from(r.u8()?);
        if len == 0 || len > MAX_RELAY_ADDR {
            return Err(TokenError::Fields);
        }
        relays.push(RelayHint { relay, addr: r.take(len)?.to_vec() });
    }
    Ok(relays)
}

/// What only holders of a token can compute.
pub struct TokenKeys {
    /// The inviter's own key of the invite; never leaves a device in the clear.
    pub tid: [u8; 16],
    /// The id of the drop at a relay; public to that relay.
    pub rid: [u8; 16],
    /// Seals the bundle.
    pub bundle_key: Secret<32>,
    /// Signs deposits into the drop; the relay knows the public half.
    pub drop_key: SigningKey,
    /// The pre-shared key of the handshake.
    pub psk: Secret<32>,
}

impl TokenKeys {
    /// The public half of the drop key.
    #[must_use]
    pub fn drop_verifying_key(&self) -> VerifyingKey {
        self.drop_key.verifying_key()
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tid: _, rid: _, bundle_key: _, drop_key: _, psk: _ } = self;
        f.write_str("TokenKeys(..)")
    }
}

#[cfg(test)]
mod tests;
