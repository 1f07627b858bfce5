//! `emberway fleet apply`: shows the plan, asks, and carries it out.

use std::fs::{File, TryLockError};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::azure::arm::Arm;
use crate::azure::error::AzureError;
use crate::cli::audited::{self, AuditFlags};
use crate::cli::azure::shown::Shown;
use crate::cli::fleet::FleetFlags;
use crate::cli::fleet::plan::planned;
use crate::cli::fleet::setup::{Fleet, WallTime};
use crate::cli::fleet::shown::{applied_json, applied_text, plan_text};
use crate::cli::output;
use crate::core::fleet::actual::Actual;
use crate::core::fleet::journal::Answer;
use crate::core::fleet::plan::Plan;
use crate::core::fleet::step::StepKind;
use crate::fleet::apply::{self as runner, Applied, Applying, Plane as _, Routes, Told};
use crate::fleet::{order, plane};
use crate::storage::sqlite::SqliteStore;

/// Flags of `emberway fleet apply`.
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Send nothing; print the plan, and each request that would be sent now.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) fleet: FleetFlags,
    #[command(flatten)]
    audit: AuditFlags,
}

/// Makes Azure have what is declared.
pub(super) async fn apply(args: &ApplyArgs, mut fleet: Fleet) -> anyhow::Result<ExitCode> {
    if !fleet.plane.settings.writes && !args.dry_run {
        return Err(AzureError::WritesOff.into());
    }
    let reader = fleet.plane.arm()?;
    fleet.name_lines(&reader).await;
    if args.dry_run {
        return dry_run(args, &fleet, &reader).await;
    }
    let routes = fleet.routes(&args.fleet).await?;
    let config = args.fleet.azure.config();
    let _lock = lock(&args.audit.path(config)?)?;
    let store = args.audit.open(config).await?;
    let (plan, _) = look(args, &fleet, &reader, &*routes).await?;
    let journal = runner::recall(&*store).await?;
    print_plan(args, &plan)?;
    // What an earlier run began is ended without a question: it had its own.
    let is_unfinished =
        journal.entries().iter().any(|entry| entry.done_at_ms.is_none()) || !journal.drains().is_empty();
    if is_unfinished {
        output::say("an earlier run was cut off, or left something; this one goes on from there");
    }
    if !plan.steps.is_empty() && !args.yes && !is_agreed()? {
        bail!("nothing was done");
    }
    let applied = if is_unfinished || !plan.steps.is_empty() {
        run(args, &fleet, &plan, &store, &reader, &*routes).await?
    } else {
        Applied {
            findings: plan.findings,
            ..Applied::default()
        }
    };
    print_applied(args, &applied)?;
    Ok(if applied.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The plan as of now, and what it was made of.
async fn look(args: &ApplyArgs, fleet: &Fleet, reader: &Arm, routes: &dyn Routes) -> anyhow::Result<(Plan, Actual)> {
    let routing = routes.routing().await?;
    let warn = |problem: &str| fleet.warn_once(problem);
    let actual = fleet.over(reader, reader, &warn).look().await;
    Ok((planned(fleet, &args.fleet, &actual, &routing), actual))
}

async fn run(
    args: &ApplyArgs,
    fleet: &Fleet,
    plan: &Plan,
    store: &Arc<SqliteStore>,
    reader: &Arm,
    routes: &dyn Routes,
) -> anyhow::Result<Applied> {
    let audit = audited::audit(store, "fleet apply");
    let writer = fleet.plane.arm_with(Some(audit), plane::patience_of_writes())?;
    let warn = |problem: &str| fleet.warn_once(problem);
    let over = fleet.over(reader, &writer, &warn);
    let deletions = plan.steps.iter().filter(|step| step.kind == StepKind::Delete);
    let applying = Applying {
        plane: &over,
        routes,
        notes: &**store,
        time: &WallTime,
        declared: &fleet.declaration.declared,
        catalogue: &fleet.catalogue,
        allowed: args.fleet.allowed(),
        deletable: deletions.map(|step| (step.key.clone(), step.incarnation_ms)).collect(),
        told: &tell,
    };
    Ok(applying.run().await?)
}

async fn dry_run(args: &ApplyArgs, fleet: &Fleet, reader: &Arm) -> anyhow::Result<ExitCode> {
    let routes = fleet.routes(&args.fleet).await?;
    let (plan, actual) = look(args, fleet, reader, &*routes).await?;
    let shown: Vec<Shown> = plan
        .steps
        .iter()
        .filter_map(|step| {
            let shown = actual.find(&step.key);
            order::request(reader.address(), &fleet.declaration, step, shown)
        })
        .map(|request| Shown::new(&request, None))
        .collect();
    let mut stdout = std::io::stdout().lock();
    if args.fleet.azure.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&shown)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(stdout, "{}", plan_text(&plan))?;
    for shown in &shown {
        writeln!(stdout, "\n{}", shown.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps a second run of this machine out: two would each know half of what was begun. The system lets go when the process ends.
fn lock(store: &Path) -> anyhow::Result<File> {
    let mut path = store.as_os_str().to_owned();
    path.push(".apply");
    let path = Path::new(&path);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another `emberway fleet apply` runs with this store; wait for its end"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
    }
}

/// Whether the one at the terminal wants it.
fn is_agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to ask; give `--yes` to do this without a question, or `--dry-run` to see its requests");
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "do this? Only `yes` is taken for it: ")?;
    stderr.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

fn print_plan(args: &ApplyArgs, plan: &Plan) -> anyhow::Result<()> {
    let text = plan_text(plan);
    if args.fleet.azure.json {
        output::say(&text);
        return Ok(());
    }
    Ok(writeln!(std::io::stdout(), "{text}\n")?)
}

fn print_applied(args: &ApplyArgs, applied: &Applied) -> anyhow::Result<()> {
    let text = if args.fleet.azure.json {
        serde_json::to_string_pretty(&applied_json(applied))?
    } else {
        applied_text(applied)
    };
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// A line for each thing that happens.
fn tell(told: Told<'_>) {
    let now = Timestamp::now().strftime("%H:%M:%SZ");
    let line = match told {
        Told::Begins(step) => format!("{} {}: {}", step.kind.as_str(), step.of, step.text),
        Told::Answered(step, answered) => {
            let answer = match &answered.answer {
                Answer::Taken => "Azure has taken it",
                Answer::Conflict => "another operation runs on the account; tried again later",
                Answer::Throttled { .. } => "Azure asks for fewer requests; tried again later",
                Answer::Failed => "it failed, and is tried again later",
                Answer::Refused { .. } => "it is refused",
            };
            let problem = answered.problem.as_deref().filter(|_| answered.answer != Answer::Taken);
            let problem = problem.map_or_else(String::new, |problem| format!(": {problem}"));
            format!("{} {}: {answer}{problem}", step.kind.as_str(), step.of)
        }
        Told::Done(kind, key) => format!("{} {key}: done", kind.as_str()),
        Told::Waits { until_ms, reason } => {
            let until = Timestamp::from_millisecond(until_ms).unwrap_or_default();
            format!("waits until {} ({})", until.strftime("%H:%M:%SZ"), reason.as_str())
        }
    };
    output::say(&format!("{now} {line}"));
}
