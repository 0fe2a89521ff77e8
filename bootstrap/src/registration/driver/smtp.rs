//! Codes by e-mail, handed to a mail server (RFC 5321, RFC 3207, RFC 8314).

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use lettre::address::AddressError;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{self, AsyncSmtpTransport};
use lettre::{Address, AsyncTransport, Message, Tokio1Executor};
use protocol::registration::wire::{IdentifierKind, SentVia};
use protocol::registration::{Code, Identifier};

use super::{Driver, DriverError, is_about_encryption, read, secret, unusable};
use crate::config::{Config, ConfigError, Encryption, Smtp};

/// Longest wait for the server, at each step of a session.
const STEP_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends codes by e-mail. Every try is a session of its own: codes are few, and a server that was restarted is met
/// anew.
pub struct SmtpDriver {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What the relay is called.
    relay: String,
    /// How long a code is good.
    minutes: u64,
}

impl fmt::Debug for SmtpDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpDriver").finish_non_exhaustive()
    }
}

impl SmtpDriver {
    /// The driver that a configuration describes. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, or an address or a certificate that is none.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let smtp = config.registration.smtp.as_ref();
        let smtp = smtp.ok_or_else(|| unusable("[registration.smtp] is missing".into()))?;
        let from = smtp.from.parse().map_err(|error: AddressError| {
            unusable(format!("registration.smtp.from is no address: {error}"))
        })?;
        let tls = match smtp.encryption {
            Encryption::Tls => Tls::Wrapper(parameters(smtp)?),
            Encryption::Starttls => Tls::Required(parameters(smtp)?),
            Encryption::None => Tls::None,
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.clone())
            .port(smtp.port())
            .tls(tls)
            .timeout(Some(STEP_TIMEOUT));
        if let Some(user) = &smtp.user {
            let password = secret(smtp.password_file.as_deref())?;
            server = server.credentials(Credentials::new(user.clone(), password.to_string()));
        }
        let minutes = config.registration.code_seconds.div_ceil(60);
        Ok(Self { server: server.build(), from, relay: config.name.clone(), minutes })
    }

    fn letter(&self, to: &Identifier, code: &Code) -> Result<Message, DriverError> {
        // What a server cannot write to has no place in an error: it is the address.
        let to: Address = to
            .address()
            .parse()
            .map_err(|_| DriverError::Refused("an address that e-mail has no form for".into()))?;
        let (digits, relay, minutes) = (code.digits(), &self.relay, self.minutes);
        let text = format!(
            "{digits} is your code for {relay}.\r\n\r\n\
             Type it into Kith on your computer. It is good for {minutes} minutes, and once.\r\n\
             Nobody will ever ask you for it. If you did not ask for a code, leave it: somebody mistyped their address.\r\n"
        );
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(format!("{digits} is your code for {relay}"))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|_| DriverError::Refused("a letter that cannot be written".into()))
    }
}

impl Driver for SmtpDriver {
    fn via(&self, kind: IdentifierKind) -> Option<SentVia> {
        (kind == IdentifierKind::Email).then_some(SentVia::Email)
    }

    fn send<'a>(
        &'a self,
        to: &'a Identifier,
        code: &'a Code,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        Box::pin(async move {
            let letter = self.letter(to, code)?;
            self.server.send(letter).await.map(|_| ()).map_err(|error| judged(&error))
        })
    }
}

/// What an error means. The server's own words are left out: they often name the address. The same letter twice does
/// no harm, so all but a refusal is tried again.
fn judged(error: &smtp::Error) -> DriverError {
    if let Some(status) = error.status() {
        let why = format!("the mail server answered {status}");
        return if error.is_permanent() {
            DriverError::Refused(why)
        } else {
            DriverError::NotNow(why)
        };
    }
    if error.is_client() {
        let why = "the mail server offers no sign-in, encryption or kind of address that is needed";
        return DriverError::Refused(why.into());
    }
    DriverError::NotNow(if error.is_timeout() {
        "the mail server did not answer in time".into()
    } else if error.is_tls() || is_about_encryption(error) {
        "the mail server's certificate is not trusted, or its encryption failed".into()
    } else if error.is_response() {
        "the mail server's answer was no SMTP".into()
    } else {
        "the mail server was not reached, or the connection broke off".to_owned()
    })
}

fn parameters(smtp: &Smtp) -> Result<TlsParameters, ConfigError> {
    let mut parameters = TlsParameters::builder(smtp.host.clone());
    if let Some(file) = &smtp.ca_file {
        let pem = read(file)?;
        // An empty one is none to the library.
        let certificate =
            Some(&pem).filter(|pem| has_certificate(pem)).map(|pem| Certificate::from_pem(pem));
        let Some(Ok(certificate)) = certificate else {
            let file = file.display();
            return Err(unusable(format!("registration.smtp.ca_file: no certificate in {file}")));
        };
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build_rustls().map_err(|error| unusable(format!("registration.smtp: {error}")))
}

fn has_certificate(pem: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"-----BEGIN CERTIFICATE-----";
    pem.windows(BEGINNING.len()).any(|window| window == BEGINNING)
}

/// Says that no person wrote it, so that none of the machines that answer letters does (RFC 3834 §5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EmailWay, Registration};

    fn config(smtp: Smtp) -> Config {
        let registration =
            Registration { email: EmailWay::Smtp, smtp: Some(smtp), ..Registration::default() };
        Config { registration, ..Config::default() }
    }

    fn smtp() -> Smtp {
        Smtp {
            host: "mail.example.org".into(),
            from: "Lindgarden <kith@example.org>".into(),
            ..Smtp::default()
        }
    }

    fn refusal(smtp: Smtp) -> String {
        SmtpDriver::of(&config(smtp)).expect_err("refused").to_string()
    }

    #[test]
    fn what_cannot_work_is_said_before_the_first_letter() {
        assert!(SmtpDriver::of(&config(smtp())).is_ok());
        let from = refusal(Smtp { from: "Lindgarden".into(), ..smtp() });
        assert!(from.contains("registration.smtp.from is no address"), "{from}");
        let missing = Some("/nowhere/password".into());
        let file = refusal(Smtp { user: Some("kith".into()), password_file: missing, ..smtp() });
        assert!(file.contains("cannot read") && file.contains("/nowhere/password"), "{file}");
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let ca = refusal(Smtp { ca_file: Some(empty.path().into()), ..smtp() });
        assert!(ca.contains("registration.smtp.ca_file: no certificate in"), "{ca}");
    }

    #[test]
    fn nothing_of_the_server_is_in_debug() {
        let driver = SmtpDriver::of(&config(smtp())).expect("usable");
        assert_eq!(format!("{driver:?}"), "SmtpDriver { .. }");
    }
}
