//! `emberway check`.

use std::process::ExitCode;

/// Flags of `emberway check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {}

/// Runs the command.
///
/// # Errors
/// When it cannot do its work.
pub fn run(_args: CheckArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
