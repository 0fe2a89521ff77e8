//! What the local API says and hears: one struct per JSON object of `openapi.json`.
//!
//! A DTO is neither a domain type nor a wire message. `view` builds the answers from the
//! engine's state, handlers pass them on, and the command line reads the same structs back.
//!
//! # Conventions
//! * Keys and enum values are snake_case; identifiers are opaque strings.
//! * Times are RFC 3339 in UTC with milliseconds: [`rfc3339`].
//! * What may be absent is `null`, never a missing key.
//!
//! Knows nothing of HTTP, of the engine or of the store. Spec: `openapi.json`.

mod backup;
mod chat;
mod contact;
mod event;
mod invite;
mod node;
mod problem;
mod profile;
mod registration;
mod request;
mod session;

use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use utoipa::ToSchema;

pub use backup::{RecoveryPhrase, RestoreWords, Restored};
pub use chat::{
    Author, Chat, Delivery, DeliveryPath, DeliveryState, DeliveryStep, Draft, LastMessage, Message,
    MessagePage, NewMessage, ReadUpTo, Typing, Why, WhyCode,
};
pub use contact::{
    Contact, ContactPatch, NewVerification, Reach, ReachPath, SafetyNumber, VerifiedBy,
};
pub use event::{Event, EventBody, FailedTry, Hello, MessageRef, Notice, Removed};
pub use invite::{
    DecodedInvite, Invite, InviteClaimant, InviteKind, InviteState, InviteText, InviteVerdict,
    NewInvite, Reachable,
};
pub use node::{
    Check, CheckState, Diagnostics, Health, NetworkStatus, RelayState, RelayStatus, Reservation,
    Status, SyncSnapshot, Version,
};
pub use problem::Problem;
pub use profile::{Focus, Me, MePatch, Presence, PresenceState};
pub use registration::{
    Challenge, IdentifierKind, Leaving, NewChallenge, Registration, RegistrationState,
    RelaySummary, SentVia, VerificationCode,
};
pub use request::{Direction, Request, RequestState, Via};
pub use session::{
    Damaged, Login, LoginLink, NewPassphrase, Passphrase, SessionInfo, SessionSummary,
    SessionToken, VaultState,
};

/// A list, wrapped so that it can grow a cursor without breaking its readers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Items<T> {
    /// The elements, in the order the endpoint documents.
    pub items: Vec<T>,
}

impl<T> From<Vec<T>> for Items<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items }
    }
}

/// Milliseconds are always written, so that times sort as text.
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The text of a moment, `2026-11-22T10:00:00.123Z`.
///
/// Moments beyond the year 9999 have no RFC 3339 form and read as its last millisecond.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(FORMAT).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
}

/// The moment of an RFC 3339 text; `None` for anything else and for times before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    u64::try_from(millis).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_and_survives_the_round_trip() {
        let at = Timestamp(1_795_341_600_120);
        assert_eq!(rfc3339(at), "2026-11-22T10:00:00.120Z");
        assert_eq!(parse_rfc3339("2026-11-22T10:00:00.120Z"), Some(at));
        assert_eq!(parse_rfc3339("2026-11-22T11:00:00.120+01:00"), Some(at));
    }

    #[test]
    fn a_time_out_of_range_is_text_and_not_a_panic() {
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59Z"), None);
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
