//! The one shape of every refusal.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error as RFC 9457 writes it, `application/problem+json`.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:kith:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the HTTP status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A sentence that is safe to show: what happened, why, and what to do next.
    pub detail: String,
    /// The stable name of the problem, snake_case.
    pub code: String,
    /// Names this answer in the node's log.
    pub request_id: String,
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("status", &self.status)
            .field("code", &self.code)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}
