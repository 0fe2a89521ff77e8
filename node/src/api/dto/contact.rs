//! Contacts.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Presence, Via};

/// Someone both sides accepted.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    /// Their account id.
    pub id: String,
    /// The name they chose.
    pub name: String,
    /// The name this person gave them.
    pub alias: Option<String>,
    /// Their line about themselves.
    pub about: String,
    /// 8 bytes in hexadecimal, from which their avatar's weave is drawn.
    pub symbol_seed: String,
    /// The six symbols both people could compare at acceptance; none where codes crossed.
    pub symbols: Option<[u8; 6]>,
    /// Since when.
    pub since: String,
    /// How they met.
    pub via: Via,
    /// Whether the safety number was compared.
    pub verified: bool,
    /// When they were seen to begin anew, on another computer or from a backup: the last eight times, the oldest
    /// first.
    pub began_anew: Vec<String>,
    /// When the keys between the two nodes were renewed last, for whatever reason.
    pub keys_renewed_at: Option<String>,
    /// How their node is reached now.
    pub reach: Reach,
    /// Whether they are here.
    pub presence: Presence,
    /// The chat with them.
    pub chat_id: String,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("id", &self.id)
            .field("via", &self.via)
            .field("verified", &self.verified)
            .field("reach", &self.reach)
            .field("presence", &self.presence)
            .field("chat_id", &self.chat_id)
            .finish_non_exhaustive()
    }
}

/// What two people compare to know that nobody stands between them.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SafetyNumber {
    /// 60 digits, the same on both sides.
    pub number: String,
    /// What the code on this screen says to the other's camera.
    pub code: String,
    /// When they were compared.
    pub verified_at: Option<String>,
    /// How.
    pub verified_by: Option<VerifiedBy>,
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SafetyNumber")
            .field("verified_at", &self.verified_at)
            .field("verified_by", &self.verified_by)
            .finish_non_exhaustive()
    }
}

/// How a contact was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedBy {
    /// Both compared the digits.
    Number,
    /// This side's camera read the other's code.
    Code,
}

/// That a contact is who they seem.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVerification {
    /// What was read on the other's screen.
    pub code: Option<String>,
    /// The person says that the digits are the same. One of the two has to be there.
    pub same: Option<bool>,
}

impl fmt::Debug for NewVerification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewVerification").field("same", &self.same).finish_non_exhaustive()
    }
}

/// How a contact's node is reached now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// The best path that stands.
    pub path: ReachPath,
    /// The same as a plain sentence.
    pub detail: String,
}

/// A path between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReachPath {
    /// The same local network.
    Lan,
    /// Straight.
    Direct,
    /// Straight, after a relay introduced both.
    HolePunched,
    /// Through a relay.
    Relayed,
    /// None stands.
    None,
}

/// Changes to a contact.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactPatch {
    /// The new alias; `null` or empty takes it away. Required, so that `{}` removes nothing.
    #[serde(deserialize_with = "present")]
    #[schema(required = true)]
    pub alias: Option<String>,
}

impl fmt::Debug for ContactPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactPatch(..)")
    }
}

/// An `Option` that has to be written: serde would read a missing key as `None`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}
