//! `kith-bench`: whole-system figures, each beside what the stack below it can do at best.
//!
//! Absolute figures drift with the machine; the ratios between things measured in one run, side
//! by side, are what counts. `docs/BENCHMARKS.md` holds the last tables.

mod ceiling;
mod disk;
mod load;
mod pair;
mod people;
mod report;
mod stats;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// As both programs have it, so that what it costs is in the figures.
#[global_allocator]
static MEMORY: bootstrap::memory::Wiping = bootstrap::memory::wiping();

/// Measures Kith beside its own ceilings
#[derive(Debug, Parser)]
#[command(name = "kith-bench", version)]
struct Cli {
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One pair on loopback: send to durably delivered, beside bare libp2p and bare sled
    Pair(Pair),
    /// Many nodes at one relay: memory, idling, deposits and deliveries, beside a bare libp2p relay
    Load(Load),
    /// The bare libp2p relay of `load`
    #[command(hide = true)]
    BareRelay,
}

/// What `pair` measures.
#[derive(Clone, Debug, Args)]
struct Pair {
    /// Times that everything is measured; medians are shown
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Messages sent one after the other, per run
    #[arg(long, default_value_t = 500)]
    serial: usize,
    /// Messages sent with many in flight, per run
    #[arg(long, default_value_t = 4_000)]
    flood: usize,
    /// Messages in flight
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
    /// Bytes of a message's text; the frame, and the bare request, have 512
    #[arg(long, default_value_t = 200)]
    text: usize,
    /// What the two nodes speak
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    /// Where the stores are; a temporary folder otherwise. It must be on a real disk
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What `load` measures.
#[derive(Clone, Debug, Args)]
struct Load {
    /// Where the relay keeps what it keeps; PostgreSQL needs `tests/postgres.sh`
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [load::Store::Sled])]
    stores: Vec<load::Store>,
    /// Points of the curve, rising
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 3_000, 10_000])]
    nodes: Vec<u32>,
    /// Seconds without anything
    #[arg(long, default_value_t = 15)]
    idle: u64,
    /// Deposits one after the other
    #[arg(long, default_value_t = 500)]
    serial: usize,
    /// Deposits of each kind with many under way
    #[arg(long, default_value_t = 16_384)]
    flood: usize,
    /// Where the relay's folder is; a temporary one otherwise. It must be on a real disk
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// A transport of libp2p.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    /// TCP, Noise, Yamux.
    Tcp,
    /// QUIC.
    Quic,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.what.unwrap_or_else(usual) {
        What::Pair(options) => show(&pair::run(&options)?, cli.json),
        What::Load(options) => show(&load::run(&options)?, cli.json),
        What::BareRelay => tokio::runtime::Runtime::new()?.block_on(load::bare_relay()),
    }
}

fn show(report: &(impl serde::Serialize + std::fmt::Display), json: bool) -> anyhow::Result<()> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(report)?),
        false => print!("{report}"),
    }
    Ok(())
}

/// What is measured when nothing is asked for.
fn usual() -> What {
    Cli::parse_from(["kith-bench", "pair"]).what.expect("parsed from “pair”")
}
