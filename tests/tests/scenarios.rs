//! Scenarios: several people, one relay, virtual time. The names are the claims.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "scenarios/conversations.rs"]
mod conversations;
#[path = "scenarios/crashes.rs"]
mod crashes;
#[path = "scenarios/erasing.rs"]
mod erasing;
#[path = "scenarios/failing.rs"]
mod failing;
#[path = "scenarios/hostile.rs"]
mod hostile;
#[path = "scenarios/mailboxes.rs"]
mod mailboxes;
#[path = "scenarios/meeting.rs"]
mod meeting;
#[path = "scenarios/migrations.rs"]
mod migrations;
#[path = "scenarios/parting.rs"]
mod parting;
#[path = "scenarios/presence.rs"]
mod presence;
#[path = "scenarios/privacy.rs"]
mod privacy;
#[path = "scenarios/refusals.rs"]
mod refusals;
#[path = "scenarios/rekeying.rs"]
mod rekeying;
#[path = "scenarios/relays.rs"]
mod relays;
#[path = "scenarios/restoring.rs"]
mod restoring;
#[path = "scenarios/verifying.rs"]
mod verifying;
