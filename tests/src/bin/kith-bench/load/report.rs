//! The curve as a table and as JSON.

use std::fmt;

use serde::Serialize;

use super::flood::Outcome;
use crate::report::Machine;

/// What a relay has and does while nobody does anything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idle {
    pub(super) connections: u32,
    /// Resident, KiB.
    pub(super) memory: f64,
    /// KiB that each of those who came last added.
    pub(super) per_connection: f64,
    /// Share of one core.
    pub(super) cpu: f64,
}

/// One point of the curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Step {
    pub(super) nodes: u32,
    /// Nodes that joined in a second.
    pub(super) joins: f64,
    pub(super) idle: Idle,
    pub(super) serial: Outcome,
    pub(super) single: Outcome,
    pub(super) batched: Outcome,
    pub(super) away: Outcome,
}

/// Everything, side by side.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    relays: Vec<(String, Vec<Step>)>,
    bare: Vec<Idle>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self { machine: Machine::this(), relays: Vec::new(), bare: Vec::new() }
    }

    pub(super) fn relay(&mut self, name: String, steps: Vec<Step>) {
        self.relays.push((name, steps));
    }

    pub(super) fn bare(&mut self, idles: Vec<Idle>) {
        self.bare = idles;
    }
}

/// A figure of a step, and how it is written.
type Row = (&'static str, usize, fn(&Step) -> Option<f64>);

const ROWS: [Row; 23] = [
    ("connections", 0, |step| Some(f64::from(step.idle.connections))),
    ("joined a second", 0, |step| Some(step.joins)),
    ("memory, MiB", 0, |step| Some(step.idle.memory / 1_024.0)),
    ("memory of a connection, KiB", 1, |step| Some(step.idle.per_connection)),
    ("idle, % of a core", 1, |step| Some(step.idle.cpu * 100.0)),
    ("one by one: receipt p50, ms", 2, |step| Some(step.serial.receipt.p50)),
    ("receipt p99, ms", 2, |step| Some(step.serial.receipt.p99)),
    ("arrival p50, ms", 2, |step| Some(step.serial.arrival.p50)),
    ("arrival p99, ms", 2, |step| Some(step.serial.arrival.p99)),
    ("64 under way: deposits a second", 0, |step| Some(step.single.taken)),
    ("deliveries a second", 0, |step| Some(step.single.delivered)),
    ("receipt p50, ms", 1, |step| Some(step.single.receipt.p50)),
    ("receipt p99, ms", 1, |step| Some(step.single.receipt.p99)),
    ("arrival p99, ms", 1, |step| Some(step.single.arrival.p99)),
    ("relay's time for one, µs", 0, |step| Some(step.single.cost)),
    ("database's time for one, µs", 0, |step| step.single.database),
    ("batches of 32: deposits a second", 0, |step| Some(step.batched.taken)),
    ("deliveries a second", 0, |step| Some(step.batched.delivered)),
    ("receipt p99, ms", 1, |step| Some(step.batched.receipt.p99)),
    ("relay's time for one, µs", 0, |step| Some(step.batched.cost)),
    ("of all these, delivered again", 0, |step| {
        Some((step.serial.repeated + step.single.repeated + step.batched.repeated) as f64)
    }),
    ("to those away: deposits a second", 0, |step| Some(step.away.taken)),
    ("fetched by them a second", 0, |step| Some(step.away.delivered)),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Nodes at one relay, {}", self.machine)?;
        for (name, steps) in &self.relays {
            head(f, name, steps.iter().map(|step| step.nodes))?;
            for (what, digits, of) in ROWS {
                if steps.iter().all(|step| of(step).is_none()) {
                    continue;
                }
                write!(f, "| {what} |")?;
                for step in steps {
                    write!(f, " {:.digits$} |", of(step).unwrap_or(f64::NAN))?;
                }
                writeln!(f)?;
            }
        }
        head(f, "a bare libp2p relay", self.bare.iter().map(|idle| idle.connections))?;
        row(f, "memory, MiB", self.bare.iter().map(|idle| idle.memory / 1_024.0))?;
        row(f, "memory of a connection, KiB", self.bare.iter().map(|idle| idle.per_connection))?;
        row(f, "idle, % of a core", self.bare.iter().map(|idle| idle.cpu * 100.0))
    }
}

fn head(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    nodes: impl Iterator<Item = u32> + Clone,
) -> fmt::Result {
    write!(f, "\n| {name} |")?;
    for nodes in nodes.clone() {
        write!(f, " {nodes} |")?;
    }
    writeln!(f, "\n|---|{}", "---|".repeat(nodes.count()))
}

fn row(f: &mut fmt::Formatter<'_>, what: &str, values: impl Iterator<Item = f64>) -> fmt::Result {
    write!(f, "| {what} |")?;
    for value in values {
        write!(f, " {value:.1} |")?;
    }
    writeln!(f)
}
