//! `emberway fleet status`: how each deployment stands with Azure, by what a running gateway knows.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::admin::care::{CaredStatus, EndStatus, FleetStatus, NextStatus};
use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::output;
use crate::cli::status::told::minute;
use crate::columns::columns;
use crate::core::calendar::shown_span;

/// Flags of `emberway fleet status`.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// `GET /status`, as far as it matters here.
#[derive(Deserialize, Serialize)]
struct Status {
    fleet: Option<FleetStatus>,
    deployments: Vec<Shown>,
}

/// A deployment of it.
#[derive(Deserialize, Serialize)]
struct Shown {
    name: String,
    region: String,
    absent: Option<String>,
    last_success_at: Option<String>,
    deletion_at: Option<String>,
    care: Option<CaredStatus>,
}

/// Asks, and prints.
///
/// # Errors
/// When the gateway does not answer, or what it says is not understood.
pub(super) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator)?;
    let runtime = output::runtime()?;
    let text = runtime.block_on(operator.ask(Method::GET, "/status", &[], Vec::new()))?;
    let status: Status =
        serde_json::from_str(&text).context("the gateway's status is not understood; is it of this version?")?;
    let shown = if args.json {
        serde_json::to_string_pretty(&status)?
    } else {
        status_text(&status)
    };
    writeln!(std::io::stdout().lock(), "{shown}").context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn status_text(status: &Status) -> String {
    let header = [
        "deployment",
        "region",
        "state",
        "policy",
        "idle",
        "deletion",
        "next",
        "USD",
        "ends",
    ];
    let rows = status.deployments.iter().map(row).collect();
    let mut sections = vec![columns(&header, header.len(), rows)];
    let warnings = status.deployments.iter().filter_map(warning);
    sections.extend(warnings);
    sections.push(match &status.fleet {
        None => "this gateway has no control plane (`azure`): what is idle is watched, and nothing is done about it"
            .to_owned(),
        Some(fleet) => {
            let read = fleet
                .read_at
                .as_deref()
                .map_or_else(|| "an account of it could not be read yet (see the log)".to_owned(), |at| format!("was read at {at}"));
            let acts = match (fleet.acts, fleet.writes) {
                (true, true) => "this gateway calls, rebuilds and deletes by policy",
                (true, false) => "this gateway calls by policy; it rebuilds and deletes nothing, since `azure.writes` is false",
                (false, _) => "this gateway does not act: another on the same usage file does, or the file cannot be written (see the log)",
            };
            format!("Azure {read}; {acts}")
        }
    });
    sections.join("\n\n")
}

fn row(shown: &Shown) -> Vec<String> {
    let none = || "-".to_owned();
    let care = shown.care.as_ref();
    let state = match (&shown.absent, care) {
        (_, Some(care)) if care.state != "there" => care.state.clone(),
        (Some(absent), _) => absent.clone(),
        (None, Some(care)) => care.state.clone(),
        (None, None) => none(),
    };
    let idle = care.and_then(|care| care.idle_s);
    let deletion = care
        .map_or(&shown.deletion_at, |care| &care.deletion_at)
        .as_deref()
        .map(minute);
    let by = care.is_some_and(|care| !care.deletion_is_exact);
    vec![
        shown.name.clone(),
        shown.region.clone(),
        state,
        care.map_or_else(none, |care| care.policy.clone()),
        idle.map_or_else(none, |idle| shown_span((idle * 1_000.0) as i64)),
        deletion.map_or_else(none, |date| if by { format!("by {date}") } else { date }),
        care.and_then(|care| care.next.as_ref()).map_or_else(none, next),
        care.and_then(|care| care.next.as_ref()?.usd)
            .map_or_else(none, |usd| format!("{usd:.6}")),
        care.and_then(|care| care.end.as_ref()).map_or_else(none, end),
    ]
}

fn next(next: &NextStatus) -> String {
    format!("{} {}", next.action, minute(&next.at))
}

fn end(end: &EndStatus) -> String {
    format!("{} {}", minute(&end.at), end.cause)
}

fn warning(shown: &Shown) -> Option<String> {
    let care = shown.care.as_ref().filter(|care| care.urgency != "none")?;
    let sentence = care.sentence.as_ref()?;
    Some(format!("{} ({}): {sentence}", shown.name, care.urgency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deployment_has_its_dates_and_the_urgent_a_sentence() {
        let text = r#"{"fleet": {"acts": true, "writes": true, "read_at": "2026-11-01T10:00:00Z"}, "deployments": [
            {"name": "east/ft", "region": "swedencentral", "absent": null, "last_success_at": null, "deletion_at": "2026-11-10T08:30:00Z",
             "care": {"policy": "keep", "state": "there", "idle_s": 950400.0, "deletion_at": "2026-11-10T08:30:00Z", "deletion_is_exact": false,
                      "urgency": "soon", "next": {"action": "call", "at": "2026-11-09T08:30:00Z", "usd": 0.000029},
                      "end": {"cause": "retirement", "at": "2027-10-14T00:00:00Z"}, "sentence": "idle for 11 d"}},
            {"name": "west/base", "region": "eastus2", "absent": null, "last_success_at": null, "deletion_at": null, "care": null},
            {"name": "west/gone", "region": "eastus2", "absent": "missing", "last_success_at": null, "deletion_at": null,
             "care": {"policy": "keep", "state": "creating", "idle_s": null, "deletion_at": null, "deletion_is_exact": false,
                      "urgency": "none", "next": null, "end": null, "sentence": null}}]}"#;
        let status: Status = serde_json::from_str(text).expect("a status");
        let shown = status_text(&status);
        let cells = |name: &str| {
            let line = shown.lines().find(|line| line.starts_with(name)).expect("a row");
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cells("east/ft  "),
            [
                "east/ft",
                "swedencentral",
                "there",
                "keep",
                "11 d",
                "by 2026-11-10 08:30",
                "call 2026-11-09 08:30",
                "0.000029",
                "2027-10-14 00:00 retirement"
            ]
        );
        assert_eq!(
            cells("west/base"),
            ["west/base", "eastus2", "-", "-", "-", "-", "-", "-", "-"]
        );
        assert_eq!(cells("west/gone")[2], "creating");
        assert!(shown.contains("east/ft (soon): idle for 11 d"), "{shown}");
        assert!(shown.ends_with("calls, rebuilds and deletes by policy"), "{shown}");
    }
}
