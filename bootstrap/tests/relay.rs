//! A real relay and real libp2p clients over the loopback interface.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "relay/abuse.rs"]
mod abuse;
#[path = "relay/accounts.rs"]
mod accounts;
#[path = "relay/admin.rs"]
mod admin;
#[path = "relay/bench.rs"]
mod bench;
#[path = "relay/blobs.rs"]
mod blobs;
#[path = "relay/bucket.rs"]
mod bucket;
#[path = "relay/calls.rs"]
mod calls;
#[path = "relay/circuits.rs"]
mod circuits;
#[path = "relay/client.rs"]
mod client;

#[path = "relay/dump.rs"]
mod dump;
#[path = "relay/kills.rs"]
mod kills;
#[path = "relay/mailboxes.rs"]
mod mailboxes;
#[path = "relay/pinning.rs"]
mod pinning;
#[path = "relay/registering.rs"]
mod registering;
#[path = "relay/restoring.rs"]
mod restoring;
#[path = "relay/running.rs"]
mod running;
#[path = "relay/sending.rs"]
mod sending;
#[path = "../src/postgres/testing.rs"]
mod server;
#[path = "relay/sharing.rs"]
mod sharing;
#[path = "relay/stand_in.rs"]
mod stand_in;
