//! `kith-relay`: a relay for an operator.

mod cli;

use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;

use bootstrap::config::{ConfigError, Overrides};
use bootstrap::registration::Drivers;
use bootstrap::{Config, Relay, RelayError, RelayIdentity, ReloadSignal, Reloaded, peer};
use clap::{Parser, Subcommand};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// A Kith relay: registration, mailboxes and circuits
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Configuration file (TOML); without it the defaults hold
    #[arg(long, global = true, env = "KITH_RELAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or Ctrl-C
    Run(Overrides),
    /// Say whether the configuration is usable, and nothing else
    CheckConfig(Overrides),
    /// Print the relay's key and peer id; makes an identity if there is none
    Identity(Overrides),
    /// Look at a running relay, and change accounts
    Admin(cli::Admin),
}

#[global_allocator]
static MEMORY: bootstrap::memory::Wiping = bootstrap::memory::wiping();

fn main() -> ExitCode {
    bootstrap::memory::keep_private();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(layer.with_filter(bootstrap::log::discreet(filter))).init();
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "kith-relay: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(cli: Cli) -> Result<(), RelayError> {
    let load = |overrides| Config::load(cli.config.as_deref(), overrides);
    match cli.command {
        Command::Run(overrides) => {
            let again = overrides.clone();
            run(load(overrides)?, move || load(again.clone()))
        }
        Command::CheckConfig(overrides) => {
            Drivers::of(&load(overrides)?)?;
            say("The configuration is usable.")
        }
        Command::Identity(overrides) => {
            let relay = RelayIdentity::of(&load(overrides)?)?.relay_id();
            let id = peer::of_ed25519(&relay.0).map(|id| id.to_string()).unwrap_or_default();
            say(&format!("relay {relay}\npeer  {id}"))
        }
        Command::Admin(asked) => {
            let overrides = Overrides { data_dir: asked.data_dir.clone(), ..Overrides::default() };
            say(&asked.ask(&load(overrides)?.data_dir)?)
        }
    }
}

#[tokio::main]
async fn run(
    config: Config,
    load: impl Fn() -> Result<Config, ConfigError>,
) -> Result<(), RelayError> {
    let mut asked = ReloadSignal::listen();
    let mut stop = pin!(bootstrap::stop_signal());
    let mut relay = tokio::select! {
        started = Relay::start(config) => started?,
        () = &mut stop => return Ok(()),
    };
    for address in &relay.addresses {
        say(&address.to_string())?;
    }
    loop {
        tokio::select! {
            ended = relay.stopped() => return ended,
            () = &mut stop => {
                let at_once = bootstrap::stop_signal();
                tokio::select! {
                    () = relay.drain() => {}
                    () = at_once => {}
                }
                return relay.shutdown().await;
            }
            () = asked.next() => match load().and_then(|config| relay.reload(&config)) {
                Ok(Reloaded::Whole) => tracing::info!("the configuration was read again"),
                Ok(Reloaded::LimitsOnly) => tracing::warn!(
                    "the configuration was read again: its limits hold, the rest when the relay is started again"
                ),
                Err(error) => tracing::error!(%error, "the configuration was not read again, nothing has changed"),
            },
        }
    }
}

fn say(text: &str) -> Result<(), RelayError> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| RelayError::Network(error.to_string()))
}
