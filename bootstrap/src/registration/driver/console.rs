//! Codes on the relay's standard error.

use std::io::Write;

use futures::future::BoxFuture;
use protocol::registration::wire::{IdentifierKind, SentVia};
use protocol::registration::{Code, Identifier};

use super::{Driver, DriverError};

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
                .map_err(|error| DriverError::Refused(error.to_string()))
        })
    }
}
