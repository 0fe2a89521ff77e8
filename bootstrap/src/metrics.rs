//! What is counted while a relay runs, for Prometheus and `/healthz`: never names.
//!
//! Every name begins with `kith_relay_`; counters end in `_total`. `docs/OPERATING.md` has the list and
//! what to do when one of them rings.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use protocol::blob::BlobRefusal;
use protocol::mailbox::wire::DepositRefusal;
use protocol::registration::limits::LimitName;
use protocol::registration::wire::SentVia;

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// A service that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Mailbox,
    Registration,
    Turn,
    Blobs,
}

/// What became of a blob, or of a request about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobEnd {
    Opened,
    Deleted,
    Over,
}

/// What became of an allocation that was asked for, or of a datagram that was not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    Allocated,
    /// The call ended between the proof and the allocation.
    NoCall,
    AccountFull,
    ServerFull,
    /// To an address that is not reached through this relay.
    Peer,
    /// More in a second than an allocation carries.
    Rate,
    /// More in a day than an account's allocations carry.
    Day,
}

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeEnd {
    Sent,
    Failed,
    Verified,
}

/// The counters of a relay.
pub(crate) struct Metrics {
    /// Established connections.
    pub(crate) connections: Gauge<i64, AtomicI64>,
    /// Keys that are admitted.
    pub(crate) admitted: Gauge<i64, AtomicI64>,
    /// Reservations granted or renewed.
    pub(crate) reservations: Counter<u64, AtomicU64>,
    /// Circuits granted.
    pub(crate) circuits: Counter<u64, AtomicU64>,
    /// Items pushed to owners.
    pub(crate) pushed: Counter,
    /// Items that owners acknowledged.
    pub(crate) acknowledged: Counter,
    /// Allocations of calls that stand.
    pub(crate) allocations: Gauge<i64, AtomicI64>,
    /// Bytes that allocations carried.
    pub(crate) carried: Counter,
    /// Bytes of pieces that came.
    pub(crate) taken_bytes: Counter,
    /// Bytes of pieces that were got.
    pub(crate) served_bytes: Counter,
    blobs: Counters<1>,
    turn: Counters<1>,
    requests: Counters<1>,
    refused: Counters<1>,
    codes: Counters<2>,
    deposits: Counters<1>,
    limits: Counters<1>,
    flushes: Histogram,
    registry: Registry,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("connections", &self.connections.get())
            .finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            connections: Gauge::default(),
            admitted: Gauge::default(),
            reservations: Counter::default(),
            circuits: Counter::default(),
            pushed: Counter::default(),
            acknowledged: Counter::default(),
            allocations: Gauge::default(),
            carried: Counter::default(),
            taken_bytes: Counter::default(),
            served_bytes: Counter::default(),
            blobs: Family::default(),
            turn: Family::default(),
            requests: Family::default(),
            refused: Family::default(),
            codes: Family::default(),
            deposits: Family::default(),
            limits: Family::default(),
            // A quarter of a millisecond to four seconds.
            flushes: Histogram::new(exponential_buckets(0.000_25, 2.0, 15)),
            registry: Registry::with_prefix("kith_relay"),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let all = &mut self.registry;
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        all.register("build", "This program", build);
        all.register("connections", "Established connections", self.connections.clone());
        all.register("admitted", "Keys that are admitted", self.admitted.clone());
        all.register("reservations", "Reservations granted or renewed", self.reservations.clone());
        all.register("circuits", "Circuits granted", self.circuits.clone());
        all.register("requests", "Requests handed to a service", self.requests.clone());
        all.register(
            "refused",
            "Requests refused by a rate or for want of room",
            self.refused.clone(),
        );
        all.register("codes", "Codes of registrations, by way and end", self.codes.clone());
        all.register(
            "deposits",
            "Deposits with a proof that holds, or without",
            self.deposits.clone(),
        );
        let what = "Codes that a limit kept back, by the limit";
        all.register("limits", what, self.limits.clone());
        all.register("pushed", "Items pushed to owners", self.pushed.clone());
        all.register("acknowledged", "Items that owners acknowledged", self.acknowledged.clone());
        let what = "Allocations of calls that stand";
        all.register("turn_allocations", what, self.allocations.clone());
        let what = "Bytes that calls sent and got through allocations";
        all.register("turn_carried_bytes", what, self.carried.clone());
        let what = "Allocations made or refused, and datagrams dropped, by what became of them";
        all.register("turn", what, self.turn.clone());
        let what = "Files opened, deleted or over, and requests about them that were refused";
        all.register("blobs", what, self.blobs.clone());
        let what = "Bytes of files that came";
        all.register("blob_taken_bytes", what, self.taken_bytes.clone());
        let what = "Bytes of files that were got";
        all.register("blob_served_bytes", what, self.served_bytes.clone());
        let what = "Time to make a group of decisions durable";
        all.register_with_unit("flush", what, Unit::Seconds, self.flushes.clone());
    }

    pub(crate) fn request(&self, asked: Asked) {
        self.requests.get_or_create(&service(asked)).inc();
    }

    pub(crate) fn refusal(&self, asked: Asked) {
        self.refused.get_or_create(&service(asked)).inc();
    }

    pub(crate) fn code(&self, via: SentVia, end: CodeEnd) {
        let via = match via {
            SentVia::Console => "console",
            SentVia::Email => "email",
            SentVia::Sms => "sms",
        };
        let end = match end {
            CodeEnd::Sent => "sent",
            CodeEnd::Failed => "failed",
            CodeEnd::Verified => "verified",
        };
        self.codes.get_or_create(&[("via", via), ("end", end)]).inc();
    }

    pub(crate) fn turn(&self, end: TurnEnd) {
        let end = match end {
            TurnEnd::Allocated => "allocated",
            TurnEnd::NoCall => "no_call",
            TurnEnd::AccountFull => "account_full",
            TurnEnd::ServerFull => "server_full",
            TurnEnd::Peer => "peer",
            TurnEnd::Rate => "rate",
            TurnEnd::Day => "day",
        };
        self.turn.get_or_create(&[("end", end)]).inc();
    }

    pub(crate) fn blob(&self, end: BlobEnd) {
        let end = match end {
            BlobEnd::Opened => "opened",
            BlobEnd::Deleted => "deleted",
            BlobEnd::Over => "over",
        };
        self.blobs.get_or_create(&[("end", end)]).inc();
    }

    pub(crate) fn blob_refusal(&self, why: BlobRefusal) {
        let end = match why {
            BlobRefusal::NotOffered => "not_offered",
            BlobRefusal::NotAdmitted => "not_admitted",
            BlobRefusal::Missing => "missing",
            BlobRefusal::Taken => "taken",
            BlobRefusal::TooLarge { .. } => "too_large",
            BlobRefusal::Full => "full",
            BlobRefusal::NoRoom => "no_room",
            BlobRefusal::WrongPiece => "wrong_piece",
            BlobRefusal::Busy { .. } => "busy",
            BlobRefusal::Unavailable => "unavailable",
        };
        self.blobs.get_or_create(&[("end", end)]).inc();
    }

    pub(crate) fn limit(&self, limit: LimitName) {
        self.limits.get_or_create(&[("limit", limit.as_str())]).inc();
    }

    pub(crate) fn deposit(&self, refused: Option<DepositRefusal>) {
        let end = match refused {
            None => "taken",
            Some(DepositRefusal::Full) => "full",
            Some(DepositRefusal::Denied) => "denied",
            Some(DepositRefusal::TooLarge) => "too_large",
            Some(DepositRefusal::Unavailable) => "unavailable",
        };
        self.deposits.get_or_create(&[("end", end)]).inc();
    }

    pub(crate) fn flush(&self, took: Duration) {
        self.flushes.observe(took.as_secs_f64());
    }

    /// Requests handed to services, and refused.
    pub(crate) fn asked(&self) -> (u64, u64) {
        let sum = |counters: &Counters<1>| {
            [Asked::Mailbox, Asked::Registration]
                .map(|asked| counters.get_or_create(&service(asked)).get())
                .iter()
                .sum()
        };
        (sum(&self.requests), sum(&self.refused))
    }

    /// In the text format that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

fn service(asked: Asked) -> Labels<1> {
    let service = match asked {
        Asked::Mailbox => "mailbox",
        Asked::Registration => "registration",
        Asked::Turn => "turn",
        Asked::Blobs => "blobs",
    };
    [("service", service)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of metrics in a text, without the endings that Prometheus adds.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        text.match_indices("kith_relay_").map(|(at, _)| {
            let name = &text[at..];
            let end = name.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            ["_total", "_bucket", "_count"]
                .iter()
                .find_map(|ending| name.strip_suffix(ending))
                .unwrap_or(name)
        })
    }

    #[test]
    fn dashboard_alerts_and_manual_name_what_is_counted() {
        let metrics = Metrics::default();
        // A family is not told before it has a member.
        metrics.request(Asked::Mailbox);
        metrics.refusal(Asked::Mailbox);
        metrics.code(SentVia::Sms, CodeEnd::Failed);
        metrics.deposit(None);
        metrics.limit(LimitName::Relay);
        metrics.turn(TurnEnd::Allocated);
        metrics.blob(BlobEnd::Opened);
        let metrics = metrics.text();
        for (file, text) in [
            ("grafana.json", include_str!("../../deploy/grafana.json")),
            ("alerts.yaml", include_str!("../../deploy/alerts.yaml")),
            ("OPERATING.md", include_str!("../../docs/OPERATING.md")),
        ] {
            assert!(named(text).count() >= 5, "{file}");
            for name in named(text) {
                let help = format!("# HELP {name} ");
                assert!(metrics.contains(&help), "{file} names {name}");
            }
        }
    }

    #[test]
    fn what_is_counted_is_told_in_prometheus_own_form() {
        let metrics = Metrics::default();
        metrics.connections.inc();
        metrics.request(Asked::Mailbox);
        metrics.request(Asked::Registration);
        metrics.refusal(Asked::Mailbox);
        metrics.code(SentVia::Sms, CodeEnd::Failed);
        metrics.deposit(Some(DepositRefusal::Full));
        metrics.limit(LimitName::CountryUnanswered);
        metrics.flush(Duration::from_millis(3));
        let text = metrics.text();
        for line in [
            "kith_relay_connections 1",
            r#"kith_relay_requests_total{service="mailbox"} 1"#,
            r#"kith_relay_codes_total{via="sms",end="failed"} 1"#,
            r#"kith_relay_deposits_total{end="full"} 1"#,
            r#"kith_relay_limits_total{limit="country_unanswered"} 1"#,
            "kith_relay_flush_seconds_count 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert_eq!(metrics.asked(), (2, 1));
    }
}
