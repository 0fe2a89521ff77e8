//! Sign-in of a browser or a program at the local API.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a browser read from its address bar after `#login=`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// The one-time secret, 43 characters of base64url.
    pub login: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// A session's bearer token: shown once, kept by the node only as a hash.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionToken {
    /// Goes into `Authorization: Bearer …`.
    pub token: String,
    /// When the session ends if it is not used.
    pub expires_at: String,
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// The session that asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionInfo {
    /// The profile this node runs.
    pub profile: String,
    /// Version and commit of the node.
    pub build: String,
    /// When the session began.
    pub created_at: String,
}

/// An address that signs one browser in, once.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoginLink {
    /// `http://localhost:PORT/#login=…`.
    pub url: String,
    /// When it stops working unused.
    pub expires_at: String,
}

impl fmt::Debug for LoginLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginLink").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What opens the vault.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase {
    /// Never logged, wiped when dropped.
    pub passphrase: String,
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A passphrase for the vault.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct NewPassphrase {
    /// The one that it has, if it has one. Never logged, wiped when dropped.
    pub current: Option<String>,
    /// The one that it gets: 8 characters at least, 1024 bytes at most.
    pub new: String,
}

impl fmt::Debug for NewPassphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassphrase(..)")
    }
}

/// How the vault stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultState {
    /// Whether it is locked: nothing that was stored can be read, and no message is taken in.
    pub locked: bool,
    /// Whether a passphrase opens it.
    pub has_passphrase: bool,
    /// What is wrong with the messages behind it, when they do not open and there is a copy of them.
    pub damaged: Option<Damaged>,
}

/// A store that does not open, and the copy beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Damaged {
    /// What was found.
    pub why: String,
    /// From when the copy is.
    pub copy_from: String,
}

/// One line of the list of who is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionSummary {
    /// The session's id; not its token.
    pub id: String,
    /// `browser`, or `token_file` for the command line and programs.
    pub kind: String,
    /// When it began.
    pub created_at: String,
    /// When it was last used.
    pub used_at: String,
    /// Whether it is the one that asks.
    pub current: bool,
}
