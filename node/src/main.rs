//! `kith`: a person's node, and the command line that speaks to it.

use std::process::ExitCode;

#[global_allocator]
static MEMORY: bootstrap::memory::Wiping = bootstrap::memory::wiping();

#[tokio::main]
async fn main() -> ExitCode {
    bootstrap::memory::keep_private();
    node::cli::run().await
}
