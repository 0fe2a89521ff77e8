//! Refusals: why a service will not do what a client asked.

/// What sort of refusal it is; the API maps it to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request makes no sense as it is.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// Not in the state that things are in.
    Conflict,
    /// Not allowed.
    Forbidden,
    /// The vault is locked.
    Locked,
    /// Too often; wait.
    TooMany {
        /// Seconds.
        retry_after_seconds: u64,
    },
    /// Somebody else is needed who is not there.
    Unavailable,
    /// A bug, or a broken store.
    Internal,
}

/// A refusal of one operation. Its `Display` is a sentence for the person: what happened, why,
/// what to do next.
pub trait Refusal: std::error::Error {
    /// Stable name, for programs.
    fn code(&self) -> &'static str;
    /// What sort it is.
    fn kind(&self) -> ErrorKind;
}

/// A refusal on its way to a client. Its sentence may name somebody, so `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ServiceError {
    code: &'static str,
    kind: ErrorKind,
    text: String,
}

impl std::fmt::Debug for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, kind, text: _ } = self;
        f.debug_struct("ServiceError")
            .field("code", code)
            .field("kind", kind)
            .finish_non_exhaustive()
    }
}

impl ServiceError {
    /// Stable name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What sort it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The node has stopped.
    #[must_use]
    pub fn stopped() -> Self {
        Self {
            code: "stopped",
            kind: ErrorKind::Unavailable,
            text: "Kith is stopping. Start it again and repeat this.".into(),
        }
    }
}

impl<E: Refusal> From<E> for ServiceError {
    fn from(refusal: E) -> Self {
        Self { code: refusal.code(), kind: refusal.kind(), text: refusal.to_string() }
    }
}

/// An identifier in a request that is none, or names nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("There is no such {0} here. It may have been removed.")]
pub struct NotFound(pub &'static str);

impl Refusal for NotFound {
    fn code(&self) -> &'static str {
        "not_found"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::NotFound
    }
}
