//! Identifiers: newtypes, so that one kind can never stand in for another.
//!
//! All are opaque bytes. `Debug` shows five bytes at most: enough to follow one thing through
//! a log, too little to recover it.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

/// A text that is not the hexadecimal form of the wanted identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid identifier")]
pub struct ParseIdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// A fresh random identifier.
            pub fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
                let mut bytes = [0u8; $len];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// From exactly as many bytes as it has.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Ten hexadecimal digits for logs.
            #[must_use]
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..5])
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}…)"), self.short())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if text.len() != $len * 2 {
                    return Err(ParseIdError);
                }
                let bytes = data_encoding::HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .map_err(|_| ParseIdError)?;
                Self::from_slice(&bytes).ok_or(ParseIdError)
            }
        }
    };
}

id!(
    /// A person: their Ed25519 account key, which is also their node's libp2p identity key.
    AccountId,
    32
);
id!(
    /// A relay: its Ed25519 libp2p identity key.
    RelayId,
    32
);
id!(
    /// A sealed frame: the first 16 bytes of its SHA-256. The dedupe key everywhere.
    EnvelopeId,
    16
);
id!(
    /// A message, chosen at random by its author.
    MessageId,
    16
);
id!(
    /// A conversation. For two people: derived from both account keys.
    ChatId,
    16
);
id!(
    /// An invite in its inviter's ledger: the token id derived from its secret.
    InviteId,
    16
);
id!(
    /// One address of a mailbox queue: the receiver's or the senders', never both.
    QueueId,
    16
);
id!(
    /// One registration challenge at a relay.
    ChallengeId,
    16
);

impl From<crypto::identity::AccountKey> for AccountId {
    fn from(key: crypto::identity::AccountKey) -> Self {
        Self(*key.as_bytes())
    }
}

impl From<AccountId> for crypto::identity::AccountKey {
    fn from(id: AccountId) -> Self {
        Self::from_bytes(id.0)
    }
}

impl EnvelopeId {
    /// The identifier of a sealed frame.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(frame);
        let mut id = [0u8; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl ChatId {
    /// The conversation of two people: the same from either side.
    #[must_use]
    pub fn of_pair(a: AccountId, b: AccountId) -> Self {
        use sha2::{Digest, Sha256};
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        let digest = Sha256::new()
            .chain_update(b"KITH/1 chat pair\0")
            .chain_update(low.0)
            .chain_update(high.0)
            .finalize();
        let mut id = [0u8; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_chat_from_either_side() {
        let (a, b) = (AccountId([1; 32]), AccountId([2; 32]));
        assert_eq!(ChatId::of_pair(a, b), ChatId::of_pair(b, a));
        assert_ne!(ChatId::of_pair(a, b), ChatId::of_pair(a, a));
    }

    #[test]
    fn text_form_round_trips_and_refuses_other_lengths() {
        let id = MessageId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("ab".parse::<MessageId>(), Err(ParseIdError));
        assert_eq!("zz".repeat(16).parse::<MessageId>(), Err(ParseIdError));
    }

    #[test]
    fn debug_shows_five_bytes_only() {
        assert_eq!(format!("{:?}", AccountId([0xcd; 32])), "AccountId(cdcdcdcdcd…)");
    }
}
