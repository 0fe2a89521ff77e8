//! Opening the web UI in the person's browser.
//!
//! The link signs its holder in, and a program's arguments can be read by others on the computer.
//! So the browser is given a file of the runtime folder, readable for its owner alone, which leads
//! on to the link.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use bootstrap::token_file::{private_file, private_folder};

/// The file's name; each opening replaces it.
const REDIRECT: &str = "open.html";

/// Why no browser was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no desktop to open one on.
    #[error("there is no desktop here")]
    NoDesktop,
    /// The file could not be written, or the opener not be started.
    #[error("the browser did not open")]
    Io(#[from] std::io::Error),
    /// The opener found no browser.
    #[error("no browser was found")]
    NoBrowser,
}

/// Opens a login link.
///
/// # Errors
/// When there is no desktop, as over SSH, or no browser. The link then has to be printed.
pub async fn open(runtime_dir: &Path, link: &str) -> Result<(), OpenError> {
    if !has_desktop() {
        return Err(OpenError::NoDesktop);
    }
    let file = redirect(runtime_dir, link)?;
    let mut command = opener(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().await?;
    if status.success() { Ok(()) } else { Err(OpenError::NoBrowser) }
}

/// What to print where no browser opens: over SSH also how to reach it from the other computer.
#[must_use]
pub fn instructions(link: &str) -> String {
    let port = link.strip_prefix("http://localhost:").and_then(|rest| rest.split('/').next());
    match (std::env::var_os("SSH_CONNECTION"), port) {
        (Some(_), Some(port)) => format!(
            "Kith runs on this computer, you are elsewhere. On yours, run\n    ssh -N -L {port}:127.0.0.1:{port} <this computer>\nthen open {link}"
        ),
        _ => format!("Open {link}"),
    }
}

fn has_desktop() -> bool {
    if std::env::var_os("SSH_CONNECTION").is_some() {
        return false;
    }
    let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos")
        || has("WAYLAND_DISPLAY")
        || has("DISPLAY")
        || (has("BROWSER") && std::io::stdout().is_terminal())
}

fn opener(file: &Path) -> Command {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(file);
    command
}

fn redirect(runtime_dir: &Path, link: &str) -> std::io::Result<PathBuf> {
    private_folder(runtime_dir)?;
    let file = runtime_dir.join(REDIRECT);
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0;url={link}\"><title>Kith</title><a href=\"{link}\">Open Kith</a>\n"
    );
    private_file(&file, page.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const LINK: &str = "http://localhost:24817/#login=SECRET";

    #[test]
    fn the_opener_is_given_a_file_and_never_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let file = redirect(folder.path(), LINK).unwrap();
        let command = format!("{:?}", opener(&file));
        assert!(command.contains(REDIRECT) && !command.contains("SECRET"), "{command}");
        assert!(std::fs::read_to_string(&file).unwrap().contains(LINK));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn instructions_contain_the_link() {
        assert!(instructions(LINK).contains(LINK));
    }
}
