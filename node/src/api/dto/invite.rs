//! Invites: codes this person shows, and codes they were shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line of the invite ledger.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// The invite's id; not its secret.
    pub id: String,
    /// How it is meant to be given.
    pub kind: InviteKind,
    /// The person's own note.
    pub label: String,
    /// Where it stands.
    pub state: InviteState,
    /// What the code says, `KITH:I1/…`; `null` once it is no longer active.
    pub text: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it ends unused.
    pub expires_at: String,
    /// How often someone else tried it.
    pub failed_tries: u32,
    /// When that last happened.
    pub last_failed_at: Option<String>,
    /// Whose key claimed it.
    pub claimed_by: Option<InviteClaimant>,
    /// The pending request that came of it.
    pub request_id: Option<String>,
    /// How a scanner will reach this node.
    pub reachable: Reachable,
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("text", &self.text.as_ref().map(|_| ".."))
            .finish_non_exhaustive()
    }
}

/// How an invite is meant to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InviteKind {
    /// From this screen, now: 10 minutes.
    InPerson,
    /// Sent by other means: 24 hours.
    Link,
}

/// Where an invite stands. It leaves `active` and `claimed` once and never returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    /// Can be claimed.
    Active,
    /// One key claimed it; the person has to decide.
    Claimed,
    /// They became a contact.
    Accepted,
    /// They were turned down.
    Rejected,
    /// Taken back.
    Revoked,
    /// Ran out.
    Expired,
}

/// Who claimed an invite.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InviteClaimant {
    /// Their account id.
    pub account: String,
    /// The name they claim.
    pub name: Option<String>,
}

impl fmt::Debug for InviteClaimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteClaimant").field("account", &self.account).finish_non_exhaustive()
    }
}

/// How a scanner will reach this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reachable {
    /// Straight, at an address of its own.
    pub direct: bool,
    /// Through a relay.
    pub relay: bool,
    /// The same as a plain sentence.
    pub detail: String,
}

/// Asks for a new invite.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// How it will be given.
    pub kind: InviteKind,
    /// A note for the ledger.
    #[serde(default)]
    pub label: String,
    /// Its life in seconds, 7 days at most; absent for the kind's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl fmt::Debug for NewInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewInvite")
            .field("kind", &self.kind)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// The text of an invite, as scanned or pasted.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteText {
    /// `KITH:I1/…`, or a link that contains it.
    pub text: String,
}

impl fmt::Debug for InviteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteText(..)")
    }
}

/// What an invite says, before anything is done about it.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DecodedInvite {
    /// The code's text, to redeem.
    pub text: String,
    /// The inviter's account id.
    pub inviter: String,
    /// 8 bytes in hexadecimal, from which their avatar's weave is drawn.
    pub symbol_seed: String,
    /// When it ends, by the inviter's clock.
    pub expires_at: String,
    /// Whether it names a relay to reach them through.
    pub relay: bool,
    /// Whether redeeming makes sense.
    pub verdict: InviteVerdict,
    /// The verdict as a plain sentence.
    pub detail: String,
}

impl fmt::Debug for DecodedInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedInvite").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// Whether redeeming an invite makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InviteVerdict {
    /// It does.
    Ok,
    /// It is this person's own.
    Own,
    /// It ran out, by this clock.
    Expired,
    /// The inviter is a contact already.
    Contact,
    /// A request to the inviter is pending.
    Pending,
}
