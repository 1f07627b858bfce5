//! `emberway audit`: what was written to Azure's control plane, by whom, and what came of it.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::output;
use crate::cli::usage::{find_store, moment, shown, unreadable};
use crate::columns::columns;
use crate::core::arm_id::DeploymentArmId;
use crate::storage::audit::{AuditEntry, AuditPhase, read_audit};
use crate::telemetry::clock;

/// Flags of `emberway audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// The gateway's configuration file: the audit is in the usage file that it names. Secrets in it are not needed.
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
    /// Print the entries as JSON, newest first: one before each write was sent, one with what came of it.
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
    let named_by = file.as_deref().filter(|_| store.is_none());
    let store = match find_store(store, file.as_deref()) {
        Ok(store) => store,
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}").context("cannot write to stderr")?;
            return Ok(ExitCode::from(output::EXIT_CONFIG));
        }
    };
    // Two entries a write.
    let read = output::runtime()?.block_on(read_audit(&store, since_ms, most.saturating_mul(2)));
    let entries = read.map_err(|error| unreadable(error, named_by))?;
    let mut stdout = std::io::stdout().lock();
    if json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&entries)?)?;
    } else if entries.is_empty() {
        writeln!(stdout, "nothing was written to Azure since {}", shown(Some(since_ms)))?;
    } else {
        writeln!(stdout, "{}", table(&entries, most as usize))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a write, newest first: the two entries of each together.
fn table(entries: &[AuditEntry], most: usize) -> String {
    let of_phase = |phase: AuditPhase| entries.iter().filter(move |entry| entry.phase == phase);
    let ends: HashMap<&str, &AuditEntry> = of_phase(AuditPhase::Answered)
        .map(|entry| (entry.client_request_id.as_str(), entry))
        .collect();
    let row = |entry: &AuditEntry| {
        let end = ends.get(entry.client_request_id.as_str());
        let outcome = match end {
            Some(end) => end.outcome.clone().unwrap_or_default(),
            None => "cut off: it may have had its effect".to_owned(),
        };
        vec![
            shown(Some(entry.at_ms)),
            entry.method.clone(),
            target(&entry.target),
            outcome,
            entry.actor.clone(),
            end.and_then(|end| end.request_id.clone()).unwrap_or_default(),
        ]
    };
    let rows = of_phase(AuditPhase::Sent).take(most).map(row).collect();
    let header = ["when", "method", "what", "outcome", "who", "Azure's request"];
    columns(&header, header.len(), rows)
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
        }
    }

    #[test]
    fn a_write_is_one_line_and_one_that_was_cut_off_says_so() {
        let entries = [
            entry("two", AuditPhase::Sent, None),
            entry("one", AuditPhase::Answered, Some("201")),
            entry("one", AuditPhase::Sent, None),
        ];
        let shown = table(&entries, 10);
        let expected = [
            "when               method  what     outcome                              who                                  Azure's request",
            "2026-11-24 12:00Z  PUT     east/ft  cut off: it may have had its effect  emberway fleet apply by ada (uid 7)",
            "2026-11-24 12:00Z  PUT     east/ft  201                                  emberway fleet apply by ada (uid 7)  r-1",
        ];
        assert_eq!(shown, expected.join("\n"));
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
