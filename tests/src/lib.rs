//! Whole-system tests of Kith: the engines of several people, driven step by step in virtual
//! time over a simulated network and relay.
//!
//! Everything above the sockets is the real thing; see [`world`] for what is simulated.

pub mod world;

pub mod process;
