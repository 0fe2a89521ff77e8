//! Views: what a client sees of what is stored and known.
//!
//! The shape of the API (`api::dto`) is built here and nowhere else, inside a step of the
//! engine, so that one answer never mixes two states.

mod chat;
mod diagnostics;
mod event;
mod invite;
mod network;
mod person;
mod registration;
mod request;
mod snapshot;

pub(crate) use chat::{all as chats, chat, message, page};
pub(crate) use diagnostics::diagnostics;
pub(crate) use event::event;
pub(crate) use invite::{all as invites, decoded, invite};
pub(crate) use network::{network_status, relay_name, status};
pub(crate) use person::{
    all_presence, contact, contacts, me, presence, safety_number, symbol_seed,
};
pub(crate) use registration::registration;
pub(crate) use request::{all as requests, request};
pub(crate) use snapshot::sync;

use protocol::time::Timestamp;

use crate::api::dto::rfc3339;

/// A day, as a person would say it: "6 Dec".
fn day(at: Timestamp) -> String {
    let stamp = i64::try_from(at.seconds()).unwrap_or(i64::MAX);
    time::OffsetDateTime::from_unix_timestamp(stamp).map_or_else(
        |_| rfc3339(at),
        |moment| {
            let month = moment.month().to_string();
            format!("{} {}", moment.day(), month.chars().take(3).collect::<String>())
        },
    )
}
