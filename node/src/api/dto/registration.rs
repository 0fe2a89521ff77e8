//! Registration of an identifier at a relay.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Where this account stands with its relay.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Registration {
    /// The state.
    pub state: RegistrationState,
    /// The relay it concerns.
    pub relay: Option<RelaySummary>,
    /// The identifier with its middle masked.
    pub identifier: Option<String>,
    /// Since when another key has the address, if one does.
    pub displaced_at: Option<String>,
    /// When the admission credential ends.
    pub expires_at: Option<String>,
    /// The challenge that waits for its code.
    pub challenge: Option<Challenge>,
    /// The multiaddr to offer when none is set.
    pub suggested_relay: Option<String>,
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("state", &self.state)
            .field("relay", &self.relay)
            .field("expires_at", &self.expires_at)
            .field("challenge", &self.challenge)
            .finish_non_exhaustive()
    }
}

/// Whether the account holds a relay's admission credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationState {
    /// Never asked.
    None,
    /// A code is on its way.
    Challenged,
    /// Holds a valid credential.
    Registered,
    /// Held one that ran out, or that the relay does not know any more: register again.
    Expired,
    /// The relay's operator does not serve this account.
    Suspended,
    /// Somebody proved the same address with another key: register again, if it is still yours.
    Displaced,
}

/// The relay an account is registered at.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RelaySummary {
    /// The relay's id.
    pub id: String,
    /// Its multiaddr.
    pub address: String,
    /// Whether it says that it is for development.
    pub development: bool,
}

impl fmt::Debug for RelaySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaySummary")
            .field("id", &self.id)
            .field("development", &self.development)
            .finish_non_exhaustive()
    }
}

/// How a registration is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Have the relay forget the account, its queues and what waits in them.
    #[serde(default)]
    pub erase: bool,
}

/// A code that was sent and is waited for.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// The challenge's id.
    pub id: String,
    /// The identifier with its middle masked.
    pub identifier_masked: String,
    /// How the code travels.
    pub sent_via: SentVia,
    /// When the code ends.
    pub expires_at: String,
    /// When another may be sent.
    pub resend_after: String,
    /// Tries that are left.
    pub attempts_left: u32,
    /// The code itself, from a development relay only.
    pub development_code: Option<String>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenge")
            .field("id", &self.id)
            .field("sent_via", &self.sent_via)
            .finish_non_exhaustive()
    }
}

/// How a code travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentVia {
    /// To the relay operator's terminal.
    Console,
    /// By e-mail.
    Email,
    /// By text message.
    Sms,
}

/// What sort of identifier is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A phone number, E.164.
    Phone,
}

impl IdentifierKind {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
}

/// Asks a relay for a code.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChallenge {
    /// The relay's multiaddr with `/p2p/…`; empty or absent for the suggested one.
    #[serde(default)]
    pub relay: Option<String>,
    /// An e-mail address or a phone number.
    pub identifier: String,
    /// Which of the two; absent to let the node see.
    #[serde(default)]
    pub kind: Option<IdentifierKind>,
}

impl fmt::Debug for NewChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewChallenge").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The code a person received.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationCode {
    /// Six digits; spaces are ignored.
    pub code: String,
}

impl fmt::Debug for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerificationCode(..)")
    }
}
