//! The node as a whole: status, health, diagnosis, and the snapshot a tab starts from.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Chat, Contact, Invite, Me, Presence, Registration, Request};

/// How the node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The profile this node runs.
    pub profile: String,
    /// Version and commit.
    pub build: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// The account's id.
    pub account: String,
    /// Whether the vault is locked.
    pub locked: bool,
    /// Where keys and history are.
    pub data_dir: String,
    /// How it is reachable.
    pub network: NetworkStatus,
}

/// How the node reaches others and is reached.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkStatus {
    /// Whether any peer or relay is connected.
    pub online: bool,
    /// The relays it knows.
    pub relays: Vec<RelayStatus>,
    /// The addresses it listens on.
    pub listening: Vec<String>,
    /// Whether it looks for contacts on the local network.
    pub lan: bool,
    /// This clock minus the relay's; `null` before a relay told its time.
    pub clock_offset_seconds: Option<i64>,
}

impl fmt::Debug for NetworkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkStatus")
            .field("online", &self.online)
            .field("relays", &self.relays)
            .field("lan", &self.lan)
            .field("clock_offset_seconds", &self.clock_offset_seconds)
            .finish_non_exhaustive()
    }
}

/// One relay as this node sees it.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RelayStatus {
    /// The relay's id.
    pub id: String,
    /// Its multiaddr.
    pub address: String,
    /// The connection.
    pub state: RelayState,
    /// Whether others can reach this node through it.
    pub reservation: Reservation,
    /// Since when `state` holds.
    pub since: Option<String>,
    /// A plain sentence, when there is something to say.
    pub detail: Option<String>,
}

impl fmt::Debug for RelayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayStatus")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("reservation", &self.reservation)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// The connection to a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelayState {
    /// A connection stands.
    Connected,
    /// One is being made.
    Connecting,
    /// The last attempt failed.
    Unreachable,
}

/// A place at a relay through which others reach this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reservation {
    /// Granted and alive.
    Active,
    /// Asked for.
    Pending,
    /// Not asked for, or refused.
    None,
}

/// What the doctor found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostics {
    /// The checks, in the order to read them.
    pub checks: Vec<Check>,
}

/// One thing the doctor looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Stable name.
    pub id: String,
    /// What was looked at.
    pub title: String,
    /// The verdict.
    pub state: CheckState,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works, but worse than it could.
    Warn,
    /// Does not work.
    Fail,
}

/// Everything a tab shows, at one point of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SyncSnapshot {
    /// The number of the last event that is contained; events continue after it.
    pub cursor: u64,
    /// The profile.
    pub me: Me,
    /// The registration.
    pub registration: Registration,
    /// All contacts.
    pub contacts: Vec<Contact>,
    /// All requests that are shown.
    pub requests: Vec<Request>,
    /// The invite ledger.
    pub invites: Vec<Invite>,
    /// All chats, most recent first.
    pub chats: Vec<Chat>,
    /// Who is known to be here.
    pub presence: Vec<Presence>,
    /// How the node is.
    pub status: Status,
}

/// That the process answers, and nothing more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`; at `/readyz` also `locked`, or `damaged` while the messages do not open.
    pub status: String,
}

/// Which program this is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// `kith`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Version and commit.
    pub build: String,
    /// The API's version: the `v1` of its paths.
    pub api: String,
}
