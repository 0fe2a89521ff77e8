//! The sections of the configuration, with the defaults that `deploy/relay.toml` shows.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use libp2p::Multiaddr;
use protocol::mailbox::Limits;
use protocol::registration::Policy;
use protocol::registration::wire::IdentifierKind;
use protocol::time::{HOUR, SECOND};
use serde::{Deserialize, Serialize};

use super::DEFAULT_PORT;

/// Listening and connections (`[network]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Under which addresses others reach this relay; empty: the ones it listens on.
    pub external_addresses: Vec<Multiaddr>,
    /// Sibling relays, each with `/p2p/…`: the only members of the relays' Kademlia table.
    pub relays: Vec<Multiaddr>,
    /// Most established connections from outside.
    pub max_connections: u32,
    /// Most connections from one IPv4 address or one IPv6 /56.
    pub max_connections_per_prefix: u32,
    /// Most connections with one key.
    pub max_connections_per_peer: u32,
}

impl Default for Network {
    fn default() -> Self {
        let listen = ["/ip4/0.0.0.0/tcp/", "/ip4/0.0.0.0/udp/"]
            .map(|at| {
                let quic = if at.ends_with("udp/") { "/quic-v1" } else { "" };
                format!("{at}{DEFAULT_PORT}{quic}").parse().expect("a literal multiaddr")
            })
            .to_vec();
        Self {
            listen,
            external_addresses: Vec::new(),
            relays: Vec::new(),
            max_connections: 26_000,
            max_connections_per_prefix: 64,
            max_connections_per_peer: 4,
        }
    }
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Tokens at most.
    pub burst: u32,
    /// Milliseconds until one token is back.
    pub refill_ms: u64,
}

impl Bucket {
    /// A bucket.
    #[must_use]
    pub const fn new(burst: u32, refill_ms: u64) -> Self {
        Self { burst, refill_ms }
    }
}

/// Circuits through this relay (`[circuits]`), for admitted peers only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Circuits {
    /// Most reservations.
    pub max_reservations: usize,
    /// Most reservations of one peer.
    pub max_reservations_per_peer: usize,
    /// How long a reservation holds, seconds; clients renew at three quarters of it.
    pub reservation_seconds: u64,
    /// Reservations of one peer.
    pub reservations_per_peer: Bucket,
    /// Reservations from one address.
    pub reservations_per_address: Bucket,
    /// Most circuits, over all peers.
    pub max_circuits: usize,
    /// Most circuits of one peer.
    pub max_circuits_per_peer: usize,
    /// Longest circuit, seconds.
    pub circuit_seconds: u64,
    /// Most bytes of a circuit, both directions together. Not 0: to libp2p that is no limit.
    pub circuit_bytes: u64,
    /// Circuits asked for by one peer.
    pub circuits_per_peer: Bucket,
    /// Circuits asked for from one address.
    pub circuits_per_address: Bucket,
}

impl Default for Circuits {
    fn default() -> Self {
        Self {
            max_reservations: 32_768,
            max_reservations_per_peer: 4,
            reservation_seconds: 6 * 3_600,
            reservations_per_peer: Bucket::new(20, 15_000),
            reservations_per_address: Bucket::new(2_000, 50),
            max_circuits: 8_192,
            max_circuits_per_peer: 64,
            circuit_seconds: 30 * 60,
            circuit_bytes: 64 * 1024 * 1024,
            circuits_per_peer: Bucket::new(60, 5_000),
            circuits_per_address: Bucket::new(1_000, 100),
        }
    }
}

/// How codes for e-mail addresses travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailWay {
    /// Nobody registers with one.
    Off,
    /// Written to the relay's standard error, for an operator who passes them on.
    Console,
    /// By e-mail, through the server in [`Smtp`].
    Smtp,
}

/// How codes for telephone numbers travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhoneWay {
    /// Nobody registers with one.
    Off,
    /// As for e-mail addresses.
    Console,
    /// By text message, through the gateway in [`Sms`].
    Sms,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// From its first byte (RFC 8314 §3.3).
    #[default]
    Tls,
    /// After `STARTTLS` (RFC 3207); a server that does not offer it is sent nothing.
    Starttls,
    /// Not at all: for a server on this machine.
    None,
}

/// The mail server that takes codes (`[registration.smtp]`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port; absent: what the encryption usually has (465, 587, 25).
    pub port: Option<u16>,
    /// How the connection is encrypted.
    pub encryption: Encryption,
    /// As whom to sign in; absent: not at all.
    pub user: Option<String>,
    /// The file that holds the password and nothing else.
    pub password_file: Option<PathBuf>,
    /// Who writes: `Name <address>`.
    pub from: String,
    /// A PEM file with the certificate of an authority that only this server has.
    pub ca_file: Option<PathBuf>,
}

/// The gateway that takes codes for text messages (`[registration.sms]`): Twilio, or what speaks like it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sms {
    /// Where messages are posted.
    pub url: String,
    /// As whom to sign in: the account, or a key of it.
    pub user: String,
    /// The file that holds the secret and nothing else.
    pub password_file: Option<PathBuf>,
    /// Who writes: a number, a name, or a service of senders (`MG…`).
    pub from: String,
    /// A PEM file with the certificate of the only authority that is trusted; absent: the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Sms {
    /// Whether something stands everywhere where it must, and codes never cross a network in the clear.
    pub(crate) fn is_usable(&self) -> bool {
        let here = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
        let private =
            self.url.starts_with("https://") || here.iter().any(|here| self.url.starts_with(here));
        private && !self.user.is_empty() && !self.from.is_empty()
    }
}

impl Smtp {
    /// The port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.encryption {
            Encryption::Tls => 465,
            Encryption::Starttls => 587,
            Encryption::None => 25,
        })
    }

    /// Whether codes never cross a network in the clear.
    pub(crate) fn is_private(&self) -> bool {
        let here = || match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        };
        self.encryption != Encryption::None || here()
    }
}

/// Accounts (`[registration]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// How codes for e-mail addresses travel.
    pub email: EmailWay,
    /// How codes for telephone numbers travel.
    pub phone: PhoneWay,
    /// How long a credential is good, days: 1 to 7.
    pub credential_days: u32,
    /// How long a code is good, seconds.
    pub code_seconds: u64,
    /// Waiting time before the second send, seconds; doubles.
    pub resend_seconds: u64,
    /// Challenges of one identifier in an hour.
    pub challenges_per_hour: usize,
    /// Codes sent to one identifier in a day.
    pub sends_per_day: usize,
    /// Challenges of one account key in a day.
    pub account_challenges_per_day: usize,
    /// Challenges from one IPv4 /24 or IPv6 /56 in a day.
    pub prefix_challenges_per_day: u32,
    /// Codes sent by the relay in an hour.
    pub relay_sends_per_hour: usize,
    /// Codes sent by the relay in a day.
    pub relay_sends_per_day: usize,
    /// Calling codes of the countries whose telephone numbers are sent to; empty: all.
    pub countries: BTreeSet<u16>,
    /// Codes sent to the numbers of one country in an hour.
    pub country_sends_per_hour: usize,
    /// Codes sent to the numbers of one country in a day.
    pub country_sends_per_day: usize,
    /// Codes sent in a day to numbers that differ in their last four digits only.
    pub range_sends_per_day: usize,
    /// Codes sent to telephone numbers in an hour.
    pub phone_sends_per_hour: usize,
    /// Codes sent to telephone numbers in a day.
    pub phone_sends_per_day: usize,
    /// From so many codes on that left for a range in a day, `answered_percent` of them have to have been right.
    pub range_unanswered: usize,
    /// The same for a calling code.
    pub country_unanswered: usize,
    /// How many in a hundred have to be right, or there is only a trickle: 0 to 100.
    pub answered_percent: usize,
    /// Codes in an hour to a range from which too few come back.
    pub range_trickle: usize,
    /// The same for a calling code.
    pub country_trickle: usize,
    /// The mail server, where one is used.
    pub smtp: Option<Smtp>,
    /// The gateway for text messages, where one is used.
    pub sms: Option<Sms>,
}

impl Default for Registration {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            email: EmailWay::Console,
            phone: PhoneWay::Console,
            credential_days: 7,
            code_seconds: policy.code_lifetime / SECOND,
            resend_seconds: policy.resend_after / SECOND,
            challenges_per_hour: policy.challenges_per_hour,
            sends_per_day: policy.sends_per_day,
            account_challenges_per_day: policy.account_challenges_per_day,
            prefix_challenges_per_day: 20,
            relay_sends_per_hour: policy.relay_sends_per_hour,
            relay_sends_per_day: policy.relay_sends_per_day,
            countries: policy.countries,
            country_sends_per_hour: policy.country_sends_per_hour,
            country_sends_per_day: policy.country_sends_per_day,
            range_sends_per_day: policy.range_sends_per_day,
            phone_sends_per_hour: policy.phone_sends_per_hour,
            phone_sends_per_day: policy.phone_sends_per_day,
            range_unanswered: policy.range_unanswered,
            country_unanswered: policy.country_unanswered,
            answered_percent: policy.answered_percent,
            range_trickle: policy.range_trickle,
            country_trickle: policy.country_trickle,
            smtp: None,
            sms: None,
        }
    }
}

impl Registration {
    /// What has to hold, and the sentence for where it does not.
    pub(crate) fn rules(&self) -> [(bool, &'static str); 7] {
        let (smtp, sms) = (self.smtp.as_ref(), self.sms.as_ref());
        [
            (
                (1..=7).contains(&self.credential_days),
                "registration.credential_days must be 1 to 7",
            ),
            (
                !self.kinds().is_empty(),
                "registration.email and registration.phone are both off: nobody could register",
            ),
            (
                self.email != EmailWay::Smtp || smtp.is_some_and(|smtp| !smtp.host.is_empty()),
                "registration.email = \"smtp\" needs host and from in [registration.smtp]",
            ),
            (
                self.phone != PhoneWay::Sms || sms.is_some_and(Sms::is_usable),
                "registration.phone = \"sms\" needs url (https), user and from in [registration.sms]",
            ),
            (
                smtp.is_none_or(Smtp::is_private),
                "registration.smtp.encryption = \"none\" is for a mail server on this machine",
            ),
            (self.answered_percent <= 100, "registration.answered_percent must be 0 to 100"),
            (
                self.code_seconds > 0 && self.prefix_challenges_per_day > 0,
                "registration limits must not be 0",
            ),
        ]
    }

    /// What people may register with.
    pub(crate) fn kinds(&self) -> Vec<IdentifierKind> {
        let email = (self.email != EmailWay::Off).then_some(IdentifierKind::Email);
        let phone = (self.phone != PhoneWay::Off).then_some(IdentifierKind::Phone);
        email.into_iter().chain(phone).collect()
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            code_lifetime: self.code_seconds.saturating_mul(SECOND),
            resend_after: self.resend_seconds.saturating_mul(SECOND),
            challenges_per_hour: self.challenges_per_hour,
            sends_per_day: self.sends_per_day,
            account_challenges_per_day: self.account_challenges_per_day,
            relay_sends_per_hour: self.relay_sends_per_hour,
            relay_sends_per_day: self.relay_sends_per_day,
            countries: self.countries.clone(),
            country_sends_per_hour: self.country_sends_per_hour,
            country_sends_per_day: self.country_sends_per_day,
            range_sends_per_day: self.range_sends_per_day,
            phone_sends_per_hour: self.phone_sends_per_hour,
            phone_sends_per_day: self.phone_sends_per_day,
            range_unanswered: self.range_unanswered,
            country_unanswered: self.country_unanswered,
            answered_percent: self.answered_percent,
            range_trickle: self.range_trickle,
            country_trickle: self.country_trickle,
            ..Policy::default()
        }
    }

    /// Credential lifetime in milliseconds.
    pub(crate) fn credential_lifetime(&self) -> u64 {
        u64::from(self.credential_days).saturating_mul(24 * HOUR)
    }
}

/// Mailboxes (`[mailbox]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mailbox {
    /// Waiting items of a contact's queue.
    pub contact_items: u32,
    /// Waiting bytes of a contact's queue.
    pub contact_bytes: u64,
    /// Items beyond those for which a contact's queue has room for control messages.
    pub reserved_items: u32,
    /// And their bytes.
    pub reserved_bytes: u64,
    /// Waiting items of an account.
    pub account_items: u32,
    /// Waiting bytes of an account.
    pub account_bytes: u64,
    /// Queues of an account.
    pub account_queues: u32,
    /// Keeping time of a deposit that names none, seconds.
    pub default_ttl_seconds: u64,
    /// Longest keeping time, seconds.
    pub max_ttl_seconds: u64,
}

impl Default for Mailbox {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            contact_items: limits.contact_items,
            contact_bytes: limits.contact_bytes,
            reserved_items: limits.reserved_items,
            reserved_bytes: limits.reserved_bytes,
            account_items: limits.account_items,
            account_bytes: limits.account_bytes,
            account_queues: limits.account_queues,
            default_ttl_seconds: limits.default_ttl / SECOND,
            max_ttl_seconds: limits.max_ttl / SECOND,
        }
    }
}

impl Mailbox {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            contact_items: self.contact_items,
            contact_bytes: self.contact_bytes,
            reserved_items: self.reserved_items,
            reserved_bytes: self.reserved_bytes,
            account_items: self.account_items,
            account_bytes: self.account_bytes,
            account_queues: self.account_queues,
            default_ttl: self.default_ttl_seconds.saturating_mul(SECOND),
            max_ttl: self.max_ttl_seconds.saturating_mul(SECOND),
            ..Limits::default()
        }
    }
}

/// A PostgreSQL database for accounts and mailboxes (`[postgres]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    /// Its name, its address, or the folder of its socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whom to sign in as.
    pub user: String,
    /// The file that holds the password and nothing else; absent: none is asked for, as on a socket.
    pub password_file: Option<PathBuf>,
    /// The database.
    pub database: String,
    /// The file that holds the relay's identity, 32 bytes, the same for each of its processes; what is in a process's
    /// own folder is then only the key of its connections. Absent: the relay is one process.
    pub service_file: Option<PathBuf>,
    /// A PEM file with the certificate of the authority that signed the server's. The connection is encrypted then,
    /// which one to another machine has to be.
    pub ca_file: Option<PathBuf>,
    /// Over how many seconds a process that is stopped sends its people to the others.
    pub drain_seconds: u64,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            host: "/var/run/postgresql".into(),
            port: 5432,
            user: "kith".into(),
            password_file: None,
            database: "kith".into(),
            service_file: None,
            ca_file: None,
            drain_seconds: 20,
        }
    }
}

/// How often one peer or address may ask (`[rates]`). A deposit of n items costs n.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests of one key.
    pub peer: Bucket,
    /// Requests from one IPv4 address or IPv6 /56: throwaway keys cost nothing.
    pub address: Bucket,
}

impl Default for Rates {
    fn default() -> Self {
        Self { peer: Bucket::new(400, 20), address: Bucket::new(4_000, 2) }
    }
}
