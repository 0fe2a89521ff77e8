//! Where cargo put the programs.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// The program `name`: what `variable` says, or what lies beside the running test or bench.
///
/// # Errors
/// When it is not there, with the command that builds it.
pub fn binary(name: &str, variable: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!("{variable} names {}, which is no file", path.display());
    }
    let own = std::env::current_exe().context("the running program has no path")?;
    let folder = own.parent().context("the running program lies nowhere")?;
    // A test is target/<profile>/deps/processes-…, a bench target/<profile>/kith-bench.
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!(
            "{} is not there: build it with “cargo build -p node -p bootstrap --bins”, or name it \
             with {variable}",
            path.display()
        );
    }
    Ok(path)
}
