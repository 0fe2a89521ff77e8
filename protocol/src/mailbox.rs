//! A relay's mailbox: what is asked of it, and the machine that decides.
//!
//! 1. Ben opens a queue and gives its depositors' address and key to Ada ([`machine::open`]).
//! 2. Ada deposits a frame while Ben is away ([`machine::deposit`]); the relay flushes, then
//!    signs a [`CustodyReceipt`](wire::CustodyReceipt).
//! 3. Ben attaches, is pushed the frame, flushes, and acknowledges ([`machine::acknowledge`]),
//!    which deletes it.
//! 4. What nobody fetched expires ([`machine::expire`]).
//!
//! The machine is handed the records that a decision needs and answers with a list of
//! [`Change`]s, to be applied as one. A store only has to keep what it is told.
//!
//! # Invariants
//! * The counts in a [`Queue`] and a [`Usage`] are exactly what the store holds for them.
//! * No bound of [`Limits`] is exceeded, whatever is asked in whatever order.
//! * A repeated deposit gets the receipt of the first while that one is held; after it was
//!   acknowledged, until its keeping time and [`machine::REMEMBER`] are over or
//!   [`machine::MAX_SEEN`] newer deposits came in. One that expired is taken anew.
//!
//! It knows nothing of connections, signatures' transport, sled or who a depositor is.
//! Spec: `docs/protocol/mailbox.md`.

pub mod machine;
pub mod proof;
pub mod record;
pub mod wire;

pub use machine::{Deposited, Limits, Offer, Opened};
pub use record::{Change, Due, DueKind, Held, Kind, Queue, Seen, StoredItem, Usage};
