//! `emberway usage`: prints recorded usage, also while a gateway is writing it.
//!
//! It opens the store read-only and never makes one. Percentiles and sums come from the rows themselves; the
//! deployments' dates come from totals that outlive the rows.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strum::VariantArray as _;

use crate::cli::output;
use crate::columns::{columns, thousands};
use crate::config;
use crate::config::errors::ConfigErrors;
use crate::core::calendar::DAY_MS;
use crate::storage::miss_report::{MissBy, read_misses};
use crate::storage::report::{Figures, GroupBy, Percentiles, Range, Report, read_report};
use crate::storage::residency_report::read_residency;
use crate::storage::sqlite::{connect_reader, read_deployments};
use crate::storage::{DeploymentTotals, StoreError};
use crate::telemetry::clock;

mod misses;
mod residency;

/// Flags of `emberway usage`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct UsageArgs {
    /// The gateway's configuration file: the usage file is the one it names. Secrets in it are not needed [default: `emberway.yaml`, if
    /// it is there].
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG")]
    config: Option<PathBuf>,
    /// The gateway's usage file, whatever the configuration says [default without either: `emberway-usage.db`].
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// What to group by [default: deployment, with `--misses` route]; with `--misses` neither region nor outcome.
    #[arg(long, value_parser = group_by())]
    by: Option<GroupBy>,
    /// Start of the range: how long ago (`24h`, `7days`), a date or an RFC 3339 time.
    #[arg(long, value_name = "WHEN", default_value = "24h")]
    since: String,
    /// End of the range, not included; now when left out.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Print deployments instead: when each was created, last answered, and when Azure may delete it.
    #[arg(long, conflicts_with_all = ["by", "since", "until"])]
    deployments: bool,
    /// Print instead why prompts were not found cached, what that cost, and where a route's prompts change too early.
    #[arg(long, conflicts_with = "deployments")]
    misses: bool,
    /// Print instead where answers were processed, by the region that was asked and the one that they told.
    #[arg(long, conflicts_with_all = ["deployments", "misses", "by"])]
    residency: bool,
    /// Days without a successful call after which Azure may delete a deployment.
    #[arg(long, value_name = "DAYS", default_value_t = 15, requires = "deployments")]
    inactivity_days: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn group_by() -> impl clap::builder::TypedValueParser<Value = GroupBy> {
    PossibleValuesParser::new(GroupBy::VARIANTS.iter().map(AsRef::<str>::as_ref)).try_map(|word| word.parse())
}

/// Runs the command.
///
/// # Errors
/// When a time cannot be read, or the store cannot.
pub fn run(args: UsageArgs) -> anyhow::Result<ExitCode> {
    let UsageArgs {
        config: file,
        store,
        by,
        since,
        until,
        deployments,
        misses,
        residency,
        inactivity_days,
        json: as_json,
    } = args;
    let now_ms = clock::now_ms();
    let range = range(&since, until.as_deref(), now_ms)?;
    let misses_by = misses.then(|| miss_by(by)).transpose()?;
    let file = config_file(file);
    // The file that named the store, if one did.
    let named_by = file.path().filter(|_| store.is_none());
    let store = match find_store(store, &file) {
        Ok(store) => store,
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    let text = output::runtime()?.block_on(async {
        let connection = connect_reader(&store).await;
        let mut connection = connection.map_err(|error| unreadable(error, named_by))?;
        let text = if deployments {
            let totals = read_deployments(&mut connection).await?;
            let lines: Vec<_> = totals
                .into_iter()
                .map(|totals| deployment(totals, inactivity_days, now_ms))
                .collect();
            if as_json {
                json(&lines)?
            } else {
                deployment_table(&lines)
            }
        } else if residency {
            let report = read_residency(&mut connection, range).await?;
            if as_json {
                json(&report)?
            } else {
                residency::text(&report)
            }
        } else if let Some(by) = misses_by {
            let report = read_misses(&mut connection, by, range).await?;
            if as_json { json(&report)? } else { misses::text(&report) }
        } else {
            let by = by.unwrap_or(GroupBy::Deployment);
            let report = read_report(&mut connection, by, range).await?;
            if as_json { json(&report)? } else { report_table(&report) }
        };
        anyhow::Ok(text)
    })?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// What misses are grouped by: the store keeps sums, which do not know everything that records do.
fn miss_by(by: Option<GroupBy>) -> anyhow::Result<MissBy> {
    let Some(by) = by else { return Ok(MissBy::Route) };
    let by = by.as_ref();
    let known = MissBy::VARIANTS.iter().find(|known| known.as_ref() == by).copied();
    known.with_context(|| {
        let known: Vec<_> = MissBy::VARIANTS.iter().map(AsRef::<str>::as_ref).collect();
        format!(
            "misses are not kept by `{by}`; with `--misses` group by one of: {}",
            known.join(", ")
        )
    })
}

/// The configuration that a command reads.
pub(super) enum ConfigFile {
    /// It was named.
    Named(PathBuf),
    /// Nobody named it, and it is where every command looks.
    Found(PathBuf),
    /// There is none.
    None,
}

impl ConfigFile {
    /// The file, where there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(file) | Self::Found(file) => Some(file),
            Self::None => None,
        }
    }
}

/// The configuration as named, else the one in the working directory.
pub(super) fn config_file(named: Option<PathBuf>) -> ConfigFile {
    let found = PathBuf::from(config::DEFAULT_FILE);
    match named {
        Some(file) => ConfigFile::Named(file),
        None if found.exists() => ConfigFile::Found(found),
        None => ConfigFile::None,
    }
}

/// The store to read: as flagged, else as configured, else as a configuration that does not say has it. Where neither was named, a line
/// on stderr says which it is.
pub(super) fn find_store(flag: Option<PathBuf>, file: &ConfigFile) -> Result<PathBuf, ConfigErrors> {
    if let Some(store) = flag {
        return Ok(store);
    }
    let Some(path) = file.path() else {
        let store = PathBuf::from(config::DEFAULT_USAGE_FILE);
        if store.exists() {
            output::say(&format!(
                "reads `{}`: there is no `{}` here",
                store.display(),
                config::DEFAULT_FILE
            ));
        }
        return Ok(store);
    };
    let store = config::load::usage_path(path, &config::secrets::process_variables)?;
    if matches!(file, ConfigFile::Found(_)) && store.exists() {
        output::say(&format!("reads `{}`, as `{}` says", store.display(), path.display()));
    }
    Ok(store)
}

/// An error of the store; where a configuration named it, advice other than to name that.
pub(super) fn unreadable(error: StoreError, named_by: Option<&Path>) -> anyhow::Error {
    match (error, named_by) {
        // The store's own advice is for the gateway, which would make a new one.
        (StoreError::Damaged { path, source }, _) => {
            let trace = if path.extension().is_some_and(|extension| extension == "jsonl") {
                "; a trace is read by `emberway replay`"
            } else {
                ""
            };
            anyhow::Error::from(source).context(format!(
                "`{}` is no usage store, or a damaged one; name the gateway's file with --store, or its configuration with --config{trace}",
                path.display()
            ))
        }
        (StoreError::Missing { path }, Some(file)) => anyhow!(
            "there is no usage store at `{}`, where `{}` has it; the gateway makes it when it starts, and a relative path \
             begins at its working directory: go there, or name the file with --store",
            path.display(),
            file.display(),
        ),
        (error, _) => error.into(),
    }
}

pub(super) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    serde_json::to_string_pretty(value).context("cannot write JSON")
}

// === Times ===

/// The range that two flags mean.
fn range(since: &str, until: Option<&str>, now_ms: i64) -> anyhow::Result<Range> {
    let since_ms = moment(since, now_ms).context("cannot read --since")?;
    // One later than now, so that a request of this very millisecond counts.
    let until_ms = until.map_or(Ok(now_ms + 1), |until| {
        moment(until, now_ms).context("cannot read --until")
    })?;
    anyhow::ensure!(
        since_ms < until_ms,
        "the range is empty: --since `{since}` is not before its end"
    );
    Ok(Range { since_ms, until_ms })
}

/// A moment in milliseconds since the Unix epoch, from a time, a date (its start in UTC) or how long ago.
pub(super) fn moment(text: &str, now_ms: i64) -> anyhow::Result<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    if let Ok(date) = text.parse::<Date>() {
        return Ok(TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0))?.as_millisecond());
    }
    // What the last of three parsers says would only confuse.
    let ago = humantime::parse_duration(text).map_err(|_not_a_duration| {
        anyhow!("`{text}` is no time; write `24h`, `7days`, `2026-11-24` or `2026-11-24T08:00:00Z`")
    })?;
    Ok(now_ms.saturating_sub(i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)))
}

/// A moment as people read it, to the minute in UTC; `-` for none.
pub(super) fn shown(at_ms: Option<i64>) -> String {
    at_ms
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%MZ").to_string())
}

/// A span as people read it, in its two largest units.
fn span(ms: i64) -> String {
    let minutes = SignedDuration::from_millis(ms.max(0)).as_mins();
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

// === Usage ===

fn report_table(report: &Report) -> String {
    let header = [
        report.by.as_ref(),
        "requests",
        "success",
        "prompt",
        "cached",
        "hit",
        "completion",
        "p50 s",
        "p95 s",
        "first p50 s",
        "first p95 s",
        "attempts",
        "estimated",
    ];
    let mut rows: Vec<_> = report.groups.iter().chain([&report.total]).map(figures_row).collect();
    for row in &mut rows {
        if matches!(report.by, GroupBy::Deployment | GroupBy::Region) && row[0] == NOBODY {
            row[0].push_str(" (none asked)");
        }
    }
    let (since, until) = (shown(Some(report.since_ms)), shown(Some(report.until_ms)));
    let cut = if report.truncated {
        "\nonly the first groups are shown; choose a shorter range or a coarser --by"
    } else {
        ""
    };
    format!("usage from {since} to {until}\n\n{}{cut}", columns(&header, 1, rows))
}

/// The deployment and region of requests for which none was asked.
const NOBODY: &str = "-";

fn figures_row(figures: &Figures) -> Vec<String> {
    let seconds = |percentiles: Option<Percentiles>, pick: fn(Percentiles) -> i64| {
        percentiles.map_or_else(
            || "-".to_owned(),
            |values| format!("{:.3}", pick(values) as f64 / 1_000_000.0),
        )
    };
    // Requests for which nobody was asked would make it look like fewer than one.
    let ratio = if figures.asked == 0 {
        "-".to_owned()
    } else {
        format!("{:.2}", figures.attempts as f64 / figures.asked as f64)
    };
    vec![
        figures.key.clone(),
        thousands(figures.requests),
        percent(figures.successes, figures.requests),
        thousands(figures.prompt_tokens),
        thousands(figures.cached_tokens),
        percent(figures.cached_tokens, figures.prompt_tokens),
        thousands(figures.completion_tokens),
        seconds(figures.total_us, |values| values.p50),
        seconds(figures.total_us, |values| values.p95),
        seconds(figures.first_token_us, |values| values.p50),
        seconds(figures.first_token_us, |values| values.p95),
        ratio,
        percent(figures.estimated, figures.requests),
    ]
}

// === Deployments ===

/// A deployment's line.
#[derive(Debug, Serialize)]
struct DeploymentLine {
    #[serde(flatten)]
    totals: DeploymentTotals,
    /// Time since its last success, in milliseconds.
    idle_ms: Option<i64>,
    /// When Azure may delete it, in milliseconds since the Unix epoch.
    deletion_at_ms: i64,
    /// Whether it may be earlier: neither its creation nor a success is known, only when it was first seen.
    deletion_may_be_earlier: bool,
}

/// Azure deletes after so many days without a success, the first of them counting from the deployment's creation.
fn deployment(totals: DeploymentTotals, inactivity_days: u32, now_ms: i64) -> DeploymentLine {
    let known = totals.last_success_at_ms.max(totals.created_at_ms);
    DeploymentLine {
        idle_ms: totals.last_success_at_ms.map(|at| now_ms.saturating_sub(at).max(0)),
        deletion_at_ms: known
            .unwrap_or(totals.first_seen_ms)
            .saturating_add(i64::from(inactivity_days) * DAY_MS),
        deletion_may_be_earlier: known.is_none(),
        totals,
    }
}

fn deployment_table(lines: &[DeploymentLine]) -> String {
    let header = [
        "deployment",
        "first seen",
        "created",
        "last success",
        "idle",
        "may be deleted",
        "requests",
        "success",
        "hit",
    ];
    let rows = lines.iter().map(|line| {
        let totals = &line.totals;
        let earlier = if line.deletion_may_be_earlier { "by " } else { "" };
        vec![
            totals.deployment.to_string(),
            shown(Some(totals.first_seen_ms)),
            shown(totals.created_at_ms),
            shown(totals.last_success_at_ms),
            line.idle_ms.map_or_else(|| "-".to_owned(), span),
            format!("{earlier}{}", shown(Some(line.deletion_at_ms))),
            thousands(totals.requests),
            percent(totals.successes, totals.requests),
            percent(totals.cached_tokens, totals.prompt_tokens),
        ]
    });
    columns(&header, 1, rows.collect())
}

// === Tables ===

/// A share in percent; `-` of nothing.
fn percent(part: i64, whole: i64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.1}%", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests;
