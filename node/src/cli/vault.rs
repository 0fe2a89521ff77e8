//! `kith unlock` and `kith passphrase`.
//!
//! A passphrase is typed unseen, or comes as a line of standard input; never as an argument, which other
//! programs see.

use std::io::{self, BufRead, IsTerminal};

use reqwest::Method;
use zeroize::Zeroizing;

use super::client::Client;
use super::error::CliError;
use super::output::Out;
use crate::api::dto::{NewPassphrase, Passphrase, VaultState};

/// The longest line that is read, in bytes: more than a passphrase may have.
const LINE_BYTES: u64 = 4_096;

/// `kith unlock`.
pub(super) async fn unlock(client: &Client, out: Out) -> Result<(), CliError> {
    let passphrase = ask("Passphrase: ")?;
    let body = Passphrase { passphrase: String::clone(&passphrase) };
    client.tell(Method::POST, "/vault/unlock", &body).await?;
    let vault: VaultState = client.get("/vault").await?;
    match vault.damaged {
        None => done("The vault is open.", out),
        Some(damaged) => Err(CliError::Failed(format!(
            "The vault is open, and your messages are not: {}. Kith has a copy of everything from {}. Go on from it in the browser, or stop Kith and run “kith recover”.",
            damaged.why, damaged.copy_from
        ))),
    }
}

/// `kith passphrase`.
pub(super) async fn passphrase(client: &Client, remove: bool, out: Out) -> Result<(), CliError> {
    let vault: VaultState = client.get("/vault").await?;
    let current = match vault.has_passphrase {
        true => Some(ask("The passphrase that you have: ")?),
        false => None,
    };
    if remove {
        let body = Passphrase { passphrase: current.as_deref().cloned().unwrap_or_default() };
        client.tell(Method::POST, "/vault/passphrase/remove", &body).await?;
        return done("This copy opens by itself now.", out);
    }
    let new = ask("The new passphrase: ")?;
    if io::stdin().is_terminal() && *ask("The new one again: ")? != *new {
        return Err(CliError::Usage("The two are not the same. Nothing was changed.".to_owned()));
    }
    let body = NewPassphrase { current: current.as_deref().cloned(), new: String::clone(&new) };
    client.tell(Method::PUT, "/vault/passphrase", &body).await?;
    out.note("Kith asks for it at every start. Nobody can reset it: the way back is a backup, restored with your recovery phrase into another profile.");
    done("Set.", out)
}

fn done(what: &str, out: Out) -> Result<(), CliError> {
    if out.json { out.object(&serde_json::json!({ "done": true })) } else { out.line(what) }
}

/// A line that the person types unseen, or the next of standard input.
pub(super) fn ask(prompt: &str) -> Result<Zeroizing<String>, CliError> {
    if io::stdin().is_terminal() {
        return Ok(Zeroizing::new(rpassword::prompt_password(prompt)?));
    }
    let mut line = Zeroizing::new(String::new());
    let mut input = io::stdin().lock();
    let read = io::Read::take(&mut input, LINE_BYTES).read_line(&mut line);
    read.map_err(|_| CliError::Usage("Standard input is not text.".to_owned()))?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}
