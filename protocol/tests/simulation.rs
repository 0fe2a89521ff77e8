//! The pure machines together, over a bad network in virtual time, with restarts from what
//! they stored.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "simulation/claims.rs"]
mod claims;
#[path = "simulation/conversation.rs"]
mod conversation;
#[path = "simulation/glare.rs"]
mod glare;
#[path = "simulation/peer.rs"]
mod peer;
#[path = "simulation/rekeying.rs"]
mod rekeying;
