//! `kith`: a person's node, and the command line that speaks to it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    bootstrap::memory::keep_private();
    node::cli::run().await
}
