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
