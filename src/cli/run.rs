//! `emberway run`.

use std::process::ExitCode;

/// Flags of `emberway run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {}

/// Runs the command.
///
/// # Errors
/// When it cannot do its work.
pub fn run(_args: RunArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
