use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use protocol::turn::{MAX_SERVER, MAX_SERVERS};
use serde::{Deserialize, Serialize};

use super::Bucket;

/// Port of STUN and TURN over UDP (RFC 8489 §8.1).
const DEFAULT_PORT: u16 = 3478;

/// STUN and TURN for calls (`[turn]`): a server of this relay's own, or another one that has the same secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// Where to answer, over UDP.
    pub listen: SocketAddr,
    /// Under which IP address others reach it; absent: the one that it listens on, which must name one then.
    pub external_ip: Option<IpAddr>,
    /// First port of allocations; 0 with `last_port` 0: whichever are free.
    pub first_port: u16,
    /// Last port of allocations.
    pub last_port: u16,
    /// Servers of another make, instead of one of our own: `turn:host:port?transport=udp` and the like.
    pub servers: Vec<String>,
    /// The file that holds the secret of those servers and nothing else.
    pub secret_file: Option<PathBuf>,
    /// Until when an allocation can be made with what a call was given, seconds.
    pub credential_seconds: u64,
    /// Longest call, seconds.
    pub call_seconds: u64,
    /// Calls that one account asks for.
    pub calls_per_account: Bucket,
    /// Most allocations.
    pub max_allocations: usize,
    /// Most allocations of one account.
    pub max_allocations_per_account: usize,
    /// Bytes that the allocations of one account carry in a second, each way, with 48 for each datagram.
    pub account_bytes_per_second: u32,
    /// Bytes that the allocations of one account carry in a day, both directions together.
    pub account_bytes_per_day: u64,
    /// Networks that nobody is to reach through this relay, beside those that nobody reaches anyway.
    pub denied_networks: Vec<IpNet>,
    /// Requests of each allocation that stands.
    pub requests_per_allocation: Bucket,
    /// Requests from one IPv4 address or one IPv6 /56. Media are none.
    pub requests_per_address: Bucket,
    /// Requests without credentials, from everywhere.
    pub requests_of_strangers: Bucket,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], DEFAULT_PORT).into(),
            external_ip: None,
            // RFC 8656 §7.2: of the dynamic range.
            first_port: 49_152,
            last_port: 65_535,
            servers: Vec::new(),
            secret_file: None,
            credential_seconds: 5 * 60,
            call_seconds: 12 * 3_600,
            calls_per_account: Bucket::new(20, 15_000),
            max_allocations: 2_000,
            max_allocations_per_account: 12,
            account_bytes_per_second: 1_500_000,
            account_bytes_per_day: 20 * 1024 * 1024 * 1024,
            denied_networks: Vec::new(),
            requests_per_allocation: Bucket::new(60, 500),
            requests_per_address: Bucket::new(200, 20),
            requests_of_strangers: Bucket::new(2_000, 1),
        }
    }
}

impl Turn {
    /// This section with the limits of another one.
    pub(crate) fn with_limits_of(&self, new: &Self) -> Self {
        Self {
            credential_seconds: new.credential_seconds,
            call_seconds: new.call_seconds,
            calls_per_account: new.calls_per_account,
            max_allocations: new.max_allocations,
            max_allocations_per_account: new.max_allocations_per_account,
            account_bytes_per_day: new.account_bytes_per_day,
            ..self.clone()
        }
    }

    /// What others are told of the server's IP address.
    pub(crate) fn external_ip(&self) -> IpAddr {
        self.external_ip.unwrap_or(self.listen.ip())
    }

    /// What has to hold, and the sentence for where it does not.
    pub(crate) fn rules(&self) -> [(bool, &'static str); 6] {
        let own = self.servers.is_empty();
        let named = |server: &String| {
            let scheme = ["turn:", "turns:", "stun:", "stuns:"];
            scheme.iter().any(|scheme| server.starts_with(scheme)) && server.len() <= MAX_SERVER
        };
        let buckets = [
            self.calls_per_account,
            self.requests_per_allocation,
            self.requests_per_address,
            self.requests_of_strangers,
        ];
        [
            (
                !own || !self.external_ip().is_unspecified(),
                "turn.external_ip must say under which address others reach this machine",
            ),
            (
                // What a browser does not say otherwise is a wish for IPv4 (RFC 8656 §7.2), and none says otherwise.
                !own || (self.external_ip().is_ipv4() && self.listen.is_ipv4()),
                "turn.listen and turn.external_ip must be IPv4: browsers ask for nothing else",
            ),
            (
                self.first_port <= self.last_port
                    && (self.first_port == 0) == (self.last_port == 0),
                "turn.first_port must not be above turn.last_port",
            ),
            (
                own == self.secret_file.is_none()
                    && self.servers.len() <= MAX_SERVERS
                    && self.servers.iter().all(named),
                "turn.servers are at most 8 URIs (turn:, turns:, stun:, stuns:) and need turn.secret_file",
            ),
            (
                (30..=86_400).contains(&self.credential_seconds)
                    && (self.credential_seconds..=7 * 86_400).contains(&self.call_seconds),
                "turn: credential_seconds is 30 to 86400, call_seconds no less, and a week at most",
            ),
            (
                // A datagram has to fit.
                self.account_bytes_per_second >= 2_048
                    && buckets.iter().all(|bucket| bucket.burst > 0 && bucket.refill_ms > 0),
                "turn: account_bytes_per_second must be 2048 or more, no rate 0",
            ),
        ]
    }
}
