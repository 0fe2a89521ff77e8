//! The request-response protocols, each with what is pending on it.
//!
//! Spec: `docs/protocol/wire.md`.

pub(super) mod envelope;
pub(super) mod exchange;
pub(super) mod invite;
pub(super) mod mailbox;
pub(super) mod register;
