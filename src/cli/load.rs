//! `emberway load`.

use std::process::ExitCode;

/// Flags of `emberway load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {}

/// Runs the command.
///
/// # Errors
/// When it cannot do its work.
pub fn run(_args: LoadArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
