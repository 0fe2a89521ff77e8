//! `kith backup`, `kith phrase` and `kith restore`.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crypto::phrase::Phrase;
use zeroize::Zeroizing;

use super::client::Client;
use super::error::CliError;
use super::output::Out;
use super::read_input;
use super::vault::ask;
use crate::api::dto::{RecoveryPhrase, rfc3339};
use crate::app;
use crate::config::Places;
use crate::engine::{Clock, SystemClock};

/// `kith backup FILE`.
pub(super) async fn make(client: &Client, to: &Path, out: Out) -> Result<(), CliError> {
    if to == Path::new("-") {
        let mut stdout = io::stdout().lock();
        client.download("/backup", |bytes| stdout.write_all(bytes)).await?;
        return stdout.flush().map_err(|error| unwritable(to, &error));
    }
    if to.exists() {
        return Err(CliError::Failed(format!(
            "{} is there already. Kith does not overwrite a backup: choose another name.",
            to.display()
        )));
    }
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}.part", uuid::Uuid::now_v7().simple()));
    let part = PathBuf::from(name);
    let made = write(client, &part).await;
    if made.is_err() {
        // Half of a backup opens nothing.
        let _ = fs::remove_file(&part);
    }
    let bytes = made?;
    fs::rename(&part, to).map_err(|error| unwritable(to, &error))?;
    // The name as well: told is told.
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::File::open(folder.unwrap_or(Path::new(".")));
    folder.and_then(|folder| folder.sync_all()).map_err(|error| unwritable(to, &error))?;
    if out.json {
        return out.object(&serde_json::json!({ "file": to, "bytes": bytes }));
    }
    out.line(format!(
        "{} holds your account, contacts and messages: {bytes} bytes.",
        to.display()
    ))?;
    out.note("It opens with your recovery phrase alone. See it with “kith phrase”.");
    Ok(())
}

async fn write(client: &Client, part: &Path) -> Result<u64, CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(part).map_err(|error| unwritable(part, &error))?;
    let mut bytes = 0;
    client
        .download("/backup", |piece| {
            bytes += piece.len() as u64;
            file.write_all(piece)
        })
        .await?;
    file.sync_all().map_err(|error| unwritable(part, &error))?;
    Ok(bytes)
}

fn unwritable(file: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("Cannot write {}: {error}.", file.display()))
}

/// `kith phrase`.
pub(super) async fn phrase(client: &Client, out: Out) -> Result<(), CliError> {
    let phrase: RecoveryPhrase = client.post_empty("/backup/phrase").await?;
    out.note("Whoever has these words is you. Write them down; do not keep them on this computer.");
    out.show(&phrase, |phrase| {
        let numbered = phrase.words.iter().zip(1..).map(|(word, n)| format!("{n:>2} {word:<10}"));
        let lines: Vec<String> = numbered.collect();
        lines
            .chunks(4)
            .map(|four| four.join("").trim_end().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    })
}

/// `kith restore FILE`: needs no running node, and none may run on this profile.
pub(super) fn restore(places: &Places, file: &Path, out: Out) -> Result<(), CliError> {
    if io::stdin().is_terminal() {
        out.note("Your recovery phrase, 24 words; then Enter and Ctrl-D:");
    }
    let words = Zeroizing::new(read_input()?);
    let phrase = Phrase::read(&words).map_err(|error| CliError::Usage(sentence(&error)))?;
    let restored = app::restore(&places.data_dir, file, &phrase, SystemClock.now())
        .map_err(|error| CliError::Failed(sentence(&error)))?;
    if out.json {
        return out.object(&serde_json::json!({
            "made_at": rfc3339(restored.made_at),
            "contacts": restored.contacts,
            "messages": restored.messages,
            "data_dir": places.data_dir,
        }));
    }
    out.line(format!(
        "Restored what there was at {}: {} contacts, {} messages.",
        rfc3339(restored.made_at),
        restored.contacts,
        restored.messages
    ))?;
    out.note(
        "Start Kith with “kith up”. Your contacts’ computers renew the keys between you by themselves, \
         and send what you missed. Codes that you made before do not work any more. Do not start the \
         old copy again.",
    );
    Ok(())
}

/// `kith recover`: needs no running node, and none may run on this profile.
pub(super) fn recover(places: &Places, force: bool, out: Out) -> Result<(), CliError> {
    let now = SystemClock.now();
    let recovered = match app::recover(&places.data_dir, None, force, now) {
        Err(app::RecoverError::Passphrase) => {
            app::recover(&places.data_dir, Some(&ask("Passphrase: ")?), force, now)
        }
        recovered => recovered,
    };
    let recovered = recovered.map_err(|error| CliError::Failed(sentence(&error)))?;
    if out.json {
        return out.object(&serde_json::json!({
            "made_at": rfc3339(recovered.restored.made_at),
            "contacts": recovered.restored.contacts,
            "messages": recovered.restored.messages,
            "put_aside": recovered.put_aside,
        }));
    }
    out.line(format!(
        "Went back to what there was at {}: {} contacts, {} messages.",
        rfc3339(recovered.restored.made_at),
        recovered.restored.contacts,
        recovered.restored.messages
    ))?;
    if let Some(aside) = &recovered.put_aside {
        out.note(&format!(
            "The damaged store is in {}. Nothing of it was changed.",
            aside.display()
        ));
    }
    out.note("Start Kith with “kith up”. Contacts renew the keys by themselves, and send what you missed.");
    Ok(())
}

/// An error and its causes as one sentence.
fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let text = app::chain(error);
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
