//! How a code reaches a person.

pub mod console;
pub mod sms;
pub mod smtp;

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::future::BoxFuture;
use protocol::registration::wire::{IdentifierKind, SentVia};
use protocol::registration::{Code, Identifier};
use zeroize::Zeroizing;

use crate::config::{Config, ConfigError, EmailWay, PhoneWay};

pub use console::ConsoleDriver;
pub use sms::SmsDriver;
pub use smtp::SmtpDriver;

/// A code could not be handed over. The reason is for the operator's log: it names neither address nor code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// It did not leave; another try may do.
    #[error("not now: {0}")]
    NotNow(String),
    /// It did not leave, and will not.
    #[error("refused: {0}")]
    Refused(String),
    /// It may have left: another try might send it twice.
    #[error("it may have left: {0}")]
    Unsure(String),
}

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

/// The drivers of a relay, one for each kind of address.
#[derive(Debug)]
pub struct Drivers {
    email: Option<Arc<dyn Driver>>,
    phone: Option<Arc<dyn Driver>>,
}

impl Drivers {
    /// The drivers that a configuration asks for.
    ///
    /// # Errors
    /// [`ConfigError`] when one of them cannot work: a file that cannot be read, an address that is none.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let console = || Some(Arc::new(ConsoleDriver) as Arc<dyn Driver>);
        let email = match config.registration.email {
            EmailWay::Off => None,
            EmailWay::Console => console(),
            EmailWay::Smtp => Some(Arc::new(SmtpDriver::of(config)?) as _),
        };
        let phone = match config.registration.phone {
            PhoneWay::Off => None,
            PhoneWay::Console => console(),
            PhoneWay::Sms => Some(Arc::new(SmsDriver::of(config)?) as _),
        };
        Ok(Self { email, phone })
    }

    fn of_kind(&self, kind: IdentifierKind) -> Option<&dyn Driver> {
        match kind {
            IdentifierKind::Email => self.email.as_deref(),
            IdentifierKind::Phone => self.phone.as_deref(),
        }
    }
}

impl Driver for Drivers {
    fn via(&self, kind: IdentifierKind) -> Option<SentVia> {
        self.of_kind(kind)?.via(kind)
    }

    fn send<'a>(
        &'a self,
        to: &'a Identifier,
        code: &'a Code,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        match self.of_kind(to.kind()) {
            Some(driver) => driver.send(to, code),
            None => {
                let why = "no driver for this kind of address".to_owned();
                Box::pin(async { Err(DriverError::Refused(why)) })
            }
        }
    }
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let read = std::fs::read(file).map(Zeroizing::new);
    read.map_err(|source| ConfigError::Unreadable { path: file.into(), source })
}

/// The secret in a file, without the end of its line; empty without a file.
pub(crate) fn secret(file: Option<&Path>) -> Result<Zeroizing<String>, ConfigError> {
    let Some(file) = file else { return Ok(Zeroizing::default()) };
    let bytes = read(file)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| unusable(format!("{} holds no text", file.display())))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn unusable(why: String) -> ConfigError {
    ConfigError::Unusable(why.into())
}

/// Whether a connection failed because it could not be made private: what rustls says is invalid data to its callers.
fn is_about_encryption(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let read = error.downcast_ref::<io::Error>();
        if read.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        next = error.source();
    }
    false
}
