//! Registration at a relay: what is asked, and the machine that decides.
//!
//! 1. Ada's node asks its relay for a challenge for her address. [`Identifier::parse`] brings
//!    the address into one form; its [`limits`] are looked at; [`Registrar::challenge`] draws a code and says whom
//!    to send it to.
//! 2. Ada types the code; her node signs the challenge's nonce and the relay's key
//!    ([`proof`]). [`Registrar::verify`] compares, once, in constant time.
//! 3. The shell stores the [`Account`] and issues a credential.
//!
//! # Invariants
//! * A code proves something at most once, for the key that asked for it, in its ten minutes.
//! * No answer depends on whether an identifier or an account is known: the machine that
//!   answers challenges has no access to accounts.
//! * An identifier leaves the process' memory as a keyed hash only.
//!
//! It knows nothing of transports, stores, e-mail or credentials.
//! Spec: `docs/protocol/registration.md`.

pub mod account;
pub mod identifier;
pub mod limits;
pub mod machine;
pub mod proof;
pub mod wire;

pub use account::{Account, Admitted, Known, NotServed, Standing};
pub use identifier::{Identifier, IdentifierError, IdentifierHash};
pub use machine::{Challenge, Code, Dispatch, Keys, Policy, Registrar, Right, Verified};
