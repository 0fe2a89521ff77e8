//! The command line: starts a node, or speaks to the one that runs.
//!
//! 1. [`run`] reads the arguments; 2. `up` and `demo` start a node; 3. everything else is a client
//!    of the local API, found by the profile's token file; 4. the exit code says how it ended.
//!
//! # Invariants
//! * Standard output is data, standard error is everything else.
//! * No secret is needed as an argument: what is one can come from standard input.

mod args;
mod backup;
pub mod browser;
mod client;
mod drawing;
mod error;
mod invite;
mod messages;
mod node;
mod output;
mod people;
mod picture;
mod safety;
mod vault;
mod who;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::Places;
use args::{Cli, Command, Global};
use client::Client;
use error::CliError;
use output::Out;

/// Longest text read from standard input, in bytes; messages are bounded by the node.
const INPUT_BYTES: u64 = 64 * 1024;

/// Runs the command that the process was started with.
pub async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let out = Out::new(cli.global.json);
    match dispatch(cli, out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, out),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // Help and version are answers; nobody to tell when the pipe is closed.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}

fn fail(error: &CliError, out: Out) -> ExitCode {
    if let Some(sentence) = error.sentence() {
        let text = match (out.json, error) {
            (true, CliError::Refused(problem)) => {
                serde_json::to_string(problem).unwrap_or_default()
            }
            (true, _) => {
                serde_json::json!({ "code": error.code(), "detail": sentence }).to_string()
            }
            (false, _) => format!("kith: {sentence}"),
        };
        let _ = writeln!(io::stderr(), "{text}");
    }
    ExitCode::from(error.exit_code())
}

async fn dispatch(cli: Cli, out: Out) -> Result<(), CliError> {
    let global = cli.global;
    match cli.command {
        None => node::up(args::Up::default(), &global, out).await,
        Some(Command::Up(up)) => node::up(up, &global, out).await,
        Some(Command::Demo(demo)) => node::demo(demo, &global).await,
        Some(Command::Version) => node::version(out),
        Some(Command::Restore { file }) => {
            backup::restore(&Places::of(&global.overrides())?, &file, out)
        }
        Some(Command::Recover { force }) => {
            backup::recover(&Places::of(&global.overrides())?, force, out)
        }
        Some(command) => {
            // A node that runs is asked, and Ctrl-C ends the asking.
            let asking = ask(command, &global, out);
            tokio::select! {
                done = asking => done,
                _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
            }
        }
    }
}

async fn ask(command: Command, global: &Global, out: Out) -> Result<(), CliError> {
    let places = Places::of(&global.overrides())?;
    let client = &Client::of(&places)?;
    match command {
        Command::Open(open) => node::open(client, &places, open, out).await,
        Command::Status => node::status(client, out).await,
        Command::Register(register) => node::register(client, register, out).await,
        Command::Verify { code } => node::verify(client, &code, out).await,
        Command::Whoami => node::whoami(client, out).await,
        Command::Doctor => node::doctor(client, out).await,
        Command::Invite(action) => invite::run(client, action, out).await,
        Command::Requests { action: None } => people::requests(client, out).await,
        Command::Requests { action: Some(action) } => people::decide(client, action, out).await,
        Command::Contacts => people::contacts(client, out).await,
        Command::Safety(safety) => safety::run(client, safety, out).await,
        Command::Chats => messages::chats(client, out).await,
        Command::Send { to, text } => messages::send(client, &to, text, out).await,
        Command::Read(read) => messages::read(client, read, out).await,
        Command::Tail { since } => messages::tail(client, since, out).await,
        Command::Unlock => vault::unlock(client, out).await,
        Command::Lock => {
            node::act(client, reqwest::Method::POST, "/vault/lock", "Locked.", out).await
        }
        Command::Passphrase { remove } => vault::passphrase(client, remove, out).await,
        Command::Backup { file } => backup::make(client, &file, out).await,
        Command::Phrase => backup::phrase(client, out).await,
        Command::Up(_)
        | Command::Demo(_)
        | Command::Version
        | Command::Restore { .. }
        | Command::Recover { .. } => Ok(()),
    }
}

/// Standard input as text, without its last line break.
fn read_input() -> Result<String, CliError> {
    use std::io::Read;
    let mut text = String::new();
    let read = io::stdin().lock().take(INPUT_BYTES + 1).read_to_string(&mut text);
    read.map_err(|_| CliError::Usage("Standard input is not text.".to_owned()))?;
    if text.len() as u64 > INPUT_BYTES {
        return Err(CliError::Usage("Standard input is longer than 64 KiB.".to_owned()));
    }
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// An argument, or standard input where it is “-”.
fn argument_or_input(argument: &str) -> Result<String, CliError> {
    if argument == "-" {
        read_input().map(|text| text.trim().to_owned())
    } else {
        Ok(argument.to_owned())
    }
}
