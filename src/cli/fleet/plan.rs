//! `emberway fleet plan`: looks, compares, prints, and changes nothing.

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::audited::AuditFlags;
use crate::cli::fleet::FleetFlags;
use crate::cli::fleet::setup::{Fleet, WallTime};
use crate::cli::fleet::shown::{differs, plan_json, plan_text};
use crate::core::fleet::actual::Actual;
use crate::core::fleet::left_out;
use crate::core::fleet::plan::{self, Picture, Plan, Routing};
use crate::fleet::apply::{self as runner, Plane as _, Time as _};

/// Exit code where something is to be done, as of `terraform plan -detailed-exitcode`.
const EXIT_DIFFERS: u8 = 2;

/// Flags of `emberway fleet plan`.
#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) fleet: FleetFlags,
    #[command(flatten)]
    audit: AuditFlags,
}

/// Prints the plan.
pub(super) async fn plan(args: &PlanArgs, mut fleet: Fleet) -> anyhow::Result<ExitCode> {
    let reader = fleet.plane.arm()?;
    fleet.name_lines(&reader).await;
    let fleet = fleet;
    // What a plan lacks without a gateway is only that things are taken out of routing first.
    let routing = match fleet.routes(&args.fleet).await {
        Ok(routes) => routes.routing().await?,
        Err(error) => {
            fleet.warn_once(&format!("{error:#}"));
            Routing::new()
        }
    };
    let warn = |problem: &str| fleet.warn_once(problem);
    let actual = fleet.over(&reader, &reader, &warn).look().await;
    let picture = picture(&fleet, &args.fleet, &actual, &routing);
    let mut plan = plan::plan(&picture);
    let store = args.audit.path(args.fleet.azure.config())?;
    left_out::add(&mut plan, &runner::recall_from(&store).await?, &picture);
    let mut stdout = std::io::stdout().lock();
    if args.fleet.azure.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&plan_json(&plan))?)?;
    } else {
        writeln!(stdout, "{}", plan_text(&plan))?;
    }
    Ok(if differs(&plan) {
        ExitCode::from(EXIT_DIFFERS)
    } else {
        ExitCode::SUCCESS
    })
}

/// The plan, from one picture.
pub(super) fn planned(fleet: &Fleet, flags: &FleetFlags, actual: &Actual, routing: &Routing) -> Plan {
    plan::plan(&picture(fleet, flags, actual, routing))
}

fn picture<'a>(fleet: &'a Fleet, flags: &FleetFlags, actual: &'a Actual, routing: &'a Routing) -> Picture<'a> {
    Picture {
        declared: &fleet.declaration.declared,
        actual,
        catalogue: &fleet.catalogue,
        allowed: flags.allowed(),
        deletable: None,
        routing,
        now_ms: WallTime.now_ms(),
    }
}
