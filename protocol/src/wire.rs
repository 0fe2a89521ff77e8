//! What travels between nodes and relays, and the one codec it travels in.
//!
//! Spec: `docs/protocol/wire.md`.

pub mod codec;
pub mod envelope;
pub mod invite;

pub use codec::{DecodeError, EncodeError, Wire, decode, encode};
