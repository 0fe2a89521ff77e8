//! Contacts.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Presence, Via};

/// Someone both sides accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// How their node is reached now.
    pub reach: Reach,
    /// Whether they are here.
    pub presence: Presence,
    /// The chat with them.
    pub chat_id: String,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactPatch {
    /// The new alias; `null` or empty takes it away. Required, so that `{}` removes nothing.
    #[serde(deserialize_with = "present")]
    #[schema(required = true)]
    pub alias: Option<String>,
}

/// An `Option` that has to be written: serde would read a missing key as `None`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}
