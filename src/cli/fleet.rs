//! `emberway fleet`: how what the configuration declares and what Azure has differ, and making them alike.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::cli::azure::AzureArgs;
use crate::cli::fleet::setup::Fleet;
use crate::cli::operator::OperatorArgs;
use crate::cli::output;
use crate::config;
use crate::core::fleet::plan::Allowed;

mod apply;
mod plan;
pub mod routes;
mod setup;
mod shown;
mod status;

/// Flags of `emberway fleet`.
#[derive(Debug, clap::Args)]
pub struct FleetArgs {
    #[command(subcommand)]
    verb: Verb,
}

/// What is done.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show what differs and what would be done about it. Exit code 0: nothing is to be done; 2: something is, or should be and cannot.
    Plan(plan::PlanArgs),
    /// Do it, in a safe order, after a question. Killed at any moment, it goes on when it is started again.
    Apply(apply::ApplyArgs),
    /// Show what a running gateway knows of each deployment: how idle, when it is deleted, what will be done about it and at what cost.
    Status(status::StatusArgs),
}

/// What both take.
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[derive(Debug, clap::Args)]
struct FleetFlags {
    /// Delete deployments of managed accounts that the configuration does not declare. Their models stay.
    #[arg(long)]
    allow_delete: bool,
    /// Take out a pool's only serving member to replace its model: its requests fail meanwhile.
    #[arg(long)]
    allow_outage: bool,
    /// Leave out what the tables of models, regions and SKUs do not offer, instead of letting Azure decide.
    #[arg(long)]
    strict: bool,
    /// No gateway routes to the fleet, so nothing has to be taken out of routing first.
    #[arg(long)]
    no_gateway: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    azure: AzureArgs,
}

impl FleetFlags {
    fn allowed(&self) -> Allowed {
        Allowed {
            deleting: self.allow_delete,
            outage: self.allow_outage,
            strict: self.strict,
        }
    }
}

/// Does what is asked, and prints what came of it.
///
/// # Errors
/// When the configuration manages nothing, or Azure, the gateway or the store cannot be asked.
pub fn run(args: &FleetArgs) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Verb::Plan(args) => over(&args.fleet, |runtime, fleet| runtime.block_on(plan::plan(args, fleet))),
        Verb::Apply(args) => over(&args.fleet, |runtime, fleet| {
            runtime.block_on(apply::apply(args, fleet))
        }),
        Verb::Status(args) => status::run(args),
    }
}

/// Reads the configuration, and works on the fleet that it declares.
fn over(
    flags: &FleetFlags,
    work: impl FnOnce(&Runtime, Fleet) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    // Keys of clients and accounts are not needed here; what Azure is asked with is resolved apart, and must be there.
    let variables = |name: &str| {
        let stand_in = || format!("in-place-of-the-variable-{name}");
        config::secrets::process_variables(name).or_else(|| Some(stand_in()))
    };
    let checked = match config::load::load(flags.azure.config(), &variables) {
        Ok(checked) => checked,
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    let fleet = Fleet::new(flags.azure.plane()?, &checked)?;
    let runtime = output::runtime()?;
    work(&runtime, fleet)
}
