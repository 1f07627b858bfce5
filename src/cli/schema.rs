//! `emberway schema`: the configuration file's JSON Schema, for editors and for checks in other programs.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::config;

/// Flags of `emberway schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

/// Prints the schema on stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(_args: SchemaArgs) -> anyhow::Result<ExitCode> {
    std::io::stdout()
        .write_all(config::schema::published_text().as_bytes())
        .context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
