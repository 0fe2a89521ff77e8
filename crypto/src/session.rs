//! An established session between two devices.
//!
//! 1. A handshake yields a [`Session`] on each side.
//! 2. [`Session::encrypt`] and [`Session::decrypt`] move its ratchet; the caller persists
//!    [`Session::export`] together with the frame or the plaintext, in one transaction, before it
//!    sends or acknowledges anything.
//! 3. [`Session::sas`] gives both people the same six symbols once both nonces are known.
//!
//! # Invariants
//! * A refused frame leaves `export()` byte-identical.
//! * The peer's account comes from the handshake and from nothing that a frame says.
//! * Nothing here reads a clock: `now` is Unix seconds, given by the caller.
//!
//! Knows nothing of messages, contacts, transports or storage. Spec: `docs/protocol/session.md`.

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::identity::AccountKey;
use crate::kdf::{hkdf, label, sha256};
use crate::layout::{Reader, Writer};
use crate::ratchet::{
    DecryptError, EncryptError, FRAME_CLASSES, InitialKeys, Ratchet, SessionImportError,
};
use crate::secret::Secret;

/// Longest [`Session::export`].
pub const MAX_SESSION_LEN: usize = 90 * 1024;
/// Bytes of a SAS nonce.
pub const SAS_NONCE_LEN: usize = 32;
/// Symbols of a short authentication string.
pub const SAS_SYMBOLS: usize = 6;
/// Bytes of an envelope id.
pub const ENVELOPE_ID_LEN: usize = 16;

/// Version byte of an exported session.
const SESSION_VERSION: u8 = 1;
/// Bytes of an export before the ratchet.
const PREFIX_LEN: usize = 1 + 1 + 32 + 4 + 16 + 32 + 32 + 32;

/// Which side of the handshake a device was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Redeemed the invite and sent the join request.
    Initiator,
    /// Issued the invite.
    Responder,
}

impl Role {
    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    /// The byte that marks what this side sends, so that nothing can be reflected.
    #[must_use]
    pub const fn direction(self) -> u8 {
        match self {
            Self::Initiator => 1,
            Self::Responder => 2,
        }
    }

    const fn from_direction(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Initiator),
            2 => Some(Self::Responder),
            _ => None,
        }
    }
}

/// The handshake's results that outlive it.
pub(crate) struct Established {
    pub(crate) peer: AccountKey,
    pub(crate) peer_device: u32,
    pub(crate) sid: [u8; 16],
    pub(crate) transcript: [u8; 32],
    pub(crate) sas_key: Secret<32>,
    pub(crate) exporter: Secret<32>,
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, peer_device, sid: _, transcript: _, sas_key: _, exporter: _ } = self;
        f.debug_struct("Established")
            .field("peer", peer)
            .field("peer_device", peer_device)
            .finish_non_exhaustive()
    }
}

/// A session with one device of one account.
pub struct Session {
    pub(crate) shared: Established,
    pub(crate) ratchet: Ratchet,
}

impl Session {
    pub(crate) fn initiator(
        shared: Established,
        keys: InitialKeys,
        prekey: crate::agreement::AgreementKey,
    ) -> Self {
        Self { shared, ratchet: Ratchet::initiator(keys, prekey) }
    }

    pub(crate) fn responder(
        shared: Established,
        keys: InitialKeys,
        prekey: &crate::agreement::AgreementSecret,
    ) -> Self {
        Self { shared, ratchet: Ratchet::responder(keys, prekey) }
    }

    /// The peer's account.
    #[must_use]
    pub const fn peer(&self) -> AccountKey {
        self.shared.peer
    }

    /// Our side of the handshake.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.ratchet.role()
    }

    /// The id that both sides give this session.
    #[must_use]
    pub const fn id(&self) -> [u8; 16] {
        self.shared.sid
    }

    /// How many post-quantum epochs have been mixed in since the handshake.
    #[must_use]
    pub const fn pq_epoch(&self) -> u32 {
        self.ratchet.pq_epoch()
    }

    /// Encrypts `plaintext` into a frame of the smallest class that fits.
    ///
    /// The caller persists the new state *and the frame* before it sends; a retry resends the same
    /// bytes and never encrypts again.
    ///
    /// # Errors
    /// [`EncryptError`]; the state is then unchanged.
    pub fn encrypt<R: CryptoRng + ?Sized>(
        &mut self,
        plaintext: &[u8],
        now: u64,
        rng: &mut R,
    ) -> Result<Vec<u8>, EncryptError> {
        self.ratchet.encrypt(&self.shared.transcript, plaintext, now, rng)
    }

    /// Decrypts a frame.
    ///
    /// # Errors
    /// [`DecryptError`]; the state is then unchanged, to the byte.
    pub fn decrypt(&mut self, frame: &[u8], now: u64) -> Result<Vec<u8>, DecryptError> {
        if !FRAME_CLASSES.contains(&frame.len()) {
            return Err(DecryptError::Length);
        }
        self.ratchet.decrypt(&self.shared.transcript, frame, now)
    }

    /// The short authentication string: six symbols of six bits.
    ///
    /// `initiator_nonce` was committed to before `responder_nonce` was sent (see [`sas_commit`]).
    #[must_use]
    pub fn sas(
        &self,
        initiator_nonce: &[u8; SAS_NONCE_LEN],
        responder_nonce: &[u8; SAS_NONCE_LEN],
    ) -> [u8; SAS_SYMBOLS] {
        let bits: Secret<8> = hkdf(
            b"",
            &[self.shared.sas_key.expose()],
            &[label::SAS, initiator_nonce, responder_nonce, &self.shared.transcript],
        );
        let bits = u64::from_be_bytes(*bits.expose());
        let mut symbols = [0; SAS_SYMBOLS];
        for (symbol, shift) in symbols.iter_mut().zip([58, 52, 46, 40, 34, 28]) {
            *symbol = u8::try_from(bits >> shift & 0x3F).expect("six bits fit a byte");
        }
        symbols
    }

    /// The pre-shared key of a later re-initialisation with this peer.
    #[must_use]
    pub fn reinit_psk(&self) -> Secret<32> {
        hkdf(b"", &[self.shared.exporter.expose()], &[label::REINIT])
    }

    /// The key of droppable traffic that `sender` sends on day `day` (Unix days).
    #[must_use]
    pub fn ephemeral(&self, sender: Role, day: u32) -> Secret<32> {
        let info: &[&[u8]] = &[label::EPHEMERAL, &[sender.direction()], &day.to_be_bytes()];
        hkdf(b"", &[self.shared.exporter.expose()], info)
    }

    /// The whole state, to be sealed in the vault; at most [`MAX_SESSION_LEN`] bytes.
    #[must_use]
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let Established { peer, peer_device, sid, transcript, sas_key, exporter } = &self.shared;
        let mut w = Writer::with_capacity(PREFIX_LEN.saturating_add(self.ratchet.stored_len_max()));
        w.u8(SESSION_VERSION)
            .u8(self.role().direction())
            .bytes(peer.as_bytes())
            .u32(*peer_device)
            .bytes(sid)
            .bytes(transcript)
            .bytes(sas_key.expose())
            .bytes(exporter.expose());
        self.ratchet.write(&mut w);
        Zeroizing::new(w.finish())
    }

    /// Reads what [`Session::export`] wrote.
    ///
    /// # Errors
    /// [`SessionImportError`].
    pub fn import(bytes: &[u8]) -> Result<Self, SessionImportError> {
        if bytes.len() > MAX_SESSION_LEN {
            return Err(SessionImportError::TooLong);
        }
        let mut r = Reader::new(bytes);
        if r.u8()? != SESSION_VERSION {
            return Err(SessionImportError::UnknownForm);
        }
        let role = Role::from_direction(r.u8()?).ok_or(SessionImportError::UnknownForm)?;
        let shared = Established {
            peer: AccountKey::from_bytes(r.array()?),
            peer_device: r.u32()?,
            sid: r.array()?,
            transcript: r.array()?,
            sas_key: Secret::from_bytes(r.array()?),
            exporter: Secret::from_bytes(r.array()?),
        };
        let ratchet = Ratchet::read(&mut r, role)?;
        r.finish()?;
        Ok(Self { shared, ratchet })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shared, ratchet } = self;
        f.debug_struct("Session").field("shared", shared).field("ratchet", ratchet).finish()
    }
}

/// The id under which relays and outboxes know a frame: the first half of its SHA-256.
#[must_use]
pub fn envelope_id(frame: &[u8]) -> [u8; ENVELOPE_ID_LEN] {
    let hash = sha256(&[frame]);
    let (id, _) = hash.split_first_chunk().expect("16 is below 32");
    *id
}

/// Draws a SAS nonce.
#[must_use]
pub fn sas_nonce<R: CryptoRng + ?Sized>(rng: &mut R) -> [u8; SAS_NONCE_LEN] {
    let mut nonce = [0; SAS_NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    nonce
}

/// The initiator's commitment to its nonce, sent in the join request.
#[must_use]
pub fn sas_commit(initiator_nonce: &[u8; SAS_NONCE_LEN]) -> [u8; 32] {
    sha256(&[initiator_nonce])
}

/// Whether a revealed nonce is the one committed to. Neither is secret.
#[must_use]
pub fn sas_reveal_matches(commitment: &[u8; 32], initiator_nonce: &[u8; SAS_NONCE_LEN]) -> bool {
    sas_commit(initiator_nonce) == *commitment
}

#[cfg(test)]
mod tests;
