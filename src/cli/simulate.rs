//! `emberway simulate`.

use std::process::ExitCode;

/// Flags of `emberway simulate`.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {}

/// Runs the command.
///
/// # Errors
/// When it cannot do its work.
pub fn run(_args: SimulateArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
