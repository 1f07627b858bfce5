//! `emberway schema`.

use std::process::ExitCode;

/// Flags of `emberway schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

/// Runs the command.
///
/// # Errors
/// When it cannot do its work.
pub fn run(_args: SchemaArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
