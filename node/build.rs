//! Tells cargo what the program embeds, and the program which commit it is.

use std::path::Path;
use std::process::Command;

fn main() {
    // `include_dir!` alone notices an edited file but not a new one.
    println!("cargo:rerun-if-changed=../web-ui");
    // A path that is absent would make every build run anew.
    for path in ["../.git/HEAD", "../.git/refs/heads"] {
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-env-changed=KITH_COMMIT");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let build = commit().map_or_else(|| version.clone(), |commit| format!("{version}+{commit}"));
    println!("cargo:rustc-env=KITH_BUILD={build}");
}

/// The commit, from the packager or from git; none in a bare source archive.
fn commit() -> Option<String> {
    if let Ok(given) = std::env::var("KITH_COMMIT") {
        return Some(given).filter(|commit| !commit.is_empty());
    }
    let output = Command::new("git").args(["rev-parse", "--short=9", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|commit| output.status.success() && !commit.is_empty())
}
