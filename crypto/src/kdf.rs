//! Hashing and key derivation, and the table of every label.
//!
//! One hash for everything that matters to the protocol: SHA-256, HMAC-SHA256 (RFC 2104) and
//! HKDF-SHA256 (RFC 5869).
//!
//! # Invariants
//! * Every label is one constant of [`label`]; no label is a prefix-with-the-same-input-shape of
//!   another, and none is used for two purposes.
//! * Signature labels are not here but in [`crate::identity::Purpose`].
//!
//! Spec: `docs/protocol/session.md` §2 (table of labels).

use hkdf::HkdfExtract;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Every derivation and hash label of the protocol.
pub(crate) mod label {
    /// Seed to account signing key.
    pub(crate) const ACCOUNT: &[u8] = b"KITH/1 acct";
    /// Seed to identity agreement key, followed by its version.
    pub(crate) const AGREEMENT: &[u8] = b"KITH/1 ix";

    /// Salt under which an invite secret is extracted.
    pub(crate) const INVITE: &[u8] = b"KITH/1 invite";
    /// The inviter's database key of an invite.
    pub(crate) const INVITE_TID: &[u8] = b"KITH/1 invite tid";
    /// The relay's drop id of an invite.
    pub(crate) const INVITE_RID: &[u8] = b"KITH/1 invite rid";
    /// The key that seals the bundle.
    pub(crate) const INVITE_BUNDLE: &[u8] = b"KITH/1 invite bundle";
    /// The Ed25519 seed that signs deposits to the drop.
    pub(crate) const INVITE_DROP: &[u8] = b"KITH/1 invite drop";
    /// The pre-shared key of the handshake.
    pub(crate) const INVITE_PSK: &[u8] = b"KITH/1 invite psk";
    /// Associated data of a sealed bundle.
    pub(crate) const BUNDLE: &[u8] = b"KITH/1 bundle";

    /// First transcript hash of the handshake.
    pub(crate) const TRANSCRIPT_0: &[u8] = b"KITH/1 x0";
    /// Second transcript hash of the handshake.
    pub(crate) const TRANSCRIPT_1: &[u8] = b"KITH/1 x1";
    /// First key stage of the handshake.
    pub(crate) const KEYS_0: &[u8] = b"KITH/1 k0";
    /// Second key stage of the handshake.
    pub(crate) const KEYS_1: &[u8] = b"KITH/1 k1";

    /// First transcript hash of a re-keying.
    pub(crate) const REKEY_TRANSCRIPT: &[u8] = b"KITH/1 rekey x0";
    /// Pre-shared key to the key that seals offers, followed by both accounts.
    pub(crate) const REKEY_OFFER: &[u8] = b"KITH/1 rekey offer";
    /// Pre-shared key to the key that seals answers, followed by both accounts.
    pub(crate) const REKEY_ANSWER: &[u8] = b"KITH/1 rekey answer";
    /// Pre-shared key to what names a re-keying in its transcript, followed by counter and accounts.
    pub(crate) const REKEY_ID: &[u8] = b"KITH/1 rekey id";

    /// Root step, followed by the post-quantum epoch.
    pub(crate) const ROOT: &[u8] = b"KITH/1 rk";
    /// Message key to body key and nonce.
    pub(crate) const BODY: &[u8] = b"KITH/1 body";

    /// Short authentication string.
    pub(crate) const SAS: &[u8] = b"KITH/1 sas";
    /// Exporter: keys of droppable traffic, followed by direction and day.
    pub(crate) const EPHEMERAL: &[u8] = b"KITH/1 eph";
    /// Exporter: pre-shared key of a later re-initialisation.
    pub(crate) const REINIT: &[u8] = b"KITH/1 reinit";

    /// Safety number of one account.
    pub(crate) const SAFETY: &[u8] = b"KITH/1 safety";
    /// Fingerprint of one account in a verification code.
    pub(crate) const VERIFICATION: &[u8] = b"KITH/1 verify";

    /// Seed to the key of a backup and its commitment.
    pub(crate) const BACKUP: &[u8] = b"KITH/1 backup";

    /// Master key to the seed of the backup that a node keeps beside its store.
    pub(crate) const ROLLING_BACKUP: &[u8] = b"KITH/1 rolling backup";
    /// Unlock secret to key-encryption key.
    pub(crate) const KEK: &[u8] = b"KITH/1 kek";
    /// Unlock secret to key commitment.
    pub(crate) const KEK_COMMIT: &[u8] = b"KITH/1 kek commit";
    /// Master or generation key to tree key, followed by LP(name) and generation.
    pub(crate) const TREE: &[u8] = b"KITH/1 tree";
    /// The same for trees whose generation key is erasable.
    pub(crate) const ERASABLE_TREE: &[u8] = b"KITH/1 erasable tree";
    /// Master key to index key, followed by LP(name).
    pub(crate) const INDEX: &[u8] = b"KITH/1 idx";
}

/// Longest output of one [`hkdf_fill`].
pub(crate) const MAX_OKM: usize = 256;

/// SHA-256 over the concatenation of `parts`.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HMAC-SHA256 over the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Secret<32> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Secret::from_bytes(mac.finalize().into_bytes().into())
}

/// HKDF-SHA256: extracts the concatenation of `ikm` under `salt`, expands with the concatenation
/// of `info`, and cuts the output into `outputs` in order.
pub(crate) fn hkdf_fill(salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
    for part in ikm {
        extract.input_ikm(part);
    }
    let (mut prk, hkdf) = extract.finalize();
    zeroize::Zeroize::zeroize(prk.as_mut_slice());

    let mut okm = Zeroizing::new([0; MAX_OKM]);
    let total: usize = outputs.iter().map(|out| out.len()).sum();
    let okm = okm.get_mut(..total).expect("callers ask for at most MAX_OKM bytes");
    hkdf.expand_multi_info(info, okm).expect("256 bytes are below HKDF's limit of 8,160");
    let mut rest = &*okm;
    for out in outputs {
        let (head, tail) = rest.split_at(out.len());
        out.copy_from_slice(head);
        rest = tail;
    }
}

/// [`hkdf_fill`] with a single output.
pub(crate) fn hkdf<const N: usize>(salt: &[u8], ikm: &[&[u8]], info: &[&[u8]]) -> Secret<N> {
    let mut out = Secret::zero();
    hkdf_fill(salt, ikm, info, &mut [out.bytes_mut()]);
    out
}
