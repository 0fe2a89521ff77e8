//! The recovery phrase at the local API.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 24 words. Whoever has them is this person.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryPhrase {
    /// In their order.
    pub words: Vec<String>,
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

/// The words of a recovery phrase, as a person types them.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
pub struct RestoreWords {
    /// In their order, with any white space between them. Never logged, wiped when dropped.
    pub words: String,
}

impl fmt::Debug for RestoreWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestoreWords(..)")
    }
}

/// What a backup brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restored {
    /// When the backup was made.
    pub made_at: String,
    /// How many contacts there are.
    pub contacts: u64,
    /// How many messages.
    pub messages: u64,
}
