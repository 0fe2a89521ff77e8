//! The account's own profile, and who is here.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The person this node belongs to.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The account's id.
    pub account: String,
    /// The name contacts see; `null` before the first one.
    pub name: Option<String>,
    /// A line about them, possibly empty.
    pub about: String,
    /// 8 bytes in hexadecimal, from which the avatar's weave is drawn.
    pub symbol_seed: String,
    /// When the account was made.
    pub created_at: String,
}

impl fmt::Debug for Me {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Me")
            .field("account", &self.account)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// Changes to the profile; what is absent stays.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MePatch {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The new line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

impl fmt::Debug for MePatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MePatch(..)")
    }
}

/// Whether a tab has the person's attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Focus {
    /// Repeated every 20 s while true; the lease is 45 s.
    pub focused: bool,
}

/// Whether a contact is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    /// The contact's account id.
    pub account: String,
    /// What their node said last, while that holds.
    pub state: PresenceState,
    /// When they were last here, if they share it.
    pub last_seen: Option<String>,
    /// Whether they are writing to this person now.
    pub typing: bool,
}

/// What is known of someone's attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// A focused tab, under a lease that has not ended.
    Online,
    /// Their node said they left.
    Away,
    /// Nothing is known.
    #[default]
    Unknown,
}
