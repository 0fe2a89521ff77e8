//! The network task against real swarms and a real relay, on loopback and free ports.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "net/bench.rs"]
mod bench;
#[path = "net/circuits.rs"]
mod circuits;
#[path = "net/contacts.rs"]
mod contacts;
#[path = "net/hostile.rs"]
mod hostile;
#[path = "net/mailboxes.rs"]
mod mailboxes;
#[path = "net/unlinkable.rs"]
mod unlinkable;
