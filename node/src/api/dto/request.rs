//! Contact requests, from either side.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Why;

/// Someone who asked, or was asked, to connect.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// The request's id.
    pub id: String,
    /// Who asked.
    pub direction: Direction,
    /// The other person's account id.
    pub account: String,
    /// 8 bytes in hexadecimal, from which their avatar's weave is drawn.
    pub symbol_seed: String,
    /// The name they claim.
    pub name: Option<String>,
    /// Where it stands.
    pub state: RequestState,
    /// Six numbers from 0 to 63 that both people see alike; `null` before the key agreement.
    pub symbols: Option<[u8; 6]>,
    /// How the invite was given.
    pub via: Via,
    /// The invite it came of, when it is in this ledger.
    pub invite_id: Option<String>,
    /// That invite's label.
    pub invite_label: Option<String>,
    /// When it began.
    pub created_at: String,
    /// When `state` last changed.
    pub updated_at: String,
    /// Why it is not further yet.
    pub why: Option<Why>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("direction", &self.direction)
            .field("state", &self.state)
            .field("via", &self.via)
            .field("invite_id", &self.invite_id)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

/// Who asked whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// They scanned this person's code.
    Incoming,
    /// This person scanned theirs.
    Outgoing,
}

impl Direction {
    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Outgoing: fetching the inviter's bundle.
    Looking,
    /// Outgoing: the join request is on its way.
    Asking,
    /// Outgoing: the other side holds it and has to decide.
    Waiting,
    /// Incoming: this person has to decide.
    Held,
    /// They are contacts.
    Accepted,
    /// Turned down.
    Rejected,
    /// Taken back by who asked.
    Withdrawn,
    /// Ran out.
    Expired,
    /// The invite no longer exists.
    Gone,
}

/// How two people met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A code on a screen.
    InPerson,
    /// A link sent by other means.
    Link,
    /// Not known.
    Unknown,
}
