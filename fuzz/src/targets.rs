//! The targets, by what they are about.

pub mod backup;
pub mod conversation;
pub mod interaction;
pub mod invite;
pub mod session;
pub mod stored;
pub mod texts;
pub mod wire;
