//! `emberway usage`.

use std::process::ExitCode;

/// Flags of `emberway usage`.
#[derive(Debug, clap::Args)]
pub struct UsageArgs {}

/// Runs the command.
///
/// # Errors
/// When it cannot do its work.
pub fn run(_args: UsageArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
