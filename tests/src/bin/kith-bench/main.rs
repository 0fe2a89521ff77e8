//! `kith-bench`: whole-system figures, each beside what the stack below it can do at best.
//!
//! Absolute figures drift with the machine; the ratios between things measured in one run, side
//! by side, are what counts. `docs/BENCHMARKS.md` holds the last tables.

mod ceiling;
mod disk;
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
    let pair = match cli.what {
        Some(What::Pair(pair)) => pair,
        None => Cli::try_parse_from(["kith-bench", "pair"])?.pair(),
    };
    let report = pair::run(&pair)?;
    match cli.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{report}"),
    }
    Ok(())
}

impl Cli {
    /// What is measured when nothing is asked for.
    fn pair(self) -> Pair {
        let Some(What::Pair(pair)) = self.what else { unreachable!("parsed from “pair”") };
        pair
    }
}
