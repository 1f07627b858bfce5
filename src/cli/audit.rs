//! `emberway audit`: what was written to Azure's control plane, by whom, and what came of it.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::cli::output;
use crate::cli::usage::{config_file, find_store, moment, unreadable};
use crate::columns::columns;
use crate::core::arm_id::DeploymentArmId;
use crate::storage::audit::{AuditEntry, AuditPhase, read_audit};
use crate::telemetry::clock;

/// Flags of `emberway audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// The gateway's configuration file: the audit is in the usage file that it names. Secrets in it are not needed
    /// [default: `emberway.yaml`, if it is there].
    #[arg(short, long, value_name = "FILE", env = "EMBERWAY_CONFIG")]
    config: Option<PathBuf>,
    /// The gateway's usage file, whatever the configuration says [default without either: `emberway-usage.db`].
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// How far back: how long ago (`24h`, `7days`), a date or an RFC 3339 time.
    #[arg(long, value_name = "WHEN", default_value = "30days")]
    since: String,
    /// Most writes that are printed, the newest of them.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    most: u32,
    /// Print the entries as JSON, newest first: one before each write was sent, one with its answer, and
    /// one with the end of its operation where somebody followed it.
    #[arg(long)]
    json: bool,
}

/// Prints the audit.
///
/// # Errors
/// When the time cannot be read, or the store cannot.
pub fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let AuditArgs {
        config: file,
        store,
        since,
        most,
        json,
    } = args;
    let since_ms = moment(&since, clock::now_ms()).context("cannot read --since")?;
    let file = config_file(file);
    let named_by = file.path().filter(|_| store.is_none());
    let store = match find_store(store, &file) {
        Ok(store) => store,
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    // Three entries a write at most.
    let read = output::runtime()?.block_on(read_audit(&store, since_ms, most.saturating_mul(3)));
    let entries = read.map_err(|error| unreadable(error, named_by))?;
    let mut stdout = std::io::stdout().lock();
    if json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&entries)?)?;
    } else if entries.is_empty() {
        writeln!(stdout, "nothing was written to Azure since {}", to_the_second(since_ms))?;
    } else {
        writeln!(stdout, "{}", table(&entries, most as usize))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a write, newest first: the entries of each together.
fn table(entries: &[AuditEntry], most: usize) -> String {
    let of_phase = |phase: AuditPhase| entries.iter().filter(move |entry| entry.phase == phase);
    let by_id = |phase: AuditPhase| -> HashMap<&str, &AuditEntry> {
        let entries = of_phase(phase);
        entries.map(|entry| (&*entry.client_request_id, entry)).collect()
    };
    let (answers, ends) = (by_id(AuditPhase::Answered), by_id(AuditPhase::Ended));
    let row = |entry: &AuditEntry| {
        let id = &*entry.client_request_id;
        let answer = answers.get(id);
        vec![
            to_the_second(entry.at_ms),
            entry.method.clone(),
            target(&entry.target),
            entry.asked.clone().unwrap_or_default(),
            outcome(answer.copied(), ends.get(id).copied()),
            entry.actor.clone(),
            answer.and_then(|answer| answer.request_id.clone()).unwrap_or_default(),
        ]
    };
    let rows = of_phase(AuditPhase::Sent).take(most).map(row).collect();
    let header = ["when", "method", "what", "asked", "outcome", "who", "Azure's request"];
    columns(&header, header.len(), rows)
}

/// What came of a write, as far as anybody has heard.
fn outcome(answer: Option<&AuditEntry>, end: Option<&AuditEntry>) -> String {
    let of = |entry: &AuditEntry| entry.outcome.clone().unwrap_or_default();
    match (answer.map(of), end.map(of)) {
        (None, _) => "cut off: it may have had its effect".to_owned(),
        (Some(answer), Some(end)) => format!("{answer}, then {end}"),
        // Azure has begun it, and nobody stayed to see its end.
        (Some(answer), None) if matches!(&*answer, "201" | "202") => format!("{answer} accepted"),
        (Some(answer), None) => answer,
    }
}

fn to_the_second(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// `account/deployment`, or the path where it is of something else.
fn target(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    path.find("/subscriptions/")
        .and_then(|at| path[at..].parse::<DeploymentArmId>().ok())
        .map_or_else(
            || path.to_owned(),
            |id| format!("{}/{}", id.account().name(), id.name()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/arm/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/east";

    fn entry(id: &str, phase: AuditPhase, outcome: Option<&str>) -> AuditEntry {
        AuditEntry {
            at_ms: 1_795_521_600_000,
            actor: "emberway fleet apply by ada (uid 7)".to_owned(),
            phase,
            method: "PUT".to_owned(),
            target: format!("{PATH}/deployments/ft?api-version=2024-10-01"),
            client_request_id: id.to_owned(),
            request_id: outcome.map(|_| "r-1".to_owned()),
            outcome: outcome.map(str::to_owned),
            asked: Some("capacity 20".to_owned()),
        }
    }

    #[test]
    fn a_write_is_one_line_and_one_that_was_cut_off_says_so() {
        let entries = [
            entry("four", AuditPhase::Sent, None),
            entry("three", AuditPhase::Answered, Some("200")),
            entry("three", AuditPhase::Sent, None),
            entry("two", AuditPhase::Ended, Some("InsufficientQuota")),
            entry("two", AuditPhase::Answered, Some("201")),
            entry("two", AuditPhase::Sent, None),
            entry("one", AuditPhase::Answered, Some("201")),
            entry("one", AuditPhase::Sent, None),
        ];
        let shown = table(&entries, 10);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines[1].starts_with("2026-11-24 12:00:00Z  PUT     east/ft  capacity 20  "),
            "{shown}"
        );
        let outcomes = [
            "cut off: it may have had its effect",
            "200 ",
            "201, then InsufficientQuota",
            "201 accepted",
        ];
        assert_eq!(lines.len(), 1 + outcomes.len(), "{shown}");
        for (line, outcome) in lines[1..].iter().zip(outcomes) {
            assert!(line.contains(&format!("  {outcome}")), "{outcome}: {shown}");
        }
        assert_eq!(table(&entries, 1).lines().count(), 2);
    }

    #[test]
    fn what_is_no_deployment_is_shown_by_its_path() {
        for (text, expected) in [
            (format!("{PATH}/deployments/ft?api-version=1"), "east/ft".to_owned()),
            (
                format!("{PATH}/deployments/ft/pause?a=1"),
                format!("{PATH}/deployments/ft/pause"),
            ),
            ("/elsewhere".to_owned(), "/elsewhere".to_owned()),
        ] {
            assert_eq!(target(&text), expected);
        }
    }
}
