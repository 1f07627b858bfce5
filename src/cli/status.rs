//! `emberway status`: the state of a running gateway and its deployments, once, on one screen.
//!
//! Exit code 1 where the gateway takes no requests or a pool has nobody usable, so that scripts can ask; what else needs somebody is
//! told, and does not change it: alarms are for people, and the pool's others may carry on.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::admin::needs::Need;
use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::{output, styled};

#[cfg(test)]
pub(super) mod examples;
pub(super) mod screen;
pub(super) mod told;

use told::Told;

/// Flags of `emberway status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print JSON: whether all is in order, what needs somebody, and the gateway's `/status` as it is.
    #[arg(long)]
    json: bool,
}

/// The same for programs.
#[derive(Serialize)]
struct Report<'a> {
    /// What the exit code says.
    in_order: bool,
    needs: &'a [Need],
    status: &'a Value,
}

/// Asks, and prints.
///
/// # Errors
/// When the gateway does not answer, or what it says is not understood.
pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator)?;
    let (told, whole) = output::runtime()?.block_on(told::ask(&operator))?;
    let shown = if args.json {
        let report = Report {
            in_order: told.is_in_order(),
            needs: &told.needs,
            status: &whole,
        };
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        text(&told, &operator)?
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(shown.as_bytes()).context("cannot write to stdout")?;
    Ok(if told.is_in_order() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The screen for who reads stdout: as wide as a terminal is, and as it needs to be in a pipe.
fn text(told: &Told, operator: &Operator) -> anyhow::Result<String> {
    let (is_terminal, width) = styled::stdout()?;
    let lines = screen::screen(told, &operator.url(), width);
    Ok(styled::printed(&lines, styled::wants_styles(is_terminal)))
}
