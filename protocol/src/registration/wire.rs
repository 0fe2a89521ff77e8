//! `/kith/register/1`: a node to a relay, over its identity connection.
//!
//! 1. The node asks what the relay is ([`RegisterRequest::Info`]).
//! 2. It asks for a challenge; the relay sends a six-digit code to the identifier. The answer
//!    is the same whether or not the identifier is known.
//! 3. It answers with the code and a signature over the relay's nonce; the relay answers with
//!    an admission credential: an EdDSA JWT bound to the node's key.
//! 4. It renews the credential before it expires, by the key alone.
//! 5. After each connection it asks how it stands: a suspension, and somebody who took its address, close
//!    the connection and are told that way.
//!
//! Spec: `docs/protocol/registration.md` §2.

use serde::{Deserialize, Serialize};

use crate::contact::Address;
use crate::ids::ChallengeId;
use crate::mailbox::wire::Proof;
use crate::time::Timestamp;
use crate::wire::Wire;

/// The protocol's name in libp2p.
pub const PROTOCOL: &str = "/kith/register/1";
/// Longest identifier in bytes.
pub const MAX_IDENTIFIER: usize = 254;
/// Digits in a code.
pub const CODE_DIGITS: usize = 6;

/// What kind of address a person registers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A telephone number, E.164 after normalisation.
    Phone,
}

/// How a code was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SentVia {
    /// Printed on the relay's console: development.
    Console,
    /// E-mail.
    Email,
    /// Text message.
    Sms,
}

/// What a node asks.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterRequest {
    /// What this relay is.
    Info,
    /// Send a code.
    Challenge {
        /// What the identifier is.
        kind: IdentifierKind,
        /// At most [`MAX_IDENTIFIER`] bytes; normalised by the relay.
        identifier: String,
    },
    /// Send the code of this challenge again.
    Resend {
        /// Which.
        challenge: ChallengeId,
    },
    /// Answer a challenge.
    Verify {
        /// Which.
        challenge: ChallengeId,
        /// Six digits.
        code: String,
        /// By the account key, purpose `register`, over the challenge's nonce and the relay's
        /// key.
        proof: Proof,
    },
    /// A fresh credential for the key of this connection, which the old one is bound to.
    Renew {
        /// The credential that is about to expire.
        credential: String,
    },
    /// How the relay stands to the key of this connection.
    Standing,
    /// Forget the account of this connection's key, its queues and what waits in them.
    Erase,
}

/// What a relay answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterResponse {
    /// To [`RegisterRequest::Info`].
    Info {
        /// The operator's name for it, at most 64 bytes.
        name: String,
        /// A development relay: it shows codes instead of sending them.
        development: bool,
        /// Kinds that it can reach.
        kinds: Vec<IdentifierKind>,
        /// The relay's clock.
        now: Timestamp,
        /// Where its processes are reached, if there may be several: each ends with the process's peer id. At most
        /// [`MAX_ADDRESSES`](crate::contact::MAX_ADDRESSES).
        addresses: Vec<Address>,
    },
    /// A code is on its way.
    Challenged(Challenged),
    /// The key is admitted.
    Admitted {
        /// EdDSA JWT, bound to the key.
        credential: String,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// No.
    Refused(RegisterRefusal),
    /// To [`RegisterRequest::Standing`].
    Standing(Told),
    /// There is nothing any more.
    Erased,
}

/// How a relay stands to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// It is not admitted: never was, erased, or for so long that the relay has to be asked for a renewal.
    Unknown,
    /// Admitted.
    Admitted,
    /// The operator does not serve it.
    Suspended,
    /// Another key proved the same address.
    Displaced {
        /// When, by the relay's clock.
        at: Timestamp,
    },
}

/// A live challenge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenged {
    /// Its name.
    pub challenge: ChallengeId,
    /// To be signed with the answer.
    pub nonce: [u8; 32],
    /// When it burns, by the relay's clock.
    pub expires_at: Timestamp,
    /// Before when no code is sent again.
    pub resend_after: Timestamp,
    /// Tries left.
    pub attempts_left: u8,
    /// How the code travels.
    pub sent_via: SentVia,
    /// The code itself: a development relay's only.
    pub development_code: Option<String>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RegisterRefusal {
    /// Not an address of the kind given.
    #[error("not a valid address")]
    InvalidIdentifier,
    /// This relay cannot reach that kind of address.
    #[error("this relay cannot send to that kind of address")]
    KindNotServed,
    /// Wrong code; so many tries are left.
    #[error("wrong code")]
    WrongCode {
        /// Tries left; at 0 the challenge is burnt.
        attempts_left: u8,
    },
    /// No such challenge for this key, expired, used or burnt.
    #[error("no such challenge")]
    NoChallenge,
    /// Wait this many milliseconds.
    #[error("too many requests")]
    TooSoon {
        /// Milliseconds to wait.
        retry_ms: u32,
    },
    /// The signature does not prove the key.
    #[error("the proof is wrong")]
    WrongProof,
    /// The credential cannot be renewed.
    #[error("the credential cannot be renewed")]
    NotRenewable,
    /// The relay could not send the code.
    #[error("the code could not be sent")]
    SendFailed,
    /// The relay cannot answer now.
    #[error("the relay cannot answer now")]
    Unavailable,
    /// This relay sends no texts to that country.
    #[error("this relay sends no texts to that country")]
    CountryNotServed,
    /// The operator does not serve this account, or one that had the address.
    #[error("the operator has suspended this account")]
    Suspended,
    /// Another key proved the same address.
    #[error("another device has registered with the same address")]
    Displaced {
        /// When, by the relay's clock.
        at: Timestamp,
    },
}

impl Wire for RegisterRequest {
    const LIMIT: usize = 4 * 1024;
}

impl Wire for RegisterResponse {
    const LIMIT: usize = 4 * 1024;
}

impl std::fmt::Debug for RegisterRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Info => "Info",
            Self::Challenge { .. } => "Challenge(..)",
            Self::Resend { .. } => "Resend(..)",
            Self::Verify { .. } => "Verify(..)",
            Self::Renew { .. } => "Renew(..)",
            Self::Standing => "Standing",
            Self::Erase => "Erase",
        })
    }
}

impl std::fmt::Debug for RegisterResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Info { development, .. } => write!(f, "Info(development: {development})"),
            Self::Challenged(challenged) => challenged.fmt(f),
            Self::Admitted { expires_at, .. } => write!(f, "Admitted(until {})", expires_at.0),
            Self::Refused(why) => write!(f, "Refused({why:?})"),
            Self::Standing(told) => write!(f, "Standing({told:?})"),
            Self::Erased => f.write_str("Erased"),
        }
    }
}

impl std::fmt::Debug for Challenged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            challenge,
            nonce: _,
            expires_at,
            resend_after,
            attempts_left,
            sent_via,
            development_code: _,
        } = self;
        f.debug_struct("Challenged")
            .field("challenge", challenge)
            .field("expires_at", expires_at)
            .field("resend_after", resend_after)
            .field("attempts_left", attempts_left)
            .field("sent_via", sent_via)
            .finish_non_exhaustive()
    }
}
