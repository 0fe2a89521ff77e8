//! What was measured, as a table and as JSON.

use std::fmt;

use serde::Serialize;

use crate::Pair;
use crate::stats::{Figure, Latency};

/// One run: everything side by side.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Run {
    /// From `send` to “delivered”.
    pub(crate) delivered: Latency,
    /// Delivered messages a second.
    pub(crate) rate: f64,
    /// Bare request and answer.
    pub(crate) bare: Latency,
    /// Bare requests a second.
    pub(crate) bare_rate: f64,
    /// One row and a flush in a bare sled.
    pub(crate) flush: Latency,
}

impl Run {
    fn latency_ratio(&self) -> f64 {
        self.delivered.p50 / (self.bare.p50 + 2.0 * self.flush.p50)
    }

    fn rate_ratio(&self) -> f64 {
        self.rate / self.bare_rate
    }

    fn tail_ratio(&self) -> f64 {
        self.delivered.p99 / self.delivered.p50
    }
}

/// What it was measured on.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Machine {
    profile: &'static str,
    cores: usize,
    /// Of the last minute.
    load: Option<f64>,
}

impl Machine {
    /// This one, now.
    pub(crate) fn this() -> Self {
        Self {
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load: load(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, cores, load } = self;
        let load = load.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.1}"));
        write!(f, "{profile} build, {cores} cores, load {load}")
    }
}

/// All runs, and what they say together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    transport: String,
    /// When the runs had ended.
    #[serde(flatten)]
    machine: Machine,
    serial: usize,
    flood: usize,
    in_flight: usize,
    rows: Vec<Row>,
    ratios: Vec<Ratio>,
    runs: Vec<Run>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    what: String,
    unit: &'static str,
    #[serde(flatten)]
    figure: Figure,
}

#[derive(Clone, Debug, Serialize)]
struct Ratio {
    what: &'static str,
    /// The goal, in words.
    goal: &'static str,
    reached: bool,
    #[serde(flatten)]
    figure: Figure,
}

impl Report {
    pub(crate) fn new(options: &Pair, runs: Vec<Run>) -> Self {
        let figure = |of: fn(&Run) -> f64| Figure::of(runs.iter().map(of));
        let row = |what: &str, unit, of| Row { what: what.to_owned(), unit, figure: figure(of) };
        let rows = vec![
            row("send to delivered, p50", "ms", |run| run.delivered.p50),
            row("send to delivered, p90", "ms", |run| run.delivered.p90),
            row("send to delivered, p99", "ms", |run| run.delivered.p99),
            row("libp2p request and answer, p50", "ms", |run| run.bare.p50),
            row("sled commit and flush, p50", "ms", |run| run.flush.p50),
            row("sled commit and flush, p99", "ms", |run| run.flush.p99),
            row("delivered messages", "/s", |run| run.rate),
            row("libp2p requests", "/s", |run| run.bare_rate),
        ];
        let ratio = |what, goal, of, holds: fn(f64) -> bool| {
            let figure = figure(of);
            Ratio { what, goal, reached: holds(figure.median), figure }
        };
        let ratios = vec![
            ratio("p50 ÷ (round trip + 2 flushes)", "at most 2", Run::latency_ratio, |ratio| {
                ratio <= 2.0
            }),
            ratio("p99 ÷ p50", "at most 5", Run::tail_ratio, |ratio| ratio <= 5.0),
            ratio("messages ÷ libp2p requests", "at least 0.5", Run::rate_ratio, |ratio| {
                ratio >= 0.5
            }),
        ];
        Self {
            transport: format!("{:?}", options.transport),
            machine: Machine::this(),
            serial: options.serial,
            flood: options.flood,
            in_flight: options.in_flight,
            rows,
            ratios,
            runs,
        }
    }
}

/// The machine's load of the last minute, where it can be known.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "One pair on loopback, {}, {}\n\
             {} runs of {} messages one by one and {} with {} in flight: median (least – most)\n",
            self.transport,
            self.machine,
            self.runs.len(),
            self.serial,
            self.flood,
            self.in_flight,
        )?;
        writeln!(f, "| figure | median | least – most |\n|---|---|---|")?;
        for Row { what, unit, figure: Figure { median, least, most } } in &self.rows {
            let (digits, gap) = if *unit == "ms" { (2, " ") } else { (0, "") };
            writeln!(
                f,
                "| {what} | {median:.digits$}{gap}{unit} | {least:.digits$} – {most:.digits$} |"
            )?;
        }
        writeln!(f, "\n| ratio | median | least – most | goal | |\n|---|---|---|---|---|")?;
        for Ratio { what, goal, reached, figure: Figure { median, least, most } } in &self.ratios {
            let verdict = if *reached { "reached" } else { "missed" };
            writeln!(f, "| {what} | {median:.2} | {least:.2} – {most:.2} | {goal} | {verdict} |")?;
        }
        Ok(())
    }
}
