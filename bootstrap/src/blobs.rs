//! Blobs: files for people who are away, in pieces, encrypted before they come.
//!
//! 1. A record of each blob is in the relay's store ([`store`]): whose, how large, which pieces are there, until when.
//! 2. The pieces are objects beside it ([`objects`]).
//! 3. [`service`] answers `/kith/blob/1` and forgets what is over.
//!
//! # Invariants
//! * A piece is durable before its record says that it is there, and the record before it is confirmed.
//! * What is over is first said to be so for good, then its pieces go, then its record: nothing that is confirmed goes, and
//!   what a kill left that nobody knows of is looked for at the next start.
//!
//! Spec: `docs/protocol/blob.md`.

mod bucket;
#[cfg(test)]
mod contract;
pub(crate) mod objects;
pub(crate) mod postgres_store;
pub(crate) mod service;
pub(crate) mod sled_store;
pub(crate) mod store;

pub(crate) use objects::{Objects, RESERVE};
pub(crate) use service::{Served, Service};
pub(crate) use store::BlobStore;
