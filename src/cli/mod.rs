//! WHAT did the user ask for? Subcommands, one a file; each parses its flags and returns an exit code.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub mod audit;
pub mod audited;
pub mod azure;
pub mod check;
pub mod cost;
pub mod demo;
pub mod deployment;
pub mod doctor;
pub mod drain;
pub mod drill;
pub mod explain;
pub mod finetune;
pub mod fleet;
pub mod healthcheck;
pub mod import;
mod interrupt;
pub mod load;
pub mod model;
pub mod operator;
pub mod output;
pub mod quota;
pub mod replay;
pub mod run;
pub mod schema;
mod scrape;
pub mod simulate;
mod span;
pub mod status;
mod styled;
mod table;
pub mod top;
pub mod usage;

/// One endpoint in front of a fleet of fine-tuned Azure OpenAI deployments.
#[derive(Debug, Parser)]
#[command(
    name = "emberway",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Run(run::RunArgs),
    /// Check a configuration file and print every mistake in it.
    Check(check::CheckArgs),
    /// Ask all that a gateway of this configuration needs, from here, and say what to mend: names, certificates, credentials, deployments,
    /// limits, quota, clocks, disk and ports.
    Doctor(doctor::DoctorArgs),
    /// Make a configuration from another gateway's, and say what became of each line.
    Import(import::ImportArgs),
    /// Print the JSON Schema of the configuration file.
    Schema(schema::SchemaArgs),
    /// Show what it does: simulated fleet, gateway, load and an outage in one process.
    Demo(demo::DemoArgs),
    /// Show how a running gateway and its deployments are, and what needs somebody.
    Status(status::StatusArgs),
    /// Watch the traffic of a running gateway: rates, errors, times, tokens.
    Top(top::TopArgs),
    /// Ask a running gateway whether it lives: for container and exec probes.
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Ask a running gateway where a chat body would go, and why; nothing is sent there.
    Explain(explain::ExplainArgs),
    /// Take deployments of a running gateway out of use, and put them back.
    Drain(drain::DrainArgs),
    /// Take a region out for real, watch what becomes of the traffic, and put it back.
    Drill(drill::DrillArgs),
    /// Make, show, change and delete deployments by Azure's control plane.
    Deployment(Box<deployment::DeploymentArgs>),
    /// Show how the declared fleet and Azure differ, and make them alike.
    Fleet(Box<fleet::FleetArgs>),
    /// Print what was written to Azure's control plane, by whom, and what came of it.
    Audit(audit::AuditArgs),
    /// Show how much of a region's quota is used.
    Quota(Box<quota::QuotaArgs>),
    /// Show which models can be deployed, and until when.
    Model(Box<model::ModelArgs>),
    /// Find the fine-tuned models and checkpoints of an account.
    Finetune(Box<finetune::FinetuneArgs>),
    /// Run the Azure OpenAI simulator.
    Simulate(simulate::SimulateArgs),
    /// Send load to an endpoint and print what came back.
    Load(Box<load::LoadArgs>),
    /// Play recorded traces through placement and print what a policy would have saved.
    Replay(Box<replay::ReplayArgs>),
    /// Print recorded usage.
    Usage(usage::UsageArgs),
    /// Print what the fleet costs: hosting, provisioned units, tokens and keepalives, with a forecast and what could be had cheaper.
    Cost(cost::CostArgs),
}

/// The command line's own description: what `--help` and `docs/cli.md` are written from.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command, prints an error with its causes, and says how to exit.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Schema(args) => schema::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Status(args) => status::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Healthcheck(args) => healthcheck::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Drain(args) => drain::run(&args),
        Command::Drill(args) => drill::run(&args),
        Command::Deployment(args) => deployment::run(*args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Audit(args) => audit::run(args),
        Command::Quota(args) => quota::run(*args),
        Command::Model(args) => model::run(*args),
        Command::Finetune(args) => finetune::run(*args),
        Command::Simulate(args) => simulate::run(args),
        Command::Load(args) => load::run(*args),
        Command::Replay(args) => replay::run(&args),
        Command::Usage(args) => usage::run(args),
        Command::Cost(args) => cost::run(args),
    };
    result.unwrap_or_else(|error| output::report(&error))
}
