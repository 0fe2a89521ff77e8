//! How a code reaches a person.

use std::io::Write;

use futures::future::BoxFuture;
use protocol::registration::wire::{IdentifierKind, SentVia};
use protocol::registration::{Code, Identifier};

/// A code could not be handed over. The reason is for the operator's log.
#[derive(Debug, thiserror::Error)]
#[error("the code could not be sent: {0}")]
pub struct DriverError(pub String);

/// A way for codes to travel. More ways are more implementations.
///
/// # Cancel safety
/// A send that takes too long is dropped; it may or may not have happened.
pub trait Driver: std::fmt::Debug + Send + Sync + 'static {
    /// How it sends to addresses of this kind; `None` when it cannot.
    fn via(&self, kind: IdentifierKind) -> Option<SentVia>;

    /// Sends a code. Neither address nor code may be logged.
    fn send<'a>(
        &'a self,
        to: &'a Identifier,
        code: &'a Code,
    ) -> BoxFuture<'a, Result<(), DriverError>>;
}

/// Writes codes to standard error, for development and for an operator who passes them on.
#[derive(Debug, Default)]
pub struct ConsoleDriver;

impl Driver for ConsoleDriver {
    fn via(&self, _: IdentifierKind) -> Option<SentVia> {
        Some(SentVia::Console)
    }

    fn send<'a>(
        &'a self,
        to: &'a Identifier,
        code: &'a Code,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        let line = format!("Kith: the code for {} is {}\n", to.masked(), code.digits());
        Box::pin(async move {
            std::io::stderr()
                .lock()
                .write_all(line.as_bytes())
                .map_err(|error| DriverError(error.to_string()))
        })
    }
}
