//! A person's node: their keys and history on their own machine, and the shell around the pure
//! machines of `protocol`.
//!
//! See `docs/ARCHITECTURE.md` for the parts and the path of a message through them.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod engine;
pub mod handle;
pub mod net;
#[cfg(test)]
mod redaction;
pub mod service;
pub mod store;
mod view;
