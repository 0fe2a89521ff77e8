//! Codes by text message, handed to a gateway that speaks Twilio's interface for messages: a form over HTTPS,
//! signed in with a name and a secret.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use futures::future::BoxFuture;
use protocol::registration::wire::{IdentifierKind, SentVia};
use protocol::registration::{Code, Identifier};
use serde::Deserialize;
use ureq::http::StatusCode;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};
use zeroize::Zeroizing;

use super::{Driver, DriverError, is_about_encryption, read, secret, unusable};
use crate::config::{Config, ConfigError, Sms};

/// Longest wait for the gateway's answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 16 * 1024;
/// How the id of a service of senders begins, which stands in place of a number.
const SERVICE: &str = "MG";

/// Sends codes by text message.
#[derive(Clone)]
pub struct SmsDriver(Arc<Gateway>);

struct Gateway {
    agent: Agent,
    url: String,
    /// The header that signs in.
    authorization: Zeroizing<String>,
    from: String,
    /// What the relay is called.
    relay: String,
}

impl fmt::Debug for SmsDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmsDriver").finish_non_exhaustive()
    }
}

/// What of a gateway's refusal is told: a number of its list of errors.
#[derive(Deserialize)]
struct Refusal {
    code: u32,
}

impl SmsDriver {
    /// The driver that a configuration describes. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, or a certificate that is none.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let sms = config.registration.sms.as_ref();
        let sms: &Sms = sms.ok_or_else(|| unusable("[registration.sms] is missing".into()))?;
        let mut tls = TlsConfig::builder();
        if let Some(file) = &sms.ca_file {
            let certificate = Certificate::from_pem(&read(file)?).map_err(|_| {
                unusable(format!("registration.sms.ca_file: no certificate in {}", file.display()))
            })?;
            tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
        }
        let agent = Agent::config_builder()
            .timeout_global(Some(CALL_TIMEOUT))
            .http_status_as_error(false)
            // An answer like any other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent("kith-relay")
            .tls_config(tls.build())
            .build();
        let secret = secret(sms.password_file.as_deref())?;
        let pair = Zeroizing::new(format!("{}:{}", sms.user, *secret));
        let authorization = Zeroizing::new(format!("Basic {}", BASE64.encode(pair.as_bytes())));
        Ok(Self(Arc::new(Gateway {
            agent: agent.into(),
            url: sms.url.clone(),
            authorization,
            from: sms.from.clone(),
            relay: config.name.clone(),
        })))
    }
}

impl Gateway {
    fn send(&self, to: &Identifier, code: &Code) -> Result<(), DriverError> {
        let text = Zeroizing::new(format!(
            "{} is your code for {}. Nobody will ever ask you for it.",
            code.digits(),
            self.relay
        ));
        let sender = if self.from.starts_with(SERVICE) { "MessagingServiceSid" } else { "From" };
        let form = [("To", to.address()), (sender, &self.from), ("Body", &text)];
        let called = self
            .agent
            .post(&self.url)
            .header("Authorization", self.authorization.as_str())
            .send_form(form);
        let mut answer = called.map_err(|error| failed(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let code = text.ok().and_then(|text| serde_json::from_str::<Refusal>(&text).ok());
        Err(judged(status, code.map(|refusal| refusal.code)))
    }
}

impl Driver for SmsDriver {
    fn via(&self, kind: IdentifierKind) -> Option<SentVia> {
        (kind == IdentifierKind::Phone).then_some(SentVia::Sms)
    }

    fn send<'a>(
        &'a self,
        to: &'a Identifier,
        code: &'a Code,
    ) -> BoxFuture<'a, Result<(), DriverError>> {
        let (gateway, to, code) = (Arc::clone(&self.0), to.clone(), code.clone());
        Box::pin(async move {
            // Ends by itself: the call has its time.
            let called = tokio::task::spawn_blocking(move || gateway.send(&to, &code)).await;
            called.unwrap_or_else(|_| Err(DriverError::Unsure("the driver failed".into())))
        })
    }
}

/// What an answer means that is no success. Its text is left out: it names the number.
fn judged(status: StatusCode, code: Option<u32>) -> DriverError {
    let why = match code {
        Some(code) => format!("the gateway answered {}, error {code}", status.as_u16()),
        None => format!("the gateway answered {}", status.as_u16()),
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => DriverError::NotNow(why),
        // A text costs money: what may have left is not sent twice.
        _ if status.is_server_error() => DriverError::Unsure(why),
        _ => DriverError::Refused(why),
    }
}

/// What a call means that had no answer.
fn failed(error: &ureq::Error) -> DriverError {
    use ureq::Error::{ConnectionFailed, HostNotFound, Io, Pem, Rustls, Tls};
    let not_reached = || DriverError::NotNow("the gateway was not reached".into());
    let not_private = || {
        let why = "the gateway's certificate is not trusted, or its encryption failed";
        DriverError::NotNow(why.into())
    };
    match error {
        Io(error) if is_about_encryption(error) => not_private(),
        ConnectionFailed
        | HostNotFound
        | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => not_reached(),
        Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => not_reached(),
        Tls(_) | Pem(_) | Rustls(_) => not_private(),
        _ => DriverError::Unsure("the gateway did not answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_did_not_leave_is_tried_again() {
        let not_now = |why: &str| DriverError::NotNow(why.to_owned());
        for (status, code, meaning) in [
            (429, Some(20_429), not_now("the gateway answered 429, error 20429")),
            (503, None, not_now("the gateway answered 503")),
            (500, None, DriverError::Unsure("the gateway answered 500".into())),
            (
                400,
                Some(21_211),
                DriverError::Refused("the gateway answered 400, error 21211".into()),
            ),
            (401, None, DriverError::Refused("the gateway answered 401".into())),
            (302, None, DriverError::Refused("the gateway answered 302".into())),
        ] {
            assert_eq!(judged(StatusCode::from_u16(status).expect("a status"), code), meaning);
        }
        assert!(matches!(failed(&ureq::Error::HostNotFound), DriverError::NotNow(_)));
        let broken = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(matches!(failed(&ureq::Error::Io(broken)), DriverError::Unsure(_)));
        let late = ureq::Error::Timeout(Timeout::Global);
        assert!(matches!(failed(&late), DriverError::Unsure(_)));
    }
}
