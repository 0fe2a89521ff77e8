//! Mailboxes: the service that answers `/kith/mailbox/1`, and the store under it.
//!
//! 1. The network task hands over requests with the key that their connection authenticated.
//! 2. One thread works through them in batches: proofs are checked, the machine in
//!    `protocol::mailbox` decides, its changes are applied.
//! 3. One flush makes the batch durable; only then do the answers leave.
//! 4. Subscribed owners are pushed what came in, within their credit.
//!
//! # Invariants
//! * No receipt, no "opened", no "acknowledged" before the flush that covers it.
//! * A queue that does not exist and a proof that is wrong get the same answer, after the same
//!   work.
//! * What a subscriber can make the relay hold in memory is bounded by its credit.
//!
//! It knows nothing of what the bodies say, and nothing of a depositor but a throwaway key.
//! Spec: `docs/protocol/mailbox.md`.

#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod nonces;
pub(crate) mod postgres_store;
pub(crate) mod service;
pub(crate) mod sled_store;
pub(crate) mod store;
pub(crate) mod subscribers;
pub(crate) mod traffic;
