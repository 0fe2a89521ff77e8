//! The endpoints, one file per noun.
//!
//! A handler extracts, calls one method of a noun's handle, and answers with a DTO.

pub(super) mod backups;
pub(super) mod chats;
pub(super) mod contacts;
pub(super) mod invites;
pub(super) mod messages;
pub(super) mod node;
pub(super) mod profile;
pub(super) mod registration;
pub(super) mod requests;
pub(super) mod session;
pub(super) mod vault;
