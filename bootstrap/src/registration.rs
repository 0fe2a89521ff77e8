//! Registration: the service that answers `/kith/register/1`.
//!
//! 1. A challenge is drawn by the machine in `protocol::registration` and handed to a
//!    [`Driver`]; the answer leaves when the driver is done, known address or not.
//! 2. A right answer makes or renews the account, durably, and earns a credential.
//! 3. Credential and account admit the key to reservations, circuits and queues.
//!
//! Spec: `docs/protocol/registration.md`.

pub(crate) mod accounts;
pub(crate) mod counts;
pub(crate) mod credential;
pub mod driver;
pub mod sending;
pub(crate) mod service;

pub use driver::{ConsoleDriver, Driver, DriverError, Drivers};
pub use sending::{DeadLetter, DeadLetters};
